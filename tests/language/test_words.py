"""Contracts: every registered word carries all its meanings, and they agree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp

import flowlab as fl
from flowlab.language.activations import Activation, activations
from flowlab.language.losses import losses
from flowlab.language.operations import operations
from flowlab.language.schemes import schemes

Z = np.array([-3.0, -0.7, -1e-3, 1e-3, 0.4, 2.5])


def word(name):
    from fractions import Fraction

    return activations[name](*([Fraction(1, 5)] if name == "leaky_relu" else []))


@pytest.mark.parametrize("name", activations.names())
def test_activation(name):
    one = word(name)
    z = sp.Symbol("z", real=True)
    f, slope = one.symbolic(z), sp.diff(one.symbolic(z), z)
    values = [float(f.subs(z, v)) for v in Z]
    slopes = [float(slope.subs(z, v)) for v in Z]
    for xp in (np, jnp):
        assert np.allclose(one.numeric(xp, xp.asarray(Z)), values, rtol=1e-12, atol=1e-14)
        assert np.allclose(one.slope(xp, xp.asarray(Z)), slopes, rtol=1e-12, atol=1e-14)
    auto = jax.vmap(jax.grad(lambda v: one.numeric(jnp, v)))
    assert np.allclose(auto(jnp.asarray(Z)), slopes, rtol=1e-10, atol=1e-12)
    # At a kink the stated slope is the one autodiff takes, and far out nothing overflows.
    far = np.array([*one.kinks, -800.0, 800.0])
    assert np.allclose(auto(jnp.asarray(far)), one.slope(np, far), rtol=1e-10, atol=1e-12)
    assert np.isfinite(one.numeric(np, far)).all()
    if one.degree is not None:
        assert np.allclose(one.numeric(np, 3.0 * Z), 3.0**one.degree * one.numeric(np, Z))
    else:
        assert not np.allclose(one.numeric(np, 3.0 * Z), 3.0 * one.numeric(np, Z))
    assert one.latex()
    assert one.latex(prime=True) != one.latex()
    assert activations[name].__doc__
    assert callable(getattr(fl, name))
    derived = fl.derive(fl.Problem(f"W2 @ {name}(W1 @ x)"))
    assert derived.residual < 1e-11


@pytest.mark.parametrize("name", operations.names())
def test_operation(name):
    one = operations[name]()
    for meaning in ("shape", "degree", "numeric", "pullback", "render"):
        assert callable(getattr(one, meaning))
    assert operations[name].__doc__
    assert one.name == name


@pytest.mark.parametrize("name", schemes.names())
def test_scheme(name):
    assert schemes[name].__doc__
    assert schemes[name].conserved_norm in ("square", "log", None)
    for per in ("layer", "neuron", "network"):
        flow = fl.derive(fl.Problem("W2 @ relu(W1 @ x)", scheme=name, per=per))
        assert flow.residual < 1e-11
        assert flow.steps


def outputs(kind, rng, n=12):
    if kind == "classes":
        return rng.normal(size=(n, 4)), np.arange(n) % 4
    if kind == "binary":
        return rng.normal(size=(n, 1)), np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    return rng.normal(size=(n, 1)), rng.normal(size=n)


NAIVE = {
    "exponential": lambda f, y: np.exp(-y * f[:, 0]),
    "logistic": lambda f, y: np.log(1 + np.exp(-y * f[:, 0])),
    "square": lambda f, y: (f[:, 0] - y) ** 2 / 2,
    "cross_entropy": lambda f, y: -np.log(np.exp(f)[np.arange(len(y)), y] / np.exp(f).sum(axis=1)),
    "multiclass_exponential": lambda f, y: np.exp(f - f[np.arange(len(y)), y][:, None]).sum(axis=1) - 1,
}


@pytest.mark.parametrize("name", losses.names())
def test_loss(name):
    one = losses[name]()
    f, y = outputs(one.labels, np.random.default_rng(0))
    terms = NAIVE[name](f, y)
    for xp in (np, jnp):
        assert np.allclose(np.exp(one.log_terms(xp, xp.asarray(f), xp.asarray(y))), terms, rtol=1e-12)
        assert np.isclose(np.exp(one.log_loss(xp, xp.asarray(f), xp.asarray(y))), terms.sum(), rtol=1e-12)
        assert np.isclose(np.exp(one.log_loss(xp, xp.asarray(f), xp.asarray(y), "mean")), terms.mean(), rtol=1e-12)
    gradient = jax.grad(lambda f: jnp.exp(one.log_loss(jnp, f, jnp.asarray(y))))(jnp.asarray(f))
    assert np.allclose(one.pull(np, f, y), -gradient, rtol=1e-11, atol=1e-14)
    symbols = [sp.Symbol(f"f{j}", real=True) for j in range(f.shape[1])]
    for row, label, term in zip(f, y, terms, strict=True):
        assert np.isclose(float(one.symbolic(symbols, label).subs(dict(zip(symbols, row, strict=True)))), term, rtol=1e-10)
    assert one.latex()
    right = one.margins(np, f, y) > 0
    assert right.shape == (12,)


@pytest.mark.parametrize("size", [30.0, 800.0, 1e4, 1e8])
@pytest.mark.parametrize("name", ["exponential", "logistic", "cross_entropy", "multiclass_exponential"])
def test_loss_far_in_the_tails(name, size):
    """Where e^-q is no longer a number its logarithm is, and so is the gradient of the logarithm."""
    one = losses[name]()
    y = np.array([0, 1]) if one.labels == "classes" else np.array([1.0, -1.0])
    f = np.array([[size, 0.0], [0.0, size]]) if one.labels == "classes" else np.array([[size], [-size]])
    assert np.allclose(one.log_terms(np, f, y), -size, rtol=1e-12)
    slope = jax.grad(lambda f: one.log_loss(jnp, f, jnp.asarray(y)))(jnp.asarray(f))
    assert np.isfinite(slope).all()
    assert np.allclose(np.abs(slope).max(axis=1), 0.5, rtol=1e-6)
    wrong = one.log_terms(np, -f, y)
    assert np.isfinite(wrong).all()
    assert (wrong > 0).all()


@pytest.mark.parametrize("size", [1.0, 30.0, 300.0])
def test_pull_keeps_its_digits_in_the_tail(size):
    """1 - p would be zero from q = 37 on."""
    binary, many = losses["logistic"](), losses["cross_entropy"]()
    wanted = 1 / (1 + np.exp(size)) if size < 40 else np.exp(-size)
    assert np.isclose(binary.pull(np, np.array([[size]]), np.array([1.0]))[0, 0], wanted, rtol=1e-12)
    assert np.isclose(many.pull(np, np.array([[size, 0.0]]), np.array([0]))[0, 0], wanted, rtol=1e-12)


def test_a_new_word_touches_one_place():
    """An activation registered here parses, derives, certifies and prints at once."""

    class Cubed(Activation):
        """z^3, a word of this test."""

        degree, symbol = 3, r"\operatorname{cubed}"

        def symbolic(self, z):
            return z**3

        def numeric(self, xp, z):
            return z * z * z

        def slope(self, xp, z):
            return 3.0 * z * z

    activations.register("cubed")(Cubed)
    try:
        flow = fl.derive(fl.Problem("W2 @ cubed(W1 @ x)", scheme="lagrange"))
        assert flow.problem.degrees == {"W1": 3, "W2": 1}
        assert flow.residual < 1e-11
        assert r"\operatorname{cubed}" in flow.latex("matrix")
        Cubed.slope = lambda self, xp, z: 2.9 * z * z
        with pytest.raises(fl.DerivationMismatch):
            fl.derive(fl.Problem("W2 @ cubed(W1 @ x)"))
    finally:
        del activations._words["cubed"]
    with pytest.raises(fl.UnknownName):
        fl.Network("W2 @ cubed(W1 @ x)")
