"""S5: gradient descent with steps below 2/β does in time η k what gradient flow does in time t."""

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.poggio2020.flows import machine
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

if TYPE_CHECKING:
    from flowlab.language.data import Data
    from flowlab.language.trajectory import Trajectory

_TIME = 20_000.0
"""η k at the end."""
_SHARES = (0.5, 0.25, 0.125)
"""Steps in units of 2/β."""


def lively(seed: int) -> "Data":
    """Eight samples in three dimensions with two support vectors and fast transients: they leave as t^{-1} or faster.

    With the support (1, p) and (1, -q) on a line the transient along it falls like t^{-pq}, and what other samples add
    like t^{1-m}, m ≥ 2 their least margin in units of γ.
    """
    from flowlab.language.data import Data

    rng = np.random.default_rng([5, seed])
    p, q = rng.uniform(1.1, 1.5), rng.uniform(1.9, 2.6)
    z = np.ones((8, 3))
    z[0, 1:], z[1, 1:] = (p, 0.0), (-q, 0.0)
    z[2:, 0] = rng.uniform(2.0, 3.0, size=6)
    z[2:, 1:] = rng.uniform(-1.5, 1.5, size=(6, 2))
    # To one side on average, so that the part off the span of the support moves.
    z[2:, 2] = np.abs(z[2:, 2]) + 0.3
    y = rng.permutation(np.repeat([1.0, -1.0], 4))
    return Data(z * y[:, None], y, name="fast transients", kind="binary")


def _of_short_steps(case: Case, variant: Variant) -> Measurement:
    data = case.once("S5 data", lambda: lively(case.seed))
    w, support, alpha, _ = machine(data)
    z = np.asarray(data.x) * np.asarray(data.y)[:, None]
    first = case.once("S5 start", lambda: _start(case.seed))
    beta = float(np.exp(-z @ first).sum() * np.linalg.norm(z, 2) ** 2)
    alpha = variant.multipliers(alpha)
    ends = case.once("S5 ends", lambda: [_walk(data, first, share * 2 / beta) for share in _SHARES])
    flow = case.once("S5 flow", lambda: _flow(case, data, first))
    onto = np.linalg.pinv(z[support]) @ z[support]
    products = []
    for share, (end, k) in zip(_SHARES, ends, strict=True):
        rest = z[support] @ (end - w * math.log(variant.time(share * 2 / beta, k)))
        products += [
            Quantity(
                f"x_n w~, support vector {n}, eta = {share:g} * 2/beta",
                r,
                -math.log(a),
                4e-3 * abs(math.log(a)),
                route=f"descent to eta k = {_TIME:g}",
            )
            for n, r, a in zip(support.tolist(), rest, alpha, strict=True)
        ]
    off = [float(np.linalg.norm((end - flow) - onto @ (end - flow))) for end, _ in ends]
    orders = [math.log2(a / b) for a, b in pairwise(off)]
    tries = [(data, first, share * 2 / beta) for share in (*_SHARES, 0.999)]
    rise = max(case.once("S5 rises", lambda: [_rises(*one, 4000) for one in (*tries, _tight(case.seed, 1.998))]))
    return Measurement.of(
        [
            *products,
            Quantity(
                "order in eta of the difference to the flow off the span",
                2 * orders[1] - orders[0],
                variant.order,
                9e-3,
                route="three steps, extrapolated",
            ),
            Quantity(
                "largest rise of log L in a step, eta up to 0.999 * 2/beta",
                rise,
                0.0,
                1e-14,
                relation="<=",
                route="descent, 4000 steps",
            ),
        ],
        "transients of the data fall like 1/t or faster, to some 1e-4 at the end; orders are extrapolated from three "
        "steps",
        beta=beta,
        differences=off,
    )


def _of_long_steps(case: Case, _: Variant) -> Measurement:
    rise = case.once("S5 long", lambda: _rises(*_tight(case.seed, 40.0), 400))
    bound = Quantity("largest rise of log L in a step", rise, 0.0, 1e-14, relation="<=", route="descent")
    return Measurement.of([bound], "as for short steps")


