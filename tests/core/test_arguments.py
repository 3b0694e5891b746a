"""Arguments of a wrong kind are told by name, in one sentence, whatever they are."""

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.arguments import array, count, expects, must_be
from flowlab.core.errors import DataError, FlowlabError, LanguageError

DATA = fl.Data(np.array([[1.0, 0.5], [-1.0, 0.2], [0.3, -1.0]]), np.array([1.0, -1.0, 1.0]))
PROBLEM = fl.Problem("W2 @ W1 @ x", "logistic")


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


def test_long_values_are_cut():
    with pytest.raises(LanguageError) as told:
        expects("data", list(range(10_000)), dict, "a dictionary")
    assert len(str(told.value)) < 120


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
