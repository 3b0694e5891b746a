"""S5: gradient descent with steps below 2/β does in time η k what gradient flow does in time t."""

import math
from itertools import pairwise

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.poggio2020.flows import machine
from flowlab.claims.library.soudry2018.descents import (
    SHARES,
    TIME,
    first_weights,
    last_step,
    lively,
    rises,
    tight,
    weights_of_flow,
)
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


def _of_short_steps(case: Case, variant: Variant) -> Measurement:
    data = case.once("S5 data", lambda: lively(case.seed))
    w, support, alpha, _ = machine(data)
    z = np.asarray(data.x) * np.asarray(data.y)[:, None]
    first = case.once("S5 start", lambda: first_weights(case.seed))
    beta = float(np.exp(-z @ first).sum() * np.linalg.norm(z, 2) ** 2)
    alpha = variant.multipliers(alpha)
    ends = case.once("S5 ends", lambda: [last_step(data, first, share * 2 / beta) for share in SHARES])
    flow = case.once("S5 flow", lambda: weights_of_flow(case, data, first))
    onto = np.linalg.pinv(z[support]) @ z[support]
    products = []
    for share, (end, k) in zip(SHARES, ends, strict=True):
        rest = z[support] @ (end - w * math.log(variant.time(share * 2 / beta, k)))
        products += [
            Quantity(
                f"x_n w~, support vector {n}, eta = {share:g} * 2/beta",
                r,
                -math.log(a),
                4e-3 * abs(math.log(a)),
                route=f"descent to eta k = {TIME:g}",
            )
            for n, r, a in zip(support.tolist(), rest, alpha, strict=True)
        ]
    off = [float(np.linalg.norm((end - flow) - onto @ (end - flow))) for end, _ in ends]
    orders = [math.log2(a / b) for a, b in pairwise(off)]
    tries = [(data, first, share * 2 / beta) for share in (*SHARES, 0.999)]
    rise = max(case.once("S5 rises", lambda: [rises(*one, 4000) for one in (*tries, tight(case.seed, 1.998))]))
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
    rise = case.once("S5 long", lambda: rises(*tight(case.seed, 40.0), 400))
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
