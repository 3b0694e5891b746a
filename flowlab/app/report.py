"""One self-contained page per pack or run: verdicts with their evidence, equations, figures."""

from collections.abc import Sequence
from pathlib import Path

from flowlab.app import html as html
from flowlab.app.html import Markup
from flowlab.claims.claim import claims
from flowlab.claims.evidence_parts import as_json, evidence_parts
from flowlab.claims.verdict import RUNGS, Verdict
from flowlab.core.typing import Record


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
        ("data", spec["data"].get("source") or f"constants {', '.join(spec['data']['constants'])}"),
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
    body += [_heading("Equations"), html.tex(equations), _heading("Provenance"), as_json(origin)]
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
    # What the claim says now, where the verdict is of an earlier version.
    body += evidence_parts(seen | {"counter_example": word.counter_example}, v.id)
    head = Markup("{} <b>{}</b> {}").format(html.answer(v.answer, v.code), v.id, word.title)
    return html.unfolding(head, Markup("\n").join(body), v.id)


def _versions(verdicts: Sequence[Verdict]) -> Markup:
    found = next((v.evidence["versions"] for v in verdicts if "versions" in v.evidence), {})
    return _paragraph(", ".join(f"{k} {n}" for k, n in found.items()), "soft")
