"""How blocks are called in LaTeX: different names stay different, and no block looks like a quantity of another one."""

import re

_TAKEN = ("V", "v", "G")
"""Letters that carry a block's number as their index: V_{1} is the direction of W1, so a block V1 stands upright."""


def symbol(name: str) -> str:
    """A block name as LaTeX: W1 becomes W_{1}, other names keep their letters and every underscore."""
    head = name.rstrip("0123456789")
    if head.endswith("_"):
        # W_1 is not W1: an underscore before the number is part of the name.
        head = name
    tail = name[len(head):]
    escaped = head.replace("_", r"\_")
    base = head if len(head) == 1 and not (tail and head in _TAKEN) else rf"\mathrm{{{escaped}}}"
    return f"{base}_{{{tail}}}" if tail else base


def index(name: str) -> str:
    """An index: blocks named W1, W2, … are told by their number alone, as in the papers."""
    if re.fullmatch(r"W\d+", name):
        return name[1:]
    return name if len(name) == 1 or name.isdigit() else symbol(name)
