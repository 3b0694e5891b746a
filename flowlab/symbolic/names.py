"""How blocks are called in LaTeX."""

import re


def symbol(name: str) -> str:
    """A block name as LaTeX: W1 becomes W_{1}, other names keep their letters."""
    head = name.rstrip("0123456789")
    tail = name[len(head):]
    base = head.rstrip("_").replace("_", r"\_")
    base = base if len(base) == 1 else rf"\mathrm{{{base}}}"
    return f"{base}_{{{tail}}}" if tail else base


def index(name: str) -> str:
    """An index: blocks named W1, W2, … are told by their number alone, as in the papers."""
    if re.fullmatch(r"W\d+", name):
        return name[1:]
    return name if len(name) == 1 or name.isdigit() else symbol(name)
