"""Surface five: valid calls of public functions, with one or two arguments replaced by what nobody meant."""

import random
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import flowlab as fl
from tests.figures import instances
from tests.fuzz.cases import Case

HUGE = 10**18
X, Y = np.array([[1.0, 0.5], [-1.0, 0.2], [0.3, -1.0], [-0.5, -0.4]]), np.array([1.0, -1.0, 1.0, -1.0])


class Rude:
    """An object whose every use breaks."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("rude")

    def __repr__(self) -> str:
        raise RuntimeError("rude")


def odd(have: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """What is put in place of an argument, by name; made when it is needed, because generators are used up."""
    plain: dict[str, Any] = {
        "None": None,
        "True": True, "text": "a", "no text": "", "null": "a\0b", "long text": "W" * 10_000, "bytes": b"W1", "module": random, "class": fl.Data,
        "instance of type": type, "function": len, "nan": float("nan"), "inf": float("inf"), "-inf": float("-inf"), "-1": -1, "0": 0, "0.0": 0.0, "half": 0.5,
        "1": 1, "3": 3, "huge": HUGE,
        "no float": 10**400, "-huge": -HUGE, "5000 digits": -(10**5000), "tiny": 5e-324, "complex": 1j,
        "list": [], "nested": [[[1]]], "ragged": [[1], [1, 2]],
        "numbers": [1.0, 2.0, 3.0], "texts": ["a", "b"], "mixed": [1, None, "a"], "dict": {}, "keys": {1: 2}, "values": {"W1": None}, "set": {1, 2},
        "empty array": np.zeros((0, 2)), "flat empty": np.array([]), "array": np.ones((4, 2)), "integers": np.arange(4),
        "objects": np.array([None, 1], dtype=object),
        "nans": np.full((4, 2), np.nan), "masked": np.ma.masked_array([1.0, 2.0], [True, False]), "texts array": np.array(["a", "b"]),
        "scalar": np.float64(2.0),
        "zero-d": np.array(1.0), "float32": np.float32(0.5),
        "dates": np.array(["2020-01-01"], "M8[D]"), "range": range(3), "slice": slice(1), "object": object(),
        "path": Path("nowhere.nc"), "folder": Path(), "namespace": SimpleNamespace(kind="flow", dataset=None), "ordered": OrderedDict(a=1), "ellipsis": ...,
        "not implemented": NotImplemented, "rude": Rude(), "exception": ValueError("a"), "state": fl.State.from_weights({"U": np.ones((1, 2))}),
        "wide state": fl.State.from_weights({"W1": np.ones((3, 9)), "W2": np.ones((1, 3))}), "other data": fl.Data(np.ones((3, 5)), [0, 1, 2]),
    }  # fmt: skip
    makers: dict[str, Callable[[], Any]] = {name: (lambda value=value: value) for name, value in (plain | have).items()}
    return makers | {
        "generator": lambda: (i for i in range(3)),
        "iterator": lambda: iter("ab"),
        "open file": lambda: SimpleNamespace(read=lambda: b""),
    }


def _drawn(kind: str, path: Any) -> str:
    return fl.draw(kind, path).name


@cache
def table(deep: bool) -> tuple[dict[str, Any], dict[str, tuple[Callable[..., Any], dict[str, Any], set[str]]]]:
    """What the house makes, by name; and calls: function, valid arguments, and the arguments that ask for an amount of work."""
    net, data = fl.Network("W2 @ relu(W1 @ x)"), fl.Data(X, Y)
    problem, smooth, linear = fl.Problem(net), fl.Problem("W2 @ W1 @ x", "logistic", coordinates="weights"), fl.Problem("W1 @ x")
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
    calls: dict[str, tuple[Callable[..., Any], dict[str, Any], set[str]]] = {
        "Network": (fl.Network, {"expression": "W2 @ W1 @ x", "shapes": {"W1": (3, 2)}}, set()),
        "Problem": (fl.Problem, {
            "network": net, "loss": "logistic", "scheme": "gradient_flow", "per": "layer", "coordinates": "polar", "reduction": "sum", "decay": 0.1,
        }, set()),
        "Data": (fl.Data, {"x": X, "y": Y, "name": "a", "kind": "binary", "class_names": None}, set()),
        "load": (fl.load, {"spec": "gaussian?n=6&d=2", "standardize": True, "seed": 0, "kind": None}, set()),
        "initial_state": (fl.initial_state, {
            "network": net, "data": data, "widths": {"W1": 3}, "scale": 1.0, "seed": 0, "per": "layer", "default_width": 2,
        }, {"default_width"}),
        "State": (fl.State, {"rho": {"W1": 1.0}, "V": {"W1": [[1.0, 0.0]]}, "per": "layer"}, set()),
        "from_weights": (fl.State.from_weights, {"weights": {"W1": np.ones((1, 2))}, "per": "layer"}, set()),
        "lower": (fl.lower, {"flow": flow}, set()),
        "time": (fl.time, {"t": 1.0}, set()), "log_time": (fl.log_time, {"log_t": 1.0}, set()), "norm_above": (fl.norm_above, {"level": 1.0}, set()),
        "margin_gap": (fl.margin_gap, {"level": 0.1}, set()), "wall": (fl.wall, {"seconds": 1.0}, set()),
        "log_loss_below": (fl.log_loss_below, {"level": -1.0}, set()),
        "results": (fl.results, {"places": "trajectory.nc", "of": "trajectory"}, set()),
        "save": (fl.save, {"result": path, "path": "b.nc"}, set()),
        "Trajectory.load": (fl.Trajectory.load, {"path": "trajectory.nc", "data": None}, set()),
        "Verdict.load": (fl.Verdict.load, {"path": "verdict.json"}, set()),
        "Outcome": (fl.Outcome, {"kind": "done", "message": "a", "event": None}, set()),
        "Result.of": (fl.Result.of, {"kind": "a", "dataset": path.dataset, "problem": problem, "data": data}, set()),
        "draw": (lambda name, path: fl.draw(name, path).name, {"name": "norms", "path": path}, set()),
        "check": (lambda ids, evidence, seed: fl.check(ids, evidence, seed=seed), {"ids": ["P3"], "evidence": problem, "seed": 0}, set()),
        "replay": (fl.replay, {"verdict": "verdict.json"}, set()),
        "wide_margin": (fl.wide_margin, {"data": data, "norm": "kernel", "seed": 0}, set()),
        "max_margin": (fl.max_margin, {"network": "W1 @ x", "data": data, "near": None, "widths": None, "starts": 1, "seed": 0}, {"starts"}),
        "lyu_li": (fl.lyu_li, {"network": "W1 @ x", "state": begin, "data": data}, set()),
        "asymptotics": (fl.asymptotics, {"path": path, "log_gradient": None, "tolerance": 1e-3}, set()),
        "limit": (fl.limit, {"path": path, "data": data}, set()),
        "neurons": (fl.neurons, {"path": path, "data": path.data, "best": None}, set()),
        "convergence": (fl.convergence, {"path": path, "data": path.data}, set()),
        "relu": (fl.relu, {"z": fl.x}, set()),
        "weight": (fl.weight, {"name": "W1", "shape": (3, 2)}, set()),
    }  # fmt: skip
    if deep:
        points = fl.critical_points(linear, data, norm=2.0, starts=2)
        tree = fl.penalty_path(fl.Problem("W2 @ W1 @ x", loss="square"), data, penalties=(0.75, 0.5), widths={"W1": 1}, points=5)
        have |= {"points": points, "tree": tree, "problem of weights": smooth}
        scale = fl.initial_state(smooth.network, data, widths={"W1": 2}, seed=0, scale=0.5)
        calls |= {
            "derive": (fl.derive, {"problem": linear}, set()),
            "certify": (fl.certify, {"flow": flow, "states": 3, "seed": 0, "bound": 1e-9}, {"states"}),
            "integrate": (fl.integrate, {
                "field": field, "start": begin, "data": data, "until": fl.time(0.1), "events": (), "solver": "tsit5", "clock": "time", "kinks": "ignore",
                "rtol": 1e-6, "atol": 1e-8, "max_steps": 5, "wall_seconds": None, "progress": False, "seed": None, "store": None,
            }, {"max_steps", "until", "atol", "rtol"}),
            "descend": (fl.descend, {
                "problem": linear, "start": begin, "data": data, "step": 0.1, "count": 3, "rule": "gradient", "loss_scaled": False, "record_every": None,
                "freeze_norm": False, "seed": 0, "batch": None, "momentum": 0.0, "nesterov": False,
            }, {"count"}),
            "smoothed": (fl.smoothed, {"problem": fl.Problem("W2 @ relu(W1 @ x)"), "epsilon": 0.1}, set()),
            "rounded": (fl.rounded, {"problem": problem, "start": start, "data": data, "until": fl.time(0.01), "widths": (0.1, 0.05, 0.025)}, {"until"}),
            "critical_points": (fl.critical_points, {
                "problem": linear, "data": data, "norm": 2.0, "widths": None, "starts": 1, "seed": 0, "near": (), "progress": None,
            }, {"starts"}),
            "constrained_minimum": (fl.constrained_minimum, {"problem": linear, "data": data, "norm": 2.0, "widths": None, "seed": 0, "start": None}, set()),
            "norm_path": (fl.norm_path, {
                "problem": linear, "data": data, "norms": (1.0, 1.5), "start": None, "widths": None, "starts": 1, "seed": 0, "switch": False,
                "longest": None, "points": 4,
            }, {"starts", "points", "norms", "longest"}),
            "penalty_path": (fl.penalty_path, {
                "problem": fl.Problem("W2 @ W1 @ x", loss="square"), "data": data, "penalties": (0.75, 0.6), "start": None, "widths": {"W1": 1},
                "logarithmic": False, "seed": 0, "switch": False, "longest": None, "points": 4,
            }, {"points", "penalties", "longest"}),
            "flow_limits": (fl.flow_limits, {"ends": begin, "points": points, "field": None, "tolerance": 1e-6}, set()),
            "approach": (fl.approach, {"path": path, "points": points}, set()),
            "beside": (fl.beside, {"points": points, "k": 0, "seed": 0, "reach": 0.1}, set()),
            "branches": (fl.branches, {"con": points.constrained, "state": begin, "count": 2, "seed": 0, "reach": 1e-7}, {"count"}),
            "one_step": (fl.one_step, {"problem": linear, "state": begin, "data": data, "step": 0.1}, set()),
            "sharpness": (fl.sharpness, {"path": path, "data": path.data, "count": 1, "step": 0.1, "rows": 2, "method": "auto", "seed": 0}, {"rows"}),
            "step_order": (fl.step_order, {"problem": linear, "start": begin, "data": data, "time": 0.2, "steps": (0.1, 0.05, 0.025), "rows": 3},
                           {"time", "steps", "rows"}),
            "models": (fl.models, {"problem": smooth, "start": scale, "data": data, "step": 0.1, "time": 0.3, "rows": 3, "window": 1},
                       {"time", "step", "rows", "window"}),
            "path_and_flow": (fl.path_and_flow, {"tree": tree, "path": path, "branch": 0, "rows": 3}, {"rows"}),
            "portrait": (fl.portrait, {"problem": fl.Problem("(W1 @ x) * (W2 @ x)"), "data": data, "norm": 2.0, "grid": 8, "starts": 1, "seed": 0},
                         {"grid", "starts"}),
            "Trajectory.state": (path.state, {"i": 0}, set()),
        }  # fmt: skip
    return have, calls


def calls(rng: random.Random, count: int, deep: bool, folder: Path) -> Iterator[Case]:
    """Calls, most of them wrong in one or two arguments; what they were given must be as it was."""
    instances.trajectory().save(folder / "trajectory.nc")
    fl.Verdict("P3", "undecided", 1.0, 1.0, "made.", {"seed": 0}).save(folder / "verdict.json")
    have, made = table(deep)
    pool, names = odd(have), list(made)
    for function, valid, _ in made.values():
        # Once as they are meant: what is imported or compiled on the way is no doing of a wrong one.
        with suppress(fl.FlowlabError):
            function(**valid)
    alike: dict[str, list[str]] = {}
    for label, make in pool.items():
        for sort in ("any", _sort(make())):
            alike.setdefault(sort, []).append(label)
    before = _hashes(have)
    for i in range(count):
        name = names[i % len(names)]
        function, valid, work = made[name]
        keys = rng.sample(list(valid), min(len(valid), 1 if rng.random() < 0.75 else 2))
        # Half of them of the same sort, which come further.
        replaced = {key: rng.choice(alike[_sort(valid[key])] if rng.random() < 0.5 else list(pool)) for key in keys}
        given = valid | {key: pool[which]() for key, which in replaced.items()}

        def answer(function: Any = function, given: Any = given) -> str:
            function(**given)
            return ""

        told = f"{name}({', '.join(f'{key}={which}' for key, which in replaced.items())})"
        yield Case("call", told, answer, writes=True, work=3 if work & replaced.keys() else 0)
        if (after := _hashes(have)) != before:
            yield Case("call", told, lambda told=told: f"{told} changed what it was given")
            before = after


def _sort(value: Any) -> str:
    """A rough sort of values, among which replacements are drawn."""
    sorts = {"number": (int, float, np.number), "text": (str, Path), "list": (list, tuple, np.ndarray, range), "mapping": Mapping}
    return next((name for name, kinds in sorts.items() if isinstance(value, kinds)), "any")


def _hashes(have: dict[str, Any]) -> tuple[str, ...]:
    return have["data"].sha256(), *(np.asarray(v).tobytes().hex() for v in have["start"].V.values()), have["flow"].signature
