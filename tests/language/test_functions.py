"""Contracts: every registered word carries all its meanings, and they agree."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import sympy as sp

import flowlab as fl
from flowlab.language.activations import Activation, activations
from flowlab.language.operations import operations
from flowlab.language.schemes import GradientFlow, NormLaw, schemes

Z = np.array([-3.0, -0.7, -1e-3, 1e-3, 0.4, 2.5])


WORDS = [(name, ()) for name in activations.names()] + [("leaky_relu", (Fraction(1, 5),)), ("elu", (Fraction(3, 2),))]
WORDS += [("quantised_relu", (Fraction(3), Fraction(1, 4))), ("clipped_relu", (Fraction(5, 2),))]
FAR = np.array([-800.0, -300.0, -40.0, -9.0, -1e-9, 0.0, 1e-9, 9.0, 40.0, 300.0, 800.0])


@pytest.mark.long
@pytest.mark.parametrize(("name", "numbers"), WORDS)
def test_activation(name, numbers):
    one = activations[name](*numbers)
    z = sp.Symbol("z", real=True)
    f, slope = one.symbolic(z), sp.diff(one.symbolic(z), z)
    values = [float(f.subs(z, v)) for v in Z]
    slopes = [float(slope.subs(z, v)) for v in Z]
    for xp in (np, jnp):
        assert np.allclose(one.numeric(xp, xp.asarray(Z)), values, rtol=1e-12, atol=1e-14)
        assert np.allclose(one.slope(xp, xp.asarray(Z)), slopes, rtol=1e-12, atol=1e-14)
    auto = jax.vmap(jax.grad(lambda v: one.numeric(jnp, v)))
    assert np.allclose(auto(jnp.asarray(Z)), slopes, rtol=1e-10, atol=1e-12)
    if one.degree is not None:
        assert np.allclose(one.numeric(np, 3.0 * Z), 3.0**one.degree * one.numeric(np, Z))
    else:
        assert not np.allclose(one.numeric(np, 3.0 * Z), 3.0 * one.numeric(np, Z))
    assert one.latex()
    assert one.latex(prime=True) != one.latex()
    assert activations[name].__doc__
    assert callable(getattr(fl, name))
    called = f"{name}(W1 @ x{''.join(f', {float(n)}' for n in numbers)})"
    for loss in ("exponential", "square"):
        derived = fl.derive(fl.Problem(f"a @ {called}", loss))
        assert derived.residual <= 1e-12
        assert f"{name}'" in derived.text("matrix")
        assert one.latex(prime=True) in derived.latex("matrix")


def exact(expression, z, point):
    """A SymPy expression at a float, by mpmath's own functions at 800 digits, rounded once."""
    with mpmath.workdps(800):
        return float(sp.lambdify(z, expression, "mpmath")(mpmath.mpf(float(point))))


@pytest.mark.parametrize(("name", "numbers"), WORDS)
def test_tails_and_zero(name, numbers):
    """To a few roundings from -800 to 800; at zero, kink or not, autodiff has the stated slope."""
    one, z = activations[name](*numbers), sp.Symbol("z", real=True)
    f, auto = one.symbolic(z), jax.vmap(jax.grad(lambda v: one.numeric(jnp, v)))
    wanted, slopes = ([exact(e, z, v) for v in FAR] for e in (f, sp.diff(f, z)))
    # A value below the range of normal numbers may be rounded to zero.
    told = {"rtol": 2e-13, "atol": 1e-307}
    with np.errstate(over="ignore", under="ignore"):
        for xp in (np, jnp):
            assert np.allclose(one.numeric(xp, xp.asarray(FAR)), wanted, **told)
            assert np.allclose(one.slope(xp, xp.asarray(FAR)), slopes, **told)
        assert np.allclose(auto(jnp.asarray(FAR)), slopes, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "numbers"), WORDS)
def test_what_an_activation_declares_is_so(name, numbers):
    """Parity, signs, reach, kinks and their sides, by values; a declaration that says too much fails here."""
    one, up = activations[name](*numbers), np.linspace(0.01, 9.0, 700)
    if one.parity is not None:
        assert np.array_equal(one.numeric(np, -up), one.parity * one.numeric(np, up))
    for positive in (False, True):
        for negative in (False, True):
            z = np.concatenate([[0.0], up if positive else [], -up if negative else []])
            values = one.numeric(np, z)
            assert ((values > 0).any(), (values < 0).any()) == one.signs(positive, negative)
            assert (one.slope(np, z) != 0).any() <= one.reaches(positive, negative)
    jumps = abs(one.slope(np, np.array(1e-9)) - one.slope(np, np.array(-1e-9))) > 1e-6
    assert jumps == (0.0 in one.kinks)
    for kink, sides in zip(one.kinks, one.sides, strict=True):
        assert np.allclose(one.slope(np, kink + np.array([-1e-9, 1e-9])), sides, rtol=1e-8, atol=0)


def test_selu_keeps_mean_and_variance():
    """Its two numbers are those that give a standard normal argument mean 0 and variance 1."""
    one, z = activations["selu"](), np.linspace(-12.0, 12.0, 240001)
    weight = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    assert abs(one.numeric(np, z) @ weight) < 1e-9
    assert abs(one.numeric(np, z) ** 2 @ weight - 1) < 1e-9
    one.alpha = 1.6733
    assert abs(one.numeric(np, z) @ weight) > 1e-6


def test_a_kink_that_depends_on_a_number():
    """elu bends at zero where its number is not 1; solvers of pieces of lines do not follow such a kink."""
    assert fl.Network("a @ elu(W @ x)").slots == ()
    for called in ("elu(W @ x, 0.5)", "selu(W @ x)"):
        (slot,) = fl.Network(f"a @ {called}").slots
        assert (slot.bends, slot.tracked) == (True, False)
    (slot,) = fl.Network("a @ (0.5 * elu(W @ x) + 0.5 * relu(W @ x))").slots
    assert (slot.bends, slot.tracked) == (True, True)
    halves = 0.5 * activations["elu"]().numeric(np, FAR) + 0.5 * activations["relu"]().numeric(np, FAR)
    assert np.allclose(halves, activations["elu"](Fraction(1, 2)).numeric(np, FAR), rtol=1e-15, atol=0)


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
    law = schemes[name].conserved_norm
    assert law is None or isinstance(law, NormLaw)
    for per in ("layer", "neuron", "network"):
        flow = fl.derive(fl.Problem("W2 @ relu(W1 @ x)", scheme=name, per=per))
        assert flow.residual < 1e-11
        assert flow.steps


def test_laws_of_norms_are_named_or_refused():
    """A user's scheme may name its law; a name of no law is refused where the class is made."""
    named = type("Named", (GradientFlow,), {"conserved_norm": "log"})
    assert named.conserved_norm is NormLaw.LOG
    rho, z = np.array([0.5, 2.0]), sp.Symbol("z", positive=True)
    for law in NormLaw:
        assert np.array_equal(law.of(np, rho), [float(law.of(sp, z).subs(z, r)) for r in rho])
        assert np.array_equal(law.slope(rho), [float(sp.diff(law.of(sp, z), z).subs(z, r)) for r in rho])
    with pytest.raises(ValueError, match="cube"):
        type("Odd", (GradientFlow,), {"conserved_norm": "cube"})


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
