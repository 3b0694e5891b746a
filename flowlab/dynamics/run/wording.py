"""The sentences of outcomes: where a run ended, why, and what to do."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from flowlab.core.typing import Scalar
from flowlab.dynamics.clocks import Clock
from flowlab.dynamics.conditions import LONGEST_LOG_TIME
from flowlab.dynamics.run.validation import FINEST
from flowlab.language.network import Network
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Outcome

CARRIED = 1e-3
"""Relative error of a place up to which the sentence has no advice."""
_FINEST_ABSOLUTE = 1e-18
"""Weights are of order one, and known to 1e-16."""
_ORDINARY = 200.0
"""Logarithm of norms beyond which they, and not the samples, are taken for the reason."""
_TINY = 650.0
"""Products of norms below e^-650 leave no room for features and slopes above the smallest float64, e^-708."""


def moment(clock: Clock, log_t: float, digits: int) -> str:
    """A time in the words of a clock."""
    if not clock.scales_loss and log_t <= LONGEST_LOG_TIME:
        return f"t = {math.exp(log_t):.{digits}g}"
    return f"log t = {log_t:.{digits}g}"


def beyond(state: State) -> str:
    """What to do where a rate is not finite: the norm furthest from one says which way."""
    logs = {k: np.log(np.asarray(r)[np.asarray(r) > 0]) for k, r in state.rho.items()}
    far = {k: float(v[np.argmax(np.abs(v))]) for k, v in logs.items() if v.size}
    name = max(far, key=lambda k: abs(far[k]), default=None)
    if name is not None and far[name] < -_ORDINARY:
        return (
            f"the norm of {name} is {math.exp(far[name]):.3g}, and rates of directions are divided by it; start from"
            " larger weights"
        )
    smaller = "start from smaller weights, or rescale the features"
    if name is not None and far[name] > _ORDINARY:
        return smaller
    return f"{smaller}; where the network divides, keep it from zero (normalisations take `eps`)"


def still(problem: Problem, state: State, seen: Mapping[str, Scalar]) -> str:
    """Why nothing moves, and what to do."""
    norms = np.concatenate([np.ravel(r) for r in state.rho.values()])
    if float(seen["log_loss"]) == -math.inf:
        return "the loss is zero; there is nothing to follow from here"
    if not norms.any():
        return "all weights are zero, which is a critical point; start from other weights"
    symmetry = problem.network.symmetry
    if -math.inf < float(seen["log_R"]) < -_TINY and (
        symmetry.is_multihomogeneous or symmetry.joint_degree is not None
    ):
        return f"the product of norms is e^{float(seen['log_R']):.4g}, too small for float64; start from larger weights"
    return (
        "dead units, or features that are zero or too small for float64; start from other weights or rescale the"
        " features"
    )


def tighter(rtol: float, atol: float, factor: float) -> str:
    """Tolerances smaller by a factor, down to a power of ten that float64 can hold steps to."""
    smaller = [10.0 ** math.floor(math.log10(tolerance * factor)) for tolerance in (rtol, atol)]
    return f"rtol={max(smaller[0], 10 * FINEST):.0e}, atol={max(smaller[1], _FINEST_ABSOLUTE):.0e}"


def qualified(outcome: Outcome, watched: Mapping[str, Mapping[str, Any]], rtol: float, atol: float) -> Outcome:
    """An outcome whose sentence tells of the monitor that is furthest beyond its bound, if one is."""
    off = {name: seen["worst"] / seen["bound"] for name, seen in watched.items() if not seen["holds"]}
    if not outcome.ok or not off:
        return outcome
    name = max(off, key=lambda k: math.inf if math.isnan(off[k]) else off[k])
    factor = 1.0 / off[name] if 0 < off[name] < math.inf else CARRIED
    seen = watched[name]
    why = f"{seen['what']} is {seen['worst']:.1e}, above {seen['bound']:.0e}"
    return replace(
        outcome,
        message=(
            f"{outcome.message.rstrip('.')}, but the monitor of {name} fails: {why}; use"
            f" `{tighter(rtol, atol, factor)}`."
        ),
    )


def stepped_over(outcome: Outcome, network: Network) -> Outcome:
    """An outcome whose sentence says that kinks were not followed, where the network has some that cannot be."""
    if not network.jumps:
        return outcome
    told = "jumps of the network were stepped over"
    if network.is_opaque:
        told = "kinks of the opaque network were stepped over; kinks of a network in the language are followed"
    return replace(outcome, message=f"{outcome.message.rstrip('.')}; {told}.")
