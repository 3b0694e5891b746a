"""Which way pairs go: against the box-constrained least squares of scipy, and where least norm is the wrong answer."""

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from flowlab.dynamics.kinks import filippov
from flowlab.dynamics.kinks.filippov import Unsettled, attracted, choose, settle


def attracting(seed):
    rng = np.random.default_rng(seed)
    K, n = int(rng.integers(1, 14)), int(rng.integers(1, 16))
    C, c, F = rng.normal(size=(K, n)), -rng.uniform(0.1, 2, K), rng.normal(size=n)
    return C, c, F


@pytest.mark.parametrize("seed", range(0, 300, 10))
def test_attracting_pairs_take_the_element_of_least_norm(seed):
    for each in range(seed, seed + 10):
        C, c, F = attracting(each)
        filippov = choose(C @ F, (C @ C.T) * c)
        best = lsq_linear(C.T * c, -F, bounds=(0, 1), method="bvls", tol=1e-14)
        assert filippov.solutions == 1
        assert np.abs(F + C.T @ (c * filippov.multipliers) - F - C.T @ (c * best.x)).max() < 1e-9


def test_two_surfaces_at_which_sliding_on_one_pushes_off_the_other():
    w, A = np.array([1.0, 0.2]), np.array([[-2.0, 0.0], [-1.0, -1.0]])
    filippov = choose(w, A)
    assert filippov.multipliers == pytest.approx([0.5, 0.0])


@pytest.mark.parametrize(
    ("w", "push", "solutions", "multiplier"),
    [
        (1.0, 3.0, 1, 1.0),
        (-1.0, 0.5, 1, 0.0),
        (-1.0, 3.0, 2, None),
        (1.0, -3.0, 1, 1 / 3),
        (1.0, -0.5, 1, 1.0),
        (-1.0, -3.0, 1, 0.0),
        (1.0, 0.0, 1, 1.0),
    ],
)
def test_one_surface(w, push, solutions, multiplier):
    filippov = choose(np.array([w]), np.array([[push]]))
    assert filippov.solutions == solutions
    if multiplier is not None:
        assert filippov.multipliers[0] == pytest.approx(multiplier)


def test_least_norm_is_no_rule_for_the_next_mode():
    """Where a surface repels the element of least norm lies on it, while a flow that arrives from the left crosses."""
    w, push = -0.1, 3.0
    least = -w / push
    assert 0 < least < 1
    assert choose(np.array([w]), np.array([[push]])).solutions == 2
    assert choose(np.array([0.1]), np.array([[push]])).multipliers[0] == 1.0


