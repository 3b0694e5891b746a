"""Public functions answer what they cannot use in a sentence:
their product with public objects has no untyped exception.
"""

import inspect
from collections.abc import Callable, Mapping

import pytest

import flowlab as fl
from flowlab.core.errors import FlowlabError
from tests.fuzz.valid_calls import table


@pytest.fixture(scope="module")
def objects() -> dict[str, object]:
    """One of each thing that a user has at hand."""
    data = fl.Data([[1.0, 0.5], [-1.0, 0.2]], [1.0, -1.0])
    problem = fl.Problem("W2 @ relu(W1 @ x)", "logistic")
    start = fl.initial_state(problem.network, data, widths={"W1": 2}, seed=0)
    equations = fl.derive(problem)
    path = fl.descend(problem, start, data, step=0.1, count=2)
    return {
        "network": problem.network,
        "problem": problem,
        "equations": equations,
        "field": fl.lower(equations),
        "state": start,
        "data": data,
        "inputs": data.x,
        "path": path,
        "outcome": path.outcome,
        "module": fl,
        "class": fl.Network,
        "expression": fl.x,
        "word": fl.relu,
        "condition": fl.log_time(5.0),
        "text": "W @ x ) (",
        "number": 3,
        "list": [problem],
        "None": None,
        "anything": object(),
    }


def _untyped(functions: Mapping[str, Callable[..., object]], objects: Mapping[str, object]) -> list[str]:
    """Calls with one object in every place that needs an argument, which end in no sentence of flowlab's."""
    found = []
    for name, function in functions.items():
        needed = [
            p
            for p in inspect.signature(function).parameters.values()
            if p.default is p.empty and p.kind is not p.VAR_KEYWORD
        ]
        for what, value in objects.items():
            places = [value for p in needed if p.kind is not p.KEYWORD_ONLY]
            try:
                function(*places, **{p.name: value for p in needed if p.kind is p.KEYWORD_ONLY})
            except FlowlabError as error:
                if len(str(error)) > 300:
                    found.append(f"{name}({what}): a message of {len(str(error))} characters")
            except Exception as error:
                found.append(f"{name}({what}): {type(error).__name__}")
    return found


@pytest.mark.long
def test_a_wrong_thing_is_answered_in_a_sentence(objects):
    functions = {name: getattr(fl, name) for name in fl.__all__ if inspect.isfunction(getattr(fl, name))}
    # A short run is what `sharpness` wants, and it is no wrong thing there.
    assert len(functions) >= 40
    assert not _untyped({k: v for k, v in functions.items() if k != "sharpness"}, objects)
    assert not _untyped({"sharpness": fl.sharpness}, {k: v for k, v in objects.items() if k != "path"})


def test_a_function_without_a_guard_is_found(objects):
    bare = inspect.unwrap(fl.lower)
    assert "lower(problem): AttributeError" in _untyped({"lower": bare}, objects)
    assert not _untyped({"lower": fl.lower}, objects)


@pytest.mark.parametrize(
    ("name", "wrong", "pass_this"),
    [
        ("derive", "text", "fl.Problem("),
        ("derive", "equations", "fl.Problem("),
        ("lower", "problem", "fl.derive(problem)"),
        ("limit", "problem", "fl.integrate"),
        ("asymptotics", "state", "fl.integrate"),
    ],
)
def test_the_sentence_says_what_to_pass(objects, name, wrong, pass_this):
    with pytest.raises(fl.LanguageError) as caught:
        getattr(fl, name)(objects[wrong])
    assert pass_this in str(caught.value)


@pytest.mark.parametrize("wrong", ["problem", "equations", "text", "module", "path"])
def test_integrate_says_what_a_field_is(objects, wrong):
    with pytest.raises(fl.LanguageError, match=r"fl\.lower\("):
        fl.integrate(objects[wrong], objects["state"], objects["data"], until=fl.log_time(5.0))


@pytest.mark.parametrize(
    ("start", "data", "pass_this"), [("state", "inputs", "fl.Data("), ("data", "data", "fl.initial_state(")]
)
def test_start_and_data_are_guarded(objects, start, data, pass_this):
    with pytest.raises(fl.LanguageError) as caught:
        fl.integrate(objects["field"], objects[start], objects[data], until=fl.log_time(5.0))
    assert pass_this in str(caught.value)


@pytest.mark.parametrize("wrong", ["module", "data", "equations"])
def test_a_network_is_guarded(objects, wrong):
    with pytest.raises(fl.LanguageError, match=r"fl\.Network\("):
        fl.Problem(objects[wrong])


def _one_wrong(calls: Mapping[str, tuple], objects: Mapping[str, object]) -> tuple[int, list[str]]:
    """How many calls were made with one argument replaced by each object, and which end in no sentence."""
    count, found = 0, []
    for name, (function, valid, _) in calls.items():
        for key in valid:
            for what, value in objects.items():
                count += 1
                try:
                    function(**(valid | {key: value}))
                except FlowlabError:
                    pass
                except Exception as error:
                    found.append(f"{name}({key}={what}): {type(error).__name__}: {str(error)[:80]}")
    return count, found


# Old versions of libraries warn of each other.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("deep", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_one_wrong_argument_is_answered_in_a_sentence(objects, deep, tmp_path, monkeypatch):
    # Some valid calls write to a folder by a relative name.
    monkeypatch.chdir(tmp_path)
    _, calls = table(deep)
    count, found = _one_wrong(calls, objects)
    assert count > 1_000
    assert not found


def test_an_argument_without_a_guard_is_found(objects):
    bare = {"lower": (inspect.unwrap(fl.lower), {"flow": objects["equations"]}, set())}
    assert "lower(flow=problem): AttributeError" in " ".join(_one_wrong(bare, objects)[1])
