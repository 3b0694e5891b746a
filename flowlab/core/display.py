"""How results show themselves: a short `repr`, and HTML in notebooks. A class says what it is; the rest is done here.

`@displayed`, under `@dataclass`, gives a class both. What is printed is its `__str__`, or else its fields. In HTML it
is what `_html_parts` gives, texts and pieces of `flowlab.core.html`; without that method, what is printed, its formulas
where it has `latex`, and its fields in a part that unfolds.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from flowlab.core import html
from flowlab.core.html import Markup

T = TypeVar("T")

LONGEST, LINES = 2_000, 20
"""Characters and lines of a `repr`."""
_WIDE, _FEW = 100, 6
"""Characters of a line of fields, and elements of a list that are shown."""
_LOOK = (
    ".flowlab table{border-collapse:collapse;font-size:.9em}.flowlab th,.flowlab td{text-align:left;"
    "vertical-align:top;padding:.2em .6em}.flowlab .wide{overflow-x:auto}.flowlab .answer{font-weight:600}"
    ".flowlab summary{cursor:pointer}.flowlab details>div{padding-left:1.2em}.flowlab .soft{opacity:.7}"
)
"""What a notebook's own style does not give."""


def displayed(cls: type[T]) -> type[T]:
    """Class decorator, under `@dataclass`: the class prints shortly, and shows itself in notebooks.

    A `__repr__` or `_repr_html_` that stands in the class is kept.

    Example:
        >>> @dataclass(frozen=True)
        ... @displayed
        ... class Answer:
        ...     values: np.ndarray
        >>> Answer(np.zeros((3, 4)))
        Answer(values=float64[3, 4])
    """
    for name, made in (("__repr__", _repr), ("_repr_html_", _repr_html)):
        if name not in vars(cls):
            setattr(cls, name, made)
    return cls


def _repr(self: Any) -> str:
    return clipped(_told(self))


def _repr_html(self: Any) -> str:
    return framed(self._html_parts() if hasattr(self, "_html_parts") else _parts(self))


def framed(parts: Sequence[str]) -> str:
    """Parts of HTML, put together for a notebook; texts are escaped."""
    pieces = [part if isinstance(part, Markup) else Markup("<p>{}</p>").format(part) for part in parts]
    whole = Markup('<div class="flowlab"><style>{}</style>{}</div>')
    return str(whole.format(Markup(_LOOK), Markup("\n").join(pieces)))


def _told(value: Any) -> str:
    if type(value).__str__ is not object.__str__:
        return str(value)
    told = [f"{name}={brief(part)}" for name, part in fields(value).items()]
    name = type(value).__name__
    line = f"{name}({', '.join(told)})"
    return line if len(line) <= _WIDE else "\n".join([f"{name}(", *(f"  {part}," for part in told), ")"])


def _parts(value: Any) -> list[str]:
    """What a class shows that does not say what."""
    parts: list[str] = [heading(type(value).__name__)]
    if type(value).__str__ is not object.__str__:
        parts.append(preformatted(clipped(str(value))))
    latex = getattr(value, "latex", None)
    if isinstance(latex, str):
        parts.append(html.math(latex, display=True))
    elif callable(latex):
        parts.append(html.unfolding("formulas", html.tex(str(latex()))))
    own = fields(value)
    return [*parts, html.unfolding("fields", rows(own, "fields"))] if own else parts


def fields(value: Any) -> dict[str, Any]:
    """The public fields of a dataclass or of a plain object, by name."""
    if dataclasses.is_dataclass(value):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.repr and f.name[0] != "_"}
    return {name: part for name, part in getattr(value, "__dict__", {}).items() if not name.startswith("_")}


def heading(text: str) -> Markup:
    """The name of what is shown."""
    return Markup("<b>{}</b>").format(text)


def preformatted(text: str) -> Markup:
    """Text as it is printed."""
    return Markup('<div class="wide"><pre>{}</pre></div>').format(text)


def rows(values: Mapping[str, Any], caption: str, head: Sequence[str] = ("", "value")) -> Markup:
    """Names and values as a table."""
    return html.table(head, [(name, brief(part, 200)) for name, part in values.items()], caption)


def clipped(text: str) -> str:
    """Text of at most 20 lines and 2,000 characters, which says how much is left out."""
    lines = text.splitlines()
    if len(lines) > LINES:
        lines = [*lines[: LINES - 1], f"… {len(lines) - LINES + 1} more lines"]
    told = "\n".join(lines)
    return told if len(told) <= LONGEST else told[: LONGEST - 1] + "…"


def brief(value: Any, most: int = 80) -> str:
    """A value as a part of one line: numbers, short texts and small lists as they are, of all else what it is."""
    told = _brief(value)
    return told if len(told) <= most else told[: most - 1] + "…"


def _brief(value: Any) -> str:
    if isinstance(value, str):
        return repr(value)
    if isinstance(value, bool | int | type(None)):
        return repr(value) if not isinstance(value, int) or value.bit_length() < 200 else "an integer"
    if isinstance(value, float | np.floating | np.integer):
        return f"{value:.6g}"
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        # Arrays that are being traced have no numbers, so that only those of numpy are looked into.
        if isinstance(value, np.ndarray) and value.size <= _FEW and value.dtype.kind in "biuf":
            return np.array2string(value, precision=6, separator=", ", max_line_width=10_000).replace("\n", "")
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, Mapping):
        some = [f"{brief(k)}: {brief(v)}" for k, v in list(value.items())[:_FEW]]
        return "{" + ", ".join([*some, *(["…"] if len(value) > _FEW else [])]) + "}"
    if type(value) in (list, tuple, set, frozenset):
        some = [brief(v) for v in list(value)[:_FEW]]
        left = [f"… {len(value) - _FEW} more"] if len(value) > _FEW else []
        return ("({})" if isinstance(value, tuple) else "[{}]").format(", ".join([*some, *left]))
    if type(value).__repr__ is _repr:
        # Results within results are named; what they hold is theirs to tell.
        return f"{type(value).__name__}({len(value)})" if isinstance(value, list) else f"{type(value).__name__}(…)"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return f"{type(value).__name__}(…)"
    return (repr(value).splitlines() or [""])[0]


def dataset_rows(dataset: Any) -> Markup:
    """The variables of a labelled data set: dimensions, first and last number, and what they are."""
    told = []
    for name, column in dataset.variables.items():
        ends = [brief(column.values.flat[i].item()) for i in (0, -1)] if column.size else ["", ""]
        sizes = ", ".join(f"{d} {n}" for d, n in zip(column.dims, column.shape, strict=True))
        told.append((str(name), sizes, *ends, str(column.attrs.get("long_name", ""))))
    return html.table(("variable", "over", "first", "last", "what"), told, "variables")