@claim("S5")
class Descent(Claim):
    """With η < 2/β the loss falls at every step, w(k) = ŵ log(η k) + w~ with the same x_n·w~ → -log α_n, and w~ differs
    from the flow's by O(η).
    """

    title = "gradient descent in time eta k"
    statement = (
        "Gradient descent with eta < 2/beta, beta = L(w_0) |X|^2, lowers the loss at every step. It has w(k) = w_svm "
        "log(eta k) + w~(k), with x_n w~ -> -log alpha_n on the support for every such eta. Only off the span of the "
        "support w~ differs from that of gradient flow, by O(eta)."
    )
    latex = (
        r"\eta < 2/\beta: \quad w(k) = \hat w \log(\eta k) + \tilde w, \qquad \langle x_n, \tilde w\rangle \to "
        r"-\log\alpha_n, \qquad \tilde w_\eta - \tilde w_{GF} = O(\eta) \text{ off the span of } S"
    )
    source = "Soudry, Hoffer, Nacson, Gunasekar, Srebro 2018, theorem 3 and lemma 1 (numbers not checked)"
    hypotheses = (own_instances,)
    stated = Variant(of_steps=_of_short_steps, time=lambda eta, k: eta * k, multipliers=lambda alpha: alpha, order=1.0)
    mutants = (
        stated.but("steps of 40/beta", of_steps=_of_long_steps),
        stated.but("time k in place of eta k", time=lambda _, k: k),
        stated.but("all multipliers equal", multipliers=lambda alpha: np.full(len(alpha), alpha.mean())),
        stated.but("difference of second order", order=2.0),
    )
    counter_example = "steps of 40/beta: the loss rises on the way"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        return variant.of_steps(case, variant)


def _start(seed: int) -> np.ndarray:
    return np.array([1.0, 0.0, 0.0]) + np.random.default_rng([55, seed]).uniform(-0.3, 0.3, size=3)


def _descend(data: "Data", first: np.ndarray, step: float, count: int, every: int) -> "Trajectory":
    from flowlab.discrete.descent.descend import descend
    from flowlab.language.problem import Problem
    from flowlab.language.state import State

    return descend(
        Problem("W1 @ x", coordinates="weights"),
        State.from_weights({"W1": first[None]}),
        data,
        step=step,
        count=count,
        record_every=every,
    )


def _tight(seed: int, steps: float) -> "tuple[Data, np.ndarray, float]":
    """Samples whose transverse parts pull hard against one another, a start off the middle, and a step of `steps`/β."""
    from flowlab.language.data import Data

    p, q = np.random.default_rng([555, seed]).uniform(5.0, 7.0, size=2)
    z = np.tile([[1.0, p, 0.0], [1.0, -q, 0.0]], (4, 1))
    y = np.repeat([1.0, -1.0], 4)
    first = np.array([0.0, 0.2, 0.0])
    beta = float(np.exp(-z @ first).sum() * np.linalg.norm(z, 2) ** 2)
    return Data(z * y[:, None], y, name="fast transients", kind="binary"), first, steps / beta


def _walk(data: "Data", first: np.ndarray, step: float) -> tuple[np.ndarray, int]:
    """(w, k) at the last step with η k ≤ `_TIME`."""
    count = round(_TIME / step)
    walk = _descend(data, first, step, count, count)
    return np.asarray(walk.last.weights()["W1"]).ravel(), count


def _rises(data: "Data", first: np.ndarray, step: float, count: int) -> float:
    return float(np.diff(_descend(data, first, step, count, 1).dataset["log_loss"].values).max())


def _flow(case: Case, data: "Data", first: np.ndarray) -> np.ndarray:
    """Weights of gradient flow at t = `_TIME`."""
    from flowlab.dynamics import log_time
    from flowlab.language.problem import Problem
    from flowlab.language.state import State

    start = State.from_weights({"W1": first[None]})
    path = integrated(
        case,
        "S5 gradient flow",
        Problem("W1 @ x", coordinates="weights"),
        start,
        data,
        log_time(math.log(_TIME)),
        rtol=1e-11,
        atol=1e-13,
    )
    return np.asarray(path.last.weights()["W1"]).ravel()
