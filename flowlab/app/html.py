"""Self-contained HTML pages, from templates that escape all text but the pieces of `flowlab.core.html`; a page fetches
and runs nothing.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from flowlab.claims.evidence_parts import as_json
from flowlab.core import html as pieces
from flowlab.core.html import Markup, answer, math, number, picture, prose, soft, table, tex, unfolding

_BROAD = 5.0
"""Inches: figures that are wider stand alone in their row."""


@dataclass(frozen=True)
class Shown:
    """A figure on a page.

    Attributes:
        name: what it is called.
        caption: what is seen, with formulas between dollar signs.
        picture: PNG.
        wide: whether it is wider than a column.
    """

    name: str
    caption: str
    picture: bytes
    wide: bool = False

    @classmethod
    def of(cls, drawn: Any, name: str = "") -> "Shown":
        """A drawn figure."""
        wide = float(drawn.canvas.get_size_inches()[0]) > _BROAD
        return cls(name or drawn.name.replace("_", " "), drawn.caption, drawn._repr_png_(), wide)

    @property
    def source(self) -> str:
        """The picture as an address of its own."""
        return f"data:image/png;base64,{base64.b64encode(self.picture).decode('ascii')}"

    @property
    def alt(self) -> str:
        """What stands in place of the picture: the first sentence of the caption."""
        return self.caption.partition(". ")[0] or self.name


@cache
def _templates() -> Environment:
    blocks: Any = {"trim_blocks": True, "lstrip_blocks": True}
    made = Environment(loader=PackageLoader("flowlab.app"), autoescape=True, undefined=StrictUndefined, **blocks)
    made.globals |= {"html": pieces, "as_json": as_json, "style": Markup(_style()), "policy": _policy()}
    return made


@cache
def _style() -> str:
    return (Path(__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")


def _policy() -> str:
    """What a browser may load and run: pictures set into the page and its one style sheet, no script and nothing from
    elsewhere.
    """
    style = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    parts = ("default-src 'none'", "img-src data:", f"style-src 'sha256-{style}'", "base-uri 'none'")
    return "; ".join((*parts, "form-action 'none'"))


def rendered(template: str, values: Mapping[str, Any]) -> Markup:
    """A template filled in; only `Markup` is not escaped."""
    return Markup(_templates().get_template(template).render(values))


def page(title: str, body: str) -> str:
    """A page with a title and a body; only `Markup` is not escaped."""
    return str(rendered("page.html", {"title": title, "body": body}))


__all__ = [
    "Markup",
    "Shown",
    "answer",
    "math",
    "number",
    "page",
    "picture",
    "prose",
    "rendered",
    "soft",
    "table",
    "tex",
    "unfolding",
]
