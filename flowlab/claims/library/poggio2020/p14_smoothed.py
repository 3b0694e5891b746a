"""P14: the smoothed margin never falls, under gradient flow and under normalised flows."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import hypothesis, layered
from flowlab.claims.library.lyu2020.flows import levels
from flowlab.claims.library.poggio2020.smoothed_margins import SCHEMES, levels_by_hand, levels_of, long_steps, paths_of
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@hypothesis("exponential loss without weight decay; a given flow must reach L < 1")
def _separated(case: Case) -> str | None:
    if case.problem is not None and case.problem.loss.name != "exponential":
        return f"it is about the exponential loss, and the loss is {case.problem.loss.name}"
    if case.problem is not None and any(case.problem.decay.values()):
        return "weight decay makes norms shrink"
    if case.data is not None and case.data.kind != "binary":
        return "labels are not ±1"
    if case.problem is None and case.data is not None:
        return "data come without a network"
    if case.flow is not None:
        if case.flow.data is None:
            return "the flow has no samples; pass them with it"
        if case.flow.problem.scheme.name not in SCHEMES:
            return f"it is about {', '.join(SCHEMES)}, and the scheme is {case.flow.problem.scheme.name}"
        if not (levels(case.flow)["level"] > 0).sum() > 2:
            return "L < 1, summed over samples, at no more than two rows of the flow"
    return None


def _of_flows(case: Case, variant: Variant) -> list[Quantity]:
    # Integration leaves a hundredth of its relative tolerance in a quotient that has all but settled.
    bound = 1e-12 if case.flow is None else max(1e-12, 1e-2 * case.flow.rtol)
    power, back, quantities = variant.power(case), variant.back, []
    for name, path, act in paths_of(case):
        level, R, count = levels_of(path)
        margin = level / R**power
        second = {}
        if act is not None:
            by_hand = np.diff(levels_by_hand(path, act) / R**power)
            second = {"second": float((-back * by_hand).max()), "second_route": "margins by hand from the states"}
        fall = float((-back * np.diff(margin)).max()) if count > 1 else float("nan")
        monitor, rise = path.monitors["smoothed_margin"]["worst"], float(back * (margin[-1] - margin[0]))
        quantities += [
            Quantity(
                f"largest fall between {count} rows, {name}", fall, 0.0, bound, relation="<=", route="flow", **second
            ),
            Quantity(
                f"largest fall of the logarithm in a step, {name}",
                monitor,
                0.0,
                bound,
                relation="<=",
                route="monitor inside the flow",
            ),
            Quantity(f"rise over the run, {name}", rise, 0.0, 0.0, relation=">=", route="flow"),
        ]
    return quantities


def _of_long_steps(case: Case, _: Variant) -> list[Quantity]:
    return [Quantity("largest fall of log(1/L)/R", long_steps(case), 1e-12, 0.0, relation="<=", route="descent")]


@claim("P14")
class SmoothedMargin(Claim):
    """log(1/L)/R does not fall once L < 1, under gradient, Lagrange and exponentially weight-normalised flow."""

    title = "monotonicity of the smoothed margin"
    statement = (
        "For homogeneous layers and the exponential loss, summed over samples, log(1/L)/R never falls once L < 1. "
        "This holds under gradient flow, the Lagrange flow and exponential weight normalisation."
    )
    latex = (
        r"L(t_0) < 1 \implies \frac{d}{dt}\, \frac{\log 1/L}{R} \ge 0 \text{ for } t \ge t_0 \quad (R = "
        r"\textstyle\prod_k \rho_k^{\kappa_k})"
    )
    source = (
        "Lyu and Li 2020, theorem 4.1 and appendix G, for gradient flow; the normalised flows by R s >= L log(1/L), "
        "derived here"
    )
    hypotheses = (_separated, layered)
    stated = Variant(falls=_of_flows, power=lambda _: 1.0, back=1.0)
    mutants = (
        stated.but("descent with long steps", falls=_of_long_steps),
        stated.but("R to a higher power", power=lambda case: 1.01 if case.flow is None else 2.0),
        stated.but("time reversed", back=-1.0),
    )
    counter_example = "descent with long steps: norms that jump before directions have settled"
    quick = False

    def measure(self, case: Case, variant: Variant) -> Measurement:
        return Measurement.of(variant.falls(case, variant), "roundings of log(1/L)/R")
