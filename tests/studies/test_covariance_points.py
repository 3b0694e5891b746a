"""All critical covariances: how many, their values and indices against closed forms, and what is refused."""

from math import comb

import numpy as np
import pytest

import flowlab as fl

LAM = np.array([5.0, 3.0, 2.2, 1.5, 1.1, 0.7])
OMEGA = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
TARGET = 0.5 * ((OMEGA * LAM) @ OMEGA.T + ((OMEGA * LAM) @ OMEGA.T).T)
DATA = {"S0": TARGET}
S0 = fl.constant("S0")
K = 3


def product(depth):
    P = fl.weight("W1")
    for i in range(2, depth + 1):
        P = fl.weight(f"W{i}") @ P
    return P


def problem(depth, tau, word=fl.bures):
    P = product(depth)
    return fl.Problem(word(P @ P.T + tau * fl.eye if tau else P @ P.T, S0), "value")


def outside(J):
    return [i for i in range(6) if i not in J]


@pytest.mark.long
@pytest.mark.parametrize(("tau", "count"), [(0, comb(6, 3)), (0.3, sum(comb(6, r) for r in range(4)))])
def test_values_and_indices_of_one_layer(tau, count):
    found = fl.covariance_points(problem(1, tau), fl.Data(**DATA), rank=K)
    assert len(found) == len({p.eigenvectors for p in found.points}) == count
    for p in found.points:
        rest = outside(p.eigenvectors)
        assert abs(p.value - ((np.sqrt(LAM[rest]) - np.sqrt(tau)) ** 2).sum()) <= 1e-12
        assert p.residual <= 1e-12
        pairs = sum(LAM[j] > LAM[i] for i in p.eigenvectors for j in rest)
        assert p.index == pairs + (K - p.rank) * (6 - p.rank)
        sigma = np.asarray(p.state.weights()["W1"]) @ np.asarray(p.state.weights()["W1"]).T
        chosen = list(p.eigenvectors)
        wanted = (OMEGA[:, chosen] * (LAM[chosen] - tau)) @ OMEGA[:, chosen].T
        assert np.allclose(sigma, wanted, rtol=0, atol=1e-12)
    assert found.minimum.eigenvectors == (0, 1, 2)
    assert found.nearest(found[1].value) is found[1]
    assert str(found).splitlines()[1].startswith("1 2 3")


@pytest.mark.parametrize("depth", [2, 3])
def test_more_layers_have_the_same_points_of_full_rank(depth):
    found = fl.covariance_points(problem(depth, 0.3), fl.Data(**DATA), rank=np.int64(2))
    for p in found.points:
        rest = outside(p.eigenvectors)
        assert abs(p.value - ((np.sqrt(LAM[rest]) - np.sqrt(0.3)) ** 2).sum()) <= 1e-12
        assert p.residual <= 1e-12
        if p.rank == 2:
            assert p.index == sum(LAM[j] > LAM[i] for i in p.eigenvectors for j in rest)


@pytest.mark.parametrize(("depth", "count"), [(2, comb(6, 2)), (3, comb(6, 2) + 7)])
def test_lower_ranks_are_left_out_where_the_objective_has_no_second_derivative(depth, count):
    made, data = problem(depth, 0.0), fl.Data(**DATA)
    found = fl.covariance_points(made, data, rank=2)
    assert len(found) == count
    # Below the full rank two layers have |a b| in place of a curvature: along a = b the objective falls.
    top = found.minimum.state.weights()
    lower = {w: np.array(v) for w, v in top.items()}
    lower[f"W{depth}"][:, 1] = 0.0
    for i in range(1, depth):
        lower[f"W{i}"][1] = 0.0
    base, size = float(made.objective(lower, data, np)), 1e-4
    moved = {w: v + size * (np.asarray(top[w]) - v) for w, v in lower.items()}
    fall = (base - float(made.objective(moved, data, np))) / size**2
    assert (fall > 0.1) == (depth == 2)


@pytest.mark.parametrize("word", [fl.kullback_leibler, fl.frobenius])
def test_other_distances_have_the_same_points(word):
    P = product(1)
    told = word(P @ P.T + 0.3 * fl.eye, S0) + fl.logdet(S0)
    found = fl.covariance_points(fl.Problem(told, "value"), fl.Data(**DATA), rank=2)
    assert len(found) == 22
    assert max(p.residual for p in found.points) <= 1e-12
    assert found.minimum.eigenvectors == (0, 1)
    assert [p.index for p in found.points].count(0) == 1


def test_eigenvalues_below_the_noise_are_left_out():
    """Where tau is above an eigenvalue the covariance shrinks to zero along it."""
    found = fl.covariance_points(problem(1, 1.0), fl.Data(**DATA), rank=K)
    assert all(5 not in p.eigenvectors for p in found.points)
    assert len(found) == sum(comb(5, r) for r in range(4))


def test_a_point_that_is_none_is_seen():
    """The control: at a target that is no function of the objective's own, gradients are not zero."""
    C = fl.constant("C")
    P = product(1)
    told = fl.bures(P @ P.T + 0.3 * fl.eye, S0) + 0.1 * fl.trace(C @ P @ P.T)
    lower = np.tril(np.random.default_rng(1).normal(size=(6, 6)))
    found = fl.covariance_points(fl.Problem(told, "value"), fl.Data(S0=TARGET, C=lower), rank=1)
    assert max(p.residual for p in found.points) > 1e-2


def test_what_is_refused():
    with pytest.raises(fl.DataError, match="different eigenvalues"):
        fl.covariance_points(problem(1, 0), fl.Data(S0=np.eye(6)), rank=2)
    with pytest.raises(fl.LanguageError, match="from 1 to 6"):
        fl.covariance_points(problem(1, 0), fl.Data(**DATA), rank=7)
    with pytest.raises(fl.LanguageError, match="one symmetric constant"):
        fl.covariance_points(fl.Problem("trace(W @ W.T)", "value"), fl.Data(), rank=1)
    two = fl.Network("trace(W1 @ W1.T) + trace(W2 @ W2.T) + logdet(S0)", constants=["S0"])
    with pytest.raises(fl.LanguageError, match="a product of matrices"):
        fl.covariance_points(fl.Problem(two, "value"), fl.Data(**DATA), rank=1)
