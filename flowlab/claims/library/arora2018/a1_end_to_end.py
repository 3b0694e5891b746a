"""A1, A2, A6: the product of balanced linear layers moves by itself, its singular values too, and what imbalance does to that."""

from typing import Any

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import about, hypothesis
from flowlab.claims.library.arora2018.flows import (
    DEEP,
    LAYERS,
    balanced_flow,
    began,
    end_to_end,
    gradient,
    horizon,
    layers,
    product,
    regression,
    solved,
)
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


def rows(path: Any, count: int) -> list[int]:
    """Some rows of a path, spread over its steps; the last one among them."""
    return np.unique(np.linspace(1, len(path) - 1, count).round().astype(int)).tolist()


@hypothesis("losses summed over samples")
def _sums(case: Case) -> str | None:
    if case.problem is not None and case.problem.reduction != "sum":
        return "it is stated for losses summed over samples"
    return None


@claim("A1")
class EndToEndFlow(Claim):
    """The product of balanced layers obeys an equation of its own."""

    title = "the product of balanced linear layers has a flow of its own"
    statement = (
        "From a balanced start the product W of N linear layers under gradient flow obeys "
        "dW/dt = -sum_j [W W^T]^((N-j)/N) G [W^T W]^((j-1)/N), with G the gradient of the loss in W."
    )
    latex = r"\dot W = -\sum_{j=1}^N [W W^\top]^{\frac{N-j}{N}} \, G \, [W^\top W]^{\frac{j-1}{N}}"
    source = "Arora, Cohen, Hazan 2018, theorem 1 (number not checked)"
    hypotheses = (_sums, about(DEEP, takes_data=True))
    stated = Variant(rate=end_to_end)
    mutants = (
        stated.but("one layer more in the exponents", rate=lambda w, g: end_to_end(w, g, root=LAYERS + 1.0)),
        stated.but("no preconditioner", rate=lambda _, g: -LAYERS * g),
        stated.but("half of the layers", rate=lambda w, g: 0.5 * end_to_end(w, g)),
    )
    counter_example = "no preconditioner: N gradients of one linear layer"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        _, path, data = balanced_flow(case)
        seen = rows(path, 6)
        times = np.exp(path.dataset["log_t"].values[seen])
        found = np.stack([product(path.state(i).weights()) for i in seen])
        expected = solved(began(case, data), data, times, variant.rate)
        apart = float(max(np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(found, expected, strict=True)))
        size = float(np.linalg.norm(expected[-1]))
        return Measurement.of(
            [
                Quantity(
                    "largest relative distance of the product of the layers from the end-to-end flow",
                    apart,
                    0.0,
                    1e-8,
                    relation="<=",
                ),
                Quantity(
                    "norm of the product at the end",
                    float(np.linalg.norm(found[-1])),
                    size,
                    1e-8 * size,
                    route="flow of the layers",
                ),
            ],
            "both are integrated to local errors of 1e-11 over a time in which products change by factors of order one",
            times=times.tolist(),
        )


@claim("A2")
class SingularValueFlow(Claim):
    """Singular values of the product move along their own singular vectors, at a rate that grows with their size."""

    title = "singular values of the product of balanced layers"
    statement = "From a balanced start the singular values of the product obey d sigma_r/dt = -N (sigma_r^2)^(1-1/N) <G, u_r v_r^T>."
    latex = r"\dot\sigma_r = -N (\sigma_r^2)^{1-1/N} \langle G, u_r v_r^\top\rangle"
    source = "Arora, Cohen, Hu, Luo 2019, theorem 3 (number not checked)"
    hypotheses = EndToEndFlow.hypotheses
    stated = Variant(exponent=1 - 1 / LAYERS, factor=float(LAYERS))
    mutants = (
        stated.but("exponent 1 - 2/N", exponent=1 - 2 / LAYERS),
        stated.but("exponent of two layers", exponent=0.5),
        stated.but("factor one instead of N", factor=1.0),
    )
    counter_example = "exponent of two layers: right for N = 2, where the plateau has another shape"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        from flowlab.language.autodiff import velocity

        problem, path, data = balanced_flow(case)
        told = []
        for i in rows(path, 3):
            weights = {k: np.asarray(w) for k, w in path.state(i).weights().items()}
            moved = {k: np.asarray(v) for k, v in velocity(problem, weights, data).items()}
            W = product(weights)
            u, s, vt = np.linalg.svd(W, full_matrices=False)
            rate = sum((product(weights | {k: moved[k]}) for k in weights), np.zeros_like(W))
            G = gradient(W, data)
            again = end_to_end(W, G)
            for r in range(len(s)):
                expected = -variant.factor * (s[r] ** 2) ** variant.exponent * float(u[:, r] @ G @ vt[r])
                size = float(np.linalg.norm(G)) * LAYERS
                told.append(
                    Quantity(
                        f"d sigma_{r + 1}/dt at row {i} over N|G|",
                        float(u[:, r] @ rate @ vt[r]) / size,
                        expected / size,
                        1e-8,
                        route="autodiff of the layers",
                        second=float(u[:, r] @ again @ vt[r]) / size,
                        second_route="the end-to-end flow",
                        # A rate that happens to vanish has no percent.
                        altered=0.01 if abs(expected) > 1e-5 * size else 0.0,
                    )
                )
        return Measurement.of(
            told,
            "balancedness is kept to the tolerance 1e-11 of the flow, and powers of small singular values take the root of that",
        )


