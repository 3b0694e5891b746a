"""Units without weights: whether they stay so, against directions tried one by one."""

import numpy as np
import pytest

import flowlab as fl
from flowlab.discrete.critical import critical_point as described
from flowlab.discrete.critical import zero_units
from flowlab.discrete.critical.critical_points import critical_points
from flowlab.discrete.critical.lagrange_newton import polish


def labelled(n, d, seed):
    """Samples that a hyperplane separates; for negative seeds the label is that of near or far from it."""
    rng = np.random.default_rng(abs(seed))
    x, w = rng.normal(size=(n, d)), rng.normal(size=d)
    return fl.Data(x, np.sign(x @ w) if seed > 0 else np.sign(np.abs(x @ w) - 0.5))


def alone(text, data, widths, norm):
    """The best point found with these widths, and the same with one more unit that has no weights, in the same
    dimension.
    """
    point = critical_points(fl.Problem(text), data, norm=norm, widths=widths, starts=10, seed=7)[0]
    V = {k: np.asarray(v) for k, v in point.state.V.items()}
    wider = {k: v if k == "U" else np.pad(v, ((0, 0), (0, 1)) if k == "W2" else ((0, 1), (0, 0))) for k, v in V.items()}
    return critical_points(
        fl.Problem(text), data, norm=norm, widths={k: n + 1 for k, n in widths.items()}, starts=0, near=[wider]
    )


def grown(points):
    con = points.constrained
    return zero_units.growth(con, points.symmetries, polish(con, con.row(points[0].state), 1e-9))


def tried(points, count, eps=1e-4, seed=0):
    """The largest growth over random directions of the weights of the last unit, by differences of the objective."""
    con, rng = points.constrained, np.random.default_rng(seed)
    V = {k: np.asarray(v) for k, v in points[0].state.V.items()}
    value, best = con.value(con.row(V)), 0.0
    for _ in range(count):
        W1, W2 = V["W1"].copy(), V["W2"].copy()
        a, b = rng.normal(size=W1.shape[1]), rng.normal(size=len(W2))
        W1[-1], W2[:, -1] = eps * a / np.linalg.norm(a), eps * b / np.linalg.norm(b)
        lam = np.abs(points[0].multipliers[:2])
        best = max(
            best,
            ((value - con.value(con.row({**V, "W1": W1, "W2": W2}))) / eps**2 + 0.5 * lam.sum()) / np.sqrt(lam.prod()),
        )
    return best


@pytest.mark.long
@pytest.mark.parametrize(
    ("text", "d", "seed", "widths", "norm"),
    [
        ("W2 @ relu(W1 @ x)", 3, 1007, {"W1": 2}, 5.0),
        pytest.param("W2 @ relu(W1 @ x)", 2, 3, {"W1": 1}, 6.0, marks=pytest.mark.slow),
        pytest.param("W2 @ leaky_relu(W1 @ x, 0.2)", 3, 5, {"W1": 1}, 4.0, marks=pytest.mark.slow),
        pytest.param("W2 @ abs(W1 @ x)", 2, -15, {"W1": 1}, 4.0, marks=pytest.mark.slow),
        pytest.param(
            "W2 @ relu(W1 @ x) + U @ x", 2, 4, {"W1": 1}, {"W1": 2.0, "W2": 2.0, "U": 1.0}, marks=pytest.mark.slow
        ),
    ],
)
def test_growth_is_the_largest_of_all_directions(text, d, seed, widths, norm):
    points = alone(text, labelled(8, d, seed), widths, norm)
    told = grown(points)
    assert told.exact
    seen = tried(points, 3000)
    assert seen <= told.largest * (1.0 + 1e-6)
    assert seen >= told.largest * 0.97


