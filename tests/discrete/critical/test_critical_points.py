"""Critical points of the constrained problem: by hand, by kind, by symmetry, and against independent arithmetic."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import flowlab as fl
from flowlab.core.errors import LanguageError, NotHomogeneous, RunFailed, ShapeMismatch
from flowlab.discrete.critical import spectrum, sphere_product, symmetries
from flowlab.discrete.critical.constrained_problem import Constrained
from flowlab.discrete.critical.critical_points import critical_points
from flowlab.discrete.critical.lagrange_newton import polish
from flowlab.discrete.critical.spectrum import lowest
from flowlab.discrete.critical.trust_region import METHODS, minimize, root


def labelled(n, d, seed):
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(n, d)), rng.normal(size=d)
    return fl.Data(x, np.sign(x @ w))


def test_all_of_a_circle():
    """One linear layer in two dimensions: the loss on a circle, on a grid and by bracketing; minima and maxima
    alternate.
    """
    rng = np.random.default_rng(3)
    data = fl.Data(rng.normal(size=(7, 2)), np.array([1.0, -1.0, 1.0, 1.0, -1.0, 1.0, -1.0]))
    z = data.y[:, None] * np.asarray(data.x)

    def value(a):
        q = -6.0 * z @ np.array([np.cos(a), np.sin(a)])
        return float(np.log(np.exp(q - q.max()).sum()) + q.max())

    grid = np.linspace(0, 2 * np.pi, 4001)[:-1]
    values = np.array([value(a) for a in grid])
    lows = [
        g
        for g, v, left, right in zip(grid, values, np.roll(values, 1), np.roll(values, -1), strict=True)
        if v < left and v <= right
    ]
    highs = [
        g
        for g, v, left, right in zip(grid, values, np.roll(values, 1), np.roll(values, -1), strict=True)
        if v > left and v >= right
    ]
    want = sorted(
        minimize_scalar(
            lambda a, s=s: s * value(a), bounds=(g - 2e-3, g + 2e-3), method="bounded", options={"xatol": 1e-10}
        ).fun
        * s
        for s, where in ((1, lows), (-1, highs))
        for g in where
    )
    points = critical_points(fl.Problem("W1 @ x"), data, norm=6.0, starts=24)
    assert [p.log_loss for p in points] == pytest.approx(want, abs=1e-10)
    assert {p.kind for p in points} == {"minimum", "maximum"}
    assert sum(p.kind == "minimum" for p in points) == len(lows)


@pytest.mark.parametrize("seed", range(4))
def test_one_layer_has_no_zero_modes(seed):
    """P16: the least eigenvalue at the minimum is at least the multiplier; no zero modes anywhere."""
    points = critical_points(fl.Problem("W1 @ x"), labelled(9, 4, seed), norm=15.0, starts=8)
    best = points[0]
    assert (best.kind, best.index, best.attracting) == ("minimum", 0, True)
    assert all(p.nullity == 0 and p.residual <= 1e-12 for p in points)
    assert best.eigenvalues[0] >= -best.multipliers[0] * (1 - 1e-10) > 0


@pytest.mark.long
@pytest.mark.parametrize("h", [1, 2, 5, *(pytest.param(h, marks=pytest.mark.slow) for h in (3, 4, 6))])
def test_rotations_of_hidden_units_are_the_zero_modes(h):
    """P17: h - 1 of them at the minimum of a two-layer linear net, all of them told as symmetries."""
    best = critical_points(fl.Problem("W2 @ W1 @ x"), labelled(8, 3, 10 + h), norm=12.0, widths={"W1": h}, starts=4)[0]
    assert (best.index, best.nullity, best.explained, best.unexplained) == (0, h - 1, h - 1, 0)
    assert best.kind == ("Morse-Bott" if h > 1 else "minimum")
    assert best.gap > 1e6
    assert best.residual <= 1e-12


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_split_units_are_the_zero_modes_of_relus(seed):
    """P17: as many as active units minus directions; at a point without units of zero weight, and kinks or none."""
    points = critical_points(
        fl.Problem("W2 @ relu(W1 @ x)"), labelled(10, 3, seed), norm=10.0, widths={"W1": 5}, starts=12, seed=seed
    )
    for p in points:
        assert p.residual <= 1e-10
        active, distinct = points.symmetries.directions(points.constrained.row(p.state))
        if active == 5 and p.index == 0:
            assert p.nullity == p.explained == active - distinct
    assert points[0].attracting
    assert any(p.kinks for p in points)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_twenty_linear_instances_have_no_zero_modes(seed):
    """P16, at other sizes, norms and dimensions for every seed."""
    n, d, norm = 6 + seed, 2 + seed % 7, (2.0, 8.0, 30.0)[seed % 3]
    points = critical_points(
        fl.Problem("W1 @ x", loss=("exponential", "logistic")[seed % 2]),
        labelled(n, d, 700 + seed),
        norm=norm,
        starts=12,
        seed=seed,
    )
    assert all(p.nullity == 0 for p in points)
    assert all(p.residual <= 1e-12 for p in points)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_ten_instances_each_have_the_zero_modes_that_are_known(seed):
    """P17: two-layer linear nets h - 1 for h = 1..6, ReLU nets active units minus distinct directions, on other data
    for every seed.
    """
    data = labelled(7 + seed, 3 + seed % 3, 800 + seed)
    for h in range(1, 7):
        best = critical_points(fl.Problem("W2 @ W1 @ x"), data, norm=6.0 + seed, widths={"W1": h}, starts=4, seed=seed)[
            0
        ]
        assert (best.index, best.nullity, best.explained) == (0, h - 1, h - 1)
    points = critical_points(fl.Problem("W2 @ relu(W1 @ x)"), data, norm=8.0, widths={"W1": 4}, starts=12, seed=seed)
    counted = 0
    for p in points:
        active, distinct = points.symmetries.directions(points.constrained.row(p.state))
        if active == 4:
            assert p.nullity == p.explained == active - distinct
            counted += 1
    assert counted


@pytest.mark.long
def test_a_point_on_a_kink_is_a_zero_of_a_subgradient_alone():
    """A minimum with samples on kinks: beside it, on a kink's two sides, the gradient across points back to it; and it
    is not small.
    """
    points = critical_points(fl.Problem("W2 @ relu(W1 @ x)"), labelled(10, 3, 0), norm=15.0, widths={"W1": 3}, starts=8)
    best = points[0]
    assert (best.kind, best.repelling, best.index, best.attracting) == ("non-smooth", 0, 0, True)
    assert best.kinks > 0
    con, theta = points.constrained, points.constrained.row(best.state)
    end = polish(con, theta, 1e-9)
    assert end.residual <= 1e-12
    assert len(end.bent) == best.kinks
    for normal in end.normals[con.spheres.count :]:
        across = con.spheres.tangent(theta, normal)
        across /= np.linalg.norm(across)
        slopes = [con.gradient(con.spheres.project(theta + s * 1e-6 * across)) @ across for s in (-1.0, 1.0)]
        assert slopes[0] < 0 < slopes[1]
        assert con.residual(con.spheres.project(theta + 1e-6 * across)) > 1e-3


def test_the_gradient_of_a_relu_is_held_against_a_grid_of_slopes():
    """Control: polishing towards a wrong slope, or from a point that is not near one, does not call it critical."""
    con = Constrained(fl.Problem("W2 @ relu(W1 @ x)"), labelled(8, 3, 4), norm=10.0, widths={"W1": 3})
    theta = con.random(np.random.default_rng(0))
    end = polish(con, theta)
    assert end.residual > 1e-10 or np.linalg.norm(end.theta - theta) > 1e-3


@pytest.mark.parametrize("text", ["W2 @ tanh(W1 @ x)", "W2 @ relu(W1 @ x)**2"])
@pytest.mark.parametrize("per", ["layer", "network"])
def test_derivatives_are_those_of_differences(text, per):
    """The Riemannian gradient and Hessian along a geodesic, by central differences of the value."""
    norm = {"W1": 2.0, "W2": 3.0} if per == "layer" else {"network": 4.0}
    con = Constrained(fl.Problem(text, "logistic", per=per), labelled(6, 3, 5), norm=norm, widths={"W1": 4})
    rng = np.random.default_rng(1)
    theta, basis = con.random(rng), None
    basis = con.spheres.basis(theta)
    assert basis.T @ basis == pytest.approx(np.eye(basis.shape[1]), abs=1e-13)
    assert np.abs(con.spheres.normals(theta) @ basis).max() < 1e-13
    c = rng.normal(size=basis.shape[1])
    v = basis @ c

    def along(t):
        # On every sphere a great circle with the speed of its part of v.
        speed = np.sqrt(con.spheres.squares(v, v))[con.spheres.owner]
        return con.value(np.cos(speed * t) * theta + np.sin(speed * t) / speed * v)

    step = 1e-4
    first = (along(step) - along(-step)) / (2 * step)
    second = (along(step) - 2 * along(0.0) + along(-step)) / step**2
    assert con.gradient(theta) @ v == pytest.approx(first, rel=1e-6)
    assert c @ con.riemannian(theta, basis) @ c == pytest.approx(second, rel=1e-5)
    lam = con.spheres.squares(theta, con.gradient(theta))[con.spheres.owner]
    assert c @ (basis.T @ (con.times(theta, v) - lam * v)) == pytest.approx(
        c @ con.riemannian(theta, basis) @ c, rel=1e-10
    )
    # Control: without the multipliers it is another number.
    assert c @ (basis.T @ con.hessian(theta) @ basis) @ c != pytest.approx(second, rel=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_comes_to_the_same_minimum(method):
    con = Constrained(
        fl.Problem("W2 @ tanh(W1 @ x)"), labelled(10, 3, 6), norm={"W1": 2.0, "W2": 2.0}, widths={"W1": 2}
    )
    want = minimize(con, con.random(np.random.default_rng(2)))[0]
    end, steps = minimize(
        con, con.spheres.project(want + 0.1 * np.random.default_rng(3).normal(size=len(want))), method=method
    )
    assert con.residual(want) <= 1e-12
    assert con.residual(end) <= 1e-12
    assert con.value(end) == pytest.approx(con.value(want), abs=1e-12)
    assert steps > 1


def test_deflation_turns_away_from_what_is_known():
    con = Constrained(fl.Problem("W1 @ x"), labelled(9, 4, 0), norm=6.0)
    start = con.random(np.random.default_rng(5))
    first = root(con, start, [])
    assert first is not None
    assert con.residual(first) <= 1e-9
    again = root(con, start, [first])
    assert again is None or np.linalg.norm(again - first) > 1e-3


@pytest.mark.long
def test_everything_found_is_the_same_on_every_seed_of_the_search_and_in_every_rotation():
    """Distinct points have distinct losses here; a rotation of the inputs rotates the points and changes
    nothing else.
    """
    data, problem = labelled(8, 3, 7), fl.Problem("W2 @ W1 @ x", "logistic")
    told = {"norm": 5.0, "widths": {"W1": 2}, "starts": 24}
    first = critical_points(problem, data, seed=0, **told)
    other = critical_points(problem, data, seed=1, **told)
    Q = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turned = critical_points(problem, fl.Data(np.asarray(data.x) @ Q.T, data.y), seed=2, **told)
    assert (
        first[0].log_loss == pytest.approx(other[0].log_loss, abs=1e-12) == pytest.approx(turned[0].log_loss, abs=1e-12)
    )
    assert first[0].eigenvalues == pytest.approx(turned[0].eigenvalues, abs=1e-10)
    assert first.distance(first[0], other[0]) < 1e-10
    assert first.distance(first[0], first[-1]) > 0.1


def test_a_table_and_json_for_everything_found():
    points = critical_points(fl.Problem("W1 @ x"), labelled(6, 2, 8), norm=3.0, starts=6)
    assert "minimum, attracting" in str(points)
    told = points[0].to_dict()
    assert told["kind"] == "minimum"
    assert set(told["V"]) == {"W1"}


class TestBadInput:
    data = labelled(6, 3, 0)

    @pytest.mark.parametrize("norm", [0.0, -1.0, float("inf"), float("nan"), True, "5", None])
    def test_norms(self, norm):
        with pytest.raises(LanguageError, match="norm"):
            Constrained(fl.Problem("W1 @ x"), self.data, norm=norm)

    @pytest.mark.parametrize("norm", [{"W1": -1.0}, {"W1": np.ones(3)}, {}, {"W1": 1.0, "W9": 2.0}])
    def test_norms_by_block(self, norm):
        with pytest.raises(ShapeMismatch, match="norm"):
            Constrained(fl.Problem("W1 @ x"), self.data, norm=norm)

    def test_no_product_of_norms(self):
        with pytest.raises(NotHomogeneous, match="must be a mapping of blocks to norms"):
            Constrained(fl.Problem("W2 @ tanh(W1 @ x)"), self.data, norm=5.0, widths={"W1": 2})

    @pytest.mark.parametrize("starts", [-1, 2.5, True, "8"])
    def test_starts(self, starts):
        with pytest.raises(LanguageError, match="starts"):
            critical_points(fl.Problem("W1 @ x"), self.data, norm=5.0, starts=starts)

    def test_too_many_weights(self):
        with pytest.raises(LanguageError, match="must have at most"):
            critical_points(fl.Problem("W2 @ W1 @ x"), self.data, norm=5.0, widths={"W1": 200}, starts=1)

    def test_a_start_of_another_shape(self):
        with pytest.raises(ShapeMismatch, match="W1"):
            critical_points(fl.Problem("W1 @ x"), self.data, norm=5.0, starts=0, near=[{"W1": np.ones((1, 4))}])


def test_the_low_end_of_the_spectrum_without_the_matrix():
    con = Constrained(
        fl.Problem("W2 @ tanh(W1 @ x)", "logistic"), labelled(12, 5, 9), norm={"W1": 3.0, "W2": 2.0}, widths={"W1": 6}
    )
    theta = con.random(np.random.default_rng(4))
    values, off = lowest(con, theta, 5)
    want = np.linalg.eigvalsh(con.riemannian(theta, con.spheres.basis(theta)))
    assert values == pytest.approx(want[:5], abs=1e-9 * np.abs(want).max())
    assert off.max() < 1e-6 * np.abs(want).max()


@pytest.mark.long
def test_many_weights_go_down_too():
    con = Constrained(
        fl.Problem("W2 @ tanh(W1 @ x)", "logistic"), labelled(30, 40, 9), norm={"W1": 3.0, "W2": 3.0}, widths={"W1": 12}
    )
    theta, _ = minimize(con, con.random(np.random.default_rng(4)))
    assert con.residual(theta) <= 1e-12
    assert lowest(con, theta, 3)[0][0] > 0


@pytest.mark.long
def test_a_multiple_eigenvalue_is_found_as_often_as_it_is_there():
    """Units of one and the same weights; a Krylov space of one vector meets one direction of them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 8)) / np.sqrt(8)
    data = fl.Data(x, np.sign((x @ rng.normal(size=8)) * (x @ rng.normal(size=8))))
    con = Constrained(fl.Problem("W2 @ tanh(W1 @ x)", "logistic"), data, norm={"W1": 6.0, "W2": 6.0}, widths={"W1": 16})
    theta, _ = minimize(con, con.random(np.random.default_rng(0)))
    want = np.linalg.eigvalsh(con.riemannian(theta, con.spheres.basis(theta)))
    assert int((np.abs(want - want[0]) < 1e-9).sum()) > 5
    for values, off in (lowest(con, theta, 12), spectrum._by_blocks(con, theta, 12, 0, 1e-8)):
        assert values == pytest.approx(want[:12], abs=1e-7 * np.abs(want).max())
        assert off.max() < 1e-6 * np.abs(want).max()
    with pytest.raises(LanguageError, match="from 1 to"):
        lowest(con, theta, len(theta))


