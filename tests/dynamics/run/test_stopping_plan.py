"""What a run is asked for is sorted once, and what can never be met is refused before anything is computed."""

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.errors import DataError, LanguageError
from flowlab.dynamics.conditions import conditions
from flowlab.dynamics.run.stopping_plan import Plan

PARTED = fl.Data(np.array([[1.0, 0.2], [-1.0, 0.3], [2.0, -0.4]]), np.array([1.0, -1.0, 1.0]))
CROSSED = fl.Data(np.array([[1.0, 0.0], [-1.0, 0.0], [2.0, 0.0], [0.5, 1.0]]), np.array([1.0, 1.0, -1.0, 1.0]))
TWICE = fl.Data(np.array([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]]), np.array([1.0, -1.0, -1.0]))


def field(text="W1 @ x", **settings):
    return fl.lower(fl.derive(fl.Problem(text, **({"coordinates": "weights"} | settings))))


def planned(made, data, *until, events=(), wall=None, clock="auto"):
    return Plan.of(made, data, list(until), list(events), wall, clock)


def test_the_nearest_horizon_and_the_shortest_limit_count():
    made = field()
    plan = planned(
        made,
        PARTED,
        fl.time(100.0),
        fl.log_time(3.0),
        fl.wall(9.0),
        fl.separated(),
        wall=4.0,
        events=[fl.log_norm(2.0)],
    )
    assert (plan.log_end, plan.horizon, plan.wall) == (3.0, "t = 20.0855", 4.0)
    assert [event.name for event in plan.events] == ["separated", "log_norm"]
    assert plan.late is None
    assert planned(made, PARTED, fl.log_time(31.0)).late is not None
    assert planned(made, PARTED, fl.log_time(31.0), clock="time").late is None


REFUSED = [
    ({}, CROSSED, fl.separated(), "not linearly separable"),
    ({}, CROSSED, fl.margin_gap(0.1), "not linearly separable"),
    ({"text": "W2 @ W1 @ x"}, CROSSED, fl.separated(), "not linearly separable"),
    ({"text": "W2 @ relu(W1 @ x)"}, TWICE, fl.separated(), "the samples 1 and 3 are equal, but their labels differ"),
    ({"decay": 0.1}, PARTED, fl.margin_gap(0.1), "weight decay"),
    ({"text": "W2 @ tanh(W1 @ x + b)"}, PARTED, fl.margin_gap(0.1), "without scaling"),
    ({"scheme": "fixed_norm", "coordinates": "polar"}, PARTED, fl.margin_gap(0.1), "keeps its norms"),
    ({"scheme": "fixed_norm", "coordinates": "polar"}, PARTED, fl.norm_above(9.0), "keeps the norms"),
    ({"decay": 0.1}, PARTED, fl.log_time(1e4), "beyond float64"),
]


@pytest.mark.parametrize(
    ("settings", "data", "until", "words"), REFUSED, ids=lambda v: v if isinstance(v, str) else None
)
def test_what_can_never_be_met_is_refused(settings, data, until, words):
    with pytest.raises((DataError, LanguageError), match=words) as refused:
        planned(field(**settings), data, until)
    assert str(refused.value).endswith((".", "unit."))
    assert str(refused.value).count(". ") == 0


def test_refusals_are_no_more_than_certain():
    """The same data where there is a way: a unit that bends, a sample less, classes of a multi-class net."""
    planned(field("W2 @ relu(W1 @ x + b)"), CROSSED, fl.separated())
    planned(field("W1 @ x + b"), fl.Data(np.array([[1.0], [3.0]]), np.array([-1.0, 1.0])), fl.separated())
    planned(field(), fl.Data(np.asarray(CROSSED.x)[1:], np.asarray(CROSSED.y)[1:]), fl.margin_gap(0.1))
    with pytest.raises(DataError, match="not linearly separable"):
        planned(field(), fl.Data(np.array([[1.0], [3.0]]), np.array([-1.0, 1.0])), fl.separated())


@pytest.mark.parametrize("seed", range(6))
def test_separability_of_classes_is_that_of_a_linear_program(seed):
    from scipy.optimize import linprog

    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(9, 3)), rng.integers(0, 3, size=9)
    y[:3] = [0, 1, 2]
    own = np.eye(3)
    rows = np.array([np.outer(own[y[n]] - own[j], x[n]).ravel() for n in range(9) for j in range(3) if j != y[n]])
    there = linprog(np.zeros(9), A_ub=-rows, b_ub=-np.ones(len(rows)), bounds=(None, None)).status == 0
    made = field(loss="cross_entropy")
    if there:
        planned(made, fl.Data(x, y), fl.separated())
    else:
        with pytest.raises(DataError, match="not linearly separable"):
            planned(made, fl.Data(x, y), fl.separated())


