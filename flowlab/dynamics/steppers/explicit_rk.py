"""Explicit Runge-Kutta steps on one vector, as a diffrax solver.

Networks of some tens of weights cost less than what surrounds them, and less to run than to compile. So the state is
one vector, a stage is one sum and one rate, and the loop over stages holds the one copy of the rate that is compiled.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, NamedTuple, cast

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from flowlab.core.host_programs import on_host
from flowlab.core.typing import Array, PyTree, Scalar


class Kept(NamedTuple):
    """What a step leaves for the next one.

    Attributes:
        rate: at the end of the step, (n,).
        h_lambda: steps times stiffness from the last two stages, which look at the same time and differ in the state;
            scalar (E. Hairer, G. Wanner, "Solving Ordinary Differential Equations II", IV.2).
    """

    rate: jax.Array
    h_lambda: jax.Array


class Explicit(diffrax.AbstractAdaptiveSolver):
    """Steps by a tableau whose last stage is the rate at the end of the step.

    Attributes:
        method: the diffrax solver that the tableau and its order are from.
    """

    method: diffrax.AbstractERK
    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar[Callable[..., Any]] = diffrax.LocalLinearInterpolation

    @property
    def has_dense(self) -> bool:
        """Whether steps have a continuous extension that is a polynomial in the stages."""
        return isinstance(self.method, diffrax.Tsit5)

    def dense_weights(self, t: np.ndarray) -> np.ndarray:
        """Weights (len(t), stages) of the rates in the state at parts t of a step, as diffrax evaluates them."""
        return _dense_weights(type(self.method), tuple(float(v) for v in t))

    @property
    def tableau(self) -> Any:
        """The coefficients."""
        return self.method.tableau

    def order(self, terms: diffrax.AbstractTerm) -> int | None:
        return self.method.order(terms)

    def init(self, terms: diffrax.AbstractTerm, t0: Scalar, t1: Scalar, y0: PyTree, args: PyTree) -> Kept:
        return Kept(ravel_pytree(terms.vf(t0, y0, args))[0], jnp.zeros(()))

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
        h: jax.Array = cast(jax.Array, t1) - t0
        tableau = self.tableau

        def rate(c: Scalar, y: jax.Array) -> jax.Array:
            return ravel_pytree(terms.vf(t0 + c * h, restore(y), args))[0]

        if isinstance(made_jump, bool):
            first = rate(0.0, flat) if made_jump else solver_state.rate
        else:
            first = jax.lax.cond(made_jump, lambda: rate(0.0, flat), lambda: solver_state.rate)
        rows, places = _full(type(self.method))

        def stage(i: jax.Array, found: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, ...]:
            k, _, before = found
            y = flat + h * _sum(jnp.asarray(rows)[i], k)
            return jax.lax.dynamic_update_index_in_dim(k, rate(jnp.asarray(places)[i], y), i, 0), before, y

        k = jnp.zeros((len(rows), flat.size), flat.dtype).at[0].set(first)
        k, before, y = jax.lax.fori_loop(1, len(rows), stage, (k, flat, flat))
        # With the last row equal to the weights of the solution the last place looked at is the end of the step.
        error = h * _sum(np.asarray(tableau.b_error), k)
        far, near = jnp.linalg.norm(k[-1] - k[-2]), jnp.linalg.norm(y - before)
        same_time = float(tableau.c[-1]) == float(tableau.c[-2]) == 1.0
        h_lambda = h * far / jnp.where(near > 0, near, jnp.inf) if same_time else jnp.zeros(())
        return (
            restore(y),
            restore(error),
            {"y0": y0, "y1": restore(y), "k": k},
            Kept(k[-1], h_lambda),
            diffrax.RESULTS.successful,
        )


@cache
def _dense_weights(method: type[diffrax.AbstractERK], t: tuple[float, ...]) -> np.ndarray:
    """The dense output is linear in the stages, so one stage at a time tells its weights."""
    dense: PyTree = method.interpolation_cls
    stages = len(method.tableau.b_error)  # type: ignore[attr-defined]

    def weights(v: Array, zero: Array, k: Array) -> Array:
        return dense(t0=0.0, t1=1.0, y0=zero, y1=zero, k=k).evaluate(v)

    # State i of the diagonal system sees stage i alone; diffrax's stages carry the factor h = 1.
    return np.stack([on_host(weights, np.asarray(v), np.zeros(stages), np.eye(stages)) for v in t])


@cache
def _full(method: type[diffrax.AbstractERK]) -> tuple[np.ndarray, np.ndarray]:
    """The tableau with its explicit first stage: rows (S, S) and places (S,) of the stages."""
    tableau: Any = method.tableau
    stages = len(tableau.b_error)
    rows, places = np.zeros((stages, stages)), np.zeros(stages)
    for i, (row, c) in enumerate(zip(tableau.a_lower, tableau.c, strict=True), 1):
        rows[i, :i], places[i] = row, c
    return rows, places


def _sum(row: Array, k: jax.Array) -> jax.Array:
    """The stages k (S, n) by their weights (S,), added up one after the other."""
    total = row[0] * k[0]
    for i in range(1, len(row)):
        total = total + row[i] * k[i]
    return total
