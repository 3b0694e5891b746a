"""P15: at equal norms the Lagrange flow has the larger margin for a while, mostly not in the limit."""

from typing import TYPE_CHECKING, Any

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

if TYPE_CHECKING:
    from flowlab.language.data import Data
    from flowlab.language.state import State

NET = "W2 @ relu(W1 @ x)"
RULES = {"gradient_flow": "gradient", "lagrange": "coefficient"}
"""Descent on the weights, and on norms and unit directions: the constrained problem's flow as the step falls."""
NORMS = (10.0, 20.0, 40.0)
STEP, CLOCK = 2e-4, 20.0
COUNT, TRIES = 5, 24


def _instance(seed: int, k: int) -> "tuple[Data, State]":
    """Six samples in two dimensions labelled by a ReLU teacher of three units, and a start of six units."""
    from flowlab.language.data import Data
    from flowlab.language.state import initial_state

    rng = np.random.default_rng((seed, k))
    x = rng.normal(size=(6, 2))
    f = np.maximum(x @ rng.normal(size=(2, 3)), 0.0) @ rng.normal(size=3)
    data = Data(x, np.where(f > 0, 1.0, -1.0), name=f"teacher {seed}/{k}", kind="binary")
    return data, initial_state(NET, data, widths={"W1": 6}, seed=1000 * seed + k)


def _margins(rule: str, data: "Data", start: "State", step: float) -> np.ndarray | None:
    """Normalised margins where R first reaches the norms, or None where it does not, or samples are not separated
    there.
    """
    from flowlab.discrete import descend
    from flowlab.language.problem import Problem

    walk = descend(Problem(NET), start, data, step=step, count=round(CLOCK / step), rule=rule, loss_scaled=True)
    log_R, margins = walk.dataset["log_R"].values, walk.dataset["min_margin"].values
    if not walk.outcome.ok or not log_R.max() > np.log(NORMS[-1]):
        return None
    first = [int(np.argmax(log_R >= np.log(R))) for R in NORMS]
    if min(first) == 0 or margins[first[0] :].min() <= 0:
        return None
    return np.array(
        [np.interp(np.log(R), log_R[i - 1 : i + 1], margins[i - 1 : i + 1]) for i, R in zip(first, NORMS, strict=True)]
    )


def _runs(case: Case) -> dict[str, Any]:
    """Margins (instances, norms) by flow and step, on the first instances on which both flows separate the samples and
    get there.
    """
    margins: dict[str, Any] = (
        {name: [] for name in RULES} | {f"{name} at half the step": [] for name in RULES} | {"instances": []}
    )
    for k in range(TRIES):
        data, start = _instance(case.seed, k)
        rows: dict[str, list[float]] = {}
        for step, suffix, name in (
            (step, suffix, name) for step, suffix in ((STEP, ""), (STEP / 2, " at half the step")) for name in RULES
        ):
            row = _margins(RULES[name], data, start, step)
            if row is None:
                break
            rows[name + suffix] = row.tolist()
        if len(rows) < 2 * len(RULES):
            continue
        for name, row in rows.items():
            margins[name].append(row)
        margins["instances"].append(k)
        if len(margins["instances"]) == COUNT:
            break
    return margins


@claim("P15")
class Lead(Claim):
    """From one start the Lagrange flow is ahead of gradient flow in margin at equal R, by what mostly dies like 1/R."""

    title = "adiabatic lead of the Lagrange flow"
    statement = (
        "On five drawn instances a Lagrange and a gradient flow of a two-layer ReLU network start alike. At equal R "
        "the margin of the Lagrange flow is never more than 5 % below the other, and in some cases more than 5 % "
        "above. Extrapolated by m_inf - a/R, most margins agree within 5 %."
    )
    latex = r"m_{LM}(R) \ge 0.95\, m_{GF}(R), \qquad m = m_\infty - a/R,\; m_\infty^{LM} \approx m_\infty^{GF}"
    source = (
        "against `normalised dynamics equivalent to those of the constrained problem' in Poggio, Banburski, Liao 2020"
    )
    hypotheses = (own_instances,)
    stated = Variant(pair=lambda gf, lm: (gf, lm), limits=lambda _, ends: ends, most=(0.05, 0.0, ">="))
    mutants = (
        stated.but(USUAL, most=(0.0, 0.05, "<=")),
        stated.but("gradient flow leads", pair=lambda gf, lm: (lm, gf)),
        stated.but("the lead stays", limits=lambda lead, _: lead[:, 0]),
    )
    counter_example = "as usually stated: equivalent dynamics would have equal margins at equal norms"
    usual = "Weight normalisation and the constrained dynamics are equivalent to gradient flow on the directions."
    decisive = "the lead in margin at R = 10: by more than 5 % and up to tens of per cent, where equivalence asks for 0"
    quick = False

    def measure(self, case: Case, variant: Variant) -> Measurement:
        runs = case.once("P15 runs", lambda: _runs(case))
        margins = {name: np.array(rows).reshape(-1, len(NORMS)) for name, rows in runs.items() if name != "instances"}
        # What a step of descent is off falls in proportion to it.
        gf, lm = (2 * margins[f"{name} at half the step"] - margins[name] for name in RULES)
        off = max(
            (
                float(np.abs(margins[f"{name} at half the step"] / margins[name] - 1.0).max(initial=0.0))
                for name in RULES
            ),
            default=0.0,
        )
        gf, lm = variant.pair(gf, lm)
        lead = lm / gf - 1.0
        # m_inf by the last two norms, one twice the other.
        ends = (2 * lm[:, 2] - lm[:, 1]) / (2 * gf[:, 2] - gf[:, 1]) - 1.0
        equal = float(np.mean(np.abs(variant.limits(lead, ends)) <= 0.05)) if len(gf) else np.nan
        most, least = float(lead[:, 0].max(initial=-np.inf)), float(lead.min(initial=np.inf))
        bound, tolerance, relation = variant.most
        return Measurement.of(
            [
                Quantity(
                    "instances on which both flows arrive",
                    len(gf),
                    COUNT,
                    0.5,
                    altered=0.0,
                    route=f"of at most {TRIES} drawn",
                ),
                Quantity(
                    "margins at one step size over those at half of it, less 1",
                    off,
                    0.02,
                    0.0,
                    relation="<=",
                    route="descents",
                ),
                Quantity("least lead at equal R", least, -0.05, 0.0, relation=">=", route="R = 10, 20, 40"),
                Quantity("largest lead at R = 10", most, bound, tolerance, relation=relation),
                Quantity(
                    "share of instances with equal limits",
                    equal,
                    0.6,
                    0.0,
                    relation=">=",
                    route="m_inf - a/R through R = 20 and 40, to 5 %",
                ),
            ],
            "5 % is what the statement says; steps are halved and extrapolated; a share of five instances",
            leads=lead.tolist(),
            leads_in_the_limit=ends.tolist(),
            instances=runs["instances"],
            differs="48 leads above 5 % and none the other way were counted on 131 of 200 starts at R of 45 to 60, "
            "which are not recorded; here the first "
            "five instances on which both flows arrive are followed from R = 10 to 40, where leads are larger",
        )
