"""P11: the sharp constant of the late gradient of deep linear nets, in terms of the largest margin."""

import math

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.poggio2020.flows import DEEP, machine, one_layer, unequal
from flowlab.claims.library.poggio2020.log_gradients import deep, late_limits
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("P11")
class SharpConstant(Claim):
    """r = ‖∇L‖²/(L² Λ^{2-2/K}), Λ = log 1/L, tends to K² ḡ^{2/K} with ḡ = γ K^{-K/2}, and L t (log t)^{2-2/K} to its
    inverse.
    """

    title = "sharp constant of the late gradient of deep linear nets"
    statement = (
        "For a linear net of K layers on separable data with exponential loss |grad L|^2/(L^2 (log 1/L)^(2-2/K)) "
        "tends to K^2 g^(2/K). Here g = gamma K^(-K/2) is the largest margin over the K-th power of the joint norm. L "
        "t (log t)^(2-2/K) tends to the inverse."
    )
    latex = (
        r"\frac{\lVert \nabla L\rVert^2}{L^2 (\log 1/L)^{2-2/K}} \to K^2 \bar g^{2/K}, \qquad "
        r"L\, t\, (\log t)^{2-2/K} \to \frac{1}{K^2 \bar g^{2/K}}, \qquad \bar g = \gamma K^{-K/2}"
    )
    source = (
        "after Lyu and Li 2020, theorem 4.3 (number not checked); the constant from dLambda/dt = |grad L|^2/L at the "
        "limit direction"
    )
    hypotheses = (one_layer(*DEEP.values()),)
    stated = Variant(joint=lambda gamma, K: gamma * K ** (-K / 2), more=lambda _: 0.0, root=1.0)
    mutants = (
        stated.but("joint norm of one layer", joint=lambda gamma, _: gamma),
        stated.but("exponent of one layer more", more=lambda K: 2 - 2 / (K + 1) - (2 - 2 / K)),
        stated.but("square root of the margin", root=0.5),
    )
    counter_example = (
        "joint norm of one layer: the margin over the product of the norms in place of that over the joint norm"
    )
    quick = False

    def measure(self, case: Case, variant: Variant) -> Measurement:
        quantities = []
        for K in (1, 2, 3):
            data, path = deep(case, K)
            w = machine(data)[0]
            z = np.asarray(data.x) * np.asarray(data.y)[:, None]
            limits = case.once(f"P11 limits K={K}", lambda path=path, z=z: late_limits(path, z))
            gamma = (1.0 / float(np.linalg.norm(w))) ** variant.root
            r = K**2 * variant.joint(gamma, K) ** (2 / K)
            log_r, q, log_L = limits["log r"], limits["q"], float(path.dataset["log_loss"][-1])
            more = variant.more(K) * math.log(-log_L)
            quantities += [
                Quantity(
                    f"|grad L|^2/(L^2 (log 1/L)^(2-2/K)), K = {K}",
                    math.exp(log_r.value - more),
                    r,
                    2e-3 * r,
                    math.exp(log_r.value) * log_r.error,
                    route="flow to log t = 1e6, extrapolated in 1/log(1/L)",
                    second=math.exp(limits["autodiff"]),
                    second_route="autodiff of log L at the last row",
                ),
                Quantity(
                    f"L t (log t)^(2-2/K), K = {K}",
                    math.exp(q.value + more),
                    1 / r,
                    2e-3 / r,
                    math.exp(q.value) * q.error,
                    route="flow to log t = 1e6, extrapolated in 1/log(1/L)",
                ),
            ]
        return Measurement.of(
            quantities, "a part in 500; what the last row lacks is of order 1/R", name=unequal(case)[0].name
        )
