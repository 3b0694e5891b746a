"""The flow along kinks is what flows with rounded kinks tend to."""

from typing import TYPE_CHECKING

import numpy as np

from flowlab.claims.claim import Case, Claim, claim
from flowlab.claims.hypotheses import hypothesis
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.errors import ClaimError
from flowlab.core.hashing import sha256_arrays

if TYPE_CHECKING:
    from flowlab.dynamics.kinks.smoothing_limit import Rounded
    from flowlab.language.data import Data
    from flowlab.language.problem import Problem
    from flowlab.language.state import State
    from flowlab.language.trajectory import Trajectory

_LONGEST = 0.25
"""Ordinary time to which both routes run: the thinner the rounding, the shorter its steps."""
_BOUND, _BARS = 1e-4, 10.0


@hypothesis("a network with kinks under gradient flow")
def _kinked(case: Case) -> str | None:
    problem = case.problem
    if problem is None:
        return None
    if not any(slot.tracked for slot in problem.network.slots):
        return "the network has no kinks"
    if problem.scheme.name != "gradient_flow":
        return f'kinks are rounded off for gradient flow, and the scheme is "{problem.scheme.name}"'
    if case.flow is not None and case.flow.outcome.kind == "nonunique":
        return "the flow is not determined"
    return None


def _followed(problem: "Problem", data: "Data", start: "State", end: float) -> "Trajectory":
    """The flow along kinks up to a time."""
    from flowlab.dynamics import integrate, time
    from flowlab.lowering.vector_field import lower
    from flowlab.symbolic.derive import derive

    return integrate(lower(derive(problem)), start, data, until=time(end), kinks="events")


def _of_more_time(problem: "Problem", data: "Data", start: "State", end: float, _: object) -> "Trajectory":
    return _followed(problem, data, start, end * 1.01)


def _of_flipped_label(problem: "Problem", data: "Data", start: "State", end: float, _: object) -> "Trajectory":
    from flowlab.language.data import Data

    labels = np.asarray(data.y).copy()
    labels[0] = -labels[0] if data.kind != "classes" else (labels[0] + 1) % int(data.n_classes or 2)
    return _followed(problem, Data(data.x, labels, kind=data.kind), start, end)


def _of_leaks(p: "Problem", data: "Data", start: "State", end: float, _: object) -> "Trajectory":
    from flowlab.language.problem import Problem

    text = p.network.text.replace("leaky_relu(", "relu(").replace("relu(", "leaky_relu(").replace("abs(", "leaky_relu(")
    leaky = Problem(_with_leak(text), p.loss.name, coordinates="weights", reduction=p.reduction, decay=p.decay)
    return _followed(leaky, data, start, end)


@claim("T3")
class TwoRoutes(Claim):
    """Following kinks by events and rounding them off lead to the same weights."""

    title = "the flow along kinks is the limit of flows with rounded kinks"
    statement = (
        "The Clarke flow of a network with kinks ends where flows with kinks rounded off by eps |w||a| end, as eps -> "
        "0. Rounded flows are gradients by autodiff, without events and without the derivation."
    )
    latex = r"\lim_{\varepsilon \to 0} W_\varepsilon(t) = W(t), \qquad \dot W \in -\partial^\circ L(W)"
    source = "A. F. Filippov 1988; Davis, Drusvyatskiy, Kakade and Lee 2020 for the chain rule of the Clarke flow"
    hypotheses = (_kinked,)
    stated = Variant(flow=lambda *args: args[-1])
    mutants = (
        stated.but("one label flipped", flow=_of_flipped_label),
        stated.but("one per cent more time", flow=_of_more_time),
        stated.but("slopes of the left a tenth too large", flow=_of_leaks),
    )
    counter_example = "slopes of the left a tenth too large: another network, whose rounded flow tends elsewhere"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        problem, data, start, end = _instance(case)
        end, path = case.once("T3 flow", lambda: _determined(problem, data, start, end))
        rounded = _rounded(problem, data, start, end)
        path = variant.flow(problem, data, start, end, path)
        apart = rounded.distance(path)
        size = max(float(np.abs(w).max()) for w in rounded.weights.values())
        details = {
            "until": end,
            "widths": list(rounded.widths),
            "bar": rounded.error,
            "order": rounded.order,
            "kinks met": path.dataset.sizes.get("kink", 0),
        }
        because = (
            f"largest difference of a weight over the largest weight at t = {end:.3g}; "
            f"the bar of the extrapolation is {rounded.error / size:.1e}"
        )
        return Measurement(apart, max(_BOUND, _BARS * rounded.error / size), because, details)


