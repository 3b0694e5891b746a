"""Observables of a user's own: what they record, what they may not return, and that nothing else is lost by them."""

import numpy as np
import pytest

import flowlab as fl
from flowlab.claims.tamper_check import altered

PROBLEM = fl.Problem("W2 @ relu(W1 @ x)")
TRAIN = fl.load("gaussian?n=12&d=3&margin=0.2", seed=1)
TEST = fl.load("gaussian?n=20&d=3&margin=0.0", seed=2)


@pytest.fixture(scope="module")
def ready():
    start = fl.initial_state(PROBLEM.network, TRAIN, widths={"W1": 4}, seed=0)
    return fl.lower(fl.derive(PROBLEM)), start


def flow(ready, observe=None, **more):
    settings = {"until": fl.log_time(1.0), "rtol": 1e-6, "atol": 1e-8} | more
    return fl.integrate(*ready, TRAIN, observe=observe, **settings)


@pytest.mark.long
def test_held_out_samples_are_seen_at_every_row(ready):
    import jax
    import jax.numpy as jnp

    path = flow(ready, fl.held_out(PROBLEM, TEST) | {"square": jax.jit(lambda w: jnp.sum(w["W1"] ** 2, axis=1))})
    assert set(path.observed) == {"test_loss", "test_error", "square"}
    assert path.observed["test_loss"].shape == (len(path),)
    for i in (0, len(path) // 2, -1):
        w = path.weights(i)
        margins = np.asarray(TEST.y) * PROBLEM.network.outputs(w, np.asarray(TEST.x), np)[:, 0]
        assert path.observed["test_error"].values[i] == np.mean(margins <= 0)
        assert path.observed["test_loss"].values[i] == pytest.approx(np.exp(-margins).mean(), rel=1e-12)
        assert path.observed["square"].values[i] == pytest.approx((w["W1"] ** 2).sum(axis=1), rel=1e-12)
    # A control: on the samples of the run the loss is that of the run.
    again = flow(ready, fl.held_out(PROBLEM, TRAIN, name="train"))
    assert np.log(12 * again.observed["train_loss"].values) == pytest.approx(again.dataset["log_loss"].values)
    assert "error" not in "".join(path.dataset.attrs["kind"])
    assert fl.draw("observed", path).curves[0].y[-1] == path.observed["test_loss"].values[-1]


def test_errors_of_classes_and_targets():
    classes = fl.Data([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0, 1, 2])
    seen = fl.held_out(fl.Problem("W @ x", "cross_entropy"), classes)
    # Row scores 1, 1, 0: the first sample has a tie with no other than its own class ahead, the last one is wrong.
    W = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    assert seen["test_error"]({"W": W}) == pytest.approx(1 / 3)
    targets = fl.held_out(fl.Problem("W @ x", "square"), fl.Data([[1.0], [2.0]], [0.5, 1.0], kind="targets"))
    assert targets["test_error"]({"W": np.array([[1.0]])}) == pytest.approx(np.sqrt((0.25 + 1.0) / 2))
    signs = fl.held_out(fl.Problem("W @ x", "square"), fl.Data([[1.0], [2.0]], [1.0, -1.0]))
    assert signs["test_error"]({"W": np.array([[1.0]])}) == 0.5


@pytest.mark.parametrize(
    ("observe", "told"),
    [
        ({"a b": lambda w: 1.0}, "letters, digits"),
        ({"bad": lambda w: w["W9"]}, "raised KeyError"),
        ({"bad": lambda w: "high"}, "returned 'high', of type str"),
        ({"bad": lambda w: None}, "of type NoneType"),
        ({"bad": lambda w: float("nan")}, "returned nan"),
        ({"bad": lambda w: np.array([])}, "of type ndarray"),
        ({"bad": lambda w: 1j}, "of type complex"),
        ({"bad": lambda w: w["W1"].__setitem__(0, 1.0) or 1.0}, "read-only"),
        ({"bad": lambda: 1.0}, "a function of 1 argument"),
        ({"bad": 3}, "a function of 1 argument"),
        ([lambda w: 1.0], "mapping of names to function"),
    ],
)
def test_bad_observables_are_refused_before_the_run(ready, observe, told):
    with pytest.raises(fl.LanguageError, match=told):
        flow(ready, observe)
    with pytest.raises(fl.LanguageError, match=told):
        fl.descend(PROBLEM, ready[1], TRAIN, step=1e-3, count=10, observe=observe)


def late(failing):
    """An observable that works at the start and does what `failing` does from its fourth call on."""
    calls = []

    def seen(weights):
        calls.append(1)
        return failing(weights) if len(calls) > 4 else 1.0

    return seen


def interrupt(_):
    raise KeyboardInterrupt


@pytest.mark.long
@pytest.mark.parametrize(
    ("failing", "why"),
    [
        (lambda w: 1 / 0, "raised ZeroDivisionError"),
        (lambda w: np.inf, "returned inf"),
        (lambda w: np.ones(2), "the shape (2,) instead of ()"),
        (interrupt, "it was interrupted"),
    ],
)
def test_what_fails_on_the_way_loses_nothing_else(ready, failing, why):
    plain = flow(ready)
    path = flow(ready, {"late": late(failing), "fine": lambda w: w["W1"][0, 0]})
    assert path.outcome.ok
    assert "`late` failed at" in path.outcome.message
    assert why in path.outcome.message
    assert path.provenance["observed"]["late"]["first"] == 3
    values = path.observed["late"].values
    assert np.isfinite(values[:3]).all()
    assert np.isnan(values[3:]).all()
    stopped = failing is interrupt
    assert np.isfinite(path.observed["fine"].values[: 3 if stopped else None]).all()
    for name in plain.dataset.variables:
        assert plain.dataset[name].equals(path.dataset[name])
    assert "failed" not in plain.outcome.message


@pytest.mark.long
def test_observables_are_stored_and_kept_from_change(ready, tmp_path):
    path = flow(ready, fl.held_out(PROBLEM, TEST) | {"row": lambda w: w["W1"][0]})
    for name in ("a.nc", "a.zarr"):
        back = fl.Trajectory.load(path.save(tmp_path / name), TRAIN)
        assert all(np.array_equal(back.observed[k].values, v.values) for k, v in path.observed.items())
    assert altered(path, TRAIN) is None
    path.dataset["observed_test_error"].values[1] += 0.1
    assert "rows of its run" in (altered(path, TRAIN) or "")


def test_a_run_that_is_taken_up_again_has_the_same_bits(ready, tmp_path):
    observe = fl.held_out(PROBLEM, TEST)
    whole = flow(ready, observe, store=tmp_path / "whole")
    part = flow(ready, observe, store=tmp_path / "part", max_steps=whole.stats["steps"] // 2)
    assert part.outcome.kind == "budget"
    assert len(part.observed["test_loss"]) == len(part) < len(whole)
    again = flow(ready, observe, store=tmp_path / "part")
    assert again.dataset.identical(whole.dataset.assign_attrs(again.dataset.attrs))
    back = flow(ready, observe, store=tmp_path / "part")
    assert np.array_equal(back.observed["test_loss"].values, whole.observed["test_loss"].values)
    # An observable that fails leaves the run in its folder, which others can read.
    with pytest.raises(fl.LanguageError):
        flow(ready, {"bad": lambda w: None}, store=tmp_path / "part")
    assert flow(ready, {"new": lambda w: 2.0}, store=tmp_path / "part").observed["new"].values[0] == 2.0


def test_descents_are_observed(ready):
    walk = fl.descend(PROBLEM, ready[1], TRAIN, step=1e-3, count=20, observe=fl.held_out(PROBLEM, TEST))
    assert walk.observed["test_error"].shape == (21,)
    assert not fl.descend(PROBLEM, ready[1], TRAIN, step=1e-3, count=20).observed


def test_a_run_without_observables_has_no_picture_of_them(ready):
    with pytest.raises(fl.LanguageError, match="observe"):
        fl.draw("observed", flow(ready))


def test_held_out_samples_must_fit():
    with pytest.raises(fl.DataError, match="labels"):
        fl.held_out(PROBLEM, fl.Data([[1.0], [2.0], [3.0]], [0, 1, 2]))
    with pytest.raises(fl.DataError, match="features"):
        fl.held_out(fl.Problem(fl.Network("W @ x", shapes={"W": (1, 3)})), fl.Data([[1.0], [2.0]], [1.0, -1.0]))
