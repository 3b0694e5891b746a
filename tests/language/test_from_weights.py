"""Checkpoints of a user's own training: read as meant or refused by name, and open to claims, figures and monitors."""

import numpy as np
import pytest

import flowlab as fl

PROBLEM = fl.Problem("W2 @ W1 @ x", "logistic", coordinates="polar")
DATA = fl.load("gaussian?n=10&d=3&margin=0.2", seed=1)
X, Y = np.asarray(DATA.x), np.asarray(DATA.y)


class Tensor:
    """As tensors of torch: numpy cannot read it before it is detached and on the host."""

    def __init__(self, array, ready=()):
        self.array, self.ready = array, ready

    shape = property(lambda self: self.array.shape)
    dtype = property(lambda self: self.array.dtype)

    def detach(self):
        return Tensor(self.array, (*self.ready, "detach"))

    def cpu(self):
        return Tensor(self.array, (*self.ready, "cpu"))

    def __array__(self, dtype=None, copy=None):
        if set(self.ready) != {"detach", "cpu"}:
            raise RuntimeError("can't call numpy() on a tensor that requires grad")
        return np.asarray(self.array, dtype)


def training(step=2e-3, count=60, every=2, momentum=0.0):
    """Gradient descent in plain numpy, as users write it: times and checkpoints."""
    rng = np.random.default_rng(0)
    W = {"W1": rng.normal(size=(4, 3)) / np.sqrt(3), "W2": rng.normal(size=(1, 4)) / 2}
    u = dict.fromkeys(W, 0.0)
    times, kept = [], []
    for k in range(count + 1):
        if k % every == 0:
            times.append(k * step)
            kept.append({name: w.copy() for name, w in W.items()})
        hidden = X @ W["W1"].T
        pull = Y / (1 + np.exp(Y * (hidden @ W["W2"].T)[:, 0]))
        slopes = {"W2": (pull @ hidden)[None], "W1": W["W2"].T @ (pull @ X)[None]}
        u = {name: momentum * u[name] + step * slopes[name] for name in W}
        W = {name: W[name] + u[name] for name in W}
    return times, kept


def made(times, weights, **more):
    return fl.Trajectory.from_weights(times, weights, problem=PROBLEM, data=DATA, **more)


def test_checkpoints_are_those_that_were_given(tmp_path):
    times, kept = training()
    path = made(times, kept, observe=fl.held_out(PROBLEM, DATA))
    assert path.kind == "training"
    assert len(path) == len(kept) == 31
    assert np.exp(path.dataset["log_t"].values) == pytest.approx(times)
    for i in (0, 7, -1):
        for name, w in path.weights(i).items():
            assert w == pytest.approx(kept[i][name], rel=1e-14)
    walk = fl.descend(PROBLEM, path.state(0), DATA, step=2e-3, count=60, record_every=2)
    assert walk.dataset["log_loss"].values == pytest.approx(path.dataset["log_loss"].values, rel=1e-10)
    assert path.observed["test_error"].shape == (31,)
    back = fl.Trajectory.load(path.save(tmp_path / "training.nc"), DATA)
    assert back.kind == "training"
    assert back.dataset.identical(path.dataset.assign_attrs(back.dataset.attrs))
    assert [r.kind for r in fl.results(tmp_path, of="trajectory")] == ["training"]


def test_tensors_and_jax_arrays_are_read():
    import jax.numpy as jnp

    times, kept = training(count=4)
    plain = made(times, kept)
    for kind in (Tensor, jnp.asarray, lambda w: w.tolist() and w.astype(np.float32)):
        other = made(times, [{k: kind(w) for k, w in each.items()} for each in kept])
        assert other.dataset["rho"].values == pytest.approx(plain.dataset["rho"].values, rel=1e-6)


