"""Annotations say what a value is: no public parameter is of any kind, and shapes hold at every call of a run."""

import ast
import inspect
import os
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import flowlab as fl
from flowlab.core.public import HOME
from flowlab.core.typing import Params, Record

ROOT = Path(__file__).resolve().parents[2]


def _open(function):
    """Parameters whose annotation is missing, or says nothing: Any, object or an unbounded variable."""
    hints = typing.get_type_hints(inspect.unwrap(function))
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        kind = hints.get(name, parameter.annotation)
        unbound = isinstance(kind, typing.TypeVar) and not kind.__bound__ and not kind.__constraints__
        if kind in (Record, Params):
            # Names of their own: what JSON stores, and what an operation is one of a family by.
            continue
        if name not in ("self", "cls") and (
            kind in (typing.Any, object, inspect.Parameter.empty) or unbound or typing.Any in typing.get_args(kind)
        ):
            found.append(name)
    return found


def _faces():
    for name in sorted(HOME):
        value = getattr(fl, name)
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value):
            for method, function in inspect.getmembers(value, lambda m: inspect.isroutine(m) and callable(m)):
                # Errors are made by flowlab itself.
                own = not method.startswith("_") or (method == "__init__" and not issubclass(value, Exception))
                if own and (getattr(function, "__module__", "") or "").startswith("flowlab"):
                    yield f"{name}.{method}", function


def test_no_public_parameter_is_of_any_kind():
    faces = dict(_faces())
    assert len(faces) > 100
    found = {name: names for name, function in faces.items() if (names := _open(function))}
    assert not found


def _share(sources):
    """How many annotations there are, and how many of them hold Any somewhere."""
    count = unsaid = 0
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            kinds = [getattr(node, name, None) for name in ("annotation", "returns")]
            for kind in (each for each in kinds if each is not None):
                count += 1
                unsaid += any(isinstance(part, ast.Name) and part.id == "Any" for part in ast.walk(kind))
    return count, unsaid


def test_few_annotations_say_nothing():
    count, unsaid = _share(path.read_text(encoding="utf-8") for path in (ROOT / "flowlab").rglob("*.py"))
    assert count > 5_000
    assert unsaid / count < 0.05


def test_annotations_that_say_nothing_are_counted():
    assert _share(["def f(a: Any, b: dict[str, Any], c: int) -> Any: ...\nx: int = 1"]) == (5, 3)


@pytest.mark.parametrize("kind", [typing.Any, object, typing.TypeVar("T"), typing.Any | None])
def test_an_open_parameter_is_found(kind):
    def function(first: int, second: kind) -> None: ...

    assert _open(function) == ["second"]


def test_settings_that_functions_pass_on_are_those_of_integrate():
    from flowlab.dynamics.integrate import Settings

    others = {"field", "start", "data", "until"}
    kinds = typing.get_type_hints(inspect.unwrap(fl.integrate))
    assert typing.get_type_hints(Settings) == {k: v for k, v in kinds.items() if k not in others | {"return"}}


_RUN = """
import numpy as np
import flowlab as fl
data = fl.Data([[1.0, 0.5, 0.1], [-1.0, 0.2, 0.3], [0.3, 1.0, -0.4], [0.1, -1.0, 0.7]], [1.0, -1.0, 1.0, -1.0])
for text, options in [
    ("W2 @ relu(W1 @ x)", {}),
    ("W2 @ tanh(W1 @ x)", {"coordinates": "weights"}),
    ("W2 @ (W1 @ x)", {"scheme": "lagrange"}),
]:
    problem = fl.Problem(text, "logistic", **options)
    start = fl.initial_state(problem.network, data, widths={"W1": 3}, seed=0)
    path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(4.0))
    assert path.outcome.kind == "done", path.outcome
    fl.descend(problem, start, data, step=0.01, count=3)
"""


def _checked(script):
    environment = os.environ | {"FLOWLAB_SHAPES": "1", "JAX_ENABLE_X64": "1"}
    return subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_shapes_hold_on_the_main_road():
    done = _checked(_RUN)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.long
def test_a_wrong_shape_is_named():
    script = (
        _RUN.split("for text")[0]
        + """
problem = fl.Problem('W2 @ relu(W1 @ x)', 'logistic')
start = fl.initial_state(problem.network, data, widths={'W1': 3}, seed=0)
assert problem.margins(start.weights(), data).shape == (4,)
for wrong in (
    lambda: problem.loss.margins(np, np.ones((4, 1)), np.ones(5)),
    lambda: problem.network.outputs(start.weights(), np.ones(3)),
    lambda: problem.network.outputs([1.0], data.x),
):
    try:
        wrong()
    except Exception as error:
        print(type(error).__name__)
"""
    )
    done = _checked(script)
    assert done.stdout.split() == ["TypeCheckError"] * 3, done.stderr[-2000:]
