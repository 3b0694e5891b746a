"""The flow along kinks is what flows with rounded kinks tend to."""

import numpy as np

from flowlab.claims.claim import Case, Claim, claim
from flowlab.claims.hypotheses import hypothesis
from flowlab.claims.library.kinks.instances import determined, followed, instance_of, rounding_limit, with_leak
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Trajectory

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


def _of_more_time(problem: Problem, data: Data, start: State, end: float, _: object) -> Trajectory:
    return followed(problem, data, start, end * 1.01)


def _of_flipped_label(problem: Problem, data: Data, start: State, end: float, _: object) -> Trajectory:
    labels = np.asarray(data.y).copy()
    labels[0] = -labels[0] if data.kind != "classes" else (labels[0] + 1) % int(data.n_classes or 2)
    return followed(problem, Data(data.x, labels, kind=data.kind), start, end)


def _of_leaks(p: Problem, data: Data, start: State, end: float, _: object) -> Trajectory:
    text = p.network.text.replace("leaky_relu(", "relu(").replace("relu(", "leaky_relu(").replace("abs(", "leaky_relu(")
    leaky = Problem(with_leak(text), p.loss.name, coordinates="weights", reduction=p.reduction, decay=p.decay)
    return followed(leaky, data, start, end)


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
        problem, data, start, end = instance_of(case)
        end, path = case.once("T3 flow", lambda: determined(problem, data, start, end))
        rounded = rounding_limit(problem, data, start, end)
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
