"""Arguments of a wrong kind are told by name, in one sentence, whatever they are."""

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.arguments import array, count, expects, must_be
from flowlab.core.errors import DataError, FlowlabError, LanguageError, ShapeMismatch

DATA = fl.Data(np.array([[1.0, 0.5], [-1.0, 0.2], [0.3, -1.0]]), np.array([1.0, -1.0, 1.0]))
PROBLEM = fl.Problem("W2 @ W1 @ x", "logistic")
START = fl.State.from_weights({"W1": [[1.0, 0.5]], "W2": [[1.0]]})


@pytest.mark.parametrize("value", [[[1, 2], [3]], "ab", 1j, [None], {1: 2}, 10**400])
def test_what_is_no_array_of_numbers(value):
    with pytest.raises(LanguageError, match="`w`"):
        array("w", value)


@pytest.mark.parametrize("value", [-1, 1.5, True, "a", None])
def test_what_counts_nothing(value):
    with pytest.raises(LanguageError, match="`starts"):
        count("starts", value, 0, 8)
    assert count("starts", np.int64(3), 0, 8) == 3


def test_a_wrong_value_is_one_sentence():
    error = must_be("step", -1.0, "a finite number above 0", "for example 0.1", DataError)
    assert isinstance(error, DataError)
    assert str(error) == "`step` must be a finite number above 0, got -1.0; pass for example 0.1."
    with pytest.raises(LanguageError, match="`count` must be an integer from 1 on, got 0"):
        count("count", 0, 1, 8)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"decay": {"W1": "a"}}, r"`decay\['W1'\]='a'` must be a number, got a value of type str"),
        ({"rates": {"W1": None}}, r"`rates\['W1'\]=None` must be a number, got a value of type NoneType"),
        ({"rates": {3: 0.1}}, "`key of rates=3` must be a text, got a value of type int"),
        ({"rates": 3}, "`rates=3` must be a mapping of names to numbers or None"),
    ],
)
def test_a_wrong_entry_is_told_by_its_key(settings, told):
    with pytest.raises(LanguageError, match=told):
        fl.Problem("W2 @ W1 @ x", **settings)
    assert fl.Problem("W2 @ W1 @ x", decay={"W1": 0.5}).decay["W1"] == 0.5


def test_a_call_that_does_not_fit_shows_the_right_one():
    state = fl.initial_state("W2 @ W1 @ x", DATA, default_width=2, seed=0)
    with pytest.raises(
        FlowlabError, match=r"called as `tangent_kernel\(network, at, data, \*, others=None\)`, got too"
    ):
        fl.tangent_kernel("W2 @ W1 @ x", state, DATA, DATA)
    with pytest.raises(TypeError, match="missing a required argument: 'seed'"):
        fl.initial_state("W2 @ W1 @ x", DATA)
    assert fl.tangent_kernel("W2 @ W1 @ x", state, DATA, others=DATA).shape == (3, 3)


def test_blocks_of_laws_and_parameters_are_checked():
    import jax.numpy as jnp

    fit = {"W1": np.ones((3, 2)), "W2": np.ones((1, 3))}
    flow = fl.derive(PROBLEM)
    opaque = fl.opaque(
        lambda p, x: x @ p["W1"].T @ p["W2"].T, {k: jnp.asarray(v) for k, v in fit.items()}, inputs={"x": (2,)}
    )
    for read in (*(law.value for law in flow.laws), opaque.params_of):
        read(fit)
        for wrong in (3, {}, {"W1": fit["W1"]}, fit | {"W2": "a"}):
            with pytest.raises(LanguageError, match=r"W|weights"):
                read(wrong)
    wrong = fit | {"W2": np.ones((1, 4))}
    for read in (flow.laws[-1].value, opaque.params_of):
        with pytest.raises(ShapeMismatch, match="W2"):
            read(wrong)


def test_long_values_are_cut():
    with pytest.raises(LanguageError) as told:
        expects("data", list(range(10_000)), dict, "a dictionary", "for example {}")
    assert len(str(told.value)) < 120


