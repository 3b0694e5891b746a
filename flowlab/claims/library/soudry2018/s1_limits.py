"""S1 to S3: the late flow of one layer, its bounded part, and the rates of direction, margin and loss."""

import math
from typing import Any

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.poggio2020.flows import (
    linear,
    machine,
    one_layer,
    only_block,
    slowest,
    unequal,
    unequal_duals,
)
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.late.richardson import power

FAR = 2000.0
"""Log t of the second route."""
SOURCE = "Soudry, Hoffer, Nacson, Gunasekar, Srebro 2018"


def weights(path: Any) -> tuple[np.ndarray, np.ndarray]:
    """(log t, w) over the rows with log t > 100, (S,) and (S, d); of a mean over N samples in units in which it is their sum."""
    late = path.dataset.isel(step=np.flatnonzero(path.dataset["log_t"].values > 100.0))
    V = late[f"V_{only_block(path)}"].values
    unit = np.log(path.data.n) if path.problem.reduction == "mean" else 0.0
    return late["log_t"].values - unit, late["rho"].values[:, :1] * V.reshape(len(V), -1)


def settled(path: Any) -> float:
    """What is left of rates at the run's tolerance, relative to those of a run at rtol 1e-8 and from log t = 1e6."""
    return max(1.0, float(path.provenance["settings"]["rtol"]) / 1e-8)


def by_radau(path: Any, data: Any) -> np.ndarray:
    """The remainder w - w_svm log t, (d,), at log t = 2000 by SciPy in the clock τ = ∫ L dt, from the same start as the flow."""
    from scipy.integrate import solve_ivp

    z = np.asarray(data.x) * np.asarray(data.y)[:, None]
    start = np.asarray(path.state(0).weights()[only_block(path)]).ravel()

    def softmax(w: np.ndarray) -> tuple[np.ndarray, float]:
        q = z @ w
        p = np.exp(q.min() - q)
        return p / p.sum(), math.log(p.sum()) - q.min()

    def rate(_: float, y: np.ndarray) -> np.ndarray:
        p, log_loss = softmax(y[:-1])
        # y's last entry is log t, with dt = dτ/L.
        return np.r_[p @ z, math.exp(-log_loss - y[-1])]

    begin = 1e-6
    p, log_loss = softmax(start)
    first = np.r_[start + math.exp(log_loss) * begin * (p @ z), math.log(begin)]
    w = machine(data)[0]

    def horizon(_: float, y: np.ndarray) -> float:
        return y[-1] - FAR

    horizon.terminal = True  # pyright: ignore[reportFunctionMemberAccess]
    found: Any = solve_ivp(
        rate,
        (begin * math.exp(log_loss), 20.0 * FAR * float(w @ w)),
        first,
        method="Radau",
        events=horizon,
        rtol=1e-9,
        atol=1e-11,
    )
    end = found.y[:, -1]
    rest, far = end[:-1] - w * end[-1], 40.0 / slowest(data)
    if far <= FAR:
        return rest
    # Slow transients: further in log t itself, where the remainder obeys dw~/dlog t = sum_n t exp(-x_n w) x_n - w_svm and stays of order one.
    beyond = 1.0 - z @ w

    def slow(log_t: float, r: np.ndarray) -> np.ndarray:
        return np.exp(np.minimum(log_t * np.where(np.abs(beyond) < 1e-12, 0.0, beyond) - z @ r, 50.0)) @ z - w

    return solve_ivp(slow, (float(end[-1]), far), rest, method="Radau", rtol=1e-10, atol=1e-11).y[:, -1]


def _of_the_mean(w: np.ndarray, z: np.ndarray) -> np.ndarray:
    mean = z.mean(axis=0)
    return mean / np.linalg.norm(mean) * np.linalg.norm(w)