def _determined(problem: "Problem", data: "Data", start: "State", end: float) -> "tuple[float, Trajectory]":
    """The time up to which both routes run, and the flow along kinks up to it.

    Where that flow stops being determined, rounded flows tend to one of several: then both run halfway there.
    """
    from flowlab.dynamics import integrate, time
    from flowlab.lowering.vector_field import lower
    from flowlab.symbolic.derive import derive

    field = lower(derive(problem))
    path = integrate(field, start, data, until=time(end), kinks="events")
    if path.outcome.kind == "nonunique" and len(path) > 1:
        end = 0.5 * float(np.exp(path.dataset["log_t"].values[-1]))
        path = integrate(field, start, data, until=time(end), kinks="events")
    if not path.outcome.ok:
        raise ClaimError(f"the flow along kinks ended early ({path.outcome}).")
    return end, path


def _with_leak(text: str) -> str:
    """Every activation with a kink as a leaky ReLU of slope 0.1 on the left."""
    out, at = "", 0
    while (start := text.find("leaky_relu(", at)) >= 0:
        depth, end = 1, start + len("leaky_relu(")
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        inner = text[start + len("leaky_relu(") : end - 1].rsplit(",", 1)[0]
        out += f"{text[at:start]}leaky_relu({_with_leak(inner)}, 0.1)"
        at = end
    return out + text[at:]


_FOUND: "dict[tuple[str, str, str, float], Rounded]" = {}


def _rounded(problem: "Problem", data: "Data", start: "State", end: float) -> "Rounded":
    from flowlab.dynamics import time
    from flowlab.dynamics.kinks.smoothing_limit import rounded

    key = (
        problem.signature,
        data.sha256(),
        sha256_arrays({name: np.asarray(w) for name, w in start.weights().items()}),
        end,
    )
    if key not in _FOUND:
        _FOUND[key] = rounded(problem, start, data, until=time(end))
    return _FOUND[key]


def _instance(case: Case) -> "tuple[Problem, Data, State, float]":
    """What is run: the start of the case's flow, or a net that meets some tens of kinks."""
    from flowlab.language.data import Data
    from flowlab.language.problem import Problem
    from flowlab.language.state import State, initial_state

    if case.flow is not None and case.flow.data is not None:
        begin = case.flow.state(0)
        log_t = float(case.flow.dataset["log_t"][-1])
        weights = case.flow.problem.scheme.weights(np, *(dict(each) for each in (begin.rho, begin.V)), begin.per)
        return (
            case.flow.problem,
            case.flow.data,
            State.from_weights(weights, per=begin.per),
            float(min(np.exp(min(log_t, 1.0)), _LONGEST)),
        )
    rng = np.random.default_rng(case.seed)
    x = rng.normal(size=(12, 4))
    data = case.data if case.data is not None else Data(x, np.where(x[:, 0] * x[:, 1] > 0, 1.0, -1.0))
    problem = case.problem if case.problem is not None else Problem("W2 @ relu(W1 @ x)", coordinates="weights")
    return (
        problem,
        data,
        initial_state(problem.network, data, default_width=6, seed=case.seed, per=problem.per),
        _LONGEST,
    )