def test_conditions_a_specification_knows_are_those_there_are():
    from flowlab.app.schema import schema

    told = schema()["properties"]["integrate"]["properties"]
    assert set(told["until"]["properties"]) == set(conditions) - {"wall"}
    assert "wall_seconds" in told


@pytest.mark.long
def test_the_clock_of_norms_begins_where_norms_grow():
    start = fl.State.from_weights({"W1": np.array([[-1.0, 0.3]])})
    with pytest.raises(LanguageError, match=r"smallest margin must be above 0.* got -"):
        fl.integrate(field(), start, PARTED, until=fl.log_time(50.0), clock="norm")
    assert fl.integrate(
        field(), fl.State.from_weights({"W1": np.array([[3.0, 0.3]])}), PARTED, until=fl.log_time(50.0), clock="norm"
    ).outcome.ok


def test_no_rate_at_the_start_is_no_rest(recwarn):
    data = fl.Data(np.array([[1.0, 0.5], [0.7, 1.0]]), np.array([1.0, -1.0]))
    start = fl.State.from_weights({"W1": -np.ones((3, 2)), "W2": np.ones((1, 3))})
    path = fl.integrate(field("W2 @ relu(W1 @ x)"), start, data, until=fl.time(10.0))
    assert path.outcome.kind == "stalled"
    assert "dead units" in path.outcome.message
    assert len(path) == 1


def test_an_end_that_never_comes_is_told_where_the_flow_rests():
    data = fl.Data(np.array([[1.0, 0.2], [-1.0, 0.3]]), np.array([0.3, 0.5]))
    made = field(loss="square")
    path = fl.integrate(made, fl.initial_state("W1 @ x", data, seed=0), data, until=fl.log_norm(5.0), solver="kvaerno5")
    assert path.outcome.kind == "stalled"
    assert "never met log_norm" in path.outcome.message


class TestMarginGap:
    """The gap agrees with the support vector machine of scikit-learn and against a KKT point."""

    @pytest.mark.long
    def test_it_bounds_the_distance_from_the_largest_margin(self):
        svm = pytest.importorskip("sklearn.svm")
        rng = np.random.default_rng(21)
        x, w = rng.normal(size=(25, 4)), rng.normal(size=4)
        y = np.sign(x @ w)
        data = fl.Data(x + 0.2 * np.outer(y, w) / np.linalg.norm(w), y)
        fitted = svm.SVC(kernel="linear", C=1e10, tol=1e-12).fit(np.vstack([data.x, -data.x]), np.concatenate([y, -y]))
        # Its stopping rule leaves 1e-8; on its support the solution is the one of least norm.
        z = np.asarray(data.x) * y[:, None]
        active = z @ fitted.coef_[0] < 1 + 1e-5
        largest = 1.0 / np.linalg.norm(np.linalg.lstsq(z[active], np.ones(active.sum()), rcond=None)[0])
        made, start = field(), fl.initial_state("W1 @ x", data, seed=2)
        for level in (0.1, 1e-3, 1e-7):
            path = fl.integrate(made, start, data, until=fl.margin_gap(level))
            assert path.outcome.event == "margin_gap"
            left = 1.0 - float(path.dataset.min_margin[-1]) / largest
            assert -1e-9 < left <= level * (1 + 1e-6)
            gap = float(made.margin_gap(made.pack(path.last), data))
            assert gap == pytest.approx(level, abs=1e-10)  # a difference of two numbers near 1

    def test_a_gap_that_round_off_would_fake_is_refused(self):
        for level in (0.0, 1e-9, 1.0, 2.0):
            with pytest.raises(LanguageError, match="certify"):
                fl.margin_gap(level)

    @pytest.mark.slow
    def test_multi_class_and_deep_nets_close_it_too(self):
        rng = np.random.default_rng(4)
        y = np.arange(12) % 3
        data = fl.Data(2.0 * np.eye(3)[y] + 0.3 * rng.normal(size=(12, 3)), y)
        made = field("W2 @ W1 @ x", loss="cross_entropy", reduction="mean")
        path = fl.integrate(
            made, fl.initial_state("W2 @ W1 @ x", data, widths={"W1": 4}, seed=1), data, until=fl.margin_gap(1e-4)
        )
        assert path.outcome.event == "margin_gap"
        found = fl.limit(path)
        assert 1.0 - float(path.dataset.min_margin[-1]) / float(found.margin) < 1e-3
