"""S4: data on which a multiplier of the support vanishes, where the remainder grows like log log t."""

import math

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.soudry2018.degenerate_samples import HORIZON, degenerate, flow, plane
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.late.richardson import power, richardson

_FROM = 1e4
"""Log t from which growth is read."""


@claim("S4")
class DegenerateData(Claim):
    """Where a sample on the margin has multiplier zero, w~ grows like log log t · x_⊥/‖x_⊥‖², and x·w~ - log log t → 2
    log ‖x_⊥‖.
    """

    title = "degenerate data: a remainder like log log t"
    statement = (
        "If a sample x on the margin has a multiplier of zero, w(t) - w_svm log t grows like (log log t) "
        "x_perp/|x_perp|^2. Here x_perp is the part of x off the span of the support vectors that have multipliers. x "
        "(w - w_svm log t) - log log t tends to 2 log |x_perp|. Still w/|w| tends to w_svm/|w_svm|, and L t to "
        "1/gamma^2."
    )
    latex = (
        r"w(t) = \hat w \log t + \frac{x_\perp}{\lVert x_\perp\rVert^2} \log\log t + O(1), \qquad "
        r"\langle x, w - \hat w \log t\rangle - \log\log t \to 2 \log \lVert x_\perp\rVert"
    )
    source = (
        "Soudry, Hoffer, Nacson, Gunasekar, Srebro 2018, theorem 3 (number not checked) and appendix on degenerate "
        "data; the coefficient from d(x w)/dt = |x_perp|^2 exp(-x w) + ..."
    )
    hypotheses = (own_instances,)
    stated = Variant(multiplier=0.0, run="S4", coefficient=1.0, length=lambda height, _: height)
    mutants = (
        stated.but("bounded remainder", coefficient=0.0),
        stated.but("multiplier that does not vanish", multiplier=1.0, run="S4 regular"),
        stated.but("coefficient of the whole sample", length=lambda _, x: float(np.linalg.norm(x))),
    )
    counter_example = "multiplier that does not vanish: then the remainder is bounded"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data, w, at, height = degenerate(case.seed, variant.multiplier)
        path = flow(case, data, variant.run)
        log_t, all_weights = (
            path.dataset["log_t"].values,
            path.dataset["rho"].values[:, :1] * path.dataset["V_W1"].values[:, 0, :],
        )
        rest = np.where(
            np.isfinite(log_t)[:, None], all_weights - np.where(np.isfinite(log_t), log_t, 0.0)[:, None] * w, np.nan
        )
        z = np.asarray(data.x) * np.asarray(data.y)[:, None]
        late = np.flatnonzero(log_t > _FROM)
        slow = np.log(log_t[late])
        height = variant.length(height, z[at])
        # exp(x w~) is linear in log t up to logarithms, so that its exponent in log t is the coefficient of log log t
        # in x w~.
        coefficient = power(log_t[late], np.exp(rest[late] @ z[at]), logs=True, drift=1e-8)
        level = richardson(log_t[late], rest[late] @ z[at] - slow, logs=True, drift=1e-8)
        growth = float(rest[late[-1], 2] - rest[late[0], 2]) / float(slow[-1] - slow[0])
        return Measurement.of(
            [
                Quantity(
                    "coefficient of log log t in x w~",
                    coefficient.value,
                    variant.coefficient,
                    4e-3,
                    coefficient.error,
                    route="flow to log t = 1e6, extrapolated",
                ),
                Quantity(
                    "limit of x w~ - log log t, off 2 log |x_perp|",
                    level.value - 2 * math.log(height),
                    0.0,
                    4e-3,
                    level.error,
                    route="flow to log t = 1e6, extrapolated",
                ),
                Quantity(
                    "growth of w~ across the plane over log log t, times |x_perp|",
                    growth * height,
                    1.0,
                    4e-3,
                    route="flow, log t = 1e4 to 1e6",
                ),
                Quantity(
                    "(exp(b w_2)/b + w_2)/(b w_1 + const) of the samples (1, 0), (1, b)",
                    case.once("S4 plane", lambda: plane(case)),
                    1.0,
                    1e-7,
                    route="flow at log t = 1e6",
                ),
                Quantity(
                    "|w/|w| - v*| at log t = 1e6",
                    float(np.linalg.norm(all_weights[-1] / np.linalg.norm(all_weights[-1]) - w)),
                    100.0 / HORIZON,
                    0.0,
                    relation="<=",
                    route="flow",
                ),
                Quantity(
                    "L t",
                    math.exp(float(path.dataset["log_loss"][-1]) + log_t[-1]),
                    1.0,
                    100.0 / HORIZON,
                    route="flow at log t = 1e6",
                ),
            ],
            "coefficients are extrapolated, or read between log t = 1e4 and 1e6, where the law lacks log log t/log t; "
            "the implicit solution is exact",
            height=height,
        )
