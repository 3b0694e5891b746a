"""Slopes at kinks are bounded by the one-sided ones: KKT residuals against an independent cone program, and inputs that
show nothing.
"""

import numpy as np
import pytest
from scipy.optimize import nnls

import flowlab as fl
from flowlab.core.errors import DataError, FlowlabError, LanguageError, RunFailed
from flowlab.discrete.margin.clarke_residual import nearest
from flowlab.discrete.margin.svm import hard_margin
from tests.discrete.margin.cone_program import bounded_residual, counter_example

NETS = {0.0: "W2 @ relu(W1 @ x)", 0.2: "W2 @ leaky_relu(W1 @ x, 0.2)", -1.0: "W2 @ abs(W1 @ x)"}
FAR = [
    (0.0, -2.0, 2.9, -1.35),
    (0.0, -3.0, 3.0, -1.45),
    (0.0, -8.0, 3.0, -1.5),
    (0.2, -2.0, 0.76, -0.9),
    (0.2, -3.0, 2.3, -1.4),
    (0.2, -8.0, 2.5, -1.5),
]
OTHER = [(0.0, 2.0, 0.46, 0.8), (0.2, 2.0, 0.36, 0.8), (-1.0, 2.0, 0.46, 0.4), (-1.0, -3.0, 0.25, -0.15)]
WITHIN = [(0.0, 0.5, 0.5, 0.3), (0.2, 0.6, 0.4, 0.5), (-1.0, -0.5, 0.2, 0.0), (-1.0, 0.5, 0.2, 0.0)]
RNG = np.random.default_rng(0)
PLANE = RNG.normal(size=(6, 2))
LABELS = np.sign(PLANE @ [1.0, 0.5])
PLANE += 0.3 * np.outer(LABELS, [1.0, 0.5])


def measured(leak, case):
    W, a, x, y = case
    state = fl.State.from_weights({"W1": W, "W2": a[None, :]})
    return fl.lyu_li(NETS[leak], state, fl.Data(x, y, kind="binary"))


@pytest.mark.parametrize(("leak", "slope", "offset", "angle"), FAR)
def test_a_slope_outside_the_two_sides_is_refused(leak, slope, offset, angle):
    case = counter_example(leak, slope, offset, angle)
    found, (expected, _) = measured(leak, case), bounded_residual(*case, leak=leak)
    assert expected >= 0.5
    assert found.epsilon == pytest.approx(expected, rel=1e-6)
    assert found.exact
    # With slopes of any sign and size the same state passes for a KKT point.
    W, a, x, _ = case
    h = x @ W.T
    smooth = [
        np.r_[
            np.outer(a * np.where(row > 1e-9, 1.0, leak * (row < -1e-9)), s).ravel(), np.where(row > 0, row, leak * row)
        ]
        for row, s in zip(h, x, strict=True)
    ]
    free = np.r_[np.outer([0.0, 1.0], x[1]).ravel(), 0.0, 0.0]
    theta = np.r_[W.ravel(), a]
    assert nnls(np.array([*smooth, free, -free]).T, theta)[1] < 1e-12 * np.linalg.norm(theta)


@pytest.mark.parametrize(("leak", "slope", "offset", "angle"), OTHER)
def test_other_slopes_agree_with_the_cone_program(leak, slope, offset, angle):
    case = counter_example(leak, slope, offset, angle)
    expected, _ = bounded_residual(*case, leak=leak)
    assert expected > 0.03
    assert measured(leak, case).epsilon == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("leak", "slope", "offset", "angle"), WITHIN)
def test_a_slope_between_the_two_sides_is_taken(leak, slope, offset, angle):
    case = counter_example(leak, slope, offset, angle)
    found = measured(leak, case)
    assert found.epsilon < 1e-12
    assert found.multipliers.min() > 0
    W, a, x, y = case
    aside = W + np.array([[0.0, 0.0], [1e-5, 0.0]])
    assert measured(leak, (aside, a, x, y)).epsilon > 1e-3


def test_the_largest_of_three_has_slopes_in_the_simplex():
    """Two nested kinks: the rays are the gradients of the pieces, here one block each."""
    weights = {"u": np.array([1.0, 0.3]), "v": np.array([1.0, -0.2]), "w": np.array([1.0, 0.1])}
    x = np.array([[1.0, 0.0], [0.3, 1.0], [0.4, -1.0]])
    found = fl.lyu_li(
        "maximum(u @ x, v @ x, w @ x)", fl.State.from_weights(weights), fl.Data(x, np.ones(3), kind="binary")
    )
    theta = np.concatenate([*weights.values()])
    values = np.array([x @ w for w in weights.values()])
    q = values.max(axis=0)
    theta, q = theta / q.min(), q / q.min()
    size = np.linalg.norm(theta)
    rays = [
        np.r_[np.kron(np.eye(3)[k], x[n]), (q[n] - 1.0) / size]
        for n in range(3)
        for k in range(3)
        if values[k, n] > values[:, n].max() - 1e-12
    ]
    assert len(rays) == 5
    shares = nnls(np.array(rays).T, np.r_[theta, 0.0])[0]
    assert found.epsilon == pytest.approx(
        float(np.linalg.norm(theta - shares @ np.array(rays)[:, :-1])) / size, rel=1e-9
    )
    assert found.exact


