"""Contracts of the losses: one function in log space, as a pull-back, as a symbol and in print,
finite far beyond what e^q is.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp

import flowlab as fl
from flowlab.language.losses import losses

SAMPLED = [name for name in losses.names() if not losses[name]().is_value]

N, CLASSES = 12, 4
LABELS = {
    "binary": np.where(np.arange(N) % 3 == 0, 1.0, -1.0),
    "classes": np.arange(N) % CLASSES,
    "targets": np.random.default_rng(1).normal(size=N),
}
NAIVE = {
    "exponential": lambda f, y: np.exp(-y * f[:, 0]),
    "logistic": lambda f, y: np.log(1 + np.exp(-y * f[:, 0])),
    "square": lambda f, y: (f[:, 0] - y) ** 2 / 2,
    "cross_entropy": lambda f, y: -np.log(np.exp(f)[np.arange(len(y)), y] / np.exp(f).sum(axis=1)),
    "multiclass_exponential": lambda f, y: np.exp(f - f[np.arange(len(y)), y][:, None]).sum(axis=1) - 1,
}


def moderate(name, seed=0):
    labels = losses[name].labels
    f = np.random.default_rng(seed).normal(size=(N, CLASSES if labels == "classes" else 1)) * 2
    return losses[name](), f, LABELS[labels]


def symbolic(one, f, y):
    """Symbols of one sample's outputs, and every sample's loss as an expression of them."""
    symbols = [sp.Symbol(f"f{j}", real=True) for j in range(f.shape[1])]
    return symbols, [
        one.symbolic(symbols, sp.Integer(int(label)) if one.labels != "targets" else sp.Float(label, 30)) for label in y
    ]


@pytest.mark.parametrize("name", SAMPLED)
def test_one_function_in_all_its_meanings(name):
    one, f, y = moderate(name)
    symbols, told = symbolic(one, f, y)
    points = [dict(zip(symbols, row, strict=True)) for row in f]
    terms = np.array([float(e.subs(p)) for e, p in zip(told, points, strict=True)])
    slopes = np.array([[-float(sp.diff(e, s).subs(p)) for s in symbols] for e, p in zip(told, points, strict=True)])
    if name in NAIVE:
        assert np.allclose(terms, NAIVE[name](f, y), rtol=1e-12)
    for xp in (np, jnp):
        a, b = xp.asarray(f), xp.asarray(y)
        assert np.allclose(np.exp(one.log_terms(xp, a, b)), terms, rtol=1e-12)
        assert np.isclose(np.exp(one.log_loss(xp, a, b)), terms.sum(), rtol=1e-12)
        assert np.isclose(np.exp(one.log_loss(xp, a, b, "mean")), terms.mean(), rtol=1e-12)
        assert np.allclose(one.pull(xp, a, b), slopes, rtol=1e-11, atol=1e-14)
    gradient = jax.grad(lambda f: jnp.exp(one.log_loss(jnp, f, jnp.asarray(y))))(jnp.asarray(f))
    assert np.allclose(one.pull(np, f, y), -gradient, rtol=1e-11, atol=1e-14)
    averaged = jax.grad(lambda f: jnp.exp(one.log_loss(jnp, f, jnp.asarray(y), "mean")))(jnp.asarray(f))
    assert np.allclose(averaged, gradient / N, rtol=1e-12)
    assert one.latex()
    assert one.__doc__
    assert one.name == name


@pytest.mark.parametrize("name", SAMPLED)
def test_margins_say_who_is_right(name):
    one, f, y = moderate(name)
    margins = one.margins(np, f, y)
    assert np.allclose(margins, one.margins(jnp, jnp.asarray(f), jnp.asarray(y)), rtol=1e-14)
    right = {
        "binary": np.sign(f[:, 0]) == y,
        "classes": f.argmax(axis=1) == y,
        "targets": np.zeros(N, dtype=bool),
    }[one.labels]
    assert np.array_equal(margins > 0, right)
    if one.labels != "targets":
        assert right.any()
        assert not right.all()


TAILS = ["exponential", "logistic", "cross_entropy", "multiclass_exponential"]


def extreme(name, size):
    one = losses[name]()
    if one.labels == "classes":
        return one, np.array([[size, 0.0, -size], [0.0, size, -size]]), np.array([0, 1])
    return one, np.array([[size], [-size]]), np.array([1.0, -1.0])


@pytest.mark.parametrize("size", [30.0, 800.0, 1e4, 1e8])
@pytest.mark.parametrize("name", TAILS)
def test_far_on_the_right_side(name, size):
    """Where e^-q is no longer a number its logarithm is, and so is the gradient of the logarithm."""
    one, f, y = extreme(name, size)
    assert np.allclose(one.log_terms(np, f, y), -size, rtol=1e-12)
    assert np.isclose(one.log_loss(np, f, y), np.log(2) - size, rtol=1e-12)
    slope = jax.grad(lambda f: one.log_loss(jnp, f, jnp.asarray(y)))(jnp.asarray(f))
    assert np.isfinite(slope).all()
    assert np.allclose(np.abs(slope).max(axis=1), 0.5, rtol=1e-6)


@pytest.mark.parametrize("size", [30.0, 800.0, 1e4, 1e8])
@pytest.mark.parametrize("name", SAMPLED)
def test_far_on_the_wrong_side(name, size):
    one, f, y = extreme(name, -size)
    wrong = {
        "exponential": size,
        "multiclass_exponential": np.logaddexp(size, 2 * size),
        "square": 2 * np.log(1 + size) - np.log(2),
    }
    wanted = wrong.get(name, np.log(wrong["multiclass_exponential" if one.labels == "classes" else "exponential"]))
    for xp in (np, jnp):
        assert np.allclose(one.log_terms(xp, xp.asarray(f), xp.asarray(y)), wanted, rtol=1e-12)
    # One sample far on each side: the wrong one is all of the loss.
    both, labels = np.concatenate([f, -f]), np.concatenate([y, y])
    assert np.isfinite(one.log_loss(np, both, labels))
    assert np.isfinite(jax.grad(lambda f: one.log_loss(jnp, f, jnp.asarray(labels)))(jnp.asarray(both))).all()


@pytest.mark.parametrize("size", [1.0, 30.0, 300.0])
def test_pull_keeps_its_digits_in_the_tail(size):
    """1 - p would be zero from q = 37 on."""
    binary, many = losses["logistic"](), losses["cross_entropy"]()
    wanted = 1 / (1 + np.exp(size)) if size < 40 else np.exp(-size)
    assert np.isclose(binary.pull(np, np.array([[size]]), np.array([1.0]))[0, 0], wanted, rtol=1e-12)
    assert np.isclose(many.pull(np, np.array([[size, 0.0]]), np.array([0]))[0, 0], wanted, rtol=1e-12)


@pytest.mark.parametrize(("many", "binary"), [("cross_entropy", "logistic"), ("multiclass_exponential", "exponential")])
@pytest.mark.parametrize("size", [1.0, 300.0])
def test_two_classes_are_the_binary_loss_of_their_difference(many, binary, size):
    rng = np.random.default_rng(2)
    f, y = size * rng.normal(size=(N, 2)), np.arange(N) % 2
    difference, sign = f[:, :1] - f[:, 1:], np.where(y == 0, 1.0, -1.0)
    assert np.allclose(losses[many]().log_terms(np, f, y), losses[binary]().log_terms(np, difference, sign), rtol=1e-12)
    pulled, wanted = losses[many]().pull(np, f, y), losses[binary]().pull(np, difference, sign)
    assert np.allclose(pulled, np.concatenate([wanted, -wanted], axis=1), rtol=1e-12)


@pytest.mark.parametrize("xp", [np, jnp])
def test_a_square_loss_met_exactly(xp):
    one, f, y = losses["square"](), xp.ones((3, 1)), xp.ones(3)
    assert np.exp(one.log_loss(xp, f, y)) == 0
    assert not np.any(one.pull(xp, f, y))
    assert not np.any(jax.grad(lambda f: jnp.exp(one.log_loss(jnp, f, jnp.ones(3))))(jnp.ones((3, 1))))


def test_square_loss_of_several_outputs():
    rng = np.random.default_rng(3)
    one, f, y = losses["square"](), rng.normal(size=(N, 3)), rng.normal(size=(N, 3))
    assert np.allclose(np.exp(one.log_terms(np, f, y)), ((f - y) ** 2).sum(axis=1) / 2, rtol=1e-12)
    assert np.allclose(one.pull(np, f, y), y - f, rtol=1e-15)


DATA = {"binary": [1.0, -1.0, 1.0], "classes": [0, 1, 2], "targets": [0.5, -1.5, 2.0]}
FIT = {"binary": ("binary",), "classes": ("classes",), "targets": ("targets", "binary")}


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("name", SAMPLED)
def test_labels_that_do_not_fit_are_named(name, kind):
    one, data = losses[name](), fl.Data(np.arange(6.0).reshape(3, 2), DATA[kind])
    if kind in FIT[one.labels]:
        one.check_labels(data)
        return
    with pytest.raises(fl.DataError) as caught:
        one.check_labels(data)
    for part in (f'"{name}"', *(f"{v:g}" for v in DATA[kind])):
        assert part in str(caught.value)
    assert str(caught.value).endswith(".")


def test_an_unknown_loss_offers_the_nearest():
    with pytest.raises(fl.UnknownName, match="did you mean `exponential`"):
        fl.Problem("W @ x", loss="exponental")