def test_checks_of_kinds_and_values_have_one_grammar():
    """`name` must be ..., got ...; pass ...: of kinds, of arrays, of seeds and of stored results."""
    for call in (
        lambda: expects("data", 3, dict, "a dictionary", "for example {}"),
        lambda: array("w", "ab"),
        lambda: fl.load("gaussian", seed=-1),
        lambda: fl.initial_state("W1 @ x", DATA, seed=0, scale=-1.0),
        lambda: fl.Problem("W1 @ x", decay={"W1": -1.0}),
        lambda: fl.load("gaussian?n=1"),
    ):
        with pytest.raises(FlowlabError, match=r"^`[^`]+` must be .*, got .*; pass .*\.$"):
            call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: fl.critical_points("W1 @ x", DATA, norm=1.0),
        lambda: fl.critical_points(PROBLEM, (1, 2), norm=1.0),
        lambda: fl.critical_points(PROBLEM, DATA, norm={"W1": "a", "W2": 1.0}, widths={"W1": 1}),
        lambda: fl.critical_points(PROBLEM, DATA, norm=10**400, widths={"W1": 1}),
        lambda: fl.critical_points(PROBLEM, DATA, norm=1.0, widths=3),
        lambda: fl.critical_points(PROBLEM, DATA, norm=1.0, widths={1: 2}),
        lambda: fl.critical_points(PROBLEM, DATA, norm=1.0, widths={"W1": 10**30}),
        lambda: fl.critical_points(PROBLEM, DATA, norm=1.0, widths={"W1": 1}, seed="a"),
        lambda: fl.critical_points(
            PROBLEM, DATA, norm=1.0, widths={"W1": 1}, starts=0, near=[{"W1": [[1, 2], [3]], "W2": [[1.0]]}]
        ),
        lambda: fl.critical_points(PROBLEM, DATA, norm=1.0, near=np.array(1.0)),
        lambda: fl.critical_points(PROBLEM, DATA, norm=1.0, near=np.ma.masked_array([1.0, 2.0], [True, False])),
        lambda: fl.critical_points(PROBLEM, DATA, norm=1.0, near=np.ones((2, 4))),
        lambda: fl.critical_points(
            PROBLEM, DATA, norm=1.0, widths={"W1": 1}, starts=0, near=[{"W1": [[0.0, 0.0]], "W2": [[1.0]]}]
        ),
        lambda: fl.constrained_minimum(PROBLEM, DATA, norm=1.0, widths={"W1": 1}, start=5),
        lambda: fl.norm_path(PROBLEM, DATA, norms={1.0, 2.0}, widths={"W1": 1}),
        lambda: fl.norm_path(PROBLEM, DATA, norms=(1.0, 10**400), widths={"W1": 1}),
        lambda: fl.norm_path(PROBLEM, DATA, norms=(1.0, 2.0), widths={"W1": 1}, start=3),
        lambda: fl.penalty_path(PROBLEM, DATA, penalties=(1.0, 0.5), widths=[2]),
        lambda: fl.max_margin("W1 @ x", DATA, seed=-1),
        lambda: fl.lyu_li("W1 @ x", 3, DATA),
        lambda: fl.one_step(PROBLEM, 3, DATA, 0.1),
        lambda: fl.wide_margin(3),
        lambda: fl.beside(3, 0),
        lambda: fl.branches(3, 3),
        lambda: fl.flow_limits(3, 3),
        lambda: fl.draw("continuation_loss", 3),
    ],
)
def test_entries_refuse_by_name(call):
    with pytest.raises(FlowlabError):
        call()


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: fl.descend(PROBLEM, START, DATA, count=1, chart={"W1": "binary"}), "geometry="),
        (lambda: fl.linearise(PROBLEM, 0, DATA, rule="optimistic"), "fl.stability"),
        (lambda: fl.critical_points(PROBLEM, DATA, rank=2), "fl.covariance_points"),
        (lambda: fl.draw("risk", 0, against=["min_l1"]), "fl.risk"),
        (lambda: fl.derive(PROBLEM).induced("W2 @ W1", where="balanced"), "fl.end_to_end"),
    ],
)
def test_what_another_function_does_is_told_with_its_name(call, told):
    with pytest.raises(TypeError, match="must be called as") as caught:
        call()
    assert told in str(caught.value).rpartition("; ")[2]


def test_a_word_that_nothing_else_has_gets_no_other_remedy():
    with pytest.raises(TypeError, match=r"; leave `xyz` out\.$"):
        fl.descend(PROBLEM, START, DATA, count=1, xyz=1.0)
    with pytest.raises(TypeError, match=r"; pass `blend`, if that is meant\.$"):
        fl.descend(PROBLEM, START, DATA, count=1, blended=1.0)
    with pytest.raises(TypeError, match=r"; change the arguments\.$"):
        fl.descend(PROBLEM, START, DATA)


def test_a_figure_tells_what_makes_its_result():
    with pytest.raises(LanguageError, match=r"pass what `fl\.field_angle` returns"):
        fl.draw("field_angle", fl.derive(PROBLEM))


def test_evidence_that_claims_find_themselves_is_refused():
    with pytest.raises(FlowlabError, match="claims find points, equilibria and minimisers themselves"):
        fl.check(["P1"], 3)


def test_a_figure_of_nothing_but_missing_numbers_is_refused():
    problem = fl.Problem(fl.Network("(u - 1)**2", shapes={"u": ()}), "value")
    walk = fl.descend(problem, fl.State.from_weights({"u": 0.0}), step=0.1, count=3)
    with pytest.raises(LanguageError, match="numbers to show, got none"):
        fl.draw("margin", walk)
    assert fl.draw("norms", walk).name == "norms"
