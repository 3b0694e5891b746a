"""Autodiff held against finite differences: a function of a user may have a derivative rule of its own."""

import numpy as np

from flowlab.core.errors import DerivationMismatch
from flowlab.language.problem import Problem
from flowlab.symbolic.states import TestState, random_state

_STEP = 1e-4
"""Relative change of a block: with two central differences what is left is a part 1e-10 of the slope."""
_BOUND = 1e-6
"""Relative disagreement above which a derivative is wrong."""
_DOUBT = 10.0
"""Times the difference of both steps, within which they tell nothing: a kink lies between, or the slope turns."""
_ROUNDINGS = 1e-9
"""Of the objective, over the step: what roundings may make of a slope, 100 times over."""


def check_by_differences(problem: Problem, states: int, seed: int) -> None:
    """Hold -∂L/∂W by autodiff against central differences along one random direction of every block.

    Args:
        problem: network and loss.
        states: at how many random states.
        seed: of the first one.

    Raises:
        DerivationMismatch: naming the block and the size of the disagreement.
    """
    from flowlab.language.autodiff import velocity

    for number in range(states):
        state = random_state(problem, seed + number)
        rates = velocity(problem, state.weights, state.samples)
        rng = np.random.default_rng([seed, number])
        for block, weights in state.weights.items():
            along = rng.normal(size=np.shape(weights))
            along *= np.linalg.norm(weights) / np.linalg.norm(along)
            told = float((-np.asarray(rates[block]) * along).sum())
            gap, scale = _gap(problem, state, block, along, told)
            if gap > _BOUND * scale:
                raise DerivationMismatch(
                    f"the derivative of `{problem.network.text[:80]}` in `{block}` by jax.vjp disagrees with finite "
                    f"differences by {gap / scale:.1e} (relative); correct its own derivative rule, or stop_gradient.",
                    f"derivative in {block}",
                    gap / scale,
                )


def _gap(problem: Problem, state: TestState, block: str, along: np.ndarray, told: float) -> tuple[float, float]:
    """How far a slope is from what differences say, beyond what they leave open, and its size."""

    def objective(step: float) -> float:
        moved = {**state.weights, block: np.asarray(state.weights[block] + step * along)}
        return float(problem.objective(moved, state.samples, np))

    wide, near = ((objective(step) - objective(-step)) / (2 * step) for step in (_STEP, _STEP / 2))
    found = (4 * near - wide) / 3
    open_ = _DOUBT * abs(found - near) + _ROUNDINGS * abs(objective(0.0))
    return max(abs(found - told) - open_, 0.0), max(abs(found), abs(told))
