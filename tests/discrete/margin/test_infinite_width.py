"""Margins of networks of unbounded width: bounds from both sides, finite networks below them, labels that no measure
tells apart.
"""

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.errors import DataError, UnknownName
from flowlab.discrete.margin.infinite_width import _price, arc_cosine, wide_margin


def labelled(seed, n, d):
    rng = np.random.default_rng(seed)
    return fl.Data(rng.normal(size=(n, d)), rng.choice([-1.0, 1.0], size=n), kind="binary")


def two_layers(W, x):
    return (W["W2"] @ np.maximum(W["W1"] @ np.asarray(x).T, 0.0)).ravel()


@pytest.mark.parametrize(
    ("seed", "n", "d"),
    [
        (0, 7, 2),
        (0, 8, 3),
        *(pytest.param(*told, marks=pytest.mark.slow) for told in ((1, 7, 2), (2, 12, 2), (1, 12, 5))),
    ],
)
def test_both_bounds_meet_and_the_measure_is_a_network_of_that_margin(seed, n, d):
    data = labelled(seed, n, d)
    found = wide_margin(data)
    assert abs(found.gap) < 1e-8
    assert found.certified == (d == 2)
    assert found.alpha.min() >= 0
    assert found.alpha.sum() == pytest.approx(1.0)
    W = found.weights()
    square = sum((w**2).sum() for w in W.values())
    assert 2.0 * (data.y * two_layers(W, data.x)).min() / square == pytest.approx(found.margin, rel=1e-12)
    # The upper bound, by directions that the program never saw.
    theta = np.random.default_rng(9).normal(size=(20_000, d))
    theta /= np.linalg.norm(theta, axis=1)[:, None]
    seen = np.abs(np.maximum(theta @ np.asarray(data.x).T, 0.0) @ (found.alpha * np.asarray(data.y))).max()
    assert 0.9 * found.upper < seen <= found.upper * (1 + 1e-9)
    # The control: other weights of the samples bound it less well.
    wrong = np.full(n, 1.0 / n)
    assert np.abs(np.maximum(theta @ np.asarray(data.x).T, 0.0) @ (wrong * np.asarray(data.y))).max() > found.upper


def test_a_circle_of_arcs_is_searched_exhaustively():
    rng = np.random.default_rng(5)
    for _ in range(20):
        x, b = rng.normal(size=(9, 2)), rng.normal(size=9)
        angles = np.linspace(0.0, 2.0 * np.pi, 200_001)
        grid = np.column_stack([np.cos(angles), np.sin(angles)])
        top, theta = _price(b, x, np.zeros((0, 2)), rng)
        seen = np.abs(np.maximum(grid @ x.T, 0.0) @ b).max()
        assert seen <= top * (1 + 1e-12)
        assert seen >= top * (1 - 1e-4)
        assert np.allclose(np.linalg.norm(theta, axis=1), 1.0)


def test_the_kernel_is_the_mean_over_uniform_neurons():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4, 3))
    theta = rng.normal(size=(400_000, 3))
    phi = np.maximum(theta / np.linalg.norm(theta, axis=1)[:, None] @ x.T, 0.0)
    assert np.allclose(phi.T @ phi / len(phi), arc_cosine(x), atol=4e-3 * np.abs(arc_cosine(x)).max())
    # On the diagonal ‖x‖²/(2d).
    assert np.allclose(np.diag(arc_cosine(x)), (x**2).sum(axis=1) / 6.0, rtol=1e-14)


@pytest.mark.parametrize(("seed", "n", "d"), [(0, 7, 2), (3, 9, 3), pytest.param(4, 20, 10, marks=pytest.mark.slow)])
def test_the_kernel_margin_is_certified_and_below_that_of_both_layers(seed, n, d):
    data = labelled(seed, n, d)
    both, outer = wide_margin(data), wide_margin(data, norm="kernel")
    assert 0 < outer.margin <= outer.upper <= outer.margin * (1 + 1e-9)
    assert outer.margin < 0.9 * both.margin
    # upper² = (α y)ᵀ K (α y): no h of norm one does better on the samples as α weighs them.
    a = outer.alpha * np.asarray(data.y)
    assert np.sqrt(a @ arc_cosine(np.asarray(data.x)) @ a) == pytest.approx(outer.upper, rel=1e-9)


@pytest.mark.long
def test_finite_networks_stay_below_and_wide_ones_come_up_to_it():
    data = labelled(0, 7, 2)
    found = wide_margin(data)
    margins = {
        h: 2.0 * fl.max_margin("W2 @ relu(W1 @ x)", data, widths={"W1": h}, starts=8).joint_margin for h in (4, 10)
    }
    assert all(m <= found.upper * (1 + 1e-9) for m in margins.values())
    assert margins[10] == pytest.approx(found.margin, rel=1e-8)


@pytest.mark.parametrize("norm", ["variation", "kernel"])
def test_labels_that_no_measure_tells_apart_have_no_margin(norm):
    """Without bias f(x) - f(-x) is linear: of x, -x, 2x and -2x the outer labels follow from the inner ones."""
    x = np.array([[1.0, 0.3], [-1.0, -0.3], [2.0, 0.6], [-2.0, -0.6]])
    found = wide_margin(fl.Data(x, np.array([1.0, -1.0, -1.0, 1.0]), kind="binary"), norm=norm)
    assert found.margin == 0.0
    assert found.upper < 1e-6
    theta = np.random.default_rng(0).normal(size=(1000, 2))
    assert np.abs(np.maximum(theta @ x.T, 0.0) @ (found.alpha * np.array([1.0, -1.0, -1.0, 1.0]))).max() < 1e-6
    # The control: with the labels that do follow there is one.
    assert wide_margin(fl.Data(x, np.array([1.0, -1.0, 1.0, -1.0]), kind="binary"), norm=norm).margin > 0.01


def test_margins_are_in_units_of_the_inputs():
    data = labelled(1, 7, 2)
    for norm in ("variation", "kernel"):
        large = wide_margin(fl.Data(1e6 * np.asarray(data.x), np.asarray(data.y), kind="binary"), norm=norm)
        assert large.margin == pytest.approx(1e6 * wide_margin(data, norm=norm).margin, rel=1e-8)


def test_bad_input_is_refused():
    data = labelled(0, 7, 2)
    with pytest.raises(UnknownName, match="norm='path'"):
        wide_margin(data, norm="path")
    with pytest.raises(DataError, match="targets"):
        wide_margin(fl.Data(np.eye(2), np.array([0.5, 2.0]), kind="targets"))
    with pytest.raises(DataError, match="inputs must not all be zero"):
        wide_margin(fl.Data(np.zeros((2, 2)), np.array([1.0, -1.0])))
    with pytest.raises(DataError, match="infinitely many"):
        wide_margin(data, norm="kernel").weights()
    assert "certified" not in str(wide_margin(data))
    assert "not exhaustively" in str(wide_margin(labelled(0, 8, 3)))
