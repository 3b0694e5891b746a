"""Calls of public functions as they are meant: function, valid arguments, and the arguments that ask for an amount of
work.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

import flowlab as fl
from tests.figures import instances

X, Y = np.array([[1.0, 0.5], [-1.0, 0.2], [0.3, -1.0], [-0.5, -0.4]]), np.array([1.0, -1.0, 1.0, -1.0])

Call = tuple[Callable[..., Any], dict[str, Any], set[str]]


def _norm(weights: Any) -> float:
    """An observable."""
    return float(sum((w**2).sum() for w in weights.values()))


@cache
def table(deep: bool) -> tuple[dict[str, Any], dict[str, Call]]:
    """What the house makes, by name; and calls. Where `deep`, also those that derive, integrate or search."""
    net, data = fl.Network("W2 @ relu(W1 @ x)"), fl.Data(X, Y)
    problem, linear = fl.Problem(net), fl.Problem("W1 @ x")
    start, flow = fl.initial_state(net, data, widths={"W1": 3}, seed=0, scale=0.5), fl.derive(linear)
    begin = fl.initial_state("W1 @ x", data, seed=1)
    path, field = instances.trajectory(), fl.lower(flow)
    have = {
        "network": net,
        "problem": problem,
        "data": data,
        "start": start,
        "flow": flow,
        "field": field,
        "path": path,
        "until": fl.time(0.01),
    }
    calls = _language(net, data, flow) | _results(problem, data, path) | _limits(data, begin, path)
    if deep:
        smooth = fl.Problem("W2 @ W1 @ x", "logistic", coordinates="weights")
        points = fl.critical_points(linear, data, norm=2.0, starts=2)
        tree = fl.penalty_path(
            fl.Problem("W2 @ W1 @ x", loss="square"), data, penalties=(0.75, 0.5), widths={"W1": 1}, points=5
        )
        have |= {"points": points, "tree": tree, "problem of weights": smooth}
        calls |= _flows(linear, problem, flow, field, begin, start, data)
        calls |= _critical_points(linear, data, begin, path, points)
        calls |= _studies(linear, smooth, data, begin, path, tree)
    return have, calls


def _language(net: fl.Network, data: fl.Data, flow: Any) -> dict[str, Call]:
    """Networks, problems, data, states and conditions."""
    return {
        "Network": (fl.Network, {"expression": "W2 @ W1 @ x", "shapes": {"W1": (3, 2)}}, set()),
        "Problem": (
            fl.Problem,
            {
                "network": net,
                "loss": "logistic",
                "scheme": "gradient_flow",
                "per": "layer",
                "coordinates": "polar",
                "reduction": "sum",
                "decay": 0.1,
            },
            set(),
        ),
        "Data": (fl.Data, {"x": X, "y": Y, "name": "a", "kind": "binary", "class_names": None}, set()),
        "load": (fl.load, {"spec": "gaussian?n=6&d=2", "standardize": True, "seed": 0, "kind": None}, set()),
        "initial_state": (
            fl.initial_state,
            {
                "network": net,
                "data": data,
                "widths": {"W1": 3},
                "scale": 1.0,
                "seed": 0,
                "per": "layer",
                "default_width": 2,
            },
            {"default_width"},
        ),
        "State": (fl.State, {"rho": {"W1": 1.0}, "V": {"W1": [[1.0, 0.0]]}, "per": "layer"}, set()),
        "from_weights": (fl.State.from_weights, {"weights": {"W1": np.ones((1, 2))}, "per": "layer"}, set()),
        "lower": (fl.lower, {"flow": flow}, set()),
        "time": (fl.time, {"t": 1.0}, set()),
        "log_time": (fl.log_time, {"log_t": 1.0}, set()),
        "norm_above": (fl.norm_above, {"level": 1.0}, set()),
        "margin_gap": (fl.margin_gap, {"level": 0.1}, set()),
        "wall": (fl.wall, {"seconds": 1.0}, set()),
        "log_loss_below": (fl.log_loss_below, {"level": -1.0}, set()),
    }


def _results(problem: fl.Problem, data: fl.Data, path: fl.Trajectory) -> dict[str, Call]:
    """What is stored, drawn and checked."""
    return {
        "results": (fl.results, {"places": "trajectory.nc", "of": "trajectory"}, set()),
        "open": (fl.open, {"path": "trajectory.nc"}, set()),
        "cite": (fl.cite, {"result": ["P1", "S1"]}, set()),
        "Trajectory.at": (path.at, {"log_t": 1.0}, set()),
        "Trajectory.resampled": (path.resampled, {"grid": [0.0, 1.0]}, set()),
        "save": (fl.save, {"result": path, "path": "b.nc"}, set()),
        "held_out": (fl.held_out, {"problem": problem, "data": data, "name": "test"}, set()),
        "Trajectory.from_weights": (
            fl.Trajectory.from_weights,
            {
                "times": [0.0, 1.0],
                "weights": [{"W1": np.ones((3, 2)), "W2": np.ones((1, 3))}] * 2,
                "problem": problem,
                "data": data,
                "rtol": 1e-3,
                "observe": {"norm": _norm},
            },
            set(),
        ),
        "Trajectory.load": (fl.Trajectory.load, {"path": "trajectory.nc", "data": None}, set()),
        "Verdict.load": (fl.Verdict.load, {"path": "verdict.json"}, set()),
        "Outcome": (fl.Outcome, {"kind": "done", "message": "a", "event": None}, set()),
        "Result.of": (fl.Result.of, {"kind": "a", "dataset": path.dataset, "problem": problem, "data": data}, set()),
        "draw": (
            lambda name, path, **how: fl.draw(name, path, **how).name,
            {"name": "norms", "path": path, "width": "pnas", "label": "a flow", "style": {"axes.grid": True}},
            set(),
        ),
        "animate": (
            lambda name, path, **how: fl.animate(name, path, **how).name,
            {"name": "norms", "path": path, "frames": 3, "seconds": 1.0, "width": 3.0},
            {"frames"},
        ),
        "check": (
            lambda ids, evidence, seed: fl.check(ids, evidence, seed=seed),
            {"ids": ["P3"], "evidence": problem, "seed": 0},
            set(),
        ),
        "replay": (fl.replay, {"verdict": "verdict.json"}, set()),
    }


def _limits(data: fl.Data, begin: fl.State, path: fl.Trajectory) -> dict[str, Call]:
    """Margins and late times; and words of the language."""
    return {
        "wide_margin": (fl.wide_margin, {"data": data, "norm": "kernel", "seed": 0}, set()),
        "max_margin": (
            fl.max_margin,
            {"network": "W1 @ x", "data": data, "near": None, "widths": None, "starts": 1, "seed": 0},
            {"starts"},
        ),
        "lyu_li": (fl.lyu_li, {"network": "W1 @ x", "state": begin, "data": data}, set()),
        "asymptotics": (fl.asymptotics, {"path": path, "log_gradient": None, "tolerance": 1e-3}, set()),
        "limit": (fl.limit, {"path": path, "data": data}, set()),
        "neurons": (fl.neurons, {"path": path, "data": path.data, "best": None}, set()),
        "convergence": (fl.convergence, {"path": path, "data": path.data}, set()),
        "relu": (fl.relu, {"z": fl.x}, set()),
        "tangent_kernel": (
            fl.tangent_kernel,
            {"network": "W1 @ x", "at": begin, "data": data, "others": None},
            set(),
        ),
        "kernel_along": (fl.kernel_along, {"path": path, "data": path.data, "rows": 2, "count": 2}, {"rows"}),
        "hessian_spectrum": (
            fl.hessian_spectrum,
            {"path": path, "data": path.data, "count": 1, "rows": 2, "seed": 0},
            {"rows"},
        ),
        "linearise": (fl.linearise, {"problem": fl.Problem("W1 @ x"), "at": begin, "data": data}, set()),
        "monitors": (fl.monitors, {"path": path, "rtol": 1e-6}, set()),
        "architecture": (fl.architecture, {"of": path, "state": None}, set()),
        "weight": (fl.weight, {"name": "W1", "shape": (3, 2)}, set()),
    }


def _flows(
    linear: fl.Problem, problem: fl.Problem, flow: Any, field: Any, begin: fl.State, start: fl.State, data: fl.Data
) -> dict[str, Call]:
    """Derivations and runs."""
    return {
        "derive": (fl.derive, {"problem": linear}, set()),
        "certify": (fl.certify, {"flow": flow, "states": 3, "seed": 0, "bound": 1e-9}, {"states"}),
        "integrate": (
            fl.integrate,
            {
                "field": field,
                "start": begin,
                "data": data,
                "until": fl.time(0.1),
                "events": (),
                "solver": "tsit5",
                "clock": "time",
                "kinks": "ignore",
                "rtol": 1e-6,
                "atol": 1e-8,
                "max_steps": 5,
                "wall_seconds": None,
                "progress": False,
                "seed": None,
                "store": None,
                "observe": {"norm": _norm},
            },
            {"max_steps", "until", "atol", "rtol"},
        ),
        "descend": (
            fl.descend,
            {
                "problem": linear,
                "start": begin,
                "data": data,
                "step": 0.1,
                "count": 3,
                "rule": "gradient",
                "loss_scaled": False,
                "record_every": None,
                "freeze_norm": False,
                "seed": 0,
                "batch": None,
                "momentum": 0.0,
                "nesterov": False,
                "observe": {"norm": _norm},
            },
            {"count"},
        ),
        "smoothed": (fl.smoothed, {"problem": fl.Problem("W2 @ relu(W1 @ x)"), "epsilon": 0.1}, set()),
        "rounded": (
            fl.rounded,
            {"problem": problem, "start": start, "data": data, "until": fl.time(0.01), "widths": (0.1, 0.05, 0.025)},
            {"until"},
        ),
    }


def _critical_points(
    linear: fl.Problem, data: fl.Data, begin: fl.State, path: fl.Trajectory, points: Any
) -> dict[str, Call]:
    """Searches for critical points, curves of them, and starts near them."""
    return {
        "critical_points": (
            fl.critical_points,
            {
                "problem": linear,
                "data": data,
                "norm": 2.0,
                "widths": None,
                "starts": 1,
                "seed": 0,
                "near": (),
                "progress": None,
            },
            {"starts"},
        ),
        "constrained_minimum": (
            fl.constrained_minimum,
            {"problem": linear, "data": data, "norm": 2.0, "widths": None, "seed": 0, "start": None},
            set(),
        ),
        "norm_path": (
            fl.norm_path,
            {
                "problem": linear,
                "data": data,
                "norms": (1.0, 1.5),
                "start": None,
                "widths": None,
                "starts": 1,
                "seed": 0,
                "switch": False,
                "longest": None,
                "points": 4,
            },
            {"starts", "points", "norms", "longest"},
        ),
        "penalty_path": (
            fl.penalty_path,
            {
                "problem": fl.Problem("W2 @ W1 @ x", loss="square"),
                "data": data,
                "penalties": (0.75, 0.6),
                "start": None,
                "widths": {"W1": 1},
                "logarithmic": False,
                "seed": 0,
                "switch": False,
                "longest": None,
                "points": 4,
            },
            {"points", "penalties", "longest"},
        ),
        "flow_limits": (fl.flow_limits, {"ends": begin, "points": points, "field": None, "tolerance": 1e-6}, set()),
        "approach": (fl.approach, {"path": path, "points": points}, set()),
        "beside": (fl.beside, {"points": points, "k": 0, "seed": 0, "reach": 0.1}, set()),
        "branches": (
            fl.branches,
            {"con": points.constrained, "state": begin, "count": 2, "seed": 0, "reach": 1e-7},
            {"count"},
        ),
    }


def _studies(
    linear: fl.Problem, smooth: fl.Problem, data: fl.Data, begin: fl.State, path: fl.Trajectory, tree: Any
) -> dict[str, Call]:
    """Finite steps, sharpness, models and portraits."""
    scale = fl.initial_state(smooth.network, data, widths={"W1": 2}, seed=0, scale=0.5)
    return {
        "one_step": (fl.one_step, {"problem": linear, "state": begin, "data": data, "step": 0.1}, set()),
        "sharpness": (
            fl.sharpness,
            {"path": path, "data": path.data, "count": 1, "step": 0.1, "rows": 2, "method": "auto", "seed": 0},
            {"rows"},
        ),
        "step_order": (
            fl.step_order,
            {"problem": linear, "start": begin, "data": data, "time": 0.2, "steps": (0.1, 0.05, 0.025), "rows": 3},
            {"time", "steps", "rows"},
        ),
        "models": (
            fl.models,
            {"problem": smooth, "start": scale, "data": data, "step": 0.1, "time": 0.3, "rows": 3, "window": 1},
            {"time", "step", "rows", "window"},
        ),
        "path_and_flow": (fl.path_and_flow, {"tree": tree, "path": path, "branch": 0, "rows": 3}, {"rows"}),
        "portrait": (
            fl.portrait,
            {
                "problem": fl.Problem("(W1 @ x) * (W2 @ x)"),
                "data": data,
                "norm": 2.0,
                "grid": 8,
                "starts": 1,
                "seed": 0,
            },
            {"grid", "starts"},
        ),
        "Trajectory.state": (path.state, {"i": 0}, set()),
    }
