"""Words of matrices: derivatives where eigenvalues meet and at rank loss, what is known to be symmetric, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import flowlab as fl
from flowlab.language import matrix_functions as functions

RNG = np.random.default_rng(0)
TARGET = np.diag([5.0, 3.0, 1.5, 0.7])


def spd(n, seed=0):
    a = np.random.default_rng(seed).normal(size=(n, n))
    return a @ a.T + np.eye(n)


def slope(f, A, move, step=1e-6):
    return (f(A + step * move) - f(A - step * move)) / (2 * step)


@pytest.mark.parametrize("A", [spd(4), np.eye(4), np.diag([2.0, 2.0, 1.0, 1.0])], ids=["plain", "unit", "pairs"])
def test_root_is_differentiated_where_eigenvalues_meet(A):
    move = RNG.normal(size=(4, 4))
    move = move + move.T
    made, along = jax.jvp(lambda a: functions.root(jnp, a), (jnp.asarray(A),), (jnp.asarray(move),))
    assert np.allclose(made, scipy.linalg.sqrtm(A), rtol=1e-13)
    assert np.allclose(along, slope(lambda a: functions.root(np, a), A, move), rtol=1e-7, atol=1e-9)
    # And once more: the field of an implicit solver is differentiated too.
    twice = jax.jvp(
        lambda a: jax.jvp(lambda b: functions.root(jnp, b), (a,), (jnp.asarray(move),))[1],
        (jnp.asarray(A),),
        (jnp.asarray(move),),
    )[1]

    def first(a):
        return np.asarray(jax.jvp(lambda b: functions.root(jnp, b), (jnp.asarray(a),), (jnp.asarray(move),))[1])

    assert np.allclose(twice, slope(first, A, move), rtol=1e-6, atol=1e-8)


def test_the_derivative_of_eigenvectors_is_none_there():
    """The control: differentiating eigh itself fails at equal eigenvalues."""

    def plain(a):
        values, U = jnp.linalg.eigh(a)
        return (U * jnp.sqrt(values)) @ U.T

    move = jnp.asarray(spd(4))
    assert not np.isfinite(jax.jvp(plain, (jnp.eye(4),), (move,))[1]).all()


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
def test_polar_factor_and_its_derivative(shape):
    A, move = RNG.normal(size=shape), RNG.normal(size=shape)
    made, along = jax.jvp(lambda a: functions.polar(jnp, a), (jnp.asarray(A),), (jnp.asarray(move),))
    assert np.allclose(made, scipy.linalg.polar(A)[0], rtol=1e-12, atol=1e-14)
    assert np.allclose(along, slope(lambda a: functions.polar(np, a), A, move), rtol=1e-6, atol=1e-8)
    size, grad = jax.value_and_grad(lambda a: functions.nuclear(jnp, a))(jnp.asarray(A))
    assert np.isclose(size, scipy.linalg.svdvals(A).sum(), rtol=1e-14)
    assert np.allclose(grad, made, rtol=1e-14)


def test_polar_factor_at_rank_loss_is_compact():
    A = RNG.normal(size=(5, 2)) @ RNG.normal(size=(2, 4))
    for xp in (np, jnp):
        made = np.asarray(functions.polar(xp, xp.asarray(A)))
        assert np.allclose(np.linalg.svd(made, compute_uv=False), [1, 1, 0, 0], atol=1e-12)
    # A change that keeps the rank moves it as finite differences say.
    left, right = RNG.normal(size=(5, 5)), RNG.normal(size=(4, 4))
    move = left @ A + A @ right
    along = jax.jvp(lambda a: functions.polar(jnp, a), (jnp.asarray(A),), (jnp.asarray(move),))[1]

    def turned(t):
        return functions.polar(np, scipy.linalg.expm(t * left) @ A @ scipy.linalg.expm(t * right))

    assert np.allclose(along, (turned(1e-5) - turned(-1e-5)) / 2e-5, rtol=1e-6, atol=1e-7)


KNOWN = (
    "W1 @ W1.T",
    "W2 @ W1 @ (W2 @ W1).T",
    "W2 @ W1 @ W1.T @ W2.T",
    "W1 @ root(S) @ W1.T + 2 * eye",
    "root(S) @ (W1 @ W1.T + 0.1 * eye) @ root(S)",
    "inverse(W1 @ W1.T + eye)",
    "W1 @ W1.T + W2 @ W2.T - 3 * S",
    "eye - W1 @ W1.T",
)
UNKNOWN = ("W1", "W1 @ W2", "W1 @ W2.T", "W1 @ W1", "inverse(W1)", "W1 + W1.T", "S @ W1 @ W1.T", "W1 @ W2 @ W1.T")


@pytest.mark.parametrize("text", KNOWN)
def test_known_to_be_symmetric(text):
    network = fl.Network(f"trace(root({text} + 9 * eye)) + logdet(S)", constants=["S"])
    assert network.symmetric == {"S"}
    assert fl.Network(network.text, constants=["S"]).text == network.text


@pytest.mark.parametrize("text", UNKNOWN)
def test_not_known_to_be_symmetric(text):
    with pytest.raises(fl.ShapeMismatch, match="symmetric"):
        fl.Network(f"trace(root({text})) + logdet(S)", constants=["S"])


def test_multiples_of_the_identity():
    W, s = fl.weight("W"), fl.weight("s", ())
    A = W @ W.T
    told = {
        "W @ W.T + eye": A + fl.eye,
        "W @ W.T - 2 * eye": A - 2 * fl.eye,
        "-(W @ W.T) + 1/2 * eye": fl.eye / 2 - A,
        "W @ W.T + s * eye": A + s * fl.eye,
        "3 * (W @ W.T)": (fl.eye + 2 * fl.eye) @ A,
        "W @ W.T": A @ fl.eye.T,
    }
    for text, made in told.items():
        assert fl.Network(fl.trace(made)).text == f"trace({text})"
        assert fl.Network(f"trace({text})").text == f"trace({text})"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trace(W @ x)", "square matrix"),
        ("trace(eye @ eye) + trace(W)", "alone"),
        ("trace(W + W * eye)", "product of matrices|number or a scalar"),
        ("root(w)", "square matrix"),
        ("nuclear(w)", "a matrix without samples"),
        ("trace(W + 1 * eye + 1)", None),
    ],
)
def test_bad_words(text, message):
    if message is None:
        assert fl.Network(text)
        return
    with pytest.raises(fl.FlowlabError, match=message):
        fl.Network(text)


def test_eye_is_no_name():
    with pytest.raises(fl.LanguageError, match="eye"):
        fl.weight("eye")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (TARGET + np.triu(np.full((4, 4), 1e-6), 1), "must be symmetric"),
        (np.diag([1.0, 1.0, 1.0, -0.5]), "its smallest eigenvalue is -0.5"),
    ],
)
def test_constants_that_are_no_covariance(bad, message):
    problem = fl.Problem(fl.bures(fl.weight("W") @ fl.weight("W").T + 0.3 * fl.eye, fl.constant("S")), "value")
    start = fl.State.from_weights({"W": np.eye(4)})
    assert fl.descend(problem, start, fl.Data(S=TARGET), step=1e-3, count=2)
    with pytest.raises(fl.DataError, match=message):
        fl.descend(problem, start, fl.Data(S=bad), step=1e-3, count=2)


def test_a_start_at_which_a_root_has_no_derivative():
    problem = fl.Problem("trace(root(W @ W.T))", "value")
    with pytest.raises(fl.DataError, match=r"these weights.*singular"):
        fl.descend(problem, fl.State.from_weights({"W": np.ones((3, 2))}), fl.Data(), step=1e-3, count=2)


def numbers(expression, **values):
    network = fl.Network(expression)
    weights = {w: values[w] for w in network.weights}
    return float(network.outputs(weights, {k: values[k] for k in network.constants}, np)[0, 0])


def test_distances_of_covariances():
    """Against their definitions, by other routines."""
    A, B = spd(4, 1), spd(4, 2)
    R = scipy.linalg.sqrtm(B)
    transport = np.trace(A + B - 2 * scipy.linalg.sqrtm(R @ A @ R))
    W, S = fl.weight("W"), fl.constant("S")
    C = np.linalg.cholesky(A)
    assert np.isclose(numbers(fl.bures(W @ W.T, S), W=C, S=B), transport, rtol=1e-12)
    shifted = np.linalg.cholesky(A - 0.5 * np.eye(4))
    assert np.isclose(numbers(fl.bures(W @ W.T + 0.5 * fl.eye, S), W=shifted, S=B), transport, rtol=1e-12)
    gap = 0.5 * (np.trace(np.linalg.solve(B, A)) - 4 + np.log(np.linalg.det(B) / np.linalg.det(A)))
    assert np.isclose(numbers(fl.kullback_leibler(W @ W.T, S), W=C, S=B), gap, rtol=1e-12)
    assert np.isclose(numbers(fl.frobenius(W @ W.T, S), W=C, S=B), ((A - B) ** 2).sum(), rtol=1e-13)
    for word in (fl.bures, fl.kullback_leibler, fl.frobenius):
        assert abs(numbers(word(W @ W.T, S), W=C, S=A)) < 1e-13