def test_claims_speak_about_them():
    long = {"step": 2e-4, "count": 10_000, "every": 100}
    times, kept = training(**long)
    (verdict,) = fl.check("P4", made(times, kept, rtol=5e-6))
    assert verdict.answer == "holds", verdict.reason
    # Without a tolerance the claim names what is missing; a training that is no flow supports nothing.
    (lacks,) = fl.check("P4", made(times, kept))
    assert "the training must have a relative tolerance" in lacks.reason
    grown = [each | {"W1": each["W1"] * (1 + 0.5 * i / len(kept))} for i, each in enumerate(kept)]
    for no_flow in (training(**long, momentum=0.9), (times, grown)):
        (odd,) = fl.check("P4", made(*no_flow, rtol=5e-6))
        assert (odd.answer, odd.code) == ("undecided", "could not be checked")
        assert "the given training follows no flow of its problem" in odd.reason


def test_figures_draw_them_and_refuse_what_they_lack():
    times, kept = training()
    path = made(times, kept)
    walk = fl.descend(PROBLEM, path.state(0), DATA, step=2e-3, count=60)
    labels = [c.label for c in fl.draw("loss", path, walk).curves]
    assert labels == ["training", "descent"]
    for name in ("norms", "margin", "balance", "alignment"):
        assert fl.draw(name, path).curves
    with pytest.raises(fl.LanguageError, match="must have a flow"):
        fl.draw("kinks", path)
    with pytest.raises(fl.LanguageError, match="relative tolerance"):
        _ = path.rtol
    assert np.isnan(float(fl.sharpness(path, rows=2)["edge"]))


@pytest.mark.parametrize(
    ("times", "change", "error", "told"),
    [
        ([0.0, 0.1], {}, fl.LanguageError, "one number for each of the 3 checkpoints"),
        ([0.0, 0.2, 0.1], {}, fl.LanguageError, "growing"),
        ([-1.0, 0.2, 0.3], {}, fl.LanguageError, "above 0"),
        ([0.0, float("nan"), 0.3], {}, fl.LanguageError, "list of numbers"),
        (["a", "b", "c"], {}, fl.LanguageError, "list of numbers"),
        ([0.0, 0.1, 0.2], {"W2": None}, fl.LanguageError, "mappings"),
        ([0.0, 0.1, 0.2], {"W3": np.ones((1, 4))}, fl.ShapeMismatch, r"weights\[1\]` has the block `W3`"),
        ([0.0, 0.1, 0.2], {"W2": np.ones((1, 5))}, fl.ShapeMismatch, r"weights\[1\]"),
        ([0.0, 0.1, 0.2], {"W2": np.ones((2, 4))}, fl.ShapeMismatch, r"weights\[1\]"),
        ([0.0, 0.1, 0.2], {"W2": np.full((1, 4), np.nan)}, fl.ShapeMismatch, "finite"),
        ([0.0, 0.1, 0.2], {"W2": Tensor(np.array([["a"] * 4]))}, fl.ShapeMismatch, "numbers"),
        ([0.0, 0.1, 0.2], {"W1": np.ones((5, 3)), "W2": np.ones((1, 5))}, fl.ShapeMismatch, "differs in shape"),
    ],
)
def test_bad_checkpoints_are_refused_by_name(times, change, error, told):
    _, kept = training(count=4)
    assert len(made([0.0, 0.1, 0.2], kept)) == 3
    kept[1] |= change
    with pytest.raises(error, match=told):
        made(times, kept)


def test_a_missing_block_and_no_checkpoint_are_refused():
    times, kept = training(count=4)
    del kept[2]["W1"]
    with pytest.raises(fl.ShapeMismatch, match=r"weights\[2\]` lacks the block `W1`"):
        made(times, kept)
    with pytest.raises(fl.LanguageError, match="at least one"):
        made([], [])
    with pytest.raises(fl.LanguageError, match="rtol"):
        made(times[:2], kept[:2], rtol=-1.0)
    with pytest.raises(fl.DataError, match="labels"):
        fl.Trajectory.from_weights(times, kept, problem=PROBLEM, data=fl.Data(X, np.arange(10) % 3))
    with pytest.raises(fl.LanguageError, match="at the start"):
        made(times[:2], kept[:2], observe={"bad": lambda w: None})
