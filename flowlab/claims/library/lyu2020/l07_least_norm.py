"""L7: the optimum of the least-norm problem."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.optimize import minimize

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.lyu2020.flows import best, flow, late_flow
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.typing import Blocks
from flowlab.language.data import Data
from flowlab.language.problem import Problem


def _first_support(support: Sequence[int] | Sequence[tuple[int, int]]) -> int:
    return int(support[0][0] if isinstance(support[0], tuple) else support[0])


@claim("L7")
class OptimumOfLeastNorm(Claim):
    """The optimum of min ½‖θ‖² subject to q_n ≥ 1 is ½ g^(-2/K)."""

    title = "optimum of the least-norm problem"
    statement = (
        "At a point of largest margin g = min q/|theta|^K, min (1/2)|theta|^2 subject to q_n >= 1 is (1/2) g^(-2/K)."
    )
    latex = r"\min_{q_n \ge 1} \tfrac12\lVert\theta\rVert^2 = \tfrac12 \gamma_*^{-2/K}"
    source = "Lyu and Li 2020, section 4"
    hypotheses = (late_flow("smooth", "deep"),)
    stated = Variant(power=lambda K: -2.0 / K, left_out=lambda _: None)
    mutants = (
        stated.but("power -1/K", power=lambda K: -1.0 / K),
        stated.but("degree + 1", power=lambda K: -2.0 / (K + 1.0)),
        stated.but("one constraint left out", left_out=_first_support),
    )
    counter_example = "one constraint left out: another problem, with a smaller optimum"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        quantities = []
        for which in ("deep", "smooth"):
            data, path = flow(case, which)
            point, K = best(case, which), float(path.problem.network.symmetry.joint_degree or 0)
            left_out = variant.left_out(point.support)
            key = f"lyu least {which} {left_out}"
            least = case.once(
                key,
                lambda path=path, data=data, point=point, out=left_out: _least(path.problem, data, point.weights, out),
            )
            value = 0.5 * point.joint_margin ** variant.power(K)
            quantities.append(
                Quantity(
                    f"least (1/2)|theta|^2, {which}",
                    least,
                    value,
                    1e-6 * value,
                    route="SLSQP from beside the KKT point",
                )
            )
        return Measurement.of(quantities, "relative to the optimum: what SLSQP resolves")


def _least(problem: Problem, data: Data, weights: Blocks, out: int | None) -> float:
    """½‖θ‖² at the local optimum beside a point, by SLSQP on autodiff."""
    flat, unravel = ravel_pytree({k: jnp.asarray(v) for k, v in weights.items()})
    keep = np.array([n for n in range(data.n) if n != out])
    margins = jax.jit(lambda t: problem.margins(unravel(t), data)[keep])
    slopes = jax.jit(jax.jacrev(margins))
    start = np.asarray(flat) * (1.0 + 1e-2 * np.random.default_rng(0).normal(size=flat.shape))
    rule = {"type": "ineq", "fun": lambda t: np.asarray(margins(t)) - 1.0, "jac": lambda t: np.asarray(slopes(t))}
    end = minimize(
        lambda t: 0.5 * t @ t,
        start,
        jac=lambda t: t,
        method="SLSQP",
        constraints=[rule],
        options={"ftol": 1e-15, "maxiter": 2000},
    )
    return float(end.fun) if np.asarray(margins(end.x)).min() > 1.0 - 1e-8 else float("nan")
