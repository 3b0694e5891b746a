"""Spectra of the Hessian along a path: whole ones against known matrices, ends against whole ones."""

import numpy as np
import pytest

import flowlab as fl

DATA = fl.load("gaussian?n=8&d=3&margin=0.2", seed=1)
X = np.asarray(DATA.x)


def walk(problem, count=20, **widths):
    return fl.descend(
        problem, fl.initial_state(problem.network, DATA, widths=widths, seed=0), DATA, step=1e-2, count=count
    )


def test_a_linear_network_has_the_spectrum_of_its_samples():
    found = fl.hessian_spectrum(walk(fl.Problem("W @ x", "square", decay=0.25)), rows=3).dataset
    wanted = np.linalg.eigvalsh(X.T @ X + 0.5 * np.eye(3))[::-1]
    assert found["eigenvalue"].values == pytest.approx(np.tile(wanted, (3, 1)))
    assert found["negative"].values.tolist() == [0, 0, 0]
    assert int(found["whole"]) == 1


@pytest.mark.long
def test_ends_are_those_of_the_whole_spectrum():
    path = walk(fl.Problem("W2 @ tanh(W1 @ x)", "logistic"), W1=50)
    whole = fl.hessian_spectrum(path, rows=2).dataset
    ends = fl.hessian_spectrum(path, rows=2, count=3).dataset
    assert whole["eigenvalue"].shape == (2, 200)
    assert int(ends["whole"]) == 0
    values = whole["eigenvalue"].values
    assert ends["eigenvalue"].values == pytest.approx(np.c_[values[:, :3], values[:, -3:]], rel=1e-8, abs=1e-10)
    assert (values < 0).any()
    top = fl.sharpness(path, rows=2, count=3)["eigenvalue"].values
    assert ends["eigenvalue"].values[:, :3] == pytest.approx(top, rel=1e-8)
    # A control: the middle of the spectrum is not its end.
    assert np.abs(values[:, 3:6] - top).max() > 1e-6


def test_spectra_are_drawn_and_stored(tmp_path):
    found = fl.hessian_spectrum(walk(fl.Problem("W2 @ tanh(W1 @ x)", "logistic"), W1=2), rows=5)
    (back,) = fl.results(fl.save(found, tmp_path / "spectrum.nc"))
    drawn = fl.draw("hessian", back)
    assert len(drawn.curves) == 8
    assert drawn.table() == fl.draw("hessian", found).table()


def test_bad_input(tmp_path):
    path = walk(fl.Problem("W @ x", "logistic"))
    for count in (0, 4, True):
        with pytest.raises(fl.LanguageError, match="count"):
            fl.hessian_spectrum(path, count=count)
    with pytest.raises(fl.DataError, match="samples"):
        fl.hessian_spectrum(fl.Trajectory.load(path.save(tmp_path / "walk.nc")))
    with pytest.raises(fl.ShapeMismatch):
        fl.hessian_spectrum(path, fl.Data(np.ones((2, 9)), [1.0, -1.0]))


def test_a_coarse_gradient_has_no_hessian():
    path = walk(fl.Problem("a @ coarse(step, relu)(W @ x)", "square", coordinates="weights"), W=3)
    with pytest.raises(fl.LanguageError, match="leave `coarse` out"):
        fl.hessian_spectrum(path)
