"""One self-contained page per pack or run: verdicts with their evidence, equations, figures."""

import json
from collections.abc import Sequence
from pathlib import Path

from flowlab.app import html as html
from flowlab.app.html import Markup
from flowlab.claims.claim import claims
from flowlab.claims.verdict import RUNGS, Verdict
from flowlab.core.typing import Record

_DETAILS = ("statement", "source", "seed", "versions", "counter_example", "mutants", "inputs", "quantities", "origin")
"""Evidence that has a place of its own on the page."""


def pack_report(verdicts: Sequence[Verdict], summary: Record) -> str:
    """The page of a pack: counts, table, what is usually stated otherwise, and every verdict with its evidence."""
    counts = ", ".join(f"{n} {answer}" for answer, n in summary["counts"].items())
    body = [_paragraph(f"{len(verdicts)} claims: {counts}. Seed {summary['seed']}.")]
    if summary["left_out"]:
        body.append(_paragraph(f"Left out of this quick tier: {', '.join(summary['left_out'])}."))
    body.append(_verdict_table(verdicts))
    if summary["refutations"]:
        rows = []
        for r in summary["refutations"]:
            against = Markup("").join(Markup("<li>{}</li>").format(line) for line in r["against"])
            decisive = Markup("{}<ul>{}</ul>").format(r["decisive"], against)
            rows.append((_link(r["id"]), r["usual"], html.answer(r["answer"]), decisive, r["instead"]))
        head = ("id", "as usually stated", "answer", "what decides", "what holds instead")
        body += [_heading("Statements as they are usually made"), html.table(head, rows, "refutations")]
    body += [_heading("Evidence"), *(_evidence(v) for v in verdicts), _versions(verdicts)]
    return html.page("Claims of the theory, checked by flowlab", Markup("\n").join(body))


def run_report(summary: Record, equations: str, figures: Sequence[Path], verdicts: Sequence[Verdict]) -> str:
    """The page of a run.

    Args:
        summary: what summary.json holds.
        equations: the derivation as a LaTeX fragment.
        figures: pictures to set in, PNG.
        verdicts: the claims checked on it.
    """
    spec, ended = summary["spec"], summary["outcome"]
    facts = [
        ("network", Markup("<code>{}</code>").format(spec["network"]["expression"])),
        ("data", spec["data"]["source"]),
        ("flow", f"{ended['kind']}: {ended['message']}"),
    ]
    if summary["witness"] is not None:
        facts.append(("witness", f"{summary['witness']['outcome']}: {summary['witness']['message']}"))
    facts += [
        (name.replace("_", " "), html.number(summary[name], 8))
        for name in ("log_t", "log_loss", "min_margin", "separated_at_log_t")
    ]
    facts += [(f"norm of {name}", html.number(value, 8)) for name, value in summary["rho"].items()]
    monitors = [
        (
            name,
            m["what"],
            html.number(m["worst"], 3),
            html.number(m["bound"], 3),
            "within" if m["holds"] else Markup("<b>off</b>"),
        )
        for name, m in summary["monitors"].items()
    ]
    body = [html.table(("", "value"), facts, "summary")]
    if verdicts:
        body += [_heading("Verdicts"), _verdict_table(verdicts), *(_evidence(v) for v in verdicts)]
    if figures:
        pictures = Markup("").join(html.picture(p, p.stem.replace("_", " ")) for p in figures)
        body += [_heading("Figures"), Markup('<div class="grid">{}</div>').format(pictures)]
    if monitors:
        body += [
            _heading("Watched along the way"),
            html.table(("monitor", "what", "worst", "bound", ""), monitors, "monitors"),
        ]
    origin = {name: summary[name] for name in ("spec", "stats", "switches", "versions", "seed")}
    body += [_heading("Equations"), html.tex(equations), _heading("Provenance"), _json(origin)]
    return html.page(f"Flow of {spec['network']['expression']}", Markup("\n").join(body))


def _heading(text: str) -> Markup:
    return Markup("<h2>{}</h2>").format(text)


def _paragraph(text: str, kind: str = "") -> Markup:
    return Markup("<p{}>{}</p>").format(Markup(' class="{}"').format(kind) if kind else "", text)


def _verdict_table(verdicts: Sequence[Verdict]) -> Markup:
    rows = [
        (
            _link(v.id),
            claims[v.id].title,
            html.answer(v.answer, v.code),
            html.number(v.measured, 3),
            html.number(v.bound, 3),
            RUNGS[v.rung],
        )
        for v in verdicts
    ]
    return html.table(("id", "claim", "answer", "off by", "bound", "how"), rows, "verdicts")


def _link(name: str) -> Markup:
    return Markup('<a href="#{0}">{0}</a>').format(name)


def _evidence(v: Verdict) -> Markup:
    word, seen = claims[v.id], v.evidence
    body = [_paragraph(word.statement)]
    if word.latex:
        body.append(html.math(word.latex, display=True))
    body += [_paragraph(v.reason), _paragraph(f"Source: {word.source}", "soft")]
    if seen.get("quantities"):
        rows = [_quantity(q) for q in seen["quantities"]]
        body.append(
            html.table(
                ("quantity", "measured", "expected", "within", "route", "second route", "as printed"),
                rows,
                f"quantities of {v.id}",
            )
        )
    if seen.get("mutants"):
        rows = [
            (
                name,
                html.number(m["measured"], 3),
                html.number(m["bound"], 3),
                "refuted" if m["refuted"] else Markup("<b>passes</b>"),
            )
            for name, m in seen["mutants"].items()
        ]
        tried = html.table(("wrong variant", "off by", "bound", "answer"), rows, f"wrong variants of {v.id}")
        body.append(html.unfolding(f"{len(rows)} wrong variants", tried))
    if word.counter_example:
        body.append(_paragraph(f"Counter-example: {word.counter_example}.", "soft"))
    rest = {k: value for k, value in seen.items() if k not in _DETAILS}
    if rest:
        body.append(html.unfolding("details", _json(rest)))
    head = Markup("{} <b>{}</b> {}").format(html.answer(v.answer, v.code), v.id, word.title)
    return html.unfolding(head, Markup("\n").join(body), v.id)


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


def _json(value: object) -> Markup:
    text = json.dumps(value, indent=1, sort_keys=True, default=str)
    return Markup('<div class="wide" tabindex="0" role="region" aria-label="data"><pre>{}</pre></div>').format(text)


def _versions(verdicts: Sequence[Verdict]) -> Markup:
    found = next((v.evidence["versions"] for v in verdicts if "versions" in v.evidence), {})
    return _paragraph(", ".join(f"{k} {n}" for k, n in found.items()), "soft")
