"""The independent word on every derivative: reverse-mode autodiff of the objective."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from flowlab.core.typing import Blocks
from flowlab.language.problem import Problem

_LONGEST_COMPILED = 60
"""Nodes up to which the gradient is compiled as a whole. Compiling takes longer than in proportion to the length, from
about here on longer than evaluating one operation after another, each of which is compiled once for its shape.
"""


def velocity(problem: Problem, weights: Blocks, data: Any) -> dict[str, jax.Array]:
    """-∂L/∂W by `jax.vjp` of the objective, block by block.

    The pull-back starts from the outputs' own loss terms; nothing of the symbolic derivation is used.

    Args:
        problem: network and loss.
        weights: arrays by block.
        data: anything with inputs `x` (N, d) and labels `y`.
    """
    evaluate = _compiled if len(problem.network.nodes) <= _LONGEST_COMPILED else _velocity
    return evaluate(problem.objective_only, dict(weights), data.x, data.y)


class _Labelled(NamedTuple):
    x: Any
    y: Any


def _velocity(problem: Problem, weights: Blocks, x: Any, y: Any) -> dict[str, jax.Array]:
    value, pull = jax.vjp(lambda w: problem.objective(w, _Labelled(x, y), jnp), weights)
    (gradient,) = pull(jnp.ones_like(value))
    return {name: -g for name, g in gradient.items()}


_compiled = eqx.filter_jit(_velocity)
