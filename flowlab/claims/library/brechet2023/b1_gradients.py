"""B1: the gradients of the loss, with noise and without."""

from collections.abc import Sequence

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.brechet2023.flows import TAU, gradient
from flowlab.claims.library.brechet2023.generators import Generator, generator, given_generator
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import worst
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.autodiff import velocity
from flowlab.symbolic.derive import derive

DEPTHS = (1, 2, 3)


def layerwise(names: Sequence[str], W: dict[str, np.ndarray], G: np.ndarray) -> dict[str, np.ndarray]:
    """-(W_N … W_{j+1})^T G (W_{j-1} … W_1)^T, layers from the input on."""
    made = {}
    for j, name in enumerate(names):
        left, right = np.eye(len(G)), np.eye(G.shape[1])
        for other in names[j + 1 :]:
            left = W[other] @ left
        for other in names[:j]:
            right = W[other] @ right
        made[name] = -left.T @ G @ right.T
    return made


@claim("B1")
class Gradients(Claim):
    """The derived equations are the formulas of the paper."""

    title = "gradients of the Bures-Wasserstein loss of a deep linear net"
    statement = (
        "Layer j of W = W_N ... W_1 follows -(W_N ... W_(j+1))^T G (W_(j-1) ... W_1)^T. For tau > 0, G = 2 (W - R [R "
        "(W W^T + tau) R]^(-1/2) R W) with R the root of the target; for tau = 0, G = 2 (W - R U V^T) with the polar "
        "factor U V^T of R W."
    )
    latex = (
        r"\dot W_j = -W_{N:j+1}^\top G\, W_{j-1:1}^\top, \quad G_\tau = 2\bigl(W - R [R (W W^\top + \tau) R]^{-1/2} R "
        r"W\bigr), \quad G_0 = 2 (W - R U V^\top)"
    )
    source = "Bréchet et al. 2023 (formulas as in the authors' code)"
    hypotheses = (given_generator(),)
    stated = Variant(gradient=gradient)
    mutants = (
        stated.but("without the factor 2", gradient=lambda W, R, tau: 0.5 * gradient(W, R, tau)),
        stated.but("with the target in place of its root", gradient=lambda W, R, tau: gradient(W, R @ R, tau)),
        stated.but("noise of half the size", gradient=lambda W, R, tau: gradient(W, R, 0.5 * tau if tau else 0.1)),
    )
    counter_example = "noise of half the size: another transport map"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        gaps, apart, size, other = [], [], 0.0, 0.0
        own = [(tau, depth) for tau in (TAU, 0.0) for depth in DEPTHS]
        for tau, depth in own if case.problem is None else own[:1]:
            told = generator(case, depth, tau)
            flow = case.equations or case.once(f"equations {depth} {tau}", lambda told=told: derive(told.problem))
            goal = {("x", name): told.data.given[name] for name in told.problem.network.constants} | {
                ("y", ""): np.zeros(())
            }
            for i, W in enumerate(self._weights(case, told)):
                made = flow.program.evaluate(np, {("weight", w): v for w, v in W.items()} | goal)
                wanted = layerwise(told.layers, W, variant.gradient(told.product(W), told.root, told.tau))
                auto = velocity(told.problem, W, told.data)
                if not i:
                    # Late rows have rates that vanish, and the roundings of the first.
                    scale = {w: float(np.linalg.norm(v)) for w, v in wanted.items()}
                    size, other = (
                        float(np.linalg.norm(v)) for v in (made["W", told.layers[0]], wanted[told.layers[0]])
                    )
                gaps += [float(np.linalg.norm(made["W", w] - v)) / scale[w] for w, v in wanted.items()]
                apart += [float(np.linalg.norm(made["W", w] - auto[w])) / scale[w] for w in W]
        return Measurement.of(
            [
                Quantity("derived equations from the formulas, relative", worst(gaps), 0.0, 1e-11, relation="<="),
                Quantity("derived equations from autodiff, relative", worst(apart), 0.0, 1e-11, relation="<="),
                Quantity("length of the last rate", size, other, 1e-11 * size, route="derived equations"),
            ],
            "both are sums of some hundred products; roundings are 1e-15 times the condition of the target",
        )

    @staticmethod
    def _weights(case: Case, told: Generator) -> list[dict[str, np.ndarray]]:
        """Random layers, of the shapes of a flow that was given, and some of its rows."""
        given = case.flow
        rng = np.random.default_rng([case.seed, told.depth])
        shapes = told.shapes(given)
        drawn = {w: rng.normal(size=shapes[w]) / np.sqrt(0.5 * len(told.target)) for w in told.layers}
        return [drawn] if given is None else [drawn, *(given.weights(int(i)) for i in given.places(3))]
