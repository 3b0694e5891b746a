"""Kvaerno's implicit method of order 5 with a Newton iteration of our own, as a diffrax solver.

A Jacobian costs as much as some tens of rates, so it is kept from step to step while the iteration contracts well with
it. Tableau: A. Kvaernø, BIT Numerical Mathematics 44, 2004, as shipped by diffrax.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import lu_factor, lu_solve

from flowlab.core.lanes import one_by_one
from flowlab.core.typing import PyTree, Scalar
from flowlab.dynamics.steppers.gnomonic_chart import Flat
from flowlab.dynamics.steppers.simplified_newton import jacobian, newton
from flowlab.dynamics.steppers.through_samples import inverse, no_system, system_of

_TABLEAU: Any = diffrax.Kvaerno5.tableau
STAGES = int(_TABLEAU.num_stages)
GAMMA = float(_TABLEAU.a_diagonal[1])
_REUSE = 0.3
"""Contraction per iteration up to which the Jacobian of a step serves the next one."""


def _square(rows: Sequence[np.ndarray]) -> np.ndarray:
    full = np.zeros((STAGES, STAGES))
    for i, row in enumerate(rows, 1):
        full[i, :i] = row[:i]
    return full


_A, _P = _square(_TABLEAU.a_lower), _square(_TABLEAU.a_predictor)


class Kept(NamedTuple):
    """What a step leaves for the next one: the rate at its end (n,), the Jacobian it used, (n, n) or a system of
    `through_samples`, and the slowest contraction seen with that.
    """

    rate: jax.Array
    jacobian: PyTree
    speed: jax.Array


class _Pass(NamedTuple):
    """The stages of a step with one Jacobian: whether it is of an earlier step, increments (STAGES, n), whether each
    was found, contraction of the last one and the slowest.
    """

    jacobian: PyTree
    tried: jax.Array
    earlier: jax.Array
    k: jax.Array
    fine: jax.Array
    speed: jax.Array
    slowest: jax.Array


class Kvaerno5(diffrax.AbstractAdaptiveSolver):
    """Implicit steps for stiff flows; `args` is a `Setting`, which measures increments and knows the samples' part of
    the Jacobian.

    Attributes:
        dense: the whole Jacobian is factorised; else only its part through the samples' outputs, of rank N C, by
            the Woodbury identity, and what is left to the iteration.
    """

    dense: bool = True
    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar[Callable[..., Any]] = diffrax.LocalLinearInterpolation

    def order(self, terms: diffrax.AbstractTerm) -> int:
        return 5

    def init(self, terms: diffrax.AbstractTerm, t0: Scalar, t1: Scalar, y0: PyTree, args: PyTree) -> Kept:
        rate = ravel_pytree(terms.vf(t0, y0, args))[0]
        kept = jnp.zeros((rate.size, rate.size)) if self.dense else no_system(args.by_samples(t0, y0))
        return Kept(rate, kept, jnp.ones(()))

    def func(self, terms: diffrax.AbstractTerm, t0: Scalar, y0: PyTree, args: PyTree) -> PyTree:
        return terms.vf(t0, y0, args)

    def step(
        self,
        terms: diffrax.AbstractTerm,
        t0: Scalar,
        t1: Scalar,
        y0: PyTree,
        args: PyTree,
        solver_state: Kept,
        made_jump: PyTree,
    ) -> tuple:
        flat, restore = ravel_pytree(y0)
        h = t1 - t0
        a, p = jnp.asarray(_A), jnp.asarray(_P)

        plane = Flat.of(args, lambda y: terms.vf(t0, y, args), y0)
        rate = plane.rate

        def size(d: jax.Array) -> jax.Array:
            return args.size(t0, y0, restore(d))

        coupling = None if self.dense else args.by_samples(t0, y0)

        def now() -> PyTree:
            return jacobian(rate, flat) if coupling is None else system_of(coupling, h * GAMMA)

        def stages(matrix: PyTree, earlier: jax.Array) -> _Pass:
            factorised = _factorised(matrix, h) if coupling is None else inverse(coupling, h * GAMMA, matrix)

            def solve(b: jax.Array) -> jax.Array:
                return plane.within(factorised(plane.within(b)))

            def stage(i: Scalar, done: _Pass) -> _Pass:
                def residual(d: jax.Array) -> jax.Array:
                    return h * rate(flat + a[i] @ done.k + GAMMA * d) - d

                found = newton(residual, solve, p[i] @ done.k, size, jnp.max(jnp.abs(flat)), done.speed, earlier)
                k, fine = done.k.at[i].set(found.root), done.fine & found.converged
                return _Pass(matrix, done.tried, earlier, k, fine, found.speed, jnp.maximum(done.slowest, found.speed))

            # The first stage is the last one of the step before, which solved an equation. Evaluated again it would
            # carry the noise of the stiff part, R ε times its stiffness, which no later stage damps; so it is kept even
            # where y0 was projected.
            k = jnp.zeros((STAGES, flat.size), flat.dtype).at[0].set(h * plane.within(solver_state.rate))
            # A contraction of the step before would be no promise here: the first stage has to see its own.
            unknown = jnp.asarray(1.0)
            return jax.lax.fori_loop(
                1,
                STAGES,
                stage,
                _Pass(matrix, jnp.asarray(True), earlier, k, jnp.asarray(True), unknown, jnp.zeros(())),
            )

        if solver_state.jacobian is None:
            done = stages(None, jnp.asarray(False))
        else:

            def attempt(done: _Pass) -> _Pass:
                # A Jacobian of an earlier step serves as long as the iteration contracts well; if it fails, the step is
                # repeated with its own.
                first = ~done.tried & (solver_state.speed < _REUSE)
                # A batch must not work out the Jacobians of lanes that keep theirs.
                return stages(one_by_one(lambda: jax.lax.cond(first, lambda: solver_state.jacobian, now)), first)

            none, no = jnp.zeros((STAGES, flat.size), flat.dtype), jnp.asarray(False)
            before = _Pass(solver_state.jacobian, no, no, none, no, jnp.asarray(1.0), jnp.zeros(()))
            done = jax.lax.while_loop(lambda done: ~done.tried | (done.earlier & ~done.fine), attempt, before)
        k = done.k
        end = flat + a[-1] @ k + GAMMA * k[-1]
        y1 = restore(end)
        # A stage without a solution is a rejected step.
        error = restore(jnp.where(done.fine, jnp.asarray(_TABLEAU.b_error) @ k, jnp.inf))
        kept = Kept(plane.left(end, k[-1] / h), done.jacobian, jnp.where(done.fine, done.slowest, 1.0))
        return y1, error, {"y0": y0, "y1": y1}, kept, diffrax.RESULTS.successful


def _factorised(jacobian: jax.Array, h: Scalar) -> Callable[[jax.Array], jax.Array]:
    factors = lu_factor(jnp.eye(len(jacobian)) - h * GAMMA * jacobian)
    return lambda b: lu_solve(factors, b)
