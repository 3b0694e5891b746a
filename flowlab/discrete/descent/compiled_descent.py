"""Descent with many weights: loops compiled whole, since from a hundred thousand weights on a step on the host costs
more than a gradient.
"""

from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.typing import Array, PyTree, Scalar
from flowlab.discrete.critical.constrained_problem import Constrained, Objective
from flowlab.discrete.critical.sphere_product import along, project, tangent

MEMORY = 20
_CONJUGATE = 300
"""Most products with the Hessian in one step."""


def lbfgs(con: Constrained, theta: np.ndarray, tolerance: float, steps: int) -> tuple[np.ndarray, int]:
    """Limited-memory BFGS (Nocedal and Wright 2006, algorithm 7.4) on the spheres; what is remembered is used as it
    stands, and directions are projected.

    Args:
        con: the constrained problem.
        theta: where to begin, (P,).
        tolerance: of `con.residual`.
        steps: the most steps.

    Returns:
        The end, and how many steps were taken.
    """
    end, taken = _lbfgs(
        con.objective, con.spheres.per, theta, np.float64(tolerance), np.float64(1e-3 * con.typical), np.int64(steps)
    )
    return np.asarray(end), int(taken)


def truncated(con: Constrained, theta: np.ndarray, radius: float) -> tuple[np.ndarray, float]:
    """Conjugate gradients on the quadratic model until they leave the ball or meet negative curvature (Steihaug 1983);
    the step and what the model gains.
    """
    move, gain = _truncated(con.objective, con.spheres.per, theta, np.float64(radius))
    return np.asarray(move), float(gain)


