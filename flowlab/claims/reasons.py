"""Why a measurement decides a claim or does not, in the words of its verdict."""

import math

from flowlab.claims import tamper_check
from flowlab.claims.case import NAMES, RUNS, Case
from flowlab.claims.quantity import Quantity
from flowlab.claims.verdict import Measurement

FEWEST = 3
"""Wrong variants that a check must refute before its answer counts."""


def altered_run(case: Case) -> tuple[str, str] | None:
    """Code and reason where rows are not those of their run: they support nothing and refute nothing."""
    for name in RUNS:
        run = case.unread(name)
        if run is None:
            continue
        change = case.once(f"genuine {name}", lambda run=run: tamper_check.altered(run, case.data))
        if change is not None:
            # A training of the user's own is no flow where its steps are long, or are not those of the gradient.
            why = "was modified after it was computed" if run.kind in RUNS else "follows no flow of its problem"
            what = NAMES[name] if run.kind in RUNS else run.kind
            return "could not be checked", f"could not be checked: the given {what} {why} ({change})"
    return None


def disagreement(measured: Measurement) -> tuple[str, str] | None:
    """Code and reason where two routes to a number disagree."""
    for q in measured.quantities:
        if not q.routes_agree:
            routes = (q.route or "one route", q.second_route or "another")
            both = f"{q.measured:.8g} by {routes[0]}, {q.second:.8g} by {routes[1]}"
            return "routes disagree", f"two routes disagree: {q.name}: {both}"
    return None


def imprecision(measured: Measurement, because: str) -> tuple[str, str] | None:
    """Code and reason where the numbers neither support nor refute the statement."""
    if measured.stands:
        return None
    if any(math.isnan(number) for number in (measured.value, measured.error, measured.bound)):
        return "not a number", f"the measurement is not a number: {because}"
    return "imprecise", f"the error bar reaches across the bound: {because}"


def decisive(measured: Measurement) -> list[Quantity]:
    """The quantities that the reason names: those that fail, or the one nearest to its bound."""
    failing = [q for q in measured.quantities if q.fails]
    lost = [q for q in measured.quantities if not (q.stands or q.fails) and not math.isfinite(q.excess + q.error)]
    return (
        failing[:3]
        or lost[:3]
        or [q for q in measured.quantities if (q.excess, q.tolerance) == (measured.value, measured.bound)][:1]
    )


def powerless(measured: Measurement, trials: dict[str, Measurement]) -> str | None:
    """Why the check has no power: a wrong variant passes, or too few differ from the statement and from one another."""
    surviving = [name for name, m in trials.items() if not m.fails]
    if surviving:
        return f"the check lets {', '.join(surviving)} pass on this case"
    kinds = {m.numbers for m in trials.values()} - {measured.numbers}
    if len(kinds) >= FEWEST:
        return None
    same = f" ({len(trials)} of them, with {len(kinds)} different numbers)" if len(kinds) < len(trials) else ""
    return f"only {len(kinds)} wrong variants were tried{same}, of at least {FEWEST}"


def unused(case: Case, inputs: set[str]) -> str | None:
    """Why a measurement says nothing of what was passed: it read neither the samples nor the network, or none of it."""
    lacks = [name for name in ("problem", "data") if name in case.present and name not in inputs]
    # Equations and trajectories carry both.
    if lacks and not inputs & {"flow", "descent", "equations"}:
        return (
            f"the check builds its own {' and '.join(NAMES[name] for name in lacks)}, and cannot test what you passed"
        )
    # What a run brought along, its problem and its samples, is the user's own as well.
    if case.passed and not inputs & set(case.passed) and not {"problem", "data"} <= inputs:
        return f"the check does not read it ({', '.join(NAMES[name] for name in case.passed)})"
    return None


def ignored(case: Case, inputs: set[str]) -> list[str]:
    """What was passed and played no part, so that nobody takes the answer for one about it."""
    idle = [name for name in case.passed if name not in inputs]
    if not idle:
        return []
    used = [name for name in ("problem", "data", *case.passed) if name in inputs]
    return [
        f"checked on the given {' and '.join(NAMES[name] for name in dict.fromkeys(used))}, not on the rest of what "
        "was given "
        f"({', '.join(NAMES[name] for name in idle)})"
    ]
