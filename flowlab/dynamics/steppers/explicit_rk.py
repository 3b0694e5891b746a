"""Explicit Runge-Kutta steps written out stage by stage, as a diffrax solver.

Networks of some tens of weights cost less than what surrounds them: a loop over stages that fills a buffer spends more
on the loop and the buffer than on the rates. Here the state is one vector, the tableau is part of the program, and a
step is one straight line of it.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, NamedTuple, cast

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from flowlab.core.typing import PyTree, Scalar


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

        def rate(c: float, y: jax.Array) -> jax.Array:
            return ravel_pytree(terms.vf(t0 + c * h, restore(y), args))[0]

        if isinstance(made_jump, bool):
            first = rate(0.0, flat) if made_jump else solver_state.rate
        else:
            first = jax.lax.cond(made_jump, lambda: rate(0.0, flat), lambda: solver_state.rate)
        k, before, y = [first], flat, flat
        for row, c in zip(tableau.a_lower, tableau.c, strict=True):
            before, y = y, flat + h * _sum(row, k)
            k.append(rate(float(c), y))
        # With the last row equal to the weights of the solution the last place looked at is the end of the step.
        error = h * _sum(tableau.b_error, k)
        far, near = jnp.linalg.norm(k[-1] - k[-2]), jnp.linalg.norm(y - before)
        same_time = float(tableau.c[-1]) == float(tableau.c[-2]) == 1.0
        h_lambda = h * far / jnp.where(near > 0, near, jnp.inf) if same_time else jnp.zeros(())
        return (
            restore(y),
            restore(error),
            {"y0": y0, "y1": restore(y), "k": jnp.stack(k)},
            Kept(k[-1], h_lambda),
            diffrax.RESULTS.successful,
        )


@cache
def _dense_weights(method: type[diffrax.AbstractERK], t: tuple[float, ...]) -> np.ndarray:
    """The dense output is linear in the stages, so one stage at a time tells its weights."""
    stages = int(method.tableau.num_stages)  # type: ignore[attr-defined]
    with jax.ensure_compile_time_eval():
        zero = jnp.zeros(stages)
        # State i of the diagonal system sees stage i alone; diffrax's stages carry the factor h = 1.
        dense: PyTree = method.interpolation_cls
        extension = dense(t0=0.0, t1=1.0, y0=zero, y1=zero, k=jnp.eye(stages))
        rows = [np.asarray(extension.evaluate(v)) for v in t]
    return np.stack(rows)


def _sum(row: np.ndarray, k: list[jax.Array]) -> jax.Array:
    total = jnp.zeros_like(k[0])
    for weight, each in zip(row, k, strict=True):
        if float(weight) != 0.0:
            total = total + float(weight) * each
    return total
