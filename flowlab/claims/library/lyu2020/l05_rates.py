"""L5: how fast the loss falls and the norm grows, with the sharp constant."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.lyu2020.flows import HORIZON, flows, homogeneous_flow
from flowlab.claims.library.lyu2020.gains import normalised_margins, unsettled
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.errors import ClaimError, FlowlabError
from flowlab.discrete.margin.directional_limit import limit
from flowlab.discrete.margin.svm import hard_margin
from flowlab.language.data import Data
from flowlab.language.trajectory import Trajectory
from flowlab.late.asymptotics import asymptotics


@claim("L5")
class Rates(Claim):
    """L = Θ(1/(t (log t)^{2-2/K})), ‖θ‖ = Θ((log t)^{1/K})."""

    title = "rates of loss and norm"
    statement = (
        "Late, |theta| grows like (log t)^(1/K), and L t (log t)^(2-2/K) tends to 1/(K^2 g^(2/K)), g the limit of min "
        "q/|theta|^K. For deep linear nets g = gamma K^(-K/2)."
    )
    latex = r"\lVert\theta\rVert = \Theta((\log t)^{1/K}), \qquad L\,t\,(\log t)^{2-2/K} \to \frac{1}{K^2 \gamma^{2/K}}"
    source = "Lyu and Li 2020, theorem on rates; the constant is flowlab's P11"
    hypotheses = (homogeneous_flow,)
    stated = Variant(more=0.0, power=1.0, square=lambda K: K**2)
    mutants = (
        stated.but("exponent 2/K", power=2.0),
        stated.but("degree + 1", more=1.0),
        stated.but("(K + 1)^2 for K^2", square=lambda K: (K + 1.0) ** 2),
    )
    counter_example = "exponent 2/K: the growth of a net of half the degree"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        quantities = []
        for which, data, path in flows(case, ("deep", "smooth"), HORIZON):
            K = float(path.problem.network.symmetry.joint_degree or 0) + variant.more
            laws = case.once(f"lyu limits {which}", lambda path=path: asymptotics(path))
            first = path.dataset["block"].values.tolist()[0]
            if not {f"exponent rho_{first}", "q"} <= set(laws.limits):
                raise ClaimError(f"{which} does not go far enough for limits; integrate further.")
            late = laws[f"exponent rho_{first}"].late
            known = _limit(case, which, data, path)
            g, moving, lacks = (normalised_margins(path)[-1], *unsettled(path)) if known is None else (known, 0.0, 0.0)
            value, bar = (late.value, late.error) if late else (np.nan, np.nan)
            power = variant.power / K
            quantities.append(
                Quantity(
                    f"exponent of the norm of {first}, {which}",
                    value,
                    power,
                    4e-3 / K,
                    bar + moving / K,
                    route="extrapolated along log 1/L",
                )
            )
            q = laws["q"].late
            constant = variant.square(K) * g ** (2.0 / K)
            value, bar = (np.exp(q.value), np.exp(q.value) * q.error) if q else (np.nan, np.nan)
            quantities.append(
                Quantity(
                    f"L t (log t)^(2 - 2/K), {which}",
                    value,
                    1.0 / constant,
                    4e-3 / constant,
                    bar + 2.0 / K * lacks / constant,
                    route="extrapolated along log 1/L",
                )
            )
        return Measurement.of(quantities, "less than half a per cent; limits are extrapolated and carry their bars")


def _limit(case: Case, which: str, data: Data, path: Trajectory) -> float | None:
    """The limit of min q/‖θ‖^K: in closed form for the deep net, else at the KKT point that the flow settles on; None
    where it does not.
    """
    if which == "deep":
        return 0.5 / float(np.linalg.norm(hard_margin(np.asarray(data.x), np.asarray(data.y)).w))
    try:
        direction = case.once(f"lyu direction {which}", lambda: limit(path))
    except FlowlabError:
        return None
    return direction.joint_margin if direction.decided else None
