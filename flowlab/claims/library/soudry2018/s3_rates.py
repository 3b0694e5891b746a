"""S3: the rates of direction, margin and loss."""

import math

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.poggio2020.flows import machine, unequal, unequal_duals
from flowlab.claims.library.soudry2018.flows import SOURCE, weights
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.data import Data
from flowlab.language.trajectory import Trajectory
from flowlab.late.asymptotics import asymptotics
from flowlab.late.richardson import Estimate, power


@claim("S3")
class Rates(Claim):
    """Direction and margin reach their limits like 1/log t and no faster, the loss like 1/t with L t → 1/γ²."""

    title = "rates of direction, margin and loss"
    statement = (
        "With exponential loss the gaps |w/|w| - w_svm/|w_svm|| and gamma - min_n x_n w/|w| are of the exact order "
        "1/log t where two support vectors have unequal multipliers. L is of the order 1/t, with L t -> 1/gamma^2."
    )
    latex = (
        r"\Bigl\lVert \tfrac{w}{\lVert w\rVert} - \tfrac{\hat w}{\lVert\hat w\rVert}\Bigr\rVert = \Theta(1/\log t), "
        r"\qquad \gamma - \min_n \tfrac{\langle x_n, w\rangle}{\lVert w\rVert} = \Theta(1/\log t), \qquad L\,t \to "
        r"1/\gamma^2"
    )
    source = f"{SOURCE}, theorem 5 (number not checked); the constant 1/gamma^2 from sum_n alpha_n = |w_svm|^2"
    hypotheses = (unequal_duals,)
    stated = Variant(order=-1.0, slow=0.0, power=1.0)
    mutants = (
        stated.but("rate 1/log^2 t", order=-2.0),
        stated.but("loss like 1/(t log t)", slow=1.0),
        stated.but("first power of the margin", power=0.5),
    )
    counter_example = "rate 1/log^2 t: what symmetric data, whose multipliers are equal, surpass"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data, path = unequal(case)
        w = machine(data)[0]
        limits = case.once("S3 limits", lambda: asymptotics(path))
        gap = case.once("S3 gap", lambda: _order(path, 1.0 / float(np.linalg.norm(w))))
        order = variant.order
        direction, q = (limits[name].late for name in ("exponent V_W1", "q"))
        end = path.dataset.isel(step=-1)
        log_t, log_loss = float(end["log_t"]), float(end["log_loss"])
        slow = variant.slow * math.log(log_t)
        square = float(w @ w) ** variant.power
        assert direction is not None
        assert q is not None
        return Measurement.of(
            [
                Quantity(
                    "exponent of the gap of the direction in |w| ~ log t",
                    direction.value,
                    order,
                    5e-3,
                    direction.error,
                    route="flow to log t = 1e6, extrapolated",
                    second=_exponent(path, data, "direction"),
                    second_route="two rows a factor of ten apart",
                ),
                Quantity(
                    "exponent of the gap of the margin in |w| ~ log t",
                    gap.value,
                    order,
                    5e-3,
                    gap.error,
                    route="flow to log t = 1e6, extrapolated",
                    second=_exponent(path, data, "margin"),
                    second_route="two rows a factor of ten apart",
                ),
                Quantity(
                    "L t",
                    math.exp(log_loss + log_t + slow),
                    square,
                    1e-6 * float(w @ w),
                    route="flow at log t = 1e6",
                    second=math.exp(q.value + slow),
                    second_route="extrapolated",
                ),
            ],
            "exponents are extrapolated; L t is known to the roundings of exponents of size log t",
        )


def _order(path: Trajectory, gamma: float) -> Estimate:
    """The exponent of γ - margin in |w|, from the margin of the machine."""
    late = path.dataset.isel(step=np.flatnonzero(path.dataset["log_t"].values > 100.0))
    return power(late["rho"].values[:, 0], gamma - late["min_margin"].values, drift=1e-9)


def _exponent(path: Trajectory, data: Data, what: str) -> float:
    """The exponent between the last row and one at a tenth of its log t, against the machine's direction."""
    log_t, all_weights = weights(path)
    at = [int(np.argmin(np.abs(log_t - log_t[-1] / 10))), len(log_t) - 1]
    w = machine(data)[0]
    z = np.asarray(data.x) * np.asarray(data.y)[:, None]
    sizes, gaps = [], []
    for i in at:
        size = float(np.linalg.norm(all_weights[i]))
        V = all_weights[i] / size
        v = w / np.linalg.norm(w)
        sizes.append(size)
        gaps.append(
            float(np.linalg.norm(V - v))
            if what == "direction"
            else 1.0 / float(np.linalg.norm(w)) - float((z @ V).min())
        )
    return math.log(gaps[1] / gaps[0]) / math.log(sizes[1] / sizes[0])