@claim("S1")
class BoundedRemainder(Claim):
    """w(t) - ŵ log t stays bounded and converges."""

    title = "the flow of one layer runs along the maximum margin, up to a bounded part"
    statement = (
        "On separable data with exponential loss and non-zero multipliers on the support w(t) = w_svm log t + w~(t), where w~ stays bounded and "
        "converges."
    )
    latex = r"w(t) = \hat w \log t + \tilde w(t), \qquad \tilde w(t) = O(1)"
    source = f"{SOURCE}, theorems 3 and 4 (numbers not checked)"
    hypotheses = (one_layer(),)
    stated = Variant(machine=lambda w, _: w, loglog=0.0)
    mutants = (
        stated.but("a tenth of a log log t besides", loglog=0.1),
        stated.but("norm 1e-5 too large", machine=lambda w, _: w * (1 + 1e-5)),
        stated.but("machine of the mean", machine=_of_the_mean),
    )
    counter_example = "machine of the mean: the direction of the mean sample instead of the maximum margin"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data, path = linear(case)
        w = variant.machine(machine(data)[0], np.asarray(data.x) * np.asarray(data.y)[:, None])
        log_t, all_weights = weights(path)
        rest = all_weights - log_t[:, None] * w
        rest = rest + variant.loglog * np.log(log_t)[:, None] * w / np.linalg.norm(w)
        late = log_t > max(1e3, 20.0 / slowest(data))
        moved = float(np.linalg.norm(rest[late] - rest[-1], axis=1).max())
        size = float(np.linalg.norm(rest[-1]))
        slope, near = float(np.linalg.norm(all_weights[-1])) / log_t[-1], 1e-5 * max(1.0, size) * settled(path)
        other = case.once("S1 other", lambda: by_radau(path, data))
        return Measurement.of(
            [
                Quantity("change of w - w_svm log t once transients are over", moved, 0.0, near, route="flow"),
                Quantity(
                    f"|w - w_svm log t| at log t = {log_t[-1]:.3g}",
                    size,
                    float(np.linalg.norm(other)),
                    near,
                    route="flow",
                    second=float(np.linalg.norm(other)),
                    second_route="SciPy's Radau in the clock of the loss, log t = 2e3",
                ),
                Quantity(
                    f"|w|/log t at log t = {log_t[-1]:.3g}",
                    slope,
                    float(np.linalg.norm(w)),
                    20.0 * max(1.0, size) / log_t[-1],
                    route="flow",
                ),
            ],
            "what moves w~ beyond log t = 1e3 is smaller than every power of 1/log t; roundings of weights of size log t are left",
        )


@claim("S2")
class BoundedPart(Claim):
    """On the support x_n·w~ → -log α_n, with ŵ = Σ α_n x_n."""

    title = "the bounded part tells the multipliers"
    statement = "With exponential loss x_n w~ tends to -log alpha_n on the support vectors, where w_svm = sum_n alpha_n x_n (labels taken into x_n)."
    latex = (
        r"\langle x_n, \tilde w\rangle \to -\log \alpha_n \quad (n \in S), \qquad \hat w = \sum_{n \in S} \alpha_n x_n"
    )
    source = f"{SOURCE}, theorem 4 (number not checked)"
    hypotheses = (one_layer(),)
    stated = Variant(multipliers=lambda alpha: alpha, sign=-1.0)
    mutants = (
        stated.but("multipliers normalised", multipliers=lambda alpha: alpha / alpha.sum()),
        stated.but("sign of the logarithm", sign=1.0),
        stated.but(
            "all multipliers equal", multipliers=lambda alpha: np.full(len(alpha), 1.07 * np.exp(np.log(alpha).mean()))
        ),
    )
    counter_example = "multipliers normalised: Σ α_n = 1, as some machines scale them"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data, path = linear(case)
        w, support, alpha, _ = machine(data)
        alpha = variant.multipliers(alpha)
        expected = variant.sign * np.log(alpha)
        z = np.asarray(data.x)[support] * np.asarray(data.y)[support, None]
        log_t, all_weights = weights(path)
        products = z @ (all_weights[-1] - log_t[-1] * w)
        other = case.once("S1 other", lambda: by_radau(path, data))
        # L t → 1/γ² says the same of all of them together.
        return Measurement.of(
            [
                Quantity(
                    f"x_n w~, support vector {n}",
                    s,
                    e,
                    1e-6 * settled(path),
                    route=f"flow at log t = {log_t[-1]:.3g}",
                    second=float(z[i] @ other),
                    second_route="SciPy's Radau in the clock of the loss, log t = 2e3",
                )
                for i, (n, s, e) in enumerate(zip(support.tolist(), products, expected, strict=True))
            ],
            "transients have died out; roundings of weights of size log t are left",
            multipliers=alpha.tolist(),
        )


@claim("S3")
class Rates(Claim):
    """Direction and margin reach their limits like 1/log t and no faster, the loss like 1/t with L t → 1/γ²."""

    title = "rates of direction, margin and loss"
    statement = (
        "With exponential loss |w/|w| - w_svm/|w_svm|| and gamma - min_n x_n w/|w| are of the exact order 1/log t where two support vectors "
        "have unequal multipliers, "
        "and L is of the order 1/t, with L t -> 1/gamma^2."
    )
    latex = (
        r"\Bigl\lVert \tfrac{w}{\lVert w\rVert} - \tfrac{\hat w}{\lVert\hat w\rVert}\Bigr\rVert = \Theta(1/\log t), \qquad "
        r"\gamma - \min_n \tfrac{\langle x_n, w\rangle}{\lVert w\rVert} = \Theta(1/\log t), \qquad L\,t \to 1/\gamma^2"
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
        from flowlab.late.asymptotics import asymptotics

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


def _order(path: Any, gamma: float) -> Any:
    """The exponent of γ - margin in |w|, from the margin of the machine."""
    late = path.dataset.isel(step=np.flatnonzero(path.dataset["log_t"].values > 100.0))
    return power(late["rho"].values[:, 0], gamma - late["min_margin"].values, drift=1e-9)


def _exponent(path: Any, data: Any, what: str) -> float:
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
