"""P15: at equal norms the Lagrange flow has the larger margin for a while, mostly not in the limit."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.poggio2020.margin_lead import COUNT, NORMS, RULES, TRIES, runs_of_both
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


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
        runs = case.once("P15 runs", lambda: runs_of_both(case))
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