def test_copies_are_made_by_swaps_of_units_that_are_alike():
    """Two sets of units, some of them turned round: signs of odd activations count as alike."""
    rng = np.random.default_rng(3)
    data = fl.Data(rng.normal(size=(20, 6)), np.sign(rng.normal(size=20)))
    con = Constrained(fl.Problem("W2 @ tanh(W1 @ x)", "logistic"), data, norm={"W1": 6.0, "W2": 6.0}, widths={"W1": 14})
    two, which, sign = rng.normal(size=(2, 7)), np.arange(14) % 2, np.where(np.arange(14) < 5, -1.0, 1.0)
    units = two[which] * sign[:, None]
    theta = con.row({"W1": units[:, :6], "W2": units[:, 6:].T})
    groups = symmetries.Symmetries(con.problem.network, con.spheres.layout, 6).alike(theta)
    assert [where.shape for where, _ in groups] == [(7, 7), (7, 7)]
    assert all(np.allclose(theta[where] * signs, (theta[where] * signs)[0]) for where, signs in groups)
    want = np.linalg.eigvalsh(con.riemannian(theta, con.spheres.basis(theta)))
    values, off = spectrum._by_one_vector(con, theta, 10, 0, 1e-8)
    assert values == pytest.approx(want[:10], abs=1e-8 * np.abs(want).max())
    assert off.max() < 1e-6 * np.abs(want).max()
    assert want[5] - want[0] < 1e-10
    assert want[9] - want[0] > 1e-6
    # Control: units that differ are not alike.
    aside = con.spheres.project(theta + 1e-3 * rng.normal(size=len(theta)))
    assert symmetries.Symmetries(con.problem.network, con.spheres.layout, 6).alike(aside) == []


