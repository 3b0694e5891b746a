"""Critical points that curvature says little of: whether they attract, what their zero modes are, and which of them are
one.
"""

import numpy as np
import pytest

import flowlab as fl
from flowlab.discrete.critical.constrained_problem import Constrained
from flowlab.discrete.critical.critical_points import critical_points


@pytest.mark.parametrize(("h", "modes"), [(2, 2), (3, 5)])
def test_scalings_explain_zero_modes_where_the_loss_does_not_answer_to_norms(h, modes):
    """A minimum that a larger norm does not lower moves with all changes of hidden coordinates that keep both norms: h²
    less two.
    """
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 2)), np.where(rng.random(12) < 0.5, 1.0, -1.0)
    points = critical_points(fl.Problem("W2 @ W1 @ x", "square"), fl.Data(x, y), norm=30.0, widths={"W1": h}, starts=8)
    assert [p.index for p in points].count(0) == 1
    assert np.abs(points[0].multipliers).max() < 1e-8
    assert (points[0].nullity, points[0].explained, points[0].attracting) == (modes, modes, True)
    # Control: hidden rotations alone are fewer.
    turned = points.symmetries.orbit(points.constrained.row(points[0].state))
    assert len(turned) < modes


@pytest.mark.long
def test_units_that_differ_by_a_sign_share_weight_behind_absolute_values():
    """(w, a) and (-w, a) are one unit of |·|: points that split it differently are one point, and the splitting is a
    zero mode that is explained.
    """
    data = fl.Data(np.array([[-1.0], [1.0], [2.0]]), np.array([1.0, -1.0, 1.0]))
    points = critical_points(
        fl.Problem("W2 @ abs(W1 @ x)", "logistic"), data, norm=1.0, widths={"W1": 2}, starts=32, seed=0
    )
    assert (np.diff([p.log_loss for p in points]) > 1e-9).all()
    assert all(p.unexplained == 0 for p in points)


@pytest.mark.parametrize(
    ("loss", "width", "value"),
    [("logistic", 2, 0.5453052095), pytest.param("square", 2, 0.15415068, marks=pytest.mark.slow)],
)
def test_minima_that_no_norm_lowers_attract(loss, width, value):
    """f = c |x| with one number c, in which the loss is convex: the least value is the least of all, with and without
    units that have no weights.
    """
    data = fl.Data(np.array([[-1.0], [1.0], [2.0]]), np.array([1.0, -1.0, 1.0]))
    points = critical_points(
        fl.Problem("W2 @ abs(W1 @ x)", loss), data, norm=10.0, widths={"W1": width}, starts=12, seed=0
    )
    assert points[0].log_loss == pytest.approx(value, abs=1e-7)
    assert points[0].attracting
    assert not any(p.attracting for p in points if p.log_loss > points[0].log_loss + 1e-6)


