"""Directions at rest at fixed norms, found by descent and Newton steps on the spheres; second derivatives by autodiff;
hard margins.

Nothing here knows of an equation that a derivation shows: a resting point is where autodiff of the loss on the spheres
vanishes.
"""

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.linalg import null_space
from scipy.optimize import minimize, nnls

from derivations.points import Arrays, Point, points
from flowlab.language.problem import Problem
from flowlab.symbolic.certificate import Samples


@dataclass(frozen=True, eq=False)
class Curved(Point):
    """A state that knows its second derivatives too; blocks lie one after another in one long vector."""

    @cached_property
    def second(self) -> Arrays:
        """By forward over reverse `jax`: `sphere`, of L(ρ v/‖v‖) in v; `free`, of L(ρ v) in v; `outputs`,
        of every margin at v.
        """
        return jax.tree.map(np.asarray, _second(self.problem, self.rho, self.V, self.x, self.y))

    @cached_property
    def flat(self) -> np.ndarray:
        """V as one vector."""
        return flat(self.V)

    def by_block(self, numbers: dict[str, float]) -> np.ndarray:
        """A number per block, repeated for every entry of the block."""
        return flat(self.each(lambda k: np.full(np.shape(self.V[k]), numbers[k])))

    @cached_property
    def tangent(self) -> np.ndarray:
        """An orthonormal basis of the tangent space of the spheres, one column each."""
        radial = np.stack([flat(self.each(lambda j, k=k: self.V[j] if j == k else 0 * self.V[j])) for k in self.V])
        return null_space(radial)

    @cached_property
    def hessian(self) -> np.ndarray:
        """The Riemannian Hessian of L on the spheres in the basis `tangent`, by autodiff through v/‖v‖."""
        return self.tangent.T @ self.second["sphere"] @ self.tangent


def flat(blocks: Arrays) -> np.ndarray:
    """Blocks as one vector, in the order in which `jax` flattens dictionaries."""
    return np.concatenate([np.ravel(blocks[k]) for k in sorted(blocks)])


def curved(p: Point) -> Curved:
    """The same state with second derivatives."""
    return Curved(p.problem, p.rho, p.V, p.x, p.y)


@eqx.filter_jit
def _second(problem: Problem, rho: Any, V: Any, x: Any, y: Any) -> dict[str, Any]:
    start, blocks = ravel_pytree(V)

    def margins(v: Any) -> Any:
        return y * problem.network.outputs(blocks(v), x, jnp)[:, 0]

    def free(v: Any) -> Any:
        return problem.objective({k: rho[k] * a for k, a in blocks(v).items()}, Samples(x, y), jnp)

    def both(v: Any) -> Any:
        unit = {k: a / jnp.sqrt(jnp.sum(a * a)) for k, a in blocks(v).items()}
        return jnp.stack([free(ravel_pytree(unit)[0]), free(v)])

    sphere, plain = jax.jacfwd(jax.jacrev(both))(start)
    return {"sphere": sphere, "free": plain, "outputs": jax.jacfwd(jax.jacrev(margins))(start)}


@eqx.filter_jit
def _log_loss(problem: Problem, rho: Any, V: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """The logarithm of L at ρ v/‖v‖ and its gradient in v;
    the logarithm keeps small losses of one size with large ones.
    """

    def value(v: Any) -> Any:
        weights = {k: rho[k] * a / jnp.sqrt(jnp.sum(a * a)) for k, a in v.items()}
        return jnp.log(problem.objective(weights, Samples(x, y), jnp))

    return jax.value_and_grad(value)(V)


def separable(net: str, loss: str, seed: int = 0, *, n: int = 9, d: int = 3) -> Point:
    """A random state with data that a hyperplane through the origin separates;
    the data depend on the seed and not on the net.
    """
    rng = np.random.default_rng(seed + 100)
    x, u = rng.normal(size=(n, d)) / np.sqrt(d), rng.normal(size=d)
    u = u / np.linalg.norm(u)
    y = np.where(x @ u > 0, 1.0, -1.0)
    return replace(points(net, loss)[seed % 3], x=x + 0.3 * y[:, None] * u, y=y)


def at_norms(p: Point, R: float, seed: int = 0) -> Point:
    """The same directions with random unequal norms whose product is R."""
    shares = np.random.default_rng(seed).dirichlet(np.full(len(p.rho), 5.0))
    kappa = [p.kappa[k] for k in p.rho]
    return replace(
        p, rho={k: np.asarray(R ** (share / degree)) for k, share, degree in zip(p.rho, shares, kappa, strict=True)}
    )


@cache
def rest(net: str, loss: str, R: float, seed: int = 0) -> Curved:
    """Directions where the loss at norms with product R is least nearby, for separable data;
    from those at half the product if R is large.
    """
    p = separable(net, loss, seed)
    return settle(replace(p, V=rest(net, loss, R / 2, seed).V) if R > 10 else p, R, seed)


def settle(p: Point, R: float, seed: int = 0) -> Curved:
    """Descend from a state on the spheres, then take Newton steps across the kernel of the Hessian until rounding is
    reached.
    """
    p = at_norms(p, R, seed)
    shapes = {k: np.shape(p.V[k]) for k in sorted(p.V)}

    def blocks(v: np.ndarray) -> Arrays:
        parts = np.split(v, np.cumsum([int(np.prod(s)) for s in shapes.values()])[:-1])
        return {k: (part / np.linalg.norm(part)).reshape(shapes[k]) for k, part in zip(shapes, parts, strict=True)}

    def value(v: np.ndarray) -> tuple[float, np.ndarray]:
        size, slope = _log_loss(p.problem, p.rho, blocks(v), p.x, p.y)
        lengths = {k: np.full(shapes[k], np.linalg.norm(part)) for k, part in _split(v, shapes).items()}
        return float(size), flat({k: np.asarray(g) for k, g in slope.items()}) / flat(lengths)

    found = curved(
        replace(
            p,
            V=blocks(
                np.asarray(
                    minimize(value, flat(p.V), jac=True, method="BFGS", options={"gtol": 1e-6, "maxiter": 400}).x
                )
            ),
        )
    )
    for _ in range(12):
        size, slope = value(found.flat)
        # At a resting point the Hessian of the logarithm is that of the loss over the loss.
        step = np.linalg.pinv(found.hessian / np.exp(size), rcond=1e-8, hermitian=True) @ (found.tangent.T @ slope)
        if np.linalg.norm(step) < 1e-13:
            break
        found = replace(found, V=blocks(found.flat - found.tangent @ step))
    return found


def _split(v: np.ndarray, shapes: dict[str, tuple[int, ...]]) -> Arrays:
    parts = np.split(v, np.cumsum([int(np.prod(s)) for s in shapes.values()])[:-1])
    return dict(zip(shapes, parts, strict=True))


def hard_margin(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The shortest w with y_n⟨x_n, w⟩ ≥ 1 and its duals α ≥ 0, w = Σ α_n y_n x_n;
    Lawson and Hanson's least distance by NNLS.
    """
    rows = y[:, None] * x
    E, f = np.vstack([rows.T, np.ones(len(y))]), np.append(np.zeros(x.shape[1]), 1.0)
    u, _ = nnls(E, f)
    last = (E @ u - f)[-1]
    return -rows.T @ u / last, -u / last
