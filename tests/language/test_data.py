"""Data are checked when they are made; what a loss cannot use is told before anything runs."""

import subprocess
import sys

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.errors import DataError

X, Y = np.arange(6.0).reshape(3, 2), np.array([1.0, -1.0, 1.0])
BAD = [
    (X, [1, 1, 1], "one class"),
    (X, [1.0, -1.0], "one label per sample"),
    (X[0], Y, "shape"),
    (np.zeros((0, 2)), [], "non-empty"),
    (np.zeros((3, 0)), Y, "non-empty"),
    (np.where(X == 3, np.nan, X), Y, "row 2, column 2"),
    (np.where(X == 3, np.inf, X), Y, "inf"),
    (X, [1, np.nan, -1], "nan"),
    (X, [0, 2, 2], "0..C-1"),
    (X, [0, 0, 0], "one class"),
    ([["a", "b"]], [1], "numbers"),
]


@pytest.mark.parametrize(("x", "y", "word"), BAD, ids=[w for _, _, w in BAD])
def test_bad_data(x, y, word):
    with pytest.raises(DataError, match=word):
        fl.Data(x, y)


def test_kinds():
    assert fl.Data(X, Y).kind == "binary"
    assert fl.Data(X, [0, 1, 2]).kind == "classes"
    assert fl.Data(X, [0, 1, 2]).outputs == 3
    assert fl.Data(X, [0.5, 1, 2]).kind == "targets"
    assert fl.Data(X, np.ones((3, 2)) / 3).outputs == 2
    with pytest.raises(DataError, match=r"label 2, outside -1 and \+1"):
        fl.Data(X, [1.0, 2.0, -1.0], kind="binary")
    with pytest.raises(DataError, match="kind"):
        fl.Data(X, Y, kind="signs")


def test_arrays_are_float64_and_hashed():
    data = fl.Data(X.astype(np.float32), Y.astype(int))
    assert data.x.dtype == data.y.dtype == np.float64
    assert data.sha256() == fl.Data(X, Y).sha256() != fl.Data(X + 1e-16 + X * 1e-15, Y).sha256()


@pytest.mark.parametrize(
    ("loss", "y", "word"),
    [
        ("exponential", [0, 1, 2], "0, 1, 2"),
        ("cross_entropy", [1.0, -1.0, 1.0], "-1, 1"),
        ("logistic", [0.5, 1, 2], "0.5"),
        ("square", [0, 1, 2], "floats"),
    ],
)
def test_labels_that_a_loss_cannot_use(loss, y, word):
    network = "W1 @ x"
    problem, data = fl.Problem(network, loss), fl.Data(X, y)
    with pytest.raises(DataError, match=word):
        problem.loss.check_labels(data)
    start = fl.initial_state(network, data, seed=0)
    with pytest.raises(DataError, match=word):
        fl.descend(problem, start, data, step=0.1, count=1)


def test_a_loss_over_classes_needs_outputs():
    with pytest.raises(fl.LanguageError, match="one output per class"):
        fl.Problem("a @ relu(W @ x)", "cross_entropy")


ENTRIES = [
    "fl.Data([[1.0]], [1.0])",
    "fl.State.from_weights({'W': [[1.0]]})",
    "fl.derive(fl.Problem('W1 @ x'))",
    "fl.load('iris')",
    "fl.lower(fl.derive(fl.Problem('W1 @ x'), verify=False))",
]


def test_float32_is_refused_at_every_entry():
    code = (
        "import flowlab as fl\nfor entry in ("
        + ", ".join(f"lambda: {e}" for e in ENTRIES)
        + "):\n try:\n  entry()\n  print('accepted')\n except fl.PrecisionTooLow as e:\n  print('jax_enable_x64' in"
        " str(e))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"] * len(ENTRIES)
