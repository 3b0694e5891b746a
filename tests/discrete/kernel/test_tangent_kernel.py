"""Tangent kernels against finite differences and closed forms, and what is not one."""

import numpy as np
import pytest

import flowlab as fl

DATA = fl.load("gaussian?n=7&d=3&margin=0.2", seed=1)
X = np.asarray(DATA.x)


def state(net, **widths):
    return fl.initial_state(net, DATA, widths=widths, seed=0)


def numeric(net, weights, data, step=1e-5):
    """J by central differences of numpy outputs, (N C, P)."""
    columns = []
    for name in net.weights:
        for place in np.ndindex(*np.shape(weights[name])):
            sides = []
            for sign in (1, -1):
                moved = {k: np.array(w) for k, w in weights.items()}
                moved[name][place] += sign * step
                sides.append(net.outputs(moved, np.asarray(data.x), np).ravel())
            columns.append((sides[0] - sides[1]) / (2 * step))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("text", ["W2 @ tanh(W1 @ x)", "a @ softplus(W1 @ x)**2 + b @ x", "W2 @ relu(W1 @ x)"])
def test_kernels_are_products_of_gradients(text):
    net = fl.Network(text)
    at = state(net, W1=4)
    J = numeric(net, {k: np.asarray(w) for k, w in at.weights().items()}, DATA)
    K = fl.tangent_kernel(net, at, DATA)
    assert K.shape == (7, 7)
    assert pytest.approx(J @ J.T, rel=1e-7, abs=1e-8) == K
    assert pytest.approx(K, rel=1e-12) == fl.tangent_kernel(text, at.weights(), DATA)
    # A control: with one block left out it is another kernel.
    assert np.abs(J[:, 1:] @ J[:, 1:].T - K).max() > 1e-3


def test_several_outputs_and_other_samples():
    classes = fl.Data(X, np.arange(7) % 3)
    net = fl.Network("W2 @ tanh(W1 @ x)")
    at = fl.initial_state(net, classes, widths={"W1": 4}, seed=0)
    J = numeric(net, {k: np.asarray(w) for k, w in at.weights().items()}, classes)
    K = fl.tangent_kernel(net, at, classes)
    assert K.shape == (7, 3, 7, 3)
    assert K.reshape(21, 21) == pytest.approx(J @ J.T, rel=1e-7, abs=1e-8)
    some = fl.Data(X[:2], [0, 1], kind="classes")
    with pytest.raises(fl.ShapeMismatch):
        fl.tangent_kernel(net, at, classes, others=some)
    others = fl.Data(X[:4], [0, 1, 2, 0])
    assert fl.tangent_kernel(net, at, classes, others=others) == pytest.approx(K[:, :, :4], rel=1e-12)


def test_a_linear_network_has_the_kernel_of_its_samples():
    at = state("W @ x")
    assert fl.tangent_kernel("W @ x", at, DATA) == pytest.approx(X @ X.T, rel=1e-12)
    path = fl.descend(fl.Problem("W @ x", "logistic"), at, DATA, step=0.1, count=20)
    ds = fl.kernel_along(path).dataset
    assert ds["change"].values == pytest.approx(0.0, abs=1e-14)
    assert ds["turn"].values == pytest.approx(0.0, abs=1e-14)
    K, y = X @ X.T, np.asarray(DATA.y)
    assert ds["alignment"].values == pytest.approx(y @ K @ y / np.linalg.norm(K) / 7)
    assert ds["eigenvalue"].values[0] == pytest.approx(np.linalg.eigvalsh(K)[::-1], abs=1e-12)
    assert ds["trace"].values == pytest.approx(np.trace(K))


def test_wide_networks_move_their_kernel_less():
    changes = []
    for width in (4, 256):
        net = fl.Network("a @ tanh(W1 @ x)")
        begin = state(net, W1=width)
        walk = fl.descend(fl.Problem(net, "square"), begin, DATA, step=1e-2 * 4 / width, count=200 * width // 4)
        changes.append(float(fl.kernel_along(walk, rows=3).dataset["change"][-1]))
    assert changes[1] < 0.25 * changes[0]


def test_a_scaled_kernel_does_not_turn():
    net = fl.Network("W2 @ W1 @ x")
    begin = {k: np.asarray(w) for k, w in state(net, W1=3).weights().items()}
    path = fl.Trajectory.from_weights(
        [0.0, 1.0], [begin, {k: 3.0 * w for k, w in begin.items()}], problem=fl.Problem(net, "logistic"), data=DATA
    )
    ds = fl.kernel_along(path).dataset
    assert ds["change"].values[1] == pytest.approx(8.0)
    assert ds["turn"].values[1] < 1e-15


def test_bad_input():
    net = fl.Network("W2 @ W1 @ x")
    at, path = state(net, W1=3), fl.descend(fl.Problem(net, "logistic"), state(net, W1=3), DATA, step=0.1, count=2)
    with pytest.raises(fl.ShapeMismatch):
        fl.tangent_kernel("W @ x", at, DATA)
    with pytest.raises(fl.ShapeMismatch):
        fl.tangent_kernel(net, at, fl.Data(np.ones((3, 5)), [1.0, -1.0, 1.0]))
    with pytest.raises(fl.LanguageError, match="count"):
        fl.kernel_along(path, count=0)
    with pytest.raises(fl.LanguageError, match="rows"):
        fl.kernel_along(path, rows=0)
    zero = {"W1": np.zeros((3, 3)), "W2": np.zeros((1, 3))}
    still = fl.Trajectory.from_weights([0.0], [zero], problem=fl.Problem(net, "logistic"), data=DATA)
    with pytest.raises(fl.RunFailed, match="has the norm 0"):
        fl.kernel_along(still)


def test_paths_that_were_stored_need_their_samples(tmp_path):
    net = fl.Network("W2 @ W1 @ x")
    path = fl.descend(fl.Problem(net, "logistic"), state(net, W1=3), DATA, step=0.1, count=2)
    back = fl.Trajectory.load(path.save(tmp_path / "walk.nc"))
    with pytest.raises(fl.DataError, match="samples"):
        fl.kernel_along(back)
    assert fl.kernel_along(back, DATA).dataset.identical(fl.kernel_along(path).dataset)
    assert fl.draw("kernel", fl.kernel_along(back, DATA)).curves