@pytest.mark.long
def test_a_unit_that_grows_from_few_directions_is_seen(monkeypatch):
    """From one direction in seven hundred: descents from six points beside it all come back."""
    monkeypatch.setattr(described, "is_left", lambda *_: False)
    points = alone("W2 @ relu(W1 @ x)", labelled(8, 3, 1007), {"W1": 2}, 5.0)
    assert (points[0].index, points[0].repelling, points[0].attracting) == (0, 0, False)
    assert grown(points).largest == pytest.approx(1.0158447076, abs=1e-9)
    # Control: nobody looks.
    monkeypatch.setattr(described, "growth", lambda *_: zero_units.Growth(0.0, True, grown(points).pairs))
    assert alone("W2 @ relu(W1 @ x)", labelled(8, 3, 1007), {"W1": 2}, 5.0)[0].attracting


@pytest.mark.long
def test_where_it_does_not_grow_it_may_share_with_another():
    """Beside a unit with weights growth is exactly one: that is the splitting of units, and no way down."""
    points = alone("W2 @ relu(W1 @ x)", labelled(8, 2, 1), {"W1": 4}, 5.0)
    assert grown(points).largest == pytest.approx(1.0, abs=1e-9)
    assert points[0].attracting


@pytest.mark.long
def test_what_is_no_such_form_is_left_to_descents():
    """A unit that is linear besides has a form of its in-weights without kinks too."""
    points = alone("W2 @ (relu(W1 @ x) + A @ x)", labelled(8, 2, 4), {"W1": 1}, {"W1": 2.0, "A": 1.0, "W2": 2.0})
    assert len(grown(points).pairs) == 8
    assert not grown(points).exact


@pytest.mark.parametrize("seed", range(4))
def test_corners_by_rays_are_those_by_listing(monkeypatch, seed):
    rng = np.random.default_rng(seed)
    d = 2 + seed % 3
    J, w, v = rng.normal(size=(11, d)), rng.normal(size=11), rng.normal(size=d)
    listed = zero_units._farthest(J, w, v, rng)[0]
    monkeypatch.setattr(zero_units, "_ALL", 0)
    assert zero_units._farthest(J, w, v, rng)[::2] == (pytest.approx(listed, rel=1e-12), True)
    ways = rng.normal(size=(20_000, d))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    seen = (ways @ v + np.maximum(ways @ J.T, 0.0) @ w).max()
    assert seen <= listed * (1.0 + 1e-12)
    assert seen >= 0.95 * listed
    # Drawn directions may miss, and say so.
    monkeypatch.setattr(zero_units, "_CORNERS", 0)
    drawn = zero_units._farthest(J, w, v, rng)
    assert not drawn[2]
    assert drawn[0] <= listed * (1.0 + 1e-12)


@pytest.mark.slow
def test_several_outputs_are_looked_through():
    rng = np.random.default_rng(3)
    data = fl.Data(rng.normal(size=(9, 3)), rng.integers(0, 3, size=9))
    points = critical_points(
        fl.Problem("W2 @ relu(W1 @ x)", "cross_entropy"), data, norm=5.0, widths={"W1": 1}, starts=3, seed=0
    )
    V = {k: np.asarray(v) for k, v in points[0].state.V.items()}
    near = {"W1": np.vstack([V["W1"], np.zeros((1, 3))]), "W2": np.hstack([V["W2"], np.zeros((3, 1))])}
    points = critical_points(
        fl.Problem("W2 @ relu(W1 @ x)", "cross_entropy"), data, norm=5.0, widths={"W1": 2}, starts=0, near=[near]
    )
    told = grown(points)
    assert not told.exact
    assert tried(points, 3000) <= told.largest * (1.0 + 1e-6)


@pytest.mark.long
def test_pairs_that_the_search_has_put_to_one_side_are_on_their_kink_too():
    """All samples are on the kink of a unit without weights, whichever slopes the search has taken for them."""
    rng = np.random.default_rng(77)
    data = fl.Data(rng.normal(size=(5, 2)), np.array([1.0, -1.0, 1.0, 1.0, -1.0]))
    point = fl.constrained_minimum(fl.Problem("W2 @ relu(W1 @ x)"), data, norm=1e-2, widths={"W1": 3}, seed=1)
    V = {k: np.asarray(v) for k, v in point.state.V.items()}
    assert (np.abs(V["W2"]).ravel() < 1e-6).sum() == 2
    assert (point.index, point.attracting) == (0, False)
