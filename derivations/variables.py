"""One loss in the variables of every scheme, differentiated by autodiff;
the derivation of the schemes is compared with it.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from derivations.points import Arrays, Point
from flowlab.language.problem import Problem
from flowlab.symbolic.certificate import Samples


@eqx.filter_jit
def _pulls(problem: Problem, rho: Any, v: Any, x: Any, y: Any) -> dict[str, Any]:
    """Negative gradients of the loss in three parametrisations at (ρ, v), and v/‖v‖ with its derivative along them."""

    def loss(weights: Any) -> Any:
        return problem.objective(weights, Samples(x, y), jnp)

    def unit(v: Any) -> Any:
        return {k: a / jnp.sqrt(jnp.sum(a * a)) for k, a in v.items()}

    def free(r: Any, v: Any) -> Any:
        return loss({k: r[k] * v[k] for k in v})

    def normalised(r: Any, v: Any) -> Any:
        return free(r, unit(v))

    def exponential(a: Any, v: Any) -> Any:
        return normalised({k: jnp.exp(b) for k, b in a.items()}, v)

    def down(f: Callable[..., Any], *at: Any) -> Any:
        return jax.tree.map(jnp.negative, jax.grad(f, (0, 1))(*at))

    found = {
        "free": down(free, rho, v),
        "normalised": down(normalised, rho, v),
        "exponential": down(exponential, jax.tree.map(jnp.log, rho), v),
    }
    return found | {"turn": jax.jvp(unit, (v,), (found["normalised"][1],))[1]}


@cache
def pulls(p: Point, length: float = 1.0) -> dict[str, Any]:
    """Autodiff at the state of a point with directions made `length` times as long."""
    return jax.tree.map(np.asarray, _pulls(p.problem, p.rho, {k: length * v for k, v in p.V.items()}, p.x, p.y))


def parametrised(p: Point, scheme: str) -> tuple[Arrays, Arrays]:
    """(ρ̇, V̇) by autodiff of the loss in the scheme's own variables, at length one."""
    if scheme == "gradient_flow":
        return p.autodiff["rho_rate"], p.autodiff["V_rate"]
    kind = "normalised" if scheme == "lagrange" else "exponential"
    stretch = {k: 1.0 if scheme == "lagrange" else p.rho[k] for k in p.rho}
    return {k: stretch[k] * r for k, r in pulls(p)[kind][0].items()}, pulls(p)[kind][1]
