"""The independent word on every derivative: reverse-mode autodiff of the objective."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from flowlab.core.compiling import Program
from flowlab.core.host_programs import on_host, on_host_extended
from flowlab.core.typing import Array, Blocks
from flowlab.language.problem import Problem

_LONGEST_COMPILED = 60
"""Nodes up to which the gradient is compiled as a whole. Compiling takes longer than in proportion to the length, and
each operation for each shape; from about here on longer than tracing it and evaluating the operations by numpy.
"""


def velocity(problem: Problem, weights: Blocks, data: Any) -> dict[str, Array]:
    """-∂L/∂W by `jax.vjp` of the objective, block by block, times the learning rate and the sign of the block.

    The pull-back starts from the outputs' own loss terms; nothing of the symbolic derivation is used.

    Args:
        problem: network and loss.
        weights: arrays by block.
        data: anything with `inputs`, as a network takes them, and labels `y`.
    """
    evaluate = _compiled if len(problem.network.nodes) <= _LONGEST_COMPILED else _evaluated
    found = evaluate(problem.objective_only, dict(weights), data.inputs, data.y)
    return problem.paced(found)


def extended_velocity(problem: Problem, weights: Blocks, data: Any) -> dict[str, Array]:
    """`velocity` at arrays of `numpy.longdouble`, worked out in that precision.

    Raises:
        TypeError: where numpy has no word for an operation in this precision.
    """
    asked = problem.objective_only
    found = on_host_extended(lambda w, x, y: _velocity(asked, w, x, y), dict(weights), data.inputs, data.y)
    return problem.paced(found)


class _Labelled(NamedTuple):
    inputs: Any
    y: Any


def _velocity(problem: Problem, weights: Blocks, x: Any, y: Any) -> dict[str, jax.Array]:
    value, pull = jax.vjp(lambda w: problem.objective(w, _Labelled(x, y), jnp), weights)
    (gradient,) = pull(jnp.ones_like(value))
    return {name: -g for name, g in gradient.items()}


def _evaluated(problem: Problem, weights: Blocks, x: Any, y: Any) -> dict[str, Any]:
    found: dict[str, Any] = on_host(lambda w, x, y: _velocity(problem, w, x, y), weights, x, y)
    return found


_compiled = Program(_velocity)
