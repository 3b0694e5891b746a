"""How blocks, inputs and constants are called in print: different names stay different, and no block looks like a
quantity of another one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from flowlab.language.block_symbols import index as index
from flowlab.language.block_symbols import symbol as symbol

if TYPE_CHECKING:
    from flowlab.language.network import Network
    from flowlab.language.problem import Problem

_SYMBOLS = r"[FLf]|Psi|[GZADT]_\w+|ones|rows|diag"
_SAMPLED = r"|[XNyq]|psi|(?:psi|[qfxy]|fb)_n|sum_n|grad_f"
_POLAR = r"|(?:rho|nu|kappa)(?:_\w+)?|(?:lambda|[Vvp])_\w+"
_HOMOGENEOUS = r"|[RQs]"
_DECAYED = r"|omega(?:_\w+)?"
_RATED = r"|eta(?:_\w+)?"
"""What equations call their own quantities, by the kind of problem that has them."""


ROLES = {"weight": ("block", "W"), "input": ("input", "X"), "constant": ("constant", "C")}
"""What leaves of a role are, and the letter in front of a name that the equations use themselves."""


@dataclass(frozen=True)
class Labels:
    """What leaves are called in equations: by name, or W_name where the equations have a symbol of that name.

    Inputs and constants get an X or a C in place of the W. The input `x` is called by `called_x`.

    Attributes:
        text, tex: the labels by name, in text and in LaTeX.
        roles: what every leaf is, in the words of `ROLES`.
    """

    text: Mapping[str, str]
    tex: Mapping[str, str]
    roles: Mapping[str, str]

    @property
    def changed(self) -> dict[str, str]:
        """The leaves that are not called by their name."""
        return {name: label for name, label in self.text.items() if name != label}

    def kind(self, name: str) -> str:
        """Whether a leaf is a block, an input or a constant."""
        return ROLES[self.roles[name]][0]


def called_x(network: "Network") -> str:
    """What the input `x` is called where its samples stand side by side: X, unless that is another input."""
    return "x" if "X" in network.inputs else "X"


def labels(problem: "Problem") -> Labels:
    """The labels of a problem's leaves, `x` excepted."""
    polar, network = problem.coordinates == "polar", problem.network
    roles = tuple((w, "weight") for w in network.weights)
    roles += tuple((k, role) for k, role in network.roles.items() if role != "weight" and k != "x")
    homogeneous, decayed = polar and problem.is_homogeneous, any(problem.decay.values())
    return label_all(roles, polar, homogeneous, decayed, problem.is_rated, not problem.loss.is_value)


def called(problem: "Problem", kind: str, name: str) -> str:
    """What an input of a program is called in text, by its kind (see `flowlab.symbolic.program.INPUTS`)."""
    known = labels(problem).text
    if kind == "y":
        return "y"
    if kind in ("x", "weight"):
        return known.get(name, name)
    if kind == "chart":
        return f"z_{known[name]}"
    letter = {"norm": "rho", "decay": "omega", "rate": "eta"}.get(kind, "v" if problem.scheme.normalises else "V")
    return f"{letter}_{name}"


@lru_cache(maxsize=256)
def label_all(
    roles: tuple[tuple[str, str], ...], polar: bool, homogeneous: bool, decayed: bool, rated: bool, sampled: bool
) -> Labels:
    """Labels of leaves, given by name and role, beside the symbols of one kind of equations."""
    kinds = (_POLAR * polar, _HOMOGENEOUS * homogeneous, _DECAYED * decayed, _RATED * rated, _SAMPLED * sampled)
    own = re.compile(_SYMBOLS + "".join(kinds))
    # In LaTeX the number of a block W1 is an index, so that rho1 would look like the norm of W1.
    own_tex = re.compile(
        r"Delta\d+" + r"|(?:rho|nu|kappa|lambda)\d+" * polar + r"|omega\d+" * decayed + r"|eta\d+" * rated
    )
    text, tex, names = {}, {}, [name for name, _ in roles]
    for name, role in roles:
        taken, letter = own.fullmatch(name) is not None and (name, role) != ("X", "input"), ROLES[role][1]
        label = f"{letter}_{name}" if taken else name
        while taken and label in names:
            label += "_"
        text[name] = label
        tex[name] = f"{letter}_{{{index(name)}}}" if taken or own_tex.fullmatch(name) else symbol(name)
    return Labels(text, tex, dict(roles))
