"""Functions of jax by numpy: the same values as the compiler's, word by word and for derivatives of derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from flowlab.core import host_programs
from flowlab.core.host_programs import on_host

RNG = np.random.default_rng(0)
A, B, T = (RNG.normal(size=shape) for shape in ((3, 4), (4, 2), (2, 3, 4)))
IMAGE, FILTERS = RNG.normal(size=(2, 4, 5, 6)), RNG.normal(size=(6, 2, 2, 3))


def convolved(image, filters):
    return lax.conv_general_dilated(
        image, filters, (2, 1), [(1, 0), (2, 1)], rhs_dilation=(1, 2), feature_group_count=2
    )


CASES = {
    "products": (lambda a, b: jnp.tanh(a @ b), (A, B)),
    "batches": (lambda t, a: jnp.einsum("nij,kj->kin", t, a), (T, A)),
    "softmax": (lambda a: jax.nn.softmax(a, axis=0)[1:, ::-1], (A,)),
    "choices": (lambda a: jnp.where(a > 0, a, jnp.exp(a)) + jnp.maximum(a, 0.1), (A,)),
    "joined": (lambda a: jnp.concatenate([a[:, :1], jnp.pad(a, ((0, 0), (1, 0)))], axis=1).ravel(), (A,)),
    "powers": (lambda a: jnp.sqrt(a * a + 1) ** 3 / (1 + jnp.abs(a)) ** 1.5, (A,)),
    "functions": (lambda a: jax.nn.gelu(a, approximate=False) + jax.nn.softplus(a) + jnp.arctan(a), (A,)),
    "padding": (lambda a: lax.pad(a, 0.5, [(1, -1, 2), (-1, 2, 0)]), (A,)),
    "whole numbers": (lambda a: a * (jnp.arange(4) // 2 - (-7) // 2 + lax.div(jnp.arange(4) - 3, 2)), (A,)),
    "convolution": (convolved, (IMAGE, FILTERS)),
    "trees": (lambda both: {"sum": both["a"].sum(), "parts": (both["a"].T, both["b"][0])}, ({"a": A, "b": B},)),
    "without a meaning": (lambda a: jnp.cumsum(a, axis=1) + jnp.sort(a, axis=0), (A,)),
}


def gradient(function, args):
    """Of a sum over the values, weighed so that no entry counts as another."""

    def total(*given):
        leaves = jax.tree.leaves(function(*given))
        return sum((jnp.cos(jnp.arange(v.size)) * jnp.ravel(v) ** 2).sum() for v in leaves)

    return jax.grad(total, argnums=tuple(range(len(args))))


def same(ours, theirs):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert isinstance(a, np.ndarray)
        assert a.shape == b.shape
        assert a == pytest.approx(np.asarray(b), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_the_compiler(case):
    function, args = CASES[case]
    same(on_host(function, *args), jax.jit(function)(*args))
    back = gradient(function, args)
    same(on_host(back, *args), jax.jit(back)(*args))


def test_what_is_known_is_not_compiled(monkeypatch):
    monkeypatch.setattr(jax, "jit", None)
    moves = jax.vmap(lambda a, move: jax.jvp(lambda v: jax.grad(lambda u: (u**3).sum())(v), (a,), (move,))[1])
    assert on_host(moves, A, A) == pytest.approx(6 * A**2)
    with pytest.raises(TypeError):
        on_host(lambda a: jnp.cumsum(a) * 1.0, A)


def test_a_wrong_meaning_shows(monkeypatch):
    """Control: with another sign of sums the values differ."""
    monkeypatch.setitem(host_programs._MEANINGS, "reduce_sum", lambda params, v: -v.sum(axis=params["axes"]))
    assert on_host(lambda a: a.sum(), A) == pytest.approx(-A.sum())
