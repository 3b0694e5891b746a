"""Docstrings are plain text: signs of formulas such as `V*` and `W_k` are not those of Markdown."""

import re
from typing import Any

import griffe

_SIGNS = re.compile(r"`[^`]*`|^ *[\w, ]+:(?= )|([*_<\[|~])", re.MULTILINE)
"""Code and the names that a line of a section begins with stay; what is left of signs is escaped."""


class PlainDocstrings(griffe.Extension):
    """Escape what Markdown would read as its own, outside of code and examples."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring:
            obj.docstring.value = plain(obj.docstring.value)


def plain(text: str) -> str:
    """The text with its signs escaped."""
    before, head, examples = text.partition("\nExamples:\n")
    return _SIGNS.sub(lambda m: f"\\{m[1]}" if m[1] else m[0], before) + head + examples