def test_dependent_normals_have_one_velocity():
    C, c, F = np.array([[1.0, 0.0], [1.0, 0.0], [2.0, 0.0]]), -np.array([1.0, 1.0, 1.0]), np.array([1.0, 3.0])
    filippov = choose(C @ F, (C @ C.T) * c)
    assert F + C.T @ (c * filippov.multipliers) == pytest.approx([0.0, 3.0])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_more_surfaces_than_dimensions(n):
    """Multipliers are not unique there, and pivots may cycle; the velocity is unique all the same."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        K = int(rng.integers(6, 16))
        C, c, F = rng.normal(size=(K, n)), -rng.uniform(0.1, 2, K), rng.normal(size=n)
        filippov = choose(C @ F, (C @ C.T) * c)
        best = lsq_linear(C.T * c, -F, bounds=(0, 1), method="bvls", tol=1e-14)
        assert filippov.solutions == 1
        assert np.abs(C.T @ (c * filippov.multipliers) - C.T @ (c * best.x)).max() < 1e-9


def test_a_wrong_answer_would_be_seen():
    """Control: with one multiplier moved the conditions fail."""
    C, c, F = attracting(5)
    w, A = C @ F, (C @ C.T) * c
    lam = attracted(w, A, 1e-12)
    inside = np.flatnonzero((lam > 1e-6) & (lam < 1 - 1e-6))
    assert len(inside)
    lam[inside[0]] += 1e-4
    assert np.abs((w + A @ lam)[inside]).max() > 1e-6


@pytest.mark.parametrize(("own", "solutions"), [(0.0, 1), (0.3, 2)])
def test_sides_are_asked_after_the_others_have_settled(own, solutions):
    """Two surfaces of an outgoing weight, one of which repels, seen through a unit below that slides: with either side
    of it the weight rests.

    What multipliers add depends on them. About any that do not solve the problem the two ways to rest differ, and look
    like two flows. With a push of its own the repelling pair does leave either way.
    """

    def rates(lam):
        below = 1.0 - 2.0 * lam[0] + 0.1 * lam[0] * lam[2]
        weight = -2.0 * lam[1] + lam[2]
        return np.array([below, weight, 0.5 * weight + 0.7 * lam[0] * below + own * (lam[2] - 0.5)])

    def about(lam):
        A = np.array([(rates(lam + 1e-4 * e) - rates(lam - 1e-4 * e)) / 2e-4 for e in np.eye(3)]).T
        return rates(lam) - A @ lam, A

    found = settle(about, np.array([0.3, 0.5, 0.5]))
    assert found.solutions == solutions
    # Control: asked at once, of the problem about whatever multipliers came out before, the two ways to rest take
    # turns.
    lam, seen = np.array([0.3, 0.5, 0.5]), []
    for _ in range(20):
        one = choose(*about(lam))
        lam = one.multipliers
        seen.append((one.solutions, float(lam[2])))
    assert solutions == 2 or len(set(seen)) > 1


def test_what_does_not_settle_is_told():
    turns = iter(range(1000))
    with pytest.raises(Unsettled):
        settle(lambda lam: (np.array([1.0 + next(turns) % 2]), np.array([[-4.0]])), np.array([0.4]))


def test_kinks_that_are_one_are_at_odds_about_wrong_multipliers(monkeypatch):
    """Pre-activations of three samples that all vanish with one outgoing weight, each with a share of a unit below that
    slides.
    """
    m, k = np.array([0.7, 0.9, 0.8]), np.array([-0.5, -0.4, 0.7])

    def rates(lam):
        below = 1.0 - 2.0 * lam[0] + 0.8 * lam[0] * lam[1]
        return np.r_[below, m * (0.5 - lam[1:].sum()) + k * lam[1:] * below]

    def about(lam):
        A = np.array([(rates(lam + 1e-4 * e) - rates(lam - 1e-4 * e)) / 2e-4 for e in np.eye(4)]).T
        return rates(lam) - A @ lam, A

    first = np.array([0.0, 0.8, 0.8, 0.5])
    found = settle(about, first)
    assert found.solutions == 1
    assert np.abs(rates(found.multipliers)).max() < 1e-9
    assert ((found.multipliers >= 0) & (found.multipliers <= 1)).all()
    # Control: about the first multipliers there is no solution.
    assert attracted(*about(first), 1e-11) is None
    monkeypatch.setattr(filippov, "_relaxed", lambda w, A, tiny, lam: lam)
    assert settle(about, first).solutions == 0


def test_of_many_multipliers_the_middle_ones_are_taken():
    """Four surfaces of two dimensions, and two mirrored ways to write one velocity: both as near to a half as they can
    be.
    """
    rng = np.random.default_rng(4)
    C, c = rng.normal(size=(4, 2)), -np.ones(4)
    A = (C @ C.T) * c
    F = C.T @ np.full(4, 0.5)
    found = choose(C @ F, A)
    assert found.solutions == 1
    assert found.multipliers == pytest.approx(np.full(4, 0.5))
    assert np.abs(C @ F + A @ found.multipliers).max() < 1e-12


@pytest.mark.parametrize("seed", range(0, 300, 30))
def test_pairs_of_samples_with_hardly_any_loss_are_decided_as_those_of_others(seed):
    """A unit held by samples whose losses are powers of ten apart: pushes shrink with the loss, and so does what they
    have to hold.
    """
    for each in range(seed, seed + 30):
        C, c, F = attracting(each)
        rng = np.random.default_rng(each)
        K = len(c)
        # Forces up to 1e-20 of the largest push; the multipliers of strong pairs are that small.
        faint = 10.0 ** -rng.integers(0, 21, K)
        faint[0] = 1.0
        small = faint.min()
        one = choose(C @ F * small, (C @ C.T) * (c * faint))
        # Exact: the force of a pair is its multiplier times its push, so a strong pair is one whose force has no upper
        # end in reach.
        best = lsq_linear(C.T, -F, bounds=(np.minimum(c * faint / small, -1e-300), 0.0), method="bvls", tol=1e-14)
        force = one.multipliers * c * faint / small
        assert one.solutions == 1
        assert np.abs(C.T @ (force - best.x)).max() < 1e-8


def test_rates_that_cancel_are_zero_by_their_terms():
    """Two terms of order one leave 1e-13: round-off, so the pair rests; the same number alone is a rate."""
    w, A = np.array([-1e-13]), np.array([[-1e-14]])
    assert choose(w, A, np.array([1.0])).multipliers[0] == 0.0
    assert abs(choose(w, A, np.array([1.0])).rates[0]) <= choose(w, A, np.array([1.0])).zero[0]
    assert abs(choose(w, A).rates[0]) > choose(w, A).zero[0]
