"""One self-contained page per pack or run: verdicts with their evidence, equations, figures."""

from collections.abc import Mapping, Sequence

from flowlab.app import html as html
from flowlab.app.html import Markup, Shown
from flowlab.claims.claim import claims
from flowlab.claims.evidence_parts import evidence_parts
from flowlab.claims.verdict import RUNGS, Verdict
from flowlab.core.typing import Record


def pack_report(
    verdicts: Sequence[Verdict],
    summary: Record,
    figures: Sequence[Shown] = (),
    of_claims: Mapping[str, Sequence[Shown]] | None = None,
) -> str:
    """The page of a pack: counts, table, what is usually stated otherwise, and every verdict with its evidence.

    Args:
        verdicts: in the order of the table.
        summary: what summary.json holds.
        figures: of all verdicts.
        of_claims: figures of what was integrated for a claim, by its id.
    """
    versions = next((v.evidence["versions"] for v in verdicts if "versions" in v.evidence), {})
    told = {
        "title": "Claims of the theory, checked by flowlab",
        "count": len(verdicts),
        "counts": ", ".join(f"{n} {answer}" for answer, n in summary["counts"].items()),
        "seed": summary["seed"],
        "left_out": ", ".join(summary["left_out"]),
        "rows": _rows(verdicts),
        "figures": figures,
        "refutations": [
            (_link(r["id"]), r["usual"], html.answer(r["answer"]), html.rendered("refuted.html", r), r["instead"])
            for r in summary["refutations"]
        ],
        "evidence": [_evidence(v, (of_claims or {}).get(v.id, ())) for v in verdicts],
        "versions": ", ".join(f"{k} {n}" for k, n in versions.items()),
    }
    return str(html.rendered("pack.html", told))


def run_report(summary: Record, equations: str, figures: Sequence[Shown], verdicts: Sequence[Verdict]) -> str:
    """The page of a run.

    Args:
        summary: what summary.json holds.
        equations: the derivation as a LaTeX fragment.
        figures: pictures to set in, with their captions.
        verdicts: the claims checked on it.
    """
    spec = summary["spec"]
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
    told = {
        "title": f"Flow of {spec['network']['expression']}",
        "facts": _facts(summary),
        "rows": _rows(verdicts),
        "evidence": [_evidence(v) for v in verdicts],
        "figures": figures,
        "monitors": monitors,
        "equations": equations,
        "origin": {name: summary[name] for name in ("spec", "stats", "switches", "versions", "seed")},
    }
    return str(html.rendered("run.html", told))


def _facts(summary: Record) -> list[tuple[str, str]]:
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
    return facts + [(f'no figure "{name}"', reason) for name, reason in summary.get("figures_left_out", {}).items()]


def _rows(verdicts: Sequence[Verdict]) -> list[tuple[str, ...]]:
    return [
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


def _link(name: str) -> Markup:
    return Markup('<a href="#{0}">{0}</a>').format(name)


def _evidence(v: Verdict, figures: Sequence[Shown] = ()) -> Record:
    """What unfolds under a verdict; the claim says what it says now, where the verdict is of an earlier version."""
    word = claims[v.id]
    return {
        "id": v.id,
        "answer": v.answer,
        "code": v.code,
        "reason": v.reason,
        "title": word.title,
        "statement": word.statement,
        "latex": word.latex,
        "source": word.source,
        "pieces": evidence_parts(v.evidence | {"counter_example": word.counter_example}, v.id),
        "figures": figures,
    }
