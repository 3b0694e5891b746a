"""What no weights can meet on given samples is refused with what shows it; what some can meet is not."""

import jax
import numpy as np
import pytest
from scipy.optimize import minimize

jax.config.update("jax_enable_x64", True)

import flowlab as fl
from flowlab.core.errors import DataError
from flowlab.dynamics.run import unreachable_events
from flowlab.language.inputs import as_function
from flowlab.language.losses import losses

RELU, DEEP, BIASED = "W2 @ relu(W1 @ x)", "W3 @ relu(W2 @ relu(W1 @ x))", "W2 @ relu(W1 @ x + b)"
EVEN, ODD = "W2 @ abs(W1 @ x)", "W2 @ tanh(W1 @ x)"


def asked(text, x, y, event, loss="logistic", kind=None, **given):
    data = fl.Data(np.asarray(x, dtype=float), np.asarray(y), kind=kind or losses[loss].labels)
    unreachable_events.refuse(event, fl.Problem(text, loss, coordinates="weights", **given), data)


ONE, TWO = [1.0, 2.0], [0.5, -1.0]
ZERO, AWAY = [0.0, 0.0], [-1.0, -2.0]
TENTH, FIFTH = [0.1, 0.3], [0.2, 0.6]
SEPARATION = [
    (RELU, [ONE, TWO, ONE], [1.0, 1.0, -1.0], "samples 1 and 3 are equal"),
    (RELU, [TWO, ZERO], [1.0, -1.0], "sample 2 is zero"),
    (ODD, [TWO, ZERO], [1.0, -1.0], "sample 2 is zero"),
    ("W2 @ gelu(W1 @ x)", [TWO, ZERO], [1.0, -1.0], "sample 2 is zero"),
    (RELU, [TWO, ONE, [3.0, 6.0]], [1.0, 1.0, -1.0], "samples 2 and 3 are multiples"),
    (DEEP, [TENTH, FIFTH], [1.0, -1.0], "samples 1 and 2 are multiples"),
    ("maximum(a @ x, b @ x, c @ x)", [TENTH, FIFTH], [1.0, -1.0], "samples 1 and 2 are multiples"),
    (EVEN, [ONE, AWAY], [1.0, -1.0], "samples 1 and 2 are multiples"),
    ("W2 @ tanh(abs(W1 @ x))", [ONE, AWAY], [1.0, -1.0], "samples 1 and 2 are opposite"),
    (ODD, [ONE, TWO, AWAY], [1.0, -1.0, 1.0], "samples 1 and 3 are opposite, .* but their labels are the same"),
    ("a * (v @ x)**2", [ONE, [-2.0, -4.0]], [1.0, -1.0], "polynomial of degree 2"),
    ("a * abs(v @ x)**3", [ONE, [-2.0, -4.0]], [1.0, -1.0], "samples 1 and 2 are multiples"),
    ("w @ x", [ONE, [-2.0, -4.0]], [1.0, 1.0], "not linearly separable"),
    (
        "(v @ x) * (u @ x)",
        [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0]],
        [1.0, 1.0, -1.0, -1.0],
        "polynomial of degree 2",
    ),
    ("w @ x + b", [[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]], [1.0, -1.0, 1.0], "polynomial of degree 1"),
]


@pytest.mark.parametrize(("text", "x", "y", "words"), SEPARATION)
def test_separation_out_of_reach_is_refused_by_name(text, x, y, words):
    for event in (fl.separated(), fl.margin_gap(0.1)):
        with pytest.raises(DataError, match=words) as refused:
            asked(text, x, y, event)
        assert len(str(refused.value)) <= 300


