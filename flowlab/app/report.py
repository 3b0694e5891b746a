"""One self-contained page per pack or run: verdicts with their evidence, equations, figures."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from flowlab.app import page as html
from flowlab.claims.claim import claims
from flowlab.claims.verdict import RUNGS, Verdict

_DETAILS = ("statement", "source", "seed", "versions", "counter_example", "mutants", "inputs", "quantities", "origin")
"""Evidence that has a place of its own on the page."""


def pack_report(verdicts: Sequence[Verdict], summary: Mapping[str, Any]) -> str:
    """The page of a pack: counts, table, what is usually stated otherwise, and every verdict with its evidence."""
    counts = ", ".join(f"{n} {answer}" for answer, n in summary["counts"].items())
    left = f"<p>Left out of this quick tier: {', '.join(map(escape, summary['left_out']))}.</p>" if summary["left_out"] else ""
    body = [f"<p>{len(verdicts)} claims: {counts}. Seed {summary['seed']}.</p>", left, _verdict_table(verdicts)]
    if summary["refutations"]:
        rows = [
            (_link(r["id"]), escape(r["usual"]), html.answer(r["answer"]),
             f"{escape(r['decisive'])}<ul>{''.join(f'<li>{escape(told)}</li>' for told in r['against'])}</ul>", escape(r["instead"]))
            for r in summary["refutations"]
        ]  # fmt: skip
        head = ("id", "as usually stated", "answer", "what decides", "what holds instead")
        body += ["<h2>Statements as they are usually made</h2>", html.table(head, rows, "refutations")]
    body += ["<h2>Evidence</h2>", *(_evidence(v) for v in verdicts), _versions(verdicts)]
    return html.page("Claims of the theory, checked by flowlab", "\n".join(filter(None, body)))


def run_report(summary: Mapping[str, Any], equations: str, figures: Sequence[Path], verdicts: Sequence[Verdict]) -> str:
    """The page of a run.

    Args:
        summary: what summary.json holds.
        equations: the derivation as a LaTeX fragment.
        figures: pictures to set in, PNG.
        verdicts: the claims checked on it.
    """
    spec, ended = summary["spec"], summary["outcome"]
    told = [("network", f"<code>{escape(spec['network']['expression'])}</code>"), ("data", escape(spec["data"]["source"])),
            ("flow", f"{escape(ended['kind'])}: {escape(ended['message'])}")]  # fmt: skip
    if summary["witness"] is not None:
        told.append(("witness", f"{escape(summary['witness']['outcome'])}: {escape(summary['witness']['message'])}"))
    told += [(name.replace("_", " "), html.number(summary[name], 8)) for name in ("log_t", "log_loss", "min_margin", "separated_at_log_t")]
    told += [(f"norm of {name}", html.number(value, 8)) for name, value in summary["rho"].items()]
    monitors = [(escape(name), escape(m["what"]), html.number(m["worst"], 3), html.number(m["bound"], 3), "within" if m["holds"] else "<b>off</b>")
                for name, m in summary["monitors"].items()]  # fmt: skip
    body = [html.table(("", "value"), told, "summary")]
    if verdicts:
        body += ["<h2>Verdicts</h2>", _verdict_table(verdicts), *(_evidence(v) for v in verdicts)]
    if figures:
        body += ["<h2>Figures</h2>", f'<div class="grid">{"".join(html.picture(p, p.stem.replace("_", " ")) for p in figures)}</div>']
    if monitors:
        body += ["<h2>Watched along the way</h2>", html.table(("monitor", "what", "worst", "bound", ""), monitors, "monitors")]
    origin = {name: summary[name] for name in ("spec", "stats", "switches", "versions", "seed")}
    body += ["<h2>Equations</h2>", html.tex(equations), "<h2>Provenance</h2>", _json(origin)]
    return html.page(f"Flow of {spec['network']['expression']}", "\n".join(body))


def _verdict_table(verdicts: Sequence[Verdict]) -> str:
    rows = []
    for v in verdicts:
        off, bound = html.number(v.measured, 3), html.number(v.bound, 3)
        rows.append((_link(v.id), escape(claims[v.id].title), html.answer(v.answer, v.code), off, bound, escape(RUNGS[v.rung])))
    return html.table(("id", "claim", "answer", "off by", "bound", "how"), rows, "verdicts")


def _link(name: str) -> str:
    return f'<a href="#{escape(name, quote=True)}">{escape(name)}</a>'


def _evidence(v: Verdict) -> str:
    word, seen = claims[v.id], v.evidence
    body = [f"<p>{escape(word.statement)}</p>"]
    if word.latex:
        body.append(html.math(word.latex, display=True))
    body += [f"<p>{escape(v.reason)}</p>", f'<p class="soft">Source: {escape(word.source)}</p>']
    if seen.get("quantities"):
        rows = []
        for q in seen["quantities"]:
            relation = "" if q["relation"] == "=" else f"{escape(q['relation'])} "
            second = "" if q["second"] is None else f"{q['second']:.8g} <span class=soft>{escape(q['second_route'])}</span>"
            printed = escape(q["printed"]) + ("" if q["as_printed"] in (None, True) else " <b>differs</b>")
            bar = f" ± {q['error']:.1g}" if q["error"] else ""
            shown = f" <span class=soft>({RUNGS[q['rung']]})</span>" if q["rung"] else ""
            rows.append((escape(q["name"]), _told(q["measured"]) + bar, relation + _told(q["expected"]),
                         f"{q['tolerance']:.2g}", escape(q["route"]) + shown, second, printed))  # fmt: skip
        body.append(html.table(("quantity", "measured", "expected", "within", "route", "second route", "as printed"), rows, f"quantities of {v.id}"))
    if seen.get("mutants"):
        rows = [(escape(name), html.number(m["measured"], 3), html.number(m["bound"], 3), "refuted" if m["refuted"] else "<b>passes</b>")
                for name, m in seen["mutants"].items()]  # fmt: skip
        tried = html.table(("wrong variant", "off by", "bound", "answer"), rows, f"wrong variants of {v.id}")
        body.append(html.unfolding(f"{len(rows)} wrong variants", tried))
    if word.counter_example:
        body.append(f'<p class="soft">Counter-example: {escape(word.counter_example)}.</p>')
    rest = {k: value for k, value in seen.items() if k not in _DETAILS}
    if rest:
        body.append(html.unfolding("details", _json(rest)))
    head = f"{html.answer(v.answer, v.code)} <b>{escape(v.id)}</b> {escape(word.title)}"
    return html.unfolding(head, "\n".join(body), v.id)


def _told(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.8g}"


def _json(value: Any) -> str:
    text = json.dumps(value, indent=1, sort_keys=True, default=str)
    return f'<div class="wide" tabindex="0" role="region" aria-label="data"><pre>{escape(text)}</pre></div>'


def _versions(verdicts: Sequence[Verdict]) -> str:
    found = next((v.evidence["versions"] for v in verdicts if "versions" in v.evidence), {})
    return f'<p class="soft">{escape(", ".join(f"{k} {n}" for k, n in found.items()))}</p>'