class _Memory(eqx.Module):
    """Steps and changes of the gradient, the latest at `count` - 1 modulo their number; in single precision, since a
    direction needs no more.
    """

    s: jax.Array
    y: jax.Array
    products: jax.Array
    scale: jax.Array
    count: jax.Array

    @classmethod
    def empty(cls, size: int) -> "_Memory":
        none = jnp.zeros((MEMORY, size), jnp.float32)
        return cls(none, none, jnp.ones(MEMORY), jnp.ones(()), jnp.zeros((), jnp.int64))

    def direction(self, g: jax.Array) -> jax.Array:
        """Minus the inverse Hessian that is remembered times g: the two loops."""

        def down(i: jax.Array, carried: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            d, parts = carried
            at = (self.count - 1 - i) % MEMORY
            part = jnp.where(i < self.count, self.s[at] @ d / self.products[at], 0.0)
            return d - part * self.y[at], parts.at[at].set(part)

        def up(i: jax.Array, d: jax.Array) -> jax.Array:
            at = (self.count - jnp.minimum(self.count, MEMORY) + i) % MEMORY
            part = jnp.where(i < self.count, parts[at] - self.y[at] @ d / self.products[at], 0.0)
            return d + part * self.s[at]

        d, parts = jax.lax.fori_loop(0, MEMORY, down, (-g, jnp.zeros(MEMORY)))
        return jax.lax.fori_loop(0, MEMORY, up, self.scale * d)

    def with_pair(self, s: jax.Array, y: jax.Array) -> "_Memory":
        """One pair more, unless it has no curvature."""
        product, square = s @ y, y @ y
        at, keep = self.count % MEMORY, product > 1e-12 * jnp.sqrt((s @ s) * square)
        return _Memory(
            self.s.at[at].set(jnp.where(keep, s.astype(jnp.float32), self.s[at])),
            self.y.at[at].set(jnp.where(keep, y.astype(jnp.float32), self.y[at])),
            self.products.at[at].set(jnp.where(keep, product, self.products[at])),
            jnp.where(keep, product / square, self.scale),
            self.count + keep,
        )


_Trial: TypeAlias = tuple[Array, Array, Array, Array, Array]
"""A length along the direction, where it leads, the objective and the gradient there, and whether it will do."""


@eqx.filter_jit
def _lbfgs(
    objective: Objective, per: str, theta: Array, tolerance: Scalar, least: Scalar, steps: np.int64 | jax.Array
) -> tuple[jax.Array, jax.Array]:
    layout = objective.layout
    both = jax.value_and_grad(objective)

    def line(theta: jax.Array, f: jax.Array, g: jax.Array, d: jax.Array, first: jax.Array) -> _Trial:
        """A shorter and shorter step along d until the objective falls; in its round-off, until the slope does (Hager
        and Zhang 2005).
        """
        slope, noise, long = g @ d, 1e-13 * jnp.maximum(1.0, jnp.abs(f)), jnp.linalg.norm(d)

        def shorter(c: _Trial) -> _Trial:
            trial = project(layout, per, theta + c[0] * d)
            new, full = both(trial)
            enough = f + 1e-4 * c[0] * slope
            flatter = jnp.abs(tangent(layout, per, trial, full) @ d) < jnp.abs(slope)
            good = ((new <= enough) | (jnp.abs(new - f) <= noise)) & ((new <= enough - noise) | flatter)
            return jnp.where(good, c[0], 0.5 * c[0]), trial, new, full, good

        begin = jnp.minimum(first, 1.0 / long), theta, f, g, jnp.asarray(False)
        return jax.lax.while_loop(lambda c: ~c[4] & (c[0] * long > 1e-16), shorter, begin)

    def going(c: PyTree) -> jax.Array:
        _, _, full, g, _, taken, alive = c
        return alive & (taken < steps) & (jnp.linalg.norm(g) > tolerance * jnp.maximum(jnp.linalg.norm(full), least))

    def step(c: PyTree) -> PyTree:
        theta, f, full, g, memory, taken, _ = c
        d = tangent(layout, per, theta, memory.direction(g))
        up = ~(d @ g < 0)
        d = jnp.where(up, -g, d)
        count = jnp.where(up, 0, memory.count)
        memory = eqx.tree_at(lambda m: (m.count, m.scale), memory, (count, jnp.where(count > 0, memory.scale, 1.0)))
        first = jnp.where(count > 0, 1.0, jnp.minimum(1.0, 0.1 / jnp.linalg.norm(g)))
        length, trial, new, full_new, good = line(theta, f, g, d, first)
        g_new = tangent(layout, per, trial, full_new)
        longer = memory.with_pair(tangent(layout, per, trial, length * d), g_new - tangent(layout, per, trial, g))
        forgotten = eqx.tree_at(lambda m: (m.count, m.scale), longer, (jnp.zeros_like(count), jnp.ones(())))
        kept = jax.tree.map(lambda a, b: jnp.where(good, a, b), (trial, new, full_new, g_new), (theta, f, full, g))
        # A search that fails starts again along the gradient; one that fails along the gradient is the end.
        memory = jax.tree.map(lambda a, b: a if a.ndim > 1 else jnp.where(good, a, b), longer, forgotten)
        return *kept, memory, taken + 1, good | (count > 0)

    f, full = both(theta)
    begin = (
        jnp.asarray(theta),
        f,
        full,
        tangent(layout, per, theta, full),
        _Memory.empty(theta.size),
        jnp.zeros((), jnp.int64),
        jnp.asarray(True),
    )
    end = jax.lax.while_loop(going, step, begin)
    return end[0], end[5]


@eqx.filter_jit
def _truncated(objective: Objective, per: str, theta: Array, radius: Scalar) -> tuple[Array, Array]:
    layout = objective.layout
    full, times = jax.linearize(jax.grad(objective), theta)
    lam = along(layout, per, theta, full)
    g = tangent(layout, per, theta, full)
    first = jnp.linalg.norm(g)
    enough = first * jnp.minimum(0.1, first / jnp.maximum(jnp.linalg.norm(full), 1e-300))

    def step(c: PyTree) -> PyTree:
        s, Hs, r, p, count, _ = c
        Hp = tangent(layout, per, theta, times(p) - lam * p)
        bend, rr = p @ Hp, r @ r
        inner = rr / bend
        out = (bend <= 0) | (jnp.linalg.norm(s + inner * p) >= radius)
        sp, pp, ss = s @ p, p @ p, s @ s
        a = jnp.where(out, (-sp + jnp.sqrt(sp * sp + pp * (radius**2 - ss))) / pp, inner)
        s, Hs, r = s + a * p, Hs + a * Hp, r + a * Hp
        return s, Hs, r, -r + r @ r / rr * p, count + 1, out | (jnp.linalg.norm(r) <= enough)

    none = jnp.zeros_like(theta)
    begin = none, none, g, -g, jnp.asarray(0), first == 0
    s, Hs, *_ = jax.lax.while_loop(lambda c: ~c[5] & (c[4] < _CONJUGATE), step, begin)
    return s, -(g @ s + 0.5 * s @ Hs)
