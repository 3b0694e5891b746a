"""J1 to J4: layers of deep linear nets become aligned and of rank one, and directions converge."""

from itertools import pairwise
from typing import Any

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.lyu2020.flows import flow, late_flow
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import angle
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

NAMES = ("W1", "W2", "W3")


def weights(path: Any, i: int) -> list[np.ndarray]:
    """The three matrices at a row."""
    told = path.state(i).weights()
    return [np.asarray(told[name]) for name in NAMES]


def excess(W: np.ndarray) -> float:
    """‖W‖_F² - ‖W‖_2², as the sum of the squares of all other singular values, which roundings of large norms do not touch."""
    s = np.linalg.svd(W, compute_uv=False)
    return float((s[1:] ** 2).sum())


@claim("J1")
class RankOneAndAligned(Claim):
    """‖W_k‖_F/‖W_k‖_2 → 1 and |⟨v_{k+1}, u_k⟩| → 1."""

    title = "layers become of rank one and aligned"
    statement = (
        "Late, every layer of a deep linear net is of rank one, |W_k|_F^2/|W_k|_2^2 -> 1, and the first right singular vector of a layer is the first "
        "left one of the layer before it; what is missing falls like |W_k|^-2."
    )
    latex = r"\lVert W_k\rVert_F^2/\lVert W_k\rVert_2^2 \to 1, \qquad |\langle v_{k+1}, u_k\rangle| \to 1"
    source = "Ji and Telgarsky 2019, theorem 2.2 (number not checked)"
    hypotheses = (late_flow("three layers"),)
    stated = Variant(row=-1, which=0, right=lambda _, vt, k: vt[k + 1][0])
    mutants = (
        stated.but("singular vectors of the start", row=0),
        stated.but("second singular vectors", which=1),
        stated.but("left for right", right=lambda u, _, k: u[k][:, -1]),
    )
    counter_example = "singular vectors of the start: nothing aligns before the flow has gone far"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        path = flow(case, "three layers")[1]
        W = weights(path, variant.row)
        u, s, vt = zip(*(np.linalg.svd(w) for w in W), strict=True)
        found = []
        for k in range(2):
            # The last layer has a single direction, and its first right singular vector is that one.
            right = variant.right(u, vt, k)
            found.append(
                Quantity(
                    f"|<v_{k + 2}, u_{k + 1}>|",
                    abs(float(right @ u[k][:, variant.which])),
                    1.0,
                    4e-3,
                    route="singular vectors at log t = 1e6",
                )
            )
        for k in range(3):
            share = float((s[k] ** 2).sum() / s[k][0] ** 2)
            found.append(
                Quantity(f"|W_{k + 1}|_F^2/|W_{k + 1}|_2^2", share, 1.0, 4e-3, route="singular values at log t = 1e6")
            )
        return Measurement.of(
            found, "what is missing is of order (log t)^(-2/3), 1e-4 at log t = 1e6, times constants of the start"
        )


