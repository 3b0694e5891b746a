"""The hard-margin machine and its certificates: exact, on both sides of the border."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import minimize

import flowlab as fl
from flowlab.core.errors import NotSeparable
from flowlab.discrete.margin import exact_separability
from flowlab.discrete.margin.exact_separability import solve, vanishing_combination
from flowlab.discrete.margin.svm import Certificate, certify_separable, hard_margin, residuals


def with_margin(n, d, margin, seed):
    """Samples of both labels whose largest margin is about the one asked for."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(n, d)), rng.normal(size=d)
    w /= np.linalg.norm(w)
    y = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    along = np.abs(rng.normal(size=n)) + margin
    across = x - np.outer(x @ w, w)
    # Opposite pairs at the border, so that no turn of the hyperplane gains a margin; the other samples are farther.
    for i in range(0, 2 * d, 2):
        across[i + 1] = across[i]
        along[i : i + 2] = margin
    return across + np.outer(y * along, w), y


@pytest.mark.parametrize("seed", range(8))
def test_small_margins_are_certified_and_solved(seed):
    margin = 10.0 ** -(3 + 6 * seed / 7)
    x, y = with_margin(24, 3, margin, seed)
    found = hard_margin(x, y)
    assert found.certificate.separable
    assert found.certificate.holds(x, y)
    assert not found.certificate.holds(x, -y)
    assert found.margin >= margin * (1 - 1e-6)
    assert max(found.residuals[k] for k in ("primal", "dual", "stationarity")) <= 1e-12
    assert found.residuals["complementarity"] <= 1e-10
    # Control: another w or other multipliers are seen to be off.
    z, (w, alpha) = y[:, None] * x, found.exact
    assert residuals(z, [v * (1 - Fraction(1, 10**9)) for v in w], alpha)["primal"] > 1e-10
    assert residuals(z, w, [a * (1 + Fraction(int(a == max(alpha)), 10**6)) for a in alpha])["stationarity"] > 1e-7
    assert found.w == pytest.approx([float(v) for v in w], rel=1e-15)


@pytest.mark.parametrize("seed", range(8))
def test_what_is_not_separable_has_a_farkas_vector(seed):
    """From far to 1e-12 on the wrong side."""
    margin = -(10.0 ** -(2 + 10 * seed / 7))
    x, y = with_margin(24, 3, margin, 20 + seed)
    certificate = certify_separable(x, y)
    assert not certificate.separable
    assert certificate.holds(x, y)
    assert not certificate.holds(x + 1e-13, y)
    with pytest.raises(NotSeparable, match="cannot be separated") as caught:
        hard_margin(x, y)
    assert caught.value.certificate.holds(x, y)


def test_opposite_and_zero_samples_are_not_separable():
    x = np.array([[0.1, 0.3], [0.3, 0.9], [1.0, -1.0]])
    for points, y in ((x, [1.0, -1.0, 1.0]), (np.vstack([x, np.zeros(2)]), [1.0, 1.0, 1.0, 1.0])):
        certificate = certify_separable(points, np.array(y))
        assert certificate.holds(points, np.array(y))
        # 0.3 is not three times 0.1 in binary: the first two are not multiples of each other; only a sample at 0 is
        # hopeless.
        assert certificate.separable is (len(y) == 3)


def test_a_vector_that_is_off_by_the_last_bit_is_no_certificate():
    x, y = with_margin(20, 3, -0.1, 3)
    certificate = certify_separable(x, y)
    vector = list(certificate.vector)
    at = max(range(len(vector)), key=lambda i: vector[i])
    vector[at] += Fraction(1, 2**60)
    assert not Certificate(False, tuple(vector)).holds(x, y)


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_another_solver(seed):
    x, y = with_margin(30, 5, 0.3, 40 + seed)
    found = hard_margin(x, y)
    z = y[:, None] * x
    other = minimize(
        lambda w: w @ w / 2,
        found.w * 1.3 + 0.1,
        jac=lambda w: w,
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
        constraints={"type": "ineq", "fun": lambda w: z @ w - 1, "jac": lambda w: z},
    )
    assert found.w == pytest.approx(other.x, abs=1e-6)
    assert found.w == pytest.approx(z.T @ found.alpha, rel=1e-12)
    assert set(np.flatnonzero(found.alpha)) <= set(found.support)


def test_samples_that_occur_twice_share_a_multiplier_that_is_not_unique():
    x, y = with_margin(12, 2, 0.2, 5)
    once, twice = hard_margin(x, y), hard_margin(np.vstack([x, x]), np.r_[y, y])
    assert twice.w == pytest.approx(once.w, rel=1e-13)
    assert len(twice.support) == 2 * len(once.support)
    assert not twice.unique


def test_real_data():
    iris = fl.load("iris:setosa")
    assert hard_margin(np.asarray(iris.x), np.asarray(iris.y)).residuals["stationarity"] <= 1e-12
    other = fl.load("iris:versicolor")
    certificate = certify_separable(np.asarray(other.x), np.asarray(other.y))
    assert not certificate.separable
    assert certificate.holds(np.asarray(other.x), np.asarray(other.y))


@pytest.mark.parametrize("seed", range(6))
def test_one_of_two_alternatives_holds(seed):
    rng = np.random.default_rng(seed)
    z = rng.integers(-4, 5, size=(7, 3)) + (3 * np.array([1, 0, 0]) if seed % 2 else 0)
    alpha, w = vanishing_combination([[int(v) for v in row] for row in z])
    if alpha is None:
        assert all(sum(int(a) * b for a, b in zip(row, w, strict=True)) > 0 for row in z)
    else:
        assert min(alpha) >= 0
        assert sum(alpha) == 1
        assert all(sum(int(a) * b for a, b in zip(column, alpha, strict=True)) == 0 for column in z.T)


@pytest.mark.parametrize("library", [True, False])
def test_linear_equations_in_rationals(library, monkeypatch):
    if not library:
        monkeypatch.setattr(exact_separability, "flint", None)
    hilbert = [[Fraction(1, i + j + 1) for j in range(12)] for i in range(12)]
    found = solve(hilbert, [sum(row) for row in hilbert])
    assert found == [1] * 12
    assert solve([[1, 2], [2, 4]], [1, 2]) is None
    assert solve([[1, 0], [0, 1], [1, 1]], [1, 2, 4]) is None
    assert solve([[0, 2], [3, 1], [3, 3]], [2, 4, 6]) == [1, 1]
    assert solve([[0, -2], [3, 1]], [2, 4]) == [Fraction(5, 3), -1]
    assert solve([[0, 0], [0, 0]], [0, 0]) is None


def test_elimination_with_and_without_the_library_gives_the_same_machine(monkeypatch):
    x, y = with_margin(30, 6, 0.2, 60)
    found = hard_margin(x, y)
    monkeypatch.setattr(exact_separability, "flint", None)
    again = hard_margin(x, y)
    assert (again.exact, again.support, again.residuals) == (found.exact, found.support, found.residuals)
    assert found.exact[0] == tuple(
        sum(a * label * Fraction(v) for a, label, v in zip(found.exact[1], map(int, y), column, strict=True))
        for column in x.T.tolist()
    )