@pytest.mark.parametrize(
    ("text", "x", "y"),
    [
        (BIASED, [TWO, ZERO], [1.0, -1.0]),
        (BIASED, [ONE, [2.0, 4.0]], [1.0, -1.0]),
        (ODD, [ONE, [2.0, 4.0]], [1.0, -1.0]),
        (RELU, [ONE, AWAY], [1.0, -1.0]),
        (RELU, [ONE, AWAY], [1.0, 1.0]),
        (EVEN, [ONE, AWAY], [1.0, 1.0]),
        (ODD, [ONE, AWAY], [1.0, -1.0]),
        # In rationals these floats are not multiples of one another.
        (RELU, [TENTH, [0.3, 0.9]], [1.0, -1.0]),
        ("(v @ x) * (u @ x)", [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [1.0, 1.0, -1.0]),
        ("w @ x + b", [[1.0, 0.0], [2.0, 0.0], [3.0, 1.0]], [1.0, -1.0, 1.0]),
    ],
)
def test_what_may_be_separated_is_not_refused(text, x, y):
    asked(text, x, y, fl.separated())
    asked(text, x, y, fl.log_loss_below(-20.0))


@pytest.mark.parametrize(
    ("text", "x", "y"),
    [
        ("W1 @ x", [[1e-14], [1.0]], [1.0, 1.0]),
        ("W1 @ x", [[1e6, 2e6], [1e-9, -1e-9], [1.0, 0.5]], [1.0, -1.0, 1.0]),
        ("a * (v @ x)**4", [[1e-4, 2e-4], [3.0, 1.0]], [1.0, 1.0]),
        ("W2 @ (W1 @ x)**2 + U @ x", [[2.0], [1e-16]], [1.0, -1.0]),
        ("W2 @ (W1 @ x + b)**2", [[1e8], [2e8], [1.0]], [1.0, -1.0, -1.0]),
        ("a * (v @ x)**3", [[1e-120], [1.0]], [1.0, 1.0]),
    ],
)
def test_samples_of_all_sizes_that_may_be_separated_are_not_refused(text, x, y):
    asked(text, x, y, fl.separated())


def test_samples_of_all_sizes_that_cannot_be_separated_are():
    with pytest.raises(DataError, match="not linearly separable"):
        asked("W1 @ x", [[1e-14, 1e-14], [1e6, 1e6]], [1.0, -1.0], fl.separated())
    with pytest.raises(DataError, match="can never be met"):
        asked("W2 @ (W1 @ x)**3", [[1e-4], [1e4], [-2.0]], [1.0, 1.0, 1.0], fl.separated())


@pytest.mark.parametrize(
    ("text", "x", "y"),
    [
        ("W1 @ x", [[1e9, 5e8], [1e-9, -3e-10]], [1.0, 1.0]),
        ("W2 @ (W1 @ x + b)**2", [[1e-10], [-1e-10], [3e-10]], [1.0, -1.0, 2.0]),
    ],
)
def test_targets_that_samples_of_all_sizes_can_meet_have_no_bound(text, x, y):
    asked(text, x, y, fl.log_loss_below(-20.0), loss="square")


def test_classes_of_parallel_and_opposite_samples():
    three = [*np.eye(3), [2.0, 0.0, 0.0]]
    with pytest.raises(DataError, match="samples 1 and 4 are multiples"):
        asked(RELU, three, [0, 1, 2, 1], fl.separated(), "cross_entropy")
    asked(RELU, three, [0, 1, 2, 0], fl.separated(), "cross_entropy")
    away = [*np.eye(3), [-1.0, 0.0, 0.0]]
    with pytest.raises(DataError, match="not linearly separable"):
        asked("W1 @ x", away, [0, 1, 2, 0], fl.separated(), "cross_entropy")
    with pytest.raises(DataError, match="samples 1 and 4 are opposite"):
        asked("W2 @ tanh(W1 @ x)", away, [0, 1, 2, 0], fl.separated(), "cross_entropy")
    asked("W1 @ x", away, [0, 1, 2, 1], fl.separated(), "cross_entropy")


BOUNDS = [
    ("logistic", [ONE, ONE, TWO], [1.0, -1.0, 1.0], np.log(2 * np.log(2.0))),
    ("exponential", [ONE, ONE, ONE, TWO], [1.0, -1.0, 1.0, 1.0], np.log(2 * np.sqrt(2.0))),
    ("logistic", [ZERO, TWO], [1.0, 1.0], np.log(np.log(2.0))),
    ("exponential", [ZERO, ZERO, TWO], [1.0, -1.0, 1.0], np.log(2.0)),
    ("square", [ONE, ONE, TWO], [1.0, 3.5, 0.0], np.log(2 * 1.25**2 / 2)),
    ("square", [ONE, [2.0, 4.0], TWO], [1.0, 1.0, 0.0], np.log((2 - 9 / 5) / 2)),
    ("cross_entropy", [ONE, ONE, TWO, AWAY], [0, 1, 2, 0], np.log(2 * np.log(2.0))),
    ("multiclass_exponential", [ONE, ONE, TWO, AWAY], [0, 1, 2, 0], np.log(2.0)),
]


@pytest.mark.parametrize(("loss", "x", "y", "bound"), BOUNDS)
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_levels_below_the_least_loss_are_refused(loss, x, y, bound, reduction):
    """The bound in closed form; a hair above it nothing is said."""
    bound -= np.log(len(x)) if reduction == "mean" else 0.0
    kind = "targets" if loss == "square" else None
    with pytest.raises(DataError, match="the log loss is at least") as refused:
        asked(RELU, x, y, fl.log_loss_below(bound - 1e-3), loss, kind, reduction=reduction)
    assert len(str(refused.value)) <= 300
    asked(RELU, x, y, fl.log_loss_below(bound + 1e-6), loss, kind, reduction=reduction)


@pytest.mark.parametrize("loss", sorted(name for name in losses if not losses[name]().is_value))
@pytest.mark.parametrize("seed", range(3))
def test_the_bound_of_linear_networks_is_their_least_loss(loss, seed):
    """Against a minimiser that knows nothing of duality; it is never above it, and close to it."""
    rng = np.random.default_rng(seed)
    labels = losses[loss].labels
    x = rng.normal(size=(24, 2))
    y = {
        "binary": np.where(rng.normal(size=24) > 0, 1.0, -1.0),
        "classes": np.arange(24) % 3,
        "targets": rng.normal(size=24),
    }[labels]
    data, word, width = fl.Data(x, y), losses[loss](), 3 if labels == "classes" else 1
    found = unreachable_events.lowest(word, x, y, data)
    starts = [rng.normal(size=2 * width) for _ in range(3)]
    least = min(
        minimize(
            lambda w: float(word.log_loss(np, x @ w.reshape(2, width), y)), s, method="BFGS", options={"gtol": 1e-9}
        ).fun
        for s in starts
    )
    assert least - 1e-5 < found < least + 1e-9
    with pytest.raises(DataError, match="no linear network has a log loss below"):
        unreachable_events.refuse(fl.log_loss(least - 0.01), fl.Problem("W1 @ x", loss), data)
    unreachable_events.refuse(fl.log_loss(least + 1e-4), fl.Problem("W1 @ x", loss), data)


def test_a_level_that_can_be_met_has_no_bound():
    """Separable labels and targets that are fitted, whose bounds would be round-off: no level is refused."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    asked("W1 @ x", x, x @ np.array([1.0, -2.0, 0.5]), fl.log_loss_below(-80.0), "square", "targets")
    for loss in ("logistic", "exponential"):
        asked("W1 @ x", x, np.sign(x @ np.array([1.0, -2.0, 0.5])), fl.log_loss_below(-1e6), loss)
        asked(RELU, np.r_[x, 2.0 * x], np.sign(np.r_[x, x][:, 0]), fl.log_loss_below(-1e6), loss)


@pytest.mark.parametrize(
    "text",
    [
        RELU,
        DEEP,
        BIASED,
        EVEN,
        ODD,
        "w @ x + b",
        "(v @ x) * (u @ x)",
        "W2 @ relu(W1 @ x)**2",
        "W2 @ W1 @ x",
        "a @ sigmoid(W @ x)",
        "W2 @ relu(abs(W1) @ x)",
        "maximum(a @ x, b @ x)",
        "a @ abs(W @ x)**1.5",
        "a @ tanh(abs(W @ x))",
    ],
)
def test_what_is_said_of_networks_holds_at_random_weights(text):
    net, rng = fl.Network(text), np.random.default_rng(1)
    shapes = net.resolve(3, 1, default_width=4)
    weights = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    x, c = rng.normal(size=(5, 3)), 1.7
    facts = as_function(net.nodes)

    def f(x):
        return net.outputs(weights, x, np)

    differs = [not np.allclose(f(c * x), c**k * f(x), rtol=1e-12) for k in (0.5, 1, 1.5, 2, 3)]
    assert facts.degree is None or np.allclose(f(c * x), c ** float(facts.degree) * f(x), rtol=1e-12)
    assert facts.degree is not None or all(differs)
    assert (facts.parity == 1) == np.allclose(f(-x), f(x), rtol=1e-12)
    assert (facts.parity == -1) == np.allclose(f(-x), -f(x), rtol=1e-12)
    assert facts.vanishes == np.allclose(f(0 * x), 0.0, atol=1e-15)