@claim("J2")
class ExcessIsBounded(Claim):
    """‖W_k‖_F² - ‖W_k‖_2² never exceeds a constant of the start."""

    title = "what layers have beside their first singular value stays bounded"
    statement = (
        "At all times |W_k|_F^2 - |W_k|_2^2 is at most D = max_j |W_j(0)|_F^2 - |W_K(0)|_F^2 + sum_k |W_k(0) W_k(0)^T - W_{k+1}(0)^T W_{k+1}(0)|_2, "
        "while the norms themselves grow without bound."
    )
    latex = r"\lVert W_k\rVert_F^2 - \lVert W_k\rVert_2^2 \le D(W(0)) \quad \text{for all } t"
    source = "Ji and Telgarsky 2019, lemma 2.6 (number not checked)"
    hypotheses = (late_flow("three layers"),)
    stated = Variant(size=excess, bound=lambda squares, balance: max(squares) - squares[-1] + balance)
    mutants = (
        stated.but("a bound on the norms", size=lambda w: float((w**2).sum())),
        stated.but(
            "the last layer's share left out and the sum dropped",
            bound=lambda squares, balance: max(squares) - squares[-1] - balance,
        ),
        stated.but(
            "a hundredth of the bound", bound=lambda squares, balance: 0.01 * (max(squares) - squares[-1] + balance)
        ),
    )
    counter_example = "a bound on the norms: they grow like (log t)^(1/3)"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        path = flow(case, "three layers")[1]
        W = weights(path, 0)
        squares = [float((w**2).sum()) for w in W]
        balance = sum(float(np.linalg.norm(W[k] @ W[k].T - W[k + 1].T @ W[k + 1], 2)) for k in range(2))
        D = variant.bound(squares, balance)
        rows = range(0, len(path), max(1, len(path) // 60))
        worst = max(variant.size(w) for i in [*rows, len(path) - 1] for w in weights(path, i))
        grown = float(np.linalg.norm(weights(path, -1)[0]) / np.sqrt(squares[0]))
        return Measurement.of(
            [
                Quantity(
                    "largest excess",
                    worst,
                    D,
                    1e-9 * max(D, 1.0),
                    relation="<=",
                    route="singular values along the flow",
                ),
                Quantity("growth of |W_1|", grown, 10.0, 0.0, relation=">=", route="flow to log t = 1e6"),
            ],
            "exact up to the tolerance of the integration",
        )


@claim("J3")
class PredictorIsTheMachine(Claim):
    """The product of the layers tends to the hard-margin direction."""

    title = "the predictor of a deep linear net tends to the hard-margin direction"
    statement = "The direction of W_3 W_2 W_1 tends to that of the hard-margin machine, whatever the start."
    latex = r"\frac{W_K \cdots W_1}{\lVert W_K \cdots W_1\rVert} \to v^*"
    source = "Ji and Telgarsky 2019, theorem 2.8 (number not checked); Gunasekar et al. 2018"
    hypotheses = (late_flow("three layers"),)
    stated = Variant(machine=lambda w, _: w)
    mutants = (
        stated.but(
            "least squares instead of the machine",
            machine=lambda _, z: np.linalg.lstsq(z, np.ones(len(z)), rcond=None)[0],
        ),
        stated.but("mean of the samples instead of the machine", machine=lambda _, z: z.mean(axis=0)),
        stated.but("machine of flipped labels", machine=lambda w, _: -w),
    )
    counter_example = "least squares: the direction of another rule, which the square loss would take"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        from flowlab.discrete.margin.svm import hard_margin

        data, path = flow(case, "three layers")
        z = np.asarray(data.x) * np.asarray(data.y)[:, None]
        svm = case.once("ji machine", lambda: hard_margin(z, np.ones(len(z)))).w
        w = variant.machine(svm, z)
        first, second, third = weights(path, -1)
        product = (third @ second @ first).ravel()
        # Off the span of the support the first layer keeps what it had, which is of order (log t)^(-1/3) of the whole.
        support = z[z @ svm < 1.0 + 1e-9]
        inside = np.linalg.pinv(support) @ support @ product
        start = float(np.linalg.norm((weights(path, 0)[2] @ weights(path, 0)[1] @ weights(path, 0)[0]).ravel()))
        end = path.dataset.isel(step=-1)
        predicted = float(end["log_t"]) * float(np.linalg.norm(w))
        return Measurement.of(
            [
                Quantity(
                    "angle to the machine, on the span of the support",
                    angle(inside, w),
                    0.0,
                    1e-4,
                    route="flow at log t = 1e6",
                ),
                Quantity(
                    "cosine",
                    float(product @ w / (np.linalg.norm(product) * np.linalg.norm(w))),
                    1.0,
                    1e-3,
                    route="flow at log t = 1e6",
                ),
                Quantity(
                    "norm of the product over log t |w_svm|",
                    float(np.linalg.norm(product)) / predicted,
                    1.0,
                    1e-3,
                    route="flow at log t = 1e6",
                ),
            ],
            "angles on the span fall like 1/log t, and off it like (log t)^(-1/3), times constants of the start",
            norm_at_start=start,
        )


@claim("J4")
class DirectionsConverge(Claim):
    """The curve of directions has finite length, and the gradient aligns with the weights."""

    title = "finite length of the curve of directions, alignment of the gradient"
    statement = (
        "The curve theta/|theta| has finite length: what a decade of log t adds falls like (log t)^(-1/K), K = 3; and the gradient aligns with the "
        "weights, <-grad L, theta>/(|grad L| |theta|) -> 1."
    )
    latex = (
        r"\int_0^\infty \bigl\lVert \tfrac{d}{dt}\hat\theta\bigr\rVert\,dt < \infty, \qquad "
        r"\frac{\langle -\nabla L, \theta\rangle}{\lVert\nabla L\rVert \lVert\theta\rVert} \to 1"
    )
    source = "Ji and Telgarsky 2020, theorems 3.1 and 4.1 (numbers not checked); the rate is measured"
    hypotheses = (late_flow("three layers"),)
    stated = Variant(power=-1.0 / 3.0, row=lambda log_loss: len(log_loss) - 1)
    mutants = (
        stated.but("a decade adds as much as the one before", power=0.0),
        stated.but("like 1/log t", power=-1.0),
        stated.but("gradient of the start", row=lambda log_loss: int(np.argmax(log_loss < 0))),
    )
    counter_example = "a decade adds as much as the one before: then the length would grow like log log t"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data, path = flow(case, "three layers")
        lengths, horizons = case.once("ji lengths", lambda: _lengths(path))
        # Slopes between half decades, of the length that is still to come.
        slopes = np.diff(np.log(lengths)) / np.diff(np.log(horizons))
        # Slopes are off by (log t)^(-2/3): from one half decade to the next by a factor of 10^(-1/3).
        change, left = float(slopes[-1] - slopes[-2]), 10.0 ** (-1.0 / 3.0)
        value, bar = float(slopes[-1]) + change * left / (1.0 - left), 0.3 * abs(change)
        found = [
            Quantity(
                "exponent of the length per decade",
                value,
                variant.power,
                2e-3,
                bar,
                route="sums of chords, extrapolated",
            )
        ]
        i = variant.row(path.dataset["log_loss"].values)
        found.append(
            Quantity("alignment of the gradient", _alignment(path, data, i), 1.0, 2e-3, route="autodiff at log t = 1e6")
        )
        return Measurement.of(
            found, "exponents between decades; alignment is missed by the square of what directions lack"
        )


def _theta(path: Any, i: int) -> np.ndarray:
    theta = np.concatenate([w.ravel() for w in weights(path, i)])
    return theta / np.linalg.norm(theta)


def _lengths(path: Any) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of the curve of directions over decades of log t that end at growing horizons."""
    logs = np.log(np.maximum(path.dataset["log_t"].values, 1e-300))
    rows = np.flatnonzero(logs > np.log(50.0))
    chords = np.array([np.linalg.norm(b - a) for a, b in pairwise(_theta(path, int(i)) for i in rows)])
    total, at = np.concatenate([[0.0], np.cumsum(chords)]), logs[rows]
    ends = np.log(np.array([1e4, 3e4, 1e5, 3e5, 1e6]))
    return np.interp(ends, at, total) - np.interp(ends - np.log(10.0), at, total), np.exp(ends)


def _alignment(path: Any, data: Any, i: int) -> float:
    """⟨-∇L, θ⟩/(‖∇L‖ ‖θ‖) with samples weighed by the softmax of their margins: no underflow, however late."""
    first, second, third = weights(path, i)
    z = np.asarray(data.x) * np.asarray(data.y)[:, None]
    q = (third @ second @ first @ z.T)[0]
    p = np.exp(q.min() - q)
    pull = (p @ z)[None] / p.sum()
    g = [(third @ second).T @ pull, third.T @ pull @ first.T, pull @ (second @ first).T]
    theta, slope = np.concatenate([w.ravel() for w in (first, second, third)]), np.concatenate([v.ravel() for v in g])
    return float(slope @ theta / (np.linalg.norm(slope) * np.linalg.norm(theta)))
