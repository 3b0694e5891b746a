"""B1: the gradients of the loss, with noise and without."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.brechet2023.flows import TAU, data, gradient, power, problem, target, whole
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.autodiff import velocity
from flowlab.symbolic.derive import derive

DEPTHS = (1, 2, 3)


def layerwise(W: dict[str, np.ndarray], G: np.ndarray) -> dict[str, np.ndarray]:
    """-(W_N … W_{j+1})^T G (W_{j-1} … W_1)^T."""
    names = sorted(W)
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
    hypotheses = (own_instances,)
    stated = Variant(gradient=gradient)
    mutants = (
        stated.but("without the factor 2", gradient=lambda W, R, tau: 0.5 * gradient(W, R, tau)),
        stated.but("with the target in place of its root", gradient=lambda W, R, tau: gradient(W, R @ R, tau)),
        stated.but("noise of half the size", gradient=lambda W, R, tau: gradient(W, R, 0.5 * tau + 0.1)),
    )
    counter_example = "noise of half the size: another transport map"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        root, samples = power(target(case), 0.5), data(case)
        worst, apart, size, other = 0.0, 0.0, 0.0, 0.0
        for tau in (TAU, 0.0):
            for depth in DEPTHS:
                told = problem(depth, tau)
                flow = case.once(f"equations {depth} {tau}", lambda told=told: derive(told))
                rng = np.random.default_rng([case.seed, depth])
                W = {f"W{i + 1}": rng.normal(size=(4, 4)) / np.sqrt(2) for i in range(depth)}
                given = {("weight", w): v for w, v in W.items()} | {("x", "S0"): target(case), ("y", ""): 0.0}
                made = flow.program.evaluate(np, given)
                wanted = layerwise(W, variant.gradient(whole(W), root, tau))
                auto = velocity(told, W, samples)
                for w in W:
                    scale = float(np.linalg.norm(made["W", w]))
                    worst = max(worst, float(np.linalg.norm(made["W", w] - wanted[w])) / scale)
                    apart = max(apart, float(np.linalg.norm(made["W", w] - auto[w])) / scale)
                size, other = float(np.linalg.norm(made["W", "W1"])), float(np.linalg.norm(wanted["W1"]))
        return Measurement.of(
            [
                Quantity("derived equations from the formulas, relative", worst, 0.0, 1e-11, relation="<="),
                Quantity("derived equations from autodiff, relative", apart, 0.0, 1e-11, relation="<="),
                Quantity("length of the last rate", size, other, 1e-11 * size, route="derived equations"),
            ],
            "both are sums of some hundred products; roundings are 1e-15 times the condition of the target",
        )
