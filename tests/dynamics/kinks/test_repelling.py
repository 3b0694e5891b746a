"""What is not determined is said: starts on kinks that repel, slides whose kink begins to repel, and chatter."""

import jax
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)

import flowlab as fl
from flowlab.dynamics.kinks import event_log
from flowlab.dynamics.run import kink_crossing

DATA = np.array([[1.0, 0.0], [0.3, 1.0]]), np.array([1.0, -1.0])
"""A unit along (0, 1) is on the kink of the first sample, and the second one, of the other label, pulls it towards its
left or right.
"""


def standing(text, outgoing, loss="exponential", coordinates="weights"):
    """A net whose only unit of the first layer, or one of two, stands on the kink of sample 0."""
    net, data = fl.Network(text), fl.Data(*DATA)
    weights = {"W1": np.array([[0.0, 0.5]]), "W2": np.array([[outgoing]])}
    if "W3" in net.weights:
        weights = {"W1": np.array([[0.0, 0.5]]), "W2": np.array([[1.0]]), "W3": np.array([[outgoing]])}
    return fl.lower(fl.derive(fl.Problem(net, loss, coordinates=coordinates))), fl.State.from_weights(weights), data


@pytest.mark.long
@pytest.mark.parametrize(
    ("text", "given"),
    [
        pytest.param("W2 @ relu(W1 @ x)", {}, marks=pytest.mark.slow),
        ("W2 @ relu(W1 @ x)", {"coordinates": "polar"}),
        pytest.param("W2 @ leaky_relu(W1 @ x, 0.1)", {}, marks=pytest.mark.slow),
        ("W2 @ abs(W1 @ x)", {}),
        pytest.param("W2 @ relu(W1 @ x)", {"loss": "logistic"}, marks=pytest.mark.slow),
        pytest.param("W3 @ relu(W2 @ relu(W1 @ x))", {}, marks=pytest.mark.slow),
    ],
)
def test_starts_on_repelling_kinks_are_not_resolved(text, given):
    """The sample pulls the unit to the right of its kink, and without it the other one pushes it to the left."""
    path = fl.integrate(*standing(text, 1.0, **given), until=fl.time(1.0))
    assert path.outcome.kind == "nonunique"
    assert "repels" in path.outcome.message
    assert len(path) == 1
    # Control: beside the kink there is one flow on either side, and they part.
    field, start, data = standing(text, 1.0, **given)
    ends = []
    for aside in (-1e-9, 1e-9):
        weights = {k: np.array(v) for k, v in start.weights().items()}
        weights["W1"][0, 0] = aside
        end = fl.integrate(field, fl.State.from_weights(weights), data, until=fl.time(0.5))
        # On the left the unit may lose its last sample and die.
        assert end.outcome.kind in ("done", "stalled")
        ends.append(float(end.last.weights()["W1"][0, 0]))
    assert ends[0] < -0.01 < 0.01 < ends[1]


@pytest.mark.long
@pytest.mark.parametrize(
    ("text", "coordinates"),
    [("W2 @ relu(W1 @ x)", "weights"), ("W2 @ relu(W1 @ x)", "polar"), ("W2 @ abs(W1 @ x)", "weights")],
)
def test_a_start_on_an_attracting_kink_slides(text, coordinates):
    """With the other outgoing sign both sides push the unit back: it moves along (0, 1) alone."""
    path = fl.integrate(*standing(text, -1.0, coordinates=coordinates), until=fl.time(0.2))
    assert path.outcome.kind == "done"
    assert path.dataset["pair_start"].values[0] == 0
    assert 0 < path.dataset["kink_multiplier"].values[0] < 1
    assert abs(float(path.last.weights()["W1"][0, 0])) < 1e-15
    assert abs(float(path.last.weights()["W1"][0, 1]) - 0.5) > 0.01


@pytest.mark.long
def test_a_slide_whose_kink_begins_to_repel_ends():
    """An outgoing weight that goes through zero, as it may where it was the smaller one, turns the kink its unit slides
    on around.
    """
    seen = []
    for seed in (1, 7, 8):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(20, 5))
        data, net = fl.Data(x, np.sign(x[:, 0] * x[:, 1])), fl.Network("W2 @ relu(W1 @ x)")
        field = fl.lower(fl.derive(fl.Problem(net, coordinates="weights")))
        start = fl.State.from_weights({"W1": 0.5 * rng.normal(size=(16, 5)), "W2": 0.5 * rng.normal(size=(1, 16))})
        path = fl.integrate(field, start, data, until=fl.log_time(20.0))
        if path.outcome.kind == "nonunique":
            unit = int(path.outcome.message.split("unit ")[1].split()[0])
            assert "begins to repel" in path.outcome.message
            assert abs(float(path.last.weights()["W2"][0, unit])) < 1e-8
            seen.append(seed)
    assert seen


def test_chatter_does_not_go_on_in_silence(monkeypatch):
    """With next to no changes of mode allowed, an ordinary run counts as chatter, and keeps its rows."""
    monkeypatch.setattr(event_log, "CHATTER", 3)
    monkeypatch.setattr(kink_crossing, "CHATTER", 3)
    monkeypatch.setattr(event_log.Kinks, "chatters", lambda self, clock, s: len(self.lately) > 3)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 5))
    data, net = fl.Data(x, np.sign(x[:, 0] * x[:, 1])), fl.Network("W2 @ relu(W1 @ x)")
    field = fl.lower(fl.derive(fl.Problem(net, coordinates="weights")))
    path = fl.integrate(field, fl.initial_state(net, data, widths={"W1": 16}, seed=0), data, until=fl.time(3.0))
    assert path.outcome.kind == "stalled"
    assert "changes of mode" in path.outcome.message
    assert len(path) > 3


def test_fifty_changes_in_a_millionth_of_the_clock_are_chatter():
    kinks = event_log.Kinks(None, lately=tuple(("time", 1.0 + 1e-9 * i) for i in range(event_log.CHATTER + 1)))
    assert kinks.chatters("time", 1.0 + 1e-7)
    assert not kinks.chatters("time", 1.1)
    assert not kinks.chatters("norm", 1.0)


@pytest.mark.long
def test_the_wall_limit_is_heard_between_kinks():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5))
    data, net = fl.Data(x, np.sign(x[:, 0] * x[:, 1])), fl.Network("W2 @ relu(W1 @ x)")
    field = fl.lower(fl.derive(fl.Problem(net, coordinates="weights")))
    path = fl.integrate(
        field, fl.initial_state(net, data, widths={"W1": 16}, seed=0), data, until=fl.time(1e6), wall_seconds=1e-3
    )
    assert path.outcome.kind == "budget"
