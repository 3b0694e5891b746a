"""The independent word on every derivative: reverse-mode autodiff of the objective."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from flowlab.language.problem import Problem


def velocity(problem: Problem, weights: Mapping[str, Any], data: Any) -> dict[str, jax.Array]:
    """-∂L/∂W by `jax.vjp` of the objective, block by block.

    The pull-back starts from the outputs' own loss terms; nothing of the symbolic derivation is used.
    """
    value, pull = jax.vjp(lambda w: problem.objective(w, data, jnp), dict(weights))
    (gradient,) = pull(jnp.ones_like(value))
    return {name: -g for name, g in gradient.items()}