@pytest.mark.parametrize("per", ["layer", "neuron", "network"])
def test_compiled_spheres_are_the_spheres(per):
    norm = {"network": 4.0} if per == "network" else {"W1": 2.0, "W2": 3.0}
    con = Constrained(
        fl.Problem("W2 @ tanh(W1 @ x)", "logistic", per=per), labelled(6, 3, 5), norm=norm, widths={"W1": 4}
    )
    layout, theta, v = (
        con.spheres.layout,
        con.random(np.random.default_rng(1)),
        np.random.default_rng(2).normal(size=len(con.spheres.owner)),
    )
    assert np.asarray(sphere_product.tangent(layout, per, theta, v)) == pytest.approx(
        con.spheres.tangent(theta, v), abs=1e-14
    )
    assert np.asarray(sphere_product.project(layout, per, v)) == pytest.approx(con.spheres.project(v), abs=1e-14)
    end, _ = minimize(con, theta, method="lbfgs")
    assert con.residual(end) <= 1e-12


@pytest.mark.long
def test_many_relus_come_to_rest_on_kinks_and_say_so():
    rng = np.random.default_rng(3)
    data = fl.Data(rng.normal(size=(12, 70)), np.sign(rng.normal(size=12)))
    told = {"norm": {"W1": 3.0, "W2": 3.0}, "widths": {"W1": 30}}
    with pytest.raises(RunFailed, match="rest on kinks"):
        fl.constrained_minimum(fl.Problem("W2 @ relu(W1 @ x)", "logistic"), data, **told)
    smooth = fl.constrained_minimum(fl.Problem("W2 @ softplus(W1 @ x)", "logistic"), data, **told)
    assert smooth.residual <= 1e-10
    assert (smooth.kind, len(smooth.eigenvalues)) in {("minimum", 20), ("Morse-Bott", 20)}


def test_small_units_point_the_same_way_as_nearly_as_kinks_are_met():
    """A unit of a ten-thousandth of another, turned by what a kink is met to, is one with it; turned by
    more it is not.
    """
    con = Constrained(fl.Problem("W2 @ relu(W1 @ x)"), labelled(8, 3, 1019), norm=5.0, widths={"W1": 2})
    symmetry = symmetries.Symmetries(con.problem.network, con.spheres.layout, 3)
    unit, aside = np.array([1.0, 2.0, -1.0, 2.0]), np.array([2.0, -1.0, 0.0, 0.0])

    def row(small):
        return con.row({"W1": np.stack([small[:3], unit[:3]]), "W2": np.array([[small[3], unit[3]]])})

    whole = row(np.zeros(4))
    assert symmetry.distance(row(1e-4 * (unit + 3e-7 * aside)), whole) < 1e-8
    assert symmetry.distance(row(1e-4 * (unit + 1e-3 * aside)), whole) > 1e-5
