"""P14: the smoothed margin never falls, under gradient flow and under normalised flows."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import hypothesis, layered
from flowlab.claims.library.lyu2020.flows import levels
from flowlab.claims.library.poggio2020.flows import WIDTH
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated, samples_of, separable
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

if TYPE_CHECKING:
    from flowlab.language.data import Data
    from flowlab.language.state import State
    from flowlab.language.trajectory import Trajectory

NETS = {"W2 @ W1 @ x": lambda h: h, "W2 @ relu(W1 @ x)**2": lambda h: np.maximum(h, 0.0) ** 2}
SCHEMES = ("gradient_flow", "lagrange", "exponential_weight_normalization")
_HORIZON = 100.0
_STEPS = (0.5, 2.0, 8.0, 32.0)
"""Of the descent that breaks the statement."""


@hypothesis("exponential loss without weight decay; a given flow must reach L < 1")
def _separated(case: Case) -> str | None:
    if case.problem is not None and case.problem.loss.name != "exponential":
        return f"it is about the exponential loss, and the loss is {case.problem.loss.name}"
    if case.problem is not None and any(case.problem.decay.values()):
        return "weight decay makes norms shrink"
    if case.data is not None and case.data.kind != "binary":
        return "labels are not ±1"
    if case.problem is None and case.data is not None:
        return "data come without a network"
    if case.flow is not None:
        if case.flow.data is None:
            return "the flow has no samples; pass them with it"
        if case.flow.problem.scheme.name not in SCHEMES:
            return f"it is about {', '.join(SCHEMES)}, and the scheme is {case.flow.problem.scheme.name}"
        if not (levels(case.flow)["level"] > 0).sum() > 2:
            return "L < 1, summed over samples, at no more than two rows of the flow"
    return None


def _of_flows(case: Case, variant: Variant) -> list[Quantity]:
    # Integration leaves a hundredth of its relative tolerance in a quotient that has all but settled.
    bound = 1e-12 if case.flow is None else max(1e-12, 1e-2 * float(case.flow.provenance["settings"]["rtol"]))
    power, back, quantities = variant.power(case), variant.back, []
    for name, path, act in _paths(case):
        level, R, count = _levels(path)
        margin = level / R**power
        second = {}
        if act is not None:
            by_hand = np.diff(_by_hand(path, act) / R**power)
            second = {"second": float((-back * by_hand).max()), "second_route": "margins by hand from the states"}
        fall = float((-back * np.diff(margin)).max()) if count > 1 else float("nan")
        monitor, rise = path.monitors["smoothed_margin"]["worst"], float(back * (margin[-1] - margin[0]))
        quantities += [
            Quantity(
                f"largest fall between {count} rows, {name}", fall, 0.0, bound, relation="<=", route="flow", **second
            ),
            Quantity(
                f"largest fall of the logarithm in a step, {name}",
                monitor,
                0.0,
                bound,
                relation="<=",
                route="monitor inside the flow",
            ),
            Quantity(f"rise over the run, {name}", rise, 0.0, 0.0, relation=">=", route="flow"),
        ]
    return quantities


def _of_long_steps(case: Case, _: Variant) -> list[Quantity]:
    return [Quantity("largest fall of log(1/L)/R", _long_steps(case), 1e-12, 0.0, relation="<=", route="descent")]


@claim("P14")
class SmoothedMargin(Claim):
    """log(1/L)/R does not fall once L < 1, under gradient, Lagrange and exponentially weight-normalised flow."""

    title = "monotonicity of the smoothed margin"
    statement = (
        "For homogeneous layers and the exponential loss, summed over samples, log(1/L)/R never falls once L < 1. "
        "This holds under gradient flow, the Lagrange flow and exponential weight normalisation."
    )
    latex = (
        r"L(t_0) < 1 \implies \frac{d}{dt}\, \frac{\log 1/L}{R} \ge 0 \text{ for } t \ge t_0 \quad (R = "
        r"\textstyle\prod_k \rho_k^{\kappa_k})"
    )
    source = (
        "Lyu and Li 2020, theorem 4.1 and appendix G, for gradient flow; the normalised flows by R s >= L log(1/L), "
        "derived here"
    )
    hypotheses = (_separated, layered)
    stated = Variant(falls=_of_flows, power=lambda _: 1.0, back=1.0)
    mutants = (
        stated.but("descent with long steps", falls=_of_long_steps),
        stated.but("R to a higher power", power=lambda case: 1.01 if case.flow is None else 2.0),
        stated.but("time reversed", back=-1.0),
    )
    counter_example = "descent with long steps: norms that jump before directions have settled"
    quick = False

    def measure(self, case: Case, variant: Variant) -> Measurement:
        return Measurement.of(variant.falls(case, variant), "roundings of log(1/L)/R")


def _paths(case: Case) -> "list[tuple[str, Trajectory, Callable[[np.ndarray], np.ndarray] | None]]":
    """Name, flow and activation (None where margins by hand are not to be had): the case's own problem under every
    scheme, or two networks of our own.
    """
    from flowlab.dynamics import log_time
    from flowlab.language.problem import Problem
    from flowlab.language.state import initial_state

    if case.flow is not None:
        return [("the given run", case.flow, None)]
    nets = dict(NETS) if case.problem is None else {case.problem.network: None}
    data = case.data if case.data is not None else case.once("P14 data", lambda: _separable(case.seed))
    flows = []
    for net, act in nets.items():
        for scheme in SCHEMES:
            problem = Problem(net, scheme=scheme, coordinates="weights" if scheme == "gradient_flow" else "polar")
            start = initial_state(problem.network, data, default_width=WIDTH, seed=case.seed)
            start = start if act is None else _upright(start, data, act)
            name = f"{problem.network.text}, {scheme}"
            flows.append((name, integrated(case, f"P14 {name}", problem, start, data, log_time(_HORIZON)), act))
    return flows


def _upright(start: "State", data: "Data", act: Callable[[np.ndarray], np.ndarray]) -> "State":
    """The start, or the one with the other sign of the output: where Σ f_n < 0 normalised flows may reach a norm of 0
    before directions have turned.
    """
    from flowlab.language.state import State

    W = {k: np.asarray(w) for k, w in start.weights().items()}
    z = np.asarray(data.x)
    sign = 1.0 if float(np.asarray(data.y) @ (W["W2"] @ act(W["W1"] @ z.T))[0]) >= 0.0 else -1.0
    return State.from_weights({"W1": W["W1"], "W2": sign * W["W2"]})


def _separable(seed: int) -> "Data":
    return separable(8, 3, seed)


def _levels(path: "Trajectory") -> tuple[np.ndarray, np.ndarray, int]:
    """Log 1/L and R from where L < 1, L being the sum over samples."""
    level, R = levels(path)["level"], np.exp(path.dataset["log_R"].values)
    late = np.maximum.accumulate(level > 0)
    return level[late], R[late], int(late.sum())


def _by_hand(path: "Trajectory", act: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Log 1/L of two layers from stored norms and directions, at the rows of `_levels`."""
    rows = path.dataset.isel(step=np.flatnonzero(np.maximum.accumulate(path.dataset["log_loss"].values < 0)))
    first, second = (rows["rho"].sel(block=b).values[:, None, None] * rows[f"V_{b}"].values for b in ("W1", "W2"))
    data = samples_of(path)
    q = np.asarray(data.y) * (second @ act(first @ np.asarray(data.x).T))[:, 0, :]
    low = q.min(axis=1)
    return low - np.log(np.exp(low[:, None] - q).sum(axis=1))


def _long_steps(case: Case) -> float:
    """The largest fall along descents with steps of some size over the loss, from where the first flow has L < 1."""
    from flowlab.discrete.descent.descend import descend
    from flowlab.language.problem import Problem

    def make() -> float:
        _, path, _ = _paths(case)[0]
        at = int(np.flatnonzero(path.dataset["log_loss"].values < -1.0)[0])
        falls = [0.0]
        for step in _STEPS:
            walk = descend(
                Problem(path.problem.network), path.state(at), samples_of(path), step=step, count=40, loss_scaled=True
            )
            level, R, count = _levels(walk)
            if count > 1:
                falls.append(float(-np.diff(level / R).min()))
        return max(falls)

    return case.once("P14 long steps", make)
