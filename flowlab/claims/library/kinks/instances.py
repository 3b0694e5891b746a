"""Flows that meet kinks, and the same with kinks rounded off."""

import numpy as np

from flowlab.claims.claim import Case
from flowlab.core.errors import ClaimError
from flowlab.core.hashing import sha256_arrays
from flowlab.dynamics import integrate, time
from flowlab.dynamics.kinks.smoothing_limit import Rounded, rounded
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State, initial_state
from flowlab.language.trajectory import Trajectory
from flowlab.lowering.lower import lower
from flowlab.symbolic.derive import derive

LONGEST = 0.25
"""Ordinary time to which both routes run: the thinner the rounding, the shorter its steps."""


def followed(problem: Problem, data: Data, start: State, end: float) -> Trajectory:
    """The flow along kinks up to a time."""
    return integrate(lower(derive(problem)), start, data, until=time(end), kinks="events")


def determined(problem: Problem, data: Data, start: State, end: float) -> tuple[float, Trajectory]:
    """The time up to which both routes run, and the flow along kinks up to it.

    Where that flow stops being determined, rounded flows tend to one of several: then both run halfway there.
    """
    field = lower(derive(problem))
    path = integrate(field, start, data, until=time(end), kinks="events")
    if path.outcome.kind == "nonunique" and len(path) > 1:
        end = 0.5 * float(np.exp(path.dataset["log_t"].values[-1]))
        path = integrate(field, start, data, until=time(end), kinks="events")
    if not path.outcome.ok:
        raise ClaimError(f"the flow along kinks ended early ({path.outcome}).")
    return end, path


def with_leak(text: str) -> str:
    """Every activation with a kink as a leaky ReLU of slope 0.1 on the left."""
    out, at = "", 0
    while (start := text.find("leaky_relu(", at)) >= 0:
        depth, end = 1, start + len("leaky_relu(")
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        inner = text[start + len("leaky_relu(") : end - 1].rsplit(",", 1)[0]
        out += f"{text[at:start]}leaky_relu({with_leak(inner)}, 0.1)"
        at = end
    return out + text[at:]


FOUND: dict[tuple[str, str, str, float], Rounded] = {}


def rounding_limit(problem: Problem, data: Data, start: State, end: float) -> Rounded:
    """The limit of flows with rounded kinks; one per problem, data, start and end."""
    key = (
        problem.signature,
        data.sha256(),
        sha256_arrays({name: np.asarray(w) for name, w in start.weights().items()}),
        end,
    )
    if key not in FOUND:
        FOUND[key] = rounded(problem, start, data, until=time(end))
    return FOUND[key]


def instance_of(case: Case) -> tuple[Problem, Data, State, float]:
    """What is run: the start of the case's flow, or a net that meets some tens of kinks."""
    if case.flow is not None and case.flow.data is not None:
        begin = case.flow.state(0)
        log_t = float(case.flow.dataset["log_t"][-1])
        weights = case.flow.problem.scheme.weights(np, *(dict(each) for each in (begin.rho, begin.V)), begin.per)
        return (
            case.flow.problem,
            case.flow.data,
            State.from_weights(weights, per=begin.per),
            float(min(np.exp(min(log_t, 1.0)), LONGEST)),
        )
    rng = np.random.default_rng(case.seed)
    x = rng.normal(size=(12, 4))
    data = case.data if case.data is not None else Data(x, np.where(x[:, 0] * x[:, 1] > 0, 1.0, -1.0))
    problem = case.problem if case.problem is not None else Problem("W2 @ relu(W1 @ x)", coordinates="weights")
    return (
        problem,
        data,
        initial_state(problem.network, data, default_width=6, seed=case.seed, per=problem.per),
        LONGEST,
    )