@pytest.mark.slow
def test_strict_minima_of_three_layers_attract():
    """Kinks that repel alone stay where others meet them: nothing beside the points is lower, at any of three
    distances.
    """
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(8, 3)), np.where(rng.random(8) < 0.5, 1.0, -1.0)
    problem = fl.Problem("W3 @ relu(W2 @ relu(W1 @ x))", "logistic")
    points = critical_points(problem, fl.Data(x, y), norm=5.0, widths={"W1": 2, "W2": 2}, starts=12, seed=1)
    con = points.constrained
    for point in points:
        theta, below = con.row(point.state), False
        for size in (1e-5, 1e-4, 1e-3):
            for _ in range(300):
                aside = con.spheres.project(theta + size / np.sqrt(len(theta)) * rng.normal(size=len(theta)))
                below |= con.value(aside) < con.value(theta) - 1e-12
        assert point.attracting == (not below) or point.nullity


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.slow) for s in (1, 2))])
def test_minima_at_huge_norms_are_found_by_way_of_smaller_ones(seed):
    """Softmax and kinks are sharp there, and descents end anywhere; the least log loss is -R times the largest margin,
    but for a constant.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 2))
    data = fl.Data(x, np.sign(x[:, 0] + 0.1))
    problem = fl.Problem("W2 @ relu(W1 @ x)", "logistic")
    largest = fl.max_margin(problem.network, data, widths={"W1": 3}, starts=6).margin
    point = fl.constrained_minimum(problem, data, norm=1e6, widths={"W1": 3}, seed=seed)
    assert point.attracting
    assert -point.log_loss / 1e6 == pytest.approx(largest, rel=1e-5)


@pytest.mark.long
def test_factors_that_change_places_are_one_point():
    """(W1 x) (W2 x) is the same with the factors of any unit exchanged, where their blocks have one norm."""
    rng = np.random.default_rng(908)
    data = fl.Data(rng.normal(size=(4, 2)), np.array([1.0, -1.0, 1.0, -1.0]))
    problem = fl.Problem("a @ ((W1 @ x) * (W2 @ x))", "logistic")
    points = critical_points(problem, data, norm=4.0, widths={"W1": 2}, starts=12, seed=908)
    V = {k: np.array(v) for k, v in points[0].state.V.items()}
    assert points.distance({**V, "W1": V["W2"], "W2": V["W1"]}, points[0]) < 1e-12
    assert (np.diff([p.log_loss for p in points]) > 1e-9).all()
    # Control: at unequal norms they are different functions.
    other = Constrained(problem, data, norm={"W1": 2.0, "W2": 1.0, "a": 1.0}, widths={"W1": 2})
    assert other.symmetries.dimensions[0].exchanges == ()
    one, two = other.row(V), other.row({**V, "W1": V["W2"], "W2": V["W1"]})
    assert other.symmetries.distance(one, two) > 1e-3


@pytest.mark.long
def test_duplicate_samples_of_two_labels_hold_what_each_alone_repels():
    """Kinks at one place pull together: what they do together decides, not each of them."""
    x = np.array([[2.0, -3.0], [-1.0, 0.0], [-1.0, -2.0], [2.0, -1.0], [2.0, -1.0]])
    y = np.array([-0.17, 0.545, 0.715, -0.634, 0.645])
    points = critical_points(
        fl.Problem("W2 @ leaky_relu(W1 @ x)", "square"), fl.Data(x, y), norm=4.0, widths={"W1": 3}, starts=12, seed=605
    )
    con, rng, seen = points.constrained, np.random.default_rng(0), 0
    for point in points:
        # Units without weights are another matter: they grow from few directions.
        if point.index == 0 and point.repelling and np.linalg.norm(point.state.V["W1"], axis=1).min() > 1e-6:
            seen += 1
            theta = con.row(point.state)
            beside = [
                con.value(con.spheres.project(theta + 3e-5 * rng.normal(size=len(theta)))) - con.value(theta)
                for _ in range(500)
            ]
            assert point.attracting == (min(beside) > -1e-12)
    assert seen


@pytest.mark.long
def test_a_point_on_a_plateau_is_not_left():
    """Where no unit passes anything on the loss is constant: whatever the kinks there, nothing beside it is lower."""
    x = np.array([[-1.43, -0.73], [-0.64, 0.05], [0.02, 1.35], [-1.78, -0.16], [1.97, 1.86]])
    data = fl.Data(x, np.array([-1.0, -1.0, 1.0, 1.0, -1.0]))
    problem = fl.Problem("W3 @ relu(W2 @ relu(W1 @ x))")
    points = critical_points(problem, data, norm=1.0, widths={"W1": 2, "W2": 2}, starts=16, seed=614)
    con, rng = points.constrained, np.random.default_rng(0)
    flat = [
        p
        for p in points
        if np.ptp([con.value(con.spheres.project(con.row(p.state) + 1e-3 * rng.normal(size=10))) for _ in range(50)])
        == 0.0
    ]
    assert flat
    assert all(p.attracting for p in flat)


@pytest.mark.long
def test_logits_that_differ_by_what_they_share_are_one_point():
    x, y = np.array([[2.0, 1.0], [1.0, 2.0], [-3.0, 2.0], [-2.0, 0.0], [3.0, 1.0]]), np.array([0, 1, 2, 2, 2])
    points = critical_points(
        fl.Problem("W2 @ abs(W1 @ x)", "cross_entropy"), fl.Data(x, y), norm=1.0, widths={"W1": 3}, starts=10, seed=611
    )
    assert (np.diff([p.log_loss for p in points]) > 1e-8).all()