@claim("A6")
class Imbalance(Claim):
    """Off balance the end-to-end equation fails, and in proportion to the imbalance."""

    title = "the end-to-end flow fails at first order in the imbalance"
    statement = (
        "A start that is off balance by eps has a product that leaves the end-to-end flow of its own start by an amount of order eps, at once and at "
        "later times."
    )
    latex = r"\lVert W(t) - W_{\mathrm{e2e}}(t)\rVert \propto \epsilon"
    source = "Arora, Cohen, Hazan 2018, section 4 (balancedness assumed; number not checked); order measured here"
    hypotheses = EndToEndFlow.hypotheses
    stated = Variant(order=1.0)
    mutants = (
        stated.but("second order", order=2.0),
        stated.but("of no order: independent of the imbalance", order=0.0),
    )
    counter_example = "second order: what a first-order cancellation would give"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        at_once, later, bars = case.once("imbalance", lambda: self._orders(case))
        return Measurement.of(
            [
                Quantity(
                    "order of the residual at the start",
                    at_once,
                    variant.order,
                    2e-3,
                    error=bars[0],
                    route="autodiff of the layers",
                ),
                Quantity(
                    "order of the distance at the end",
                    later,
                    variant.order,
                    5e-3,
                    error=bars[1],
                    route="flow of the layers against DOP853",
                ),
            ],
            "orders from halved imbalances, extrapolated in eps; the bar is what the last halving changed",
        )

    def _orders(self, case: Case) -> tuple[float, float, tuple[float, float]]:
        from flowlab.dynamics import time
        from flowlab.language.autodiff import velocity
        from flowlab.language.state import State

        problem, data = regression(case)
        even = layers(began(case, data), seed=case.seed)
        turn = np.random.default_rng(2000 + case.seed).normal(size=even["W1"].shape)
        turn *= np.linalg.norm(even["W1"]) / np.linalg.norm(turn)
        steps = 0.02 * 0.5 ** np.arange(4)
        at_once, later = [], []
        for eps in steps:
            weights = even | {"W1": even["W1"] + eps * turn}
            W = product(weights)
            moved = {k: np.asarray(v) for k, v in velocity(problem, weights, data).items()}
            rate = sum((product(weights | {k: moved[k]}) for k in weights), np.zeros_like(W))
            at_once.append(float(np.linalg.norm(rate - end_to_end(W, gradient(W, data)))))
            until = 2.0 * horizon(data)
            path = integrated(
                case,
                f"off balance by {eps:g}",
                problem,
                State.from_weights(weights),
                data,
                time(until),
                rtol=1e-11,
                atol=1e-13,
                solver="tsit5",
            )
            later.append(float(np.linalg.norm(product(path.last.weights()) - solved(W, data, np.array([until]))[-1])))
        (a, bar_a), (b, bar_b) = _order(at_once), _order(later)
        return a, b, (bar_a, bar_b)


def _order(sizes: list[float]) -> tuple[float, float]:
    """The order of what is halved, extrapolated twice, and how much the last extrapolation changed it."""
    slopes = np.diff(-np.log2(np.array(sizes)))
    once = 2 * slopes[1:] - slopes[:-1]
    return float((4 * once[1] - once[0]) / 3), float(abs(once[1] - once[0]))
