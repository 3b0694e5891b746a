"""The evidence of a verdict as pieces of HTML, for reports and notebooks."""

import json

from flowlab.claims.quantity import RUNGS
from flowlab.core import html
from flowlab.core.html import Markup
from flowlab.core.typing import Record

_OWN = ("statement", "source", "seed", "versions", "counter_example", "mutants", "inputs", "quantities", "origin")
"""Evidence that has a place of its own where it is shown."""


def evidence_parts(seen: Record, name: str) -> list[Markup]:
    """Quantities, wrong variants, and what else was recorded.

    Args:
        seen: the evidence of a verdict.
        name: its id, for captions.
    """
    body = []
    if seen.get("quantities"):
        rows = [_quantity(q) for q in seen["quantities"]]
        head = ("quantity", "measured", "expected", "within", "route", "second route", "as printed")
        body.append(html.table(head, rows, f"quantities of {name}"))
    if seen.get("mutants"):
        tried = [
            (
                variant,
                html.number(m["measured"], 3),
                html.number(m["bound"], 3),
                "refuted" if m["refuted"] else Markup("<b>passes</b>"),
            )
            for variant, m in seen["mutants"].items()
        ]
        table = html.table(("wrong variant", "off by", "bound", "answer"), tried, f"wrong variants of {name}")
        body.append(html.unfolding(f"{len(tried)} wrong variants", table))
    if seen.get("counter_example"):
        body.append(Markup('<p class="soft">Counter-example: {}.</p>').format(seen["counter_example"]))
    rest = {k: value for k, value in seen.items() if k not in _OWN}
    if rest:
        body.append(html.unfolding("details", as_json(rest)))
    return body


def _quantity(q: Record) -> tuple[str, ...]:
    """A row of the table of quantities."""
    relation = "" if q["relation"] == "=" else f"{q['relation']} "
    bar = f" ± {q['error']:.1g}" if q["error"] else ""
    second = "" if q["second"] is None else Markup("{} {}").format(f"{q['second']:.8g}", html.soft(q["second_route"]))
    printed = q["printed"] if q["as_printed"] in (None, True) else Markup("{} <b>differs</b>").format(q["printed"])
    route = Markup("{} {}").format(q["route"], html.soft(f"({RUNGS[q['rung']]})")) if q["rung"] else q["route"]
    return (
        q["name"],
        _value(q["measured"]) + bar,
        relation + _value(q["expected"]),
        f"{q['tolerance']:.2g}",
        route,
        second,
        printed,
    )


def _value(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.8g}"


def as_json(value: object) -> Markup:
    """A value as JSON, in a box that scrolls."""
    text = json.dumps(value, indent=1, sort_keys=True, default=str)
    return Markup('<div class="wide" tabindex="0" role="region" aria-label="data"><pre>{}</pre></div>').format(text)
