"""Checkpoints of a training of the user's own: times and weights by block, checked against network and data."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from flowlab.core.arguments import array, line, must_be, short
from flowlab.core.errors import DataError, FlowlabError, ShapeMismatch
from flowlab.core.memory import require_memory
from flowlab.core.typing import ArrayLike
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State, names_match, shapes_match


def stacked(
    times: Sequence[float], weights: Sequence[Mapping[str, ArrayLike]], problem: Problem, data: Data
) -> tuple[np.ndarray, State]:
    """Log of the times, (S,), and the states of all checkpoints, with a leading axis of length S.

    Args:
        times: at which the checkpoints were taken, growing, the first at or above 0.
        weights: by block, at every time; arrays of numpy, jax, or any library whose arrays numpy reads.
        problem: whose network has these blocks.
        data: samples that the network takes.

    Raises:
        LanguageError, ShapeMismatch, DataError, TooLarge: naming the checkpoint, counted from 0, and its block.
    """
    problem.loss.check_labels(data)
    log_t = _log_times(times, len(weights))
    states = []
    for i, blocks in enumerate(weights):
        missing, odd = set(problem.network.weights) - set(blocks), set(blocks) - set(problem.network.weights)
        if missing or odd:
            what = f"lacks the block `{min(missing)}`" if missing else f"has the block `{line(str(min(odd, key=str)))}`"
            known = ", ".join(problem.network.weights)
            raise ShapeMismatch(f"`weights[{i}]` {what}; the network has the blocks {known}: name them so.")
        try:
            state = State.from_weights(
                {name: _plain(blocks[name]) for name in problem.network.weights}, per=problem.per
            )
            names_match(state, problem.network)
            shapes_match(state, problem.network, data)
        except FlowlabError as error:
            raise type(error)(f"`weights[{i}]`: {error}") from None
        if not states:
            size = sum(v.size for v in state.V.values())
            require_memory(4 * 8 * size * len(weights), f"{len(weights)} checkpoints of {size} weights")
        elif any(state.V[k].shape != states[0].V[k].shape for k in state.V):
            raise ShapeMismatch(f"`weights[{i}]` differs in shape from `weights[0]`; pass checkpoints of one network.")
        states.append(state)
    return log_t, State(
        rho={k: jnp.asarray(np.stack([np.asarray(s.rho[k]) for s in states])) for k in states[0].rho},
        V={k: jnp.asarray(np.stack([np.asarray(s.V[k]) for s in states])) for k in states[0].V},
        per=problem.per,
    )


def _log_times(times: Sequence[float], count: int) -> np.ndarray:
    """Logarithms of growing times, one for each of so many checkpoints."""
    found = array("times", times)
    if found.ndim != 1 or len(found) != count or count == 0:
        raise must_be(
            "times", found.shape, f"one number for each of the {count} checkpoints, at least one", "as many times"
        )
    if not (np.isfinite(found).all() and found[0] >= 0 and (np.diff(found) > 0).all()):
        raise must_be("times", found.tolist(), "finite, growing and at or above 0", "steps times the step size")
    with np.errstate(divide="ignore"):
        return np.log(found)


def _plain(values: Any) -> Any:
    """An array in the memory of the host, without a tape of derivatives, as tensors of other libraries have them."""
    try:
        for method in ("detach", "cpu"):
            step = getattr(values, method, None)
            values = step() if callable(step) else values
    except Exception as error:
        # Methods of a foreign class may raise anything.
        raise DataError(f"a block must be an array ({short(str(error), 80)}); pass its numbers.") from None
    return values