def test_rays_that_never_gain_are_no_answer():
    """A pricing that offers nothing leaves the first rays; one that offers the opposite of what is left changes
    nothing.
    """
    first = np.array([[1.0, 0.0]]), np.zeros((1, 0))
    target = np.array([1.0, 1.0])
    assert np.linalg.norm(
        nearest(target, first, lambda left: (-left[None, :], np.zeros((1, 0)))).left
    ) == pytest.approx(1.0)
    assert np.linalg.norm(nearest(target, first, lambda left: (left[None, :], np.zeros((1, 0)))).left) < 1e-12


class TestNothingToLookAt:
    DATA = fl.Data(np.abs(PLANE), LABELS)

    @pytest.mark.parametrize("W", [-np.ones((2, 2)), np.array([[1.0, 0.5], [0.1, 0.2]])])
    def test_dead_units_and_no_margin(self, W):
        with pytest.raises(RunFailed, match="must separate the data"):
            fl.lyu_li(NETS[0.0], fl.State.from_weights({"W1": W, "W2": np.ones((1, 2))}), self.DATA)

    @pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
    def test_states_without_a_direction(self, value):
        with pytest.raises(FlowlabError):
            fl.lyu_li(
                NETS[0.0], fl.State.from_weights({"W1": np.full((2, 2), value), "W2": np.ones((1, 2))}), self.DATA
            )

    def test_what_is_no_state(self):
        with pytest.raises(LanguageError, match="state"):
            fl.lyu_li(NETS[0.0], None, self.DATA)


class TestSizes:
    STATE = fl.State.from_weights({"W1": np.array([[1.0, 0.5], [-1.0, -0.5]]), "W2": np.array([[1.0, -1.0]])})

    @pytest.mark.parametrize("size", [1e-300, 1e-155, 1e155, 1e300])
    def test_inputs_of_extreme_size_have_the_answers_of_their_kind(self, size):
        plain, data = fl.Data(PLANE, LABELS), fl.Data(size * PLANE, LABELS)
        machine, expected = fl.max_margin("w @ x", data), fl.max_margin("w @ x", plain)
        assert machine.margin / size == pytest.approx(expected.margin, rel=1e-12)
        assert machine.support == expected.support
        assert machine.certificate.holds(size * PLANE, LABELS)
        for norm in ("variation", "kernel"):
            assert fl.wide_margin(data, norm=norm).margin / size == pytest.approx(
                fl.wide_margin(plain, norm=norm).margin, rel=1e-8
            )
        assert fl.lyu_li(NETS[0.0], self.STATE, data).epsilon == pytest.approx(
            fl.lyu_li(NETS[0.0], self.STATE, plain).epsilon, rel=1e-9
        )
        with pytest.raises(DataError, match="multipliers"):
            hard_margin(size * PLANE, LABELS)

    def test_columns_of_different_size(self):
        one = fl.max_margin("w @ x", fl.Data(PLANE[:, :1] * LABELS[:, None] ** 0, np.sign(PLANE[:, 0])))
        data = fl.Data(PLANE * [1e155, 1e-155], np.sign(PLANE[:, 0]))
        assert fl.max_margin("w @ x", data).margin / 1e155 == pytest.approx(one.margin, rel=1e-12)
        with pytest.raises(DataError, match="scale the inputs"):
            hard_margin(np.array([[1e-155], [1e155]]), np.ones(2))
        with pytest.raises(DataError, match="scale the inputs"):
            hard_margin(np.array([[1.0, 1e-200], [-1.0, 1e-200]]), np.ones(2))

    def test_what_does_not_scale_with_its_inputs_is_refused(self):
        with pytest.raises(DataError, match="scale the inputs"):
            fl.max_margin("W2 @ relu(W1 @ x + b)", fl.Data(1e-155 * PLANE, LABELS), widths={"W1": 2}, starts=1)

    def test_margins_below_float64_are_refused(self):
        with pytest.raises(DataError, match="fit in float64"):
            fl.max_margin("w @ x", fl.Data(1e-313 * PLANE, LABELS))
