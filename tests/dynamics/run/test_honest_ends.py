"""What a late run may not claim: horizons it did not reach, rest while it moves, limits by laws that do not hold,
limits of other data.
"""

import jax
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)

import flowlab as fl
from flowlab.core.errors import DataError, LanguageError, OutputError, ShapeMismatch


def linear(x, y, **ends):
    net = fl.Network("W1 @ x")
    data = fl.Data(x, y)
    return fl.integrate(
        fl.lower(fl.derive(fl.Problem(net, coordinates="weights"))), fl.initial_state(net, data, seed=0), data, **ends
    )


@pytest.fixture(scope="module")
def separable():
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(30, 5)), rng.normal(size=5)
    y = np.sign(x @ w)
    return x + 0.3 * y[:, None] * w / np.linalg.norm(w), y


@pytest.fixture(scope="module")
def late(separable):
    return linear(*separable, until=fl.log_time(1e9))


@pytest.mark.parametrize("end", [fl.log_time(1e4), fl.log_norm(8.0)])
def test_a_flow_that_still_moves_is_neither_done_nor_at_rest(separable, end):
    """A sample of zeros is never on its right side, so that no late clock opens, while norms grow like log t."""
    x, y = np.vstack([separable[0], np.zeros((1, 5))]), np.append(separable[1], 1.0)
    path = linear(x, y, until=end)
    assert path.outcome.kind == "budget"
    assert "still moves" in path.outcome.message


@pytest.mark.long
def test_a_flow_at_rest_is_told_so():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 3)), np.sign(rng.normal(size=30))
    assert "at rest" in linear(x, y, until=fl.log_time(1e4)).outcome.message
    assert linear(x, y, until=fl.log_norm(8.0)).outcome.kind == "stalled"


@pytest.mark.long
def test_limits_far_out_have_the_bars_that_the_run_has_earned(late):
    """The late clock carries q, so that its bar does not grow with log t."""
    found = fl.asymptotics(late)
    assert found["q"].state == "converged"
    assert found["q"].late.error < 1e-4
    assert found["C* V_W1"].late.error < 1e-5
    assert found.compare("q", 3.0).answer == "another limit"
    assert found["exponent margin gap"].early is None
    assert "second horizon" in str(found["exponent margin gap"])
    assert len(found.table["quantity"]) == len(found.limits)


@pytest.mark.slow
def test_a_margin_whose_gap_falls_by_another_law_is_not_converged():
    rng = np.random.default_rng(3)
    for shape in ((30, 5), 5, (45, 4), (3, 4)):
        rng.normal(size=shape)
    x = rng.normal(size=(24, 3))
    data, net = fl.Data(x, np.sign(x[:, 0] * x[:, 1] + 0.05)), fl.Network("W2 @ relu(W1 @ x)")
    path = fl.integrate(
        fl.lower(fl.derive(fl.Problem(net))),
        fl.initial_state(net, data, widths={"W1": 8}, seed=0),
        data,
        until=fl.log_time(1e3),
    )
    found = fl.asymptotics(path)["min_margin"]
    assert found.state == "not yet converged"
    assert "none of the powers" in found.reason
    best = fl.limit(path)
    assert not best.decided
    assert "does not shrink like a power" in best.reason


def test_limits_are_of_the_path_and_of_its_own_data(late, separable):
    x, y = separable
    with pytest.raises(DataError, match="must be the samples of the path"):
        fl.limit(late, fl.Data(x + 0.02, y))
    assert fl.limit(late, fl.Data(x, y)).decided


@pytest.mark.long
def test_odd_arguments_are_told_in_a_sentence(late, separable, tmp_path):
    for call in (
        lambda: fl.limit(None),
        lambda: fl.asymptotics(None),
        lambda: fl.asymptotics(late, tolerance="x"),
        lambda: fl.asymptotics(late, tolerance=0),
    ):
        with pytest.raises(LanguageError):
            call()
    with pytest.raises(ShapeMismatch, match="one number per row"):
        fl.asymptotics(late, log_gradient=[1.0, 2.0])
    with pytest.raises(LanguageError, match="`wall` must be"):
        fl.wall(-1)
    with pytest.raises(LanguageError, match="`store=3` must be"):
        linear(*separable, until=fl.time(1.0), store=3)
    assert linear(*separable, until=fl.log_time(np.float32(50)), events=fl.separated()).outcome.kind == "event"
    linear(*separable, until=fl.log_time(3.0), store=tmp_path)
    with pytest.raises(OutputError, match=r"until\[0\].*4\.0"):
        linear(*separable, until=fl.log_time(4.0), store=tmp_path)


def test_norms_that_are_kept_never_grow(separable):
    net, data = fl.Network("W1 @ x"), fl.Data(*separable)
    field = fl.lower(fl.derive(fl.Problem(net, scheme="fixed_norm")))
    with pytest.raises(LanguageError, match="log_norm` can never"):
        fl.integrate(field, fl.initial_state(net, data, seed=0), data, until=fl.log_norm(3.0))
