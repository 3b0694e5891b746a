"""Convolution by products of matrices: the same numbers as sums over windows, at shapes where it is chosen."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowlab.language.operations import operations, windows
from flowlab.language.types import Shapes, Type

SHAPES = [
    ((6, 12, 3, 3), (12, 6, 7)),
    ((3, 11, 9), (11, 30)),
    ((2, 16, 5, 5), (16, 20, 20)),
    ((18, 8, 3, 3), (8, 64, 64)),
]
"""Filters and inputs, both rules, along one axis and two."""
OPTIONS = [(), (Fraction(2), Fraction(1)), (Fraction(1), "circular"), (Fraction(2), "same")]
N = 6


def both(filter_, input_, params):
    """The word on its operands, by sums over windows and as it is compiled, and its operands."""
    rng = np.random.default_rng(3)
    types = (Type(filter_), Type(input_, True))
    values = [rng.normal(size=filter_), rng.normal(size=(N, *input_))]
    word = operations["conv"]()
    out = word.shape(Shapes(), types, "it", ("w", "x"), params)
    compiled = jax.jit(lambda w, x: word.numeric(jnp, (w, x), types, out, params))
    return word.numeric(np, values, types, out, params), compiled, values, types


@pytest.mark.long
@pytest.mark.parametrize("params", OPTIONS, ids=str)
@pytest.mark.parametrize(("filter_", "input_"), SHAPES, ids=str)
def test_the_same_as_sums_over_windows(filter_, input_, params):
    told, compiled, values, types = both(filter_, input_, params)
    assert "while" in compiled.lower(*values).as_text(), "products are not chosen here"
    assert np.allclose(compiled(*values), told, rtol=1e-12, atol=1e-12 * np.abs(told).max())
    cot = np.random.default_rng(4).normal(size=told.shape)
    kinds = (Type(told.shape[1:], True), types[1], types[0])
    pull = operations["conv_filter_pull"]()
    by_windows = pull.numeric(np, (cot, values[1], values[0]), kinds, Type(filter_), params)
    found = jax.jit(lambda c, x, w: pull.numeric(jnp, (c, x, w), kinds, Type(filter_), params))
    assert np.allclose(found(cot, *values[::-1]), by_windows, rtol=1e-11, atol=1e-12 * np.abs(by_windows).max())
    auto = jax.grad(lambda w: (compiled(w, values[1]) * cot).sum())(jnp.asarray(values[0]))
    assert np.allclose(auto, by_windows, rtol=1e-11, atol=1e-12 * np.abs(by_windows).max())


def test_a_window_at_the_wrong_place_is_found(monkeypatch):
    plain = windows.cuts_of
    monkeypatch.setattr(windows, "cuts_of", lambda *args: list(plain(*args))[::-1])
    told, compiled, values, _ = both(*SHAPES[0], ())
    assert not np.allclose(compiled(*values), told, rtol=1e-3)


def test_small_windows_stay_with_the_compiler():
    _, compiled, values, _ = both((16, 1, 3, 3), (1, 28, 28), ())
    assert "while" not in compiled.lower(*values).as_text()


def test_any_number_of_samples_is_taken():
    """A prime number of samples has no chunks but of one."""
    w, x = jnp.ones((2, 16, 3, 3)), jnp.ones((7, 16, 28, 28))
    made = windows.by_products(w, x, (26, 26), windows.Settings(1, 0))
    assert made.shape == (7, 2, 26, 26)
    assert np.allclose(made, 144.0)
