"""Kvaerno's implicit method of order 5 with a Newton iteration of our own, as a diffrax solver.

Late in a run the residual of a stage carries noise of the size λ ε ‖y‖, λ the stiffness: an iteration that has reached it makes no
further progress, and must not be taken for divergence. Here it is the increment that counts: an iteration has converged when
the next increment would be small in units of the tolerance, or when it is round-off of the state; it has failed only when it
stops contracting above both. Tableau: A. Kvaernø, BIT Numerical Mathematics 44, 2004, as shipped by diffrax.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import lu_factor, lu_solve

_TABLEAU: Any = diffrax.Kvaerno5.tableau
STAGES = int(_TABLEAU.num_stages)
GAMMA = float(_TABLEAU.a_diagonal[1])
_ITERATIONS = 12
_PART = 1e-2
"""Part of the tolerance that the next increment may have when an iteration is called converged."""
_ROUND_OFF = 4.0 * 2.0**-52


def _square(rows: Any) -> np.ndarray:
    full = np.zeros((STAGES, STAGES))
    for i, row in enumerate(rows, 1):
        full[i, :i] = row[:i]
    return full


_A, _P = _square(_TABLEAU.a_lower), _square(_TABLEAU.a_predictor)


class Kvaerno5(diffrax.AbstractAdaptiveSolver):
    """Implicit steps for stiff flows; `args` is a `Setting`, which measures increments and knows the samples' part of the Jacobian.

    Attributes:
        dense: the whole Jacobian is factorised once per step; else only its part through the samples' outputs, of rank N C, by
            the Woodbury identity, and what is left to the iteration.
    """

    dense: bool = True
    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar[Callable[..., Any]] = diffrax.LocalLinearInterpolation

    def order(self, terms: Any) -> int:
        return 5

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> jax.Array:
        return ravel_pytree(terms.vf(t0, y0, args))[0]

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        return terms.vf(t0, y0, args)

    def step(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any, solver_state: Any, made_jump: Any) -> tuple:
        flat, restore = ravel_pytree(y0)
        h = t1 - t0

        def rate(y: jax.Array) -> jax.Array:
            return ravel_pytree(terms.vf(t0, restore(y), args))[0]

        solve = self._dense(rate, flat, h) if self.dense else self._by_samples(args, t0, y0, h)
        a, p = jnp.asarray(_A), jnp.asarray(_P)

        def stage(i: Any, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            k, fine = carry
            increment, converged = self._newton(lambda d: h * rate(flat + a[i] @ k + GAMMA * d) - d, solve, p[i] @ k, args, t0, y0, restore, flat)
            return k.at[i].set(increment), fine & converged

        # The first stage is the last one of the step before, which solved an equation. Evaluated anew it would carry the noise of
        # the stiff part, R ε times its stiffness, which no later stage damps; so it is kept even where y0 was projected.
        k = jnp.zeros((STAGES, flat.size), flat.dtype).at[0].set(h * solver_state)
        k, fine = jax.lax.fori_loop(1, STAGES, stage, (k, jnp.asarray(True)))
        y1 = restore(flat + a[-1] @ k + GAMMA * k[-1])
        # A stage without a solution is a rejected step.
        error = restore(jnp.where(fine, jnp.asarray(_TABLEAU.b_error) @ k, jnp.inf))
        return y1, error, {"y0": y0, "y1": y1}, k[-1] / h, diffrax.RESULTS.successful

    def _newton(
        self, residual: Callable, solve: Callable, guess: jax.Array, args: Any, s: Any, y0: Any, restore: Callable, flat: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        floor = _ROUND_OFF * jnp.max(jnp.abs(flat))

        def ended(size: jax.Array, before: jax.Array, last: jax.Array, count: jax.Array) -> jax.Array:
            rate = size / before
            contracted = (count >= 2) & (rate < 1) & (size * rate / (1 - jnp.minimum(rate, 0.999)) < _PART)
            # Small and no longer falling is round-off that the tolerance has to live with.
            settled = (count >= 3) & (rate > 0.3) & (size < 0.3)
            return contracted | settled | (size < 0.1 * _PART) | (last <= floor)

        def more(carry: tuple) -> jax.Array:
            _, size, before, last, count = carry
            failing = ~jnp.isfinite(size) | ((count >= 3) & (size > 2 * before))
            return (count == 0) | (~ended(size, before, last, count) & ~failing & (count < _ITERATIONS))

        def iterate(carry: tuple) -> tuple:
            k, size, _, _, count = carry
            d = solve(residual(k))
            return k + d, args.size(s, y0, restore(d)), size, jnp.max(jnp.abs(d)), count + 1

        far = jnp.asarray(jnp.inf)
        k, size, before, last, count = jax.lax.while_loop(more, iterate, (guess, far, far, far, jnp.asarray(0)))
        return k, ended(size, before, last, count)

    def _dense(self, rate: Callable, y: jax.Array, h: Any) -> Callable[[jax.Array], jax.Array]:
        factors = lu_factor(jnp.eye(y.size) - h * GAMMA * jax.jacfwd(rate)(y))
        return lambda b: lu_solve(factors, b)

    def _by_samples(self, args: Any, s: Any, y: Any, h: Any) -> Callable[[jax.Array], jax.Array]:
        """(I - hγ(U B + diagonal of q))^{-1}, by a system of the size of the samples."""
        ahead, back, entry = args.by_samples(s, y)
        size = ravel_pytree(y)[0].size
        ahead = ahead.at[-1].set(0.0)
        factors = lu_factor(jnp.eye(ahead.shape[1]) - h * GAMMA * back @ ahead)
        diagonal = jnp.ones(size).at[-1].set(1.0 / (1.0 - h * GAMMA * entry))

        def solve(b: jax.Array) -> jax.Array:
            return diagonal * (b + h * GAMMA * ahead @ lu_solve(factors, back @ b))

        return solve
