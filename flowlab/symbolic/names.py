"""How blocks are called in print: different names stay different, and no block looks like a quantity of another one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowlab.language.problem import Problem

_TAKEN = ("V", "v", "G", "Z", "A", "T", "p")
"""Letters that carry a number as their index: V_{1} is the direction of W1, so blocks V1 and Z1 stand upright."""

_GREEK = frozenset(
    (
        *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu"),
        *("xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
        *("Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega"),
    )
)
"""Letters that LaTeX has a command for."""

_SYMBOLS = r"[XNFLyfq]|Psi|psi|(?:psi|[qfxy]|fb)_n|[GZADT]_\w+|ones|rows|diag|sum_n|grad_f"
_POLAR = r"|(?:rho|nu|kappa)(?:_\w+)?|(?:lambda|[Vvp])_\w+"
_HOMOGENEOUS = r"|[RQs]"
_DECAYED = r"|omega(?:_\w+)?"
"""What equations call their own quantities, by the kind of problem that has them."""


@dataclass(frozen=True)
class Labels:
    """What blocks are called in equations: by name, or W_name where the equations have a symbol of that name."""

    text: Mapping[str, str]
    tex: Mapping[str, str]

    @property
    def changed(self) -> dict[str, str]:
        """The blocks that are not called by their name."""
        return {block: label for block, label in self.text.items() if block != label}


def labels(problem: "Problem") -> Labels:
    """The labels of a problem's blocks."""
    polar = problem.coordinates == "polar"
    return label_all(problem.network.weights, polar, polar and problem.is_homogeneous, any(problem.decay.values()))


@lru_cache(maxsize=256)
def label_all(blocks: tuple[str, ...], polar: bool, homogeneous: bool, decayed: bool) -> Labels:
    """Labels of blocks beside the symbols of one kind of equations."""
    own = re.compile(_SYMBOLS + _POLAR * polar + _HOMOGENEOUS * homogeneous + _DECAYED * decayed)
    # In LaTeX the number of a block W1 is an index, so that rho1 would look like the norm of W1.
    own_tex = re.compile(r"Delta\d+" + r"|(?:rho|nu|kappa|lambda)\d+" * polar + r"|omega\d+" * decayed)
    text, tex = {}, {}
    for block in blocks:
        taken = own.fullmatch(block) is not None
        label = f"W_{block}" if taken else block
        while taken and label in blocks:
            label += "_"
        text[block] = label
        tex[block] = f"W_{{{index(block)}}}" if taken or own_tex.fullmatch(block) else symbol(block)
    return Labels(text, tex)


def symbol(name: str) -> str:
    """A block name as LaTeX: W1 becomes W_{1}, alpha its letter; other names keep all letters and underscores."""
    head = name.rstrip("0123456789")
    if head.endswith("_"):
        # W_1 is not W1: an underscore before the number is part of the name.
        head = name if head.rstrip("_") not in _GREEK else head
    tail = name[len(head) :]
    letters = head.rstrip("_")
    if letters in _GREEK:
        marks = r"\_" * (len(head) - len(letters))
        base = rf"{{\{letters}{marks}}}" if marks else rf"\{letters}"
    else:
        escaped = head.replace("_", r"\_")
        base = head if len(head) == 1 and not (tail and head in _TAKEN) else rf"\mathrm{{{escaped}}}"
    return f"{base}_{{{tail}}}" if tail else base


def index(name: str) -> str:
    """An index: blocks named W1, W2, … are told by their number alone, as in the papers."""
    if re.fullmatch(r"W\d+", name):
        return name[1:]
    return name if len(name) == 1 or name.isdigit() else symbol(name)
