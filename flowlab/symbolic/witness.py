"""What autodiff and the numeric meaning of the scheme say of the rates at a state, in float64 and with more digits."""

from typing import Any

import numpy as np

from flowlab.core.typing import Array, Blocks
from flowlab.language.norm_groups import inner, scaled
from flowlab.language.problem import Problem
from flowlab.symbolic.equations import FlowEquations
from flowlab.symbolic.states import Samples, TestState, inputs_of

Key = tuple[str, str]
"""The kind of a rate (`"rho"`, `"V"` or `"W"`) and its block."""


def reference(problem: Problem, state: TestState) -> dict[Key, Array]:
    """The rates by autodiff and the scheme's numeric meaning."""
    return rates(problem, state, velocity(problem, state))


def velocity(problem: Problem, state: TestState) -> dict[str, np.ndarray]:
    """-∂L/∂W by autodiff, by block."""
    from flowlab.language import autodiff

    return {w: np.asarray(v) for w, v in autodiff.velocity(problem, state.weights, state.samples).items()}


def rates(problem: Problem, state: TestState, g: Blocks) -> dict[Key, Array]:
    """The rates at a velocity g, by the scheme's numeric meaning."""
    if problem.coordinates == "weights":
        spaces, W = problem.geometry, state.weights
        return {("W", w): spaces[w].inverse_metric(np, W[w], v) if w in spaces else v for w, v in g.items()}
    rho_rate, V_rate = problem.scheme.numeric(np, state.rho, state.V, g, problem.per)
    return {("rho", k): v for k, v in rho_rate.items()} | {("V", w): v for w, v in V_rate.items()}


def length(array: Any) -> float:
    """The Euclidean norm; of tiny entries too, whose squares would underflow."""
    flat = np.abs(np.ravel(array))
    top = float(flat.max(initial=0.0))
    return top * float(np.linalg.norm(flat / top)) if 0.0 < top < np.inf else top


def extended_gaps(flow: FlowEquations, state: TestState) -> dict[Key, float]:
    """By how much derived rates and those of autodiff differ where both are worked out with more digits than float64
    has; nothing where that is not to be had.
    """
    from flowlab.language.autodiff import extended_velocity

    problem, more = flow.problem, _extended(flow.problem, state)
    if more is None:
        return {}
    try:
        truth = rates(problem, more, extended_velocity(problem, more.weights, more.samples))
        derived = flow.program.evaluate(np, inputs_of(problem, more))
    except TypeError:
        # A special function that is written for float64 alone.
        return {}
    gaps = {key: length(np.asarray(derived[key] - want, float)) for key, want in truth.items()}
    return {key: gap for key, gap in gaps.items() if np.isfinite(gap)}


def _extended(problem: Problem, state: TestState) -> TestState | None:
    """The state as `numpy.longdouble`, with directions of unit length and weights to these digits where a scheme takes
    them from norms; None where numpy has no more digits, or something is worked out by jax on the way.
    """
    more_digits = np.finfo(np.longdouble).eps < np.finfo(float).eps
    if not more_digits or problem.geometry or problem.network.is_opaque:
        return None

    def more(value: Any) -> np.ndarray:
        value = np.asarray(value)
        return value.astype(np.longdouble) if value.dtype == float else value

    rho, V, W = ({k: more(v) for k, v in blocks.items()} for blocks in (state.rho, state.V, state.weights))
    if problem.coordinates != "weights":
        if not (problem.scheme.normalises or problem.scheme.any_length):
            lengths = {k: 1.0 / np.sqrt(v) for k, v in inner(V, V, problem.per).items()}
            V = {w: np.asarray(v) for w, v in scaled(lengths, V, problem.per).items()}
        W = {w: np.asarray(v) for w, v in problem.scheme.weights(np, rho, V, problem.per).items()}
    samples = state.samples.changed(more)
    return TestState(rho, V, W, Samples(samples.x, more(samples.y)))
