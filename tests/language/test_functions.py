"""Contracts: every registered word carries all its meanings, and they agree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp

import flowlab as fl
from flowlab.language.activations import Activation, activations
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
