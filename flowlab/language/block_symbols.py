"""How blocks are called in formulas, in derivations and figures alike."""

import re

_TAKEN = ("V", "v", "G", "Z", "A", "T", "p", "z")
"""Letters that carry a number as their index: V_{1} is the direction of W1, so blocks V1 and Z1 stand upright."""

_GREEK = frozenset(
    (
        *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu"),
        *("xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
        *("Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega"),
    )
)
"""Letters that LaTeX has a command for."""
_SPELLED = {"lam": "lambda"}
"""How a Greek letter is spelled whose name is a word of Python."""


def symbol(name: str) -> str:
    """A block name as LaTeX: W1 becomes W_{1}, alpha its letter; other names keep all letters and underscores."""
    head = name.rstrip("0123456789")
    letters = head.rstrip("_")
    greek = _SPELLED.get(letters, letters)
    if head.endswith("_") and greek not in _GREEK:
        # W_1 is not W1: an underscore before the number is part of the name.
        head = name
    tail = name[len(head) :]
    if greek in _GREEK:
        marks = r"\_" * (len(head) - len(letters))
        base = rf"{{\{greek}{marks}}}" if marks else rf"\{greek}"
    else:
        escaped = head.replace("_", r"\_")
        base = head if len(head) == 1 and not (tail and head in _TAKEN) else rf"\mathrm{{{escaped}}}"
    return f"{base}_{{{tail}}}" if tail else base


def index(name: str) -> str:
    """An index: blocks named W1, W2, … are told by their number alone, as in the papers."""
    if re.fullmatch(r"W\d+", name):
        return name[1:]
    return name if len(name) == 1 or name.isdigit() else symbol(name)
