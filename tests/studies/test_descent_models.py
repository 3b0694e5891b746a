"""Flow, modified flow, central flow and descent: against closed forms, an own integration, and wrong
variants of each.
"""

import jax
import numpy as np
import pytest
from scipy.integrate import solve_ivp

jax.config.update("jax_enable_x64", True)

import flowlab as fl
from flowlab.core.errors import LanguageError, RunFailed
from flowlab.discrete.descent.sharpness import Curvature
from flowlab.studies.central_flow import _flat, _square, central_flow, complementary
from flowlab.studies.descent_models import MODELS, _averaged, models
from flowlab.studies.flow_and_descent import descent_rows
from flowlab.studies.step_order import _order, fitted_order, step_order

EDGE = 4.2
SCALAR = fl.Problem("a @ (W @ x)", loss="square")


def _rows(*blocks):
    return np.concatenate([np.ravel(b) for b in blocks])


def _parts(w):
    """Gradient of (ab - 1)²/2, its largest curvature, and the gradient of that."""
    a, b = w
    mean, half, off = (a * a + b * b) / 2, (a * a - b * b) / 2, 2 * a * b - 1
    q = np.hypot(half, off)
    return (
        (a * b - 1) * np.array([b, a]),
        mean + q,
        np.array([a, b]) + np.array([half * a + 2 * off * b, -half * b + 2 * off * a]) / q,
    )


def _reference(start, times):
    """The flow until its curvature is EDGE, then along that curve, by another integrator."""
    given = {"rtol": 1e-11, "atol": 1e-12, "dense_output": True}
    horizon = (0, times[-1])

    def along(t, w):
        g, _, n = _parts(w)
        return -(g - min(g @ n, 0) / (n @ n) * n)

    free = solve_ivp(lambda t, w: -_parts(w)[0], horizon, start, events=lambda t, w: _parts(w)[1] - EDGE, **given)
    met = float(free.t_events[0][0])
    held = solve_ivp(along, (met, times[-1]), free.sol(met), **given)
    return np.array([free.sol(t) if t < met else held.sol(t) for t in times])


@pytest.fixture(scope="module")
def scalar():
    data = fl.Data(np.ones((1, 1)), np.ones(1), kind="targets")
    curvature = Curvature(SCALAR, data, {"W": np.ones((1, 1)), "a": np.ones(1)})
    return curvature, np.array([0.2, 2.0]), 2 / EDGE, np.arange(0, 41, 4)


def test_the_central_flow_is_the_projected_one_at_first_order_in_its_parts(scalar):
    curvature, start, step, counts = scalar
    wanted = _reference(start, step * counts)
    errors = []
    for parts in (8, 16, 32):
        found = central_flow(curvature, start, step, counts, parts=parts)
        assert found.failed == ""
        assert found.excess < 1e-12
        errors.append(np.linalg.norm(found.rows - wanted, axis=1).max())
    assert np.log2(np.array(errors[:-1]) / errors[1:]) == pytest.approx(np.ones(2), abs=0.15)
    # Where it comes to rest all is known: a b = 1 at the curvature a² + b² = 2/η.
    assert (found.rows[-1] ** 2).sum() == pytest.approx(EDGE, rel=1e-3)
    assert np.prod(found.rows[-1]) == pytest.approx(1.0, rel=1e-6)
    wrong = central_flow(curvature, start, step, counts, parts=32, edge=1.03 * EDGE)
    assert np.linalg.norm(wrong.rows - wanted, axis=1).max() > 10 * errors[-1]


def test_two_eigenvalues_at_the_edge_are_two_problems_of_one(scalar):
    """Of two scalar nets side by side each one moves as it does alone."""
    curvature, start, step, counts = scalar
    problem, data = fl.Problem("a * (b * x)", loss="square"), fl.Data(np.ones((1, 2)), np.ones((1, 2)), kind="targets")
    both = Curvature(problem, data, {"a": np.ones(2), "b": np.ones(2)})
    other = np.array([0.23, 1.98])
    assert [name for name, _ in both.layout] == ["a", "b"]
    found = central_flow(both, _rows(*np.stack([start, other], axis=1)), step, counts[:6], parts=4)
    alone = [central_flow(curvature, w, step, counts[:6], parts=4) for w in (start, other)]
    assert found.active.max() == 2
    assert np.allclose(found.rows[:, [0, 2]], alone[0].rows, atol=1e-7)
    assert np.allclose(found.rows[:, [1, 3]], alone[1].rows, atol=1e-7)
    assert np.allclose(found.variance, alone[0].variance + alone[1].variance, atol=1e-6)
    assert not np.allclose(found.rows[:, [0, 2]], alone[1].rows, atol=1e-3)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_the_complementarity_problem_is_solved(k):
    rng = np.random.default_rng(k)
    A, m = rng.normal(size=(k, k)), k * (k + 1) // 2
    A = A + A.T - np.eye(k)
    B = rng.normal(size=(m, m + 3))
    B = B @ B.T
    z = complementary(_flat(A), B)
    left = _square(_flat(A) + B @ z)
    assert np.linalg.eigvalsh(_square(z))[0] > -1e-7
    assert np.linalg.eigvalsh(left)[0] > -1e-6
    assert abs(_flat(left) @ z) < 1e-6
    assert np.linalg.eigvalsh(_square(_flat(A)))[0] < -0.1
    assert np.trace(_square(z)) > 1e-3
    assert not complementary(_flat(np.eye(k)), B).any()
    with pytest.raises(RunFailed, match="nothing can hold it"):
        complementary(_flat(-np.eye(k)), np.zeros((m, m)))


def _slow():
    """A scalar net with a second, slow input that drives its curvature through 2/η, and its descent,
    written by hand.
    """
    x, y, count, half = np.diag([1.0, 0.1]), np.array([0.0, 0.1]), 300, 20
    curvature = Curvature(SCALAR, fl.Data(x, y, kind="targets"), {"W": np.ones((1, 2)), "a": np.ones(1)})
    w = np.array([0.1, 0.1, 1.5])
    step, walk = 0.99 * 2 / float(curvature.top(w)[0][0]), [w]
    for _ in range(count + half):
        gap = w[2] * (x @ w[:2]) - y
        w = w - step * np.r_[w[2] * (x.T @ gap), gap @ (x @ w[:2])]
        walk.append(w)
    weights = np.hanning(2 * half + 3)[1:-1]
    counts = np.arange(20, count + 1, 20)
    averaged = np.array([weights @ walk[k - half : k + half + 1] for k in counts]) / weights.sum()
    return curvature, walk[0], step, np.r_[0, counts], np.array(walk), averaged


def test_the_central_flow_is_nearer_to_an_averaged_descent_than_the_flow_is():
    curvature, start, step, counts, walk, averaged = _slow()
    sharp = np.array([curvature.top(w)[0][0] for w in walk[counts]]) * step / 2
    assert sharp[:4].min() < 0.97
    assert sharp.max() > 1.03
    ends = {}
    for name, edge in (("central", None), ("wrong", 2.06 / step), ("flow", 1e9)):
        found = central_flow(curvature, start, step, counts, parts=2, edge=edge)
        ends[name] = np.linalg.norm(found.rows[1:] - averaged, axis=1)[-6:].mean()
    assert ends["central"] < 0.3 * ends["flow"]
    assert ends["central"] < 0.8 * ends["wrong"]


@pytest.fixture(scope="module")
def line():
    """A linear net under the square loss: all four models in closed form."""
    rng = np.random.default_rng(0)
    problem = fl.Problem("w @ x", loss="square", reduction="mean", decay=0.05)
    data = fl.Data(rng.normal(size=(20, 3)), rng.normal(size=20))
    x, y = np.asarray(data.x), np.asarray(data.y)
    H, start = x.T @ x / 20 + 0.1 * np.eye(3), np.array([1.0, -2.0, 0.5])
    values, vectors = np.linalg.eigh(H)
    return problem, fl.State.from_weights({"w": start}), data, values, vectors, np.linalg.solve(H, x.T @ y / 20), start


@pytest.mark.long
def test_all_four_models_of_a_quadratic_are_known(line):
    problem, state, data, values, vectors, least, start = line
    step, begin = 0.3, vectors.T @ (start - least)
    found = models(problem, state, data, step=step, time=6.0, rows=9, tolerance=0.02)
    ds, t = found.dataset, found.dataset.time.values
    assert t[-1] == pytest.approx(6.0)
    rates = {
        "flow": values,
        "modified": values * (1 + step * values / 2),
        "central": values,
        "discrete": -np.log(1 - step * values) / step,
    }
    for name, rate in rates.items():
        wanted = least + (np.exp(-np.outer(t, rate)) * begin) @ vectors.T
        assert np.allclose(ds.W_w.sel(model=name), wanted, atol=2e-3 if name == "central" else 1e-9)
        assert np.allclose(ds.sharpness.sel(model=name), values[-1], rtol=1e-12)
        assert found.outcomes[name].kind == "done"
    assert not np.allclose(ds.W_w.sel(model="flow"), ds.W_w.sel(model="modified"), atol=1e-3)
    assert float(ds.edge) == pytest.approx(2 / step)
    W = ds.W_w.sel(model="discrete").values
    loss = np.log((((W @ np.asarray(data.x).T) - np.asarray(data.y)) ** 2).mean(axis=1) / 2)
    assert np.allclose(ds.log_loss.sel(model="discrete"), loss, rtol=1e-12)
    a, b = ds.W_w.sel(model="flow").values, W
    apart = 2 * np.linalg.norm(a - b, axis=1) / (np.linalg.norm(a, axis=1) + np.linalg.norm(b, axis=1))
    assert np.allclose(ds.distance.sel(model="flow", other="discrete"), apart, rtol=1e-9)
    assert found.shadowing("flow") == t[np.argmax(apart > 0.02)]
    assert found.shadowing("flow", "flow") == np.inf
    assert "modified" in str(found)
    assert str(found).count("done") == 4


def test_what_cannot_be_had_is_told_and_costs_no_other(line):
    problem, state, data, values, *_ = line
    for factor, count, kind in ((1.5, 40, "diverged"), (8.0, 150, "nonfinite")):
        step = factor * 2 / values[-1]
        found = models(problem, state, data, step=step, time=count * step, rows=9)
        kinds = {name: found.outcomes[name].kind for name in MODELS}
        assert kinds == {"flow": "done", "modified": "done", "central": "undefined", "discrete": kind}
        assert [found.outcomes[name].ok for name in MODELS] == [True, True, False, False]
        assert "use a step below" in found.outcomes["central"].message
        ds = found.dataset
        assert np.isnan(ds.sharpness.sel(model="central")).all()
        assert np.isfinite(ds.log_loss.sel(model=["flow", "modified"])).all()
        assert np.isfinite(ds.sharpness.sel(model="discrete")).all() == (kind == "diverged")
        assert np.isnan(found.shadowing("central"))
        assert "undefined" in str(found)
        assert "discrete" in [c.label for c in fl.draw("models", found).curves]
    # The same problem below the edge has them all.
    assert all(
        o.ok
        for o in models(problem, state, data, step=1.0 / values[-1], time=9.0 / values[-1], rows=9).outcomes.values()
    )


@pytest.mark.slow
@pytest.mark.parametrize("per", ["neuron", "network"])
def test_weights_are_put_together_from_any_grouping(line, per):
    data = line[2]
    problem = fl.Problem("W2 @ relu(W1 @ x)", loss="square", per=per)
    walk = fl.descend(
        problem, fl.initial_state(problem.network, data, widths={"W1": 3}, seed=0, per=per), data, step=1e-3, count=4
    )
    curvature = Curvature(problem, data, walk.last.weights())
    rows, outcome = descent_rows(curvature, walk, 4)
    assert outcome.ok
    assert rows.shape == (5, 12)
    assert np.allclose(rows[-1], curvature.row(walk.last.weights()), rtol=1e-13)
    assert not np.allclose(rows[-2], rows[-1], rtol=1e-6)


@pytest.mark.parametrize("window", [1, 6])
def test_the_average_keeps_drift_and_removes_what_alternates(window):
    k = np.arange(31)[:, None]
    drift, swing = np.array([0.5, -1.0]) * k, np.array([0.3, 0.4]) * (-1.0) ** k
    counts = np.array([0, 1, 10, 24])
    rows, variance = _averaged(drift + swing, counts, window)
    assert np.allclose(rows[1:], drift[counts[1:]], atol=1e-13)
    assert np.allclose(variance[1:], 0.25)
    assert np.isnan(variance[0])
    # At the start there is nothing to average over, and beyond the end nothing at all.
    assert rows[0].tolist() == [0.3, 0.4]
    assert np.isnan(_averaged(drift, np.array([31]), window)[0]).all()


def test_figures_show_the_result_and_the_edge(line, tmp_path):
    problem, state, data, *_ = line
    found = models(problem, state, data, step=0.3, time=6.0, rows=9)
    drawn = fl.draw("models_sharpness", found)
    assert drawn.save(tmp_path / "sharpness.png").read_bytes().startswith(b"\x89PNG")
    curves = {c.label: c for c in drawn.curves}
    assert list(curves) == [*MODELS, "edge"]
    assert curves["edge"].y.tolist() == [2 / 0.3] * 2
    assert [c.label for c in fl.draw("models", found).curves] == list(MODELS)
    assert [c.label for c in fl.draw("models_distance", found).curves] == ["flow", "modified", "central"]
    with pytest.raises(LanguageError, match="must be drawn from a trajectory"):
        fl.draw("loss", found)


@pytest.fixture(scope="module")
def bent():
    data = fl.load("gaussian?n=12&d=3&margin=0.2", seed=1)
    problem = fl.Problem("W2 @ tanh(W1 @ x)", loss="square", reduction="mean")
    return problem, fl.initial_state(problem.network, data, widths={"W1": 4}, seed=0), data


def test_the_orders_are_one_and_two_and_no_other_correction_has_two(bent):
    steps = (0.05, 0.025, 0.0125)
    orders = {c: step_order(*bent, time=1.5, steps=steps, correction=c) for c in (0.25, -0.25, 0.5)}
    found = orders[0.25]
    assert found.orders["flow"] == pytest.approx(1.0, abs=0.1)
    assert found.orders["modified"] == pytest.approx(2.0, abs=0.15)
    assert max(found.errors.values()) < 0.05
    assert all(abs(orders[c].orders["modified"] - 2.0) > 0.5 for c in (-0.25, 0.5))
    halvings = found.dataset["modified"].values[:-1] / found.dataset["modified"].values[1:]
    assert np.abs(np.log2(halvings)) == pytest.approx([2.0, 2.0], abs=0.1)
    assert "±" in str(found)


@pytest.mark.slow
def test_kinks_cost_the_second_order():
    """What the module says of ReLU nets: order one from both flows."""
    data = fl.load("iris:setosa", standardize=True)
    problem = fl.Problem("W2 @ relu(W1 @ x)", loss="exponential", reduction="mean")
    start = fl.initial_state(problem.network, data, widths={"W1": 8}, seed=0)
    found = step_order(problem, start, data, time=2.0, steps=(0.1, 0.05, 0.025, 0.0125))
    assert found.orders["flow"] == pytest.approx(1.0, abs=0.1)
    assert found.orders["modified"] < 1.5
    assert (found.dataset["modified"] < found.dataset["flow"]).all()


@pytest.mark.parametrize("steps", [(0.02, 0.01, 0.005), (0.1, 0.05, 0.025, 0.0125)])
def test_errors_of_orders_cover_what_higher_orders_leave(steps):
    """Distances a h + b h² have order one; the slope of a line through their logs is off by more than it scatters."""
    steps = np.array(steps)
    for bend in (-8.0, 8.0):
        distances = steps + bend * steps**2 / 2.0
        plain, covered = fitted_order(steps, distances), _order(steps, distances, 0.0)
        assert abs(covered[0] - 1.0) < 2.0 * covered[1]
        assert abs(plain[0] - 1.0) > 2.0 * plain[1]


def test_the_standard_error_is_that_of_least_squares():
    rng = np.random.default_rng(0)
    steps = 0.5 ** np.arange(12)
    exact = 3 * steps**2
    assert fitted_order(steps, exact) == pytest.approx((2.0, 0.0), abs=1e-12)
    slopes = [fitted_order(steps, exact * np.exp(0.1 * rng.normal(size=12))) for _ in range(400)]
    assert np.std([s for s, _ in slopes]) == pytest.approx(np.sqrt(np.mean([e**2 for _, e in slopes])), rel=0.15)
    assert np.isnan(fitted_order(steps[:4], exact[:4], floor=0.5)).all()


def test_bad_input_is_refused(bent, line):
    for told, given in (
        ("`step` must be", {"step": 0}),
        ("`time` must be", {"time": -1.0}),
        ("at least one step", {"step": 5.0}),
        ("`rows` must be", {"rows": 1}),
        ("`window` must be", {"window": 0}),
        ("`tolerance` must be", {"tolerance": 0}),
        ("too many", {"step": 1e-8}),
        ("`parts` must be", {"parts": 0}),
    ):
        with pytest.raises(LanguageError, match=told):
            models(*bent, **({"step": 0.1, "time": 1.0} | given))
    with pytest.raises(LanguageError, match="at least three"):
        step_order(*bent, time=1.0, steps=(0.1, 0.05))
    with pytest.raises(LanguageError, match="correction"):
        step_order(*bent, time=1.0, steps=(0.1, 0.05, 0.02), correction=float("nan"))
    with pytest.raises(RunFailed, match="did not reach"):
        step_order(line[0], line[1], line[2], time=4e6, steps=(1e4, 9e3, 8e3))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "width", "warm", "below", "count", "every"),
    [
        ("iris:versicolor", 8, 30.0, 0.95, 300, 1),
        ("digits:3v8", 5, 10.0, 0.97, 700, 4),
    ],
)
def test_on_real_data_sharpness_hovers_at_the_edge_and_the_central_flow_follows(spec, width, warm, below, count, every):
    data = fl.load(spec, standardize=True)
    data = fl.Data(np.asarray(data.x)[::every], np.asarray(data.y)[::every])
    problem = fl.Problem("W2 @ tanh(W1 @ x)", loss="square", reduction="mean")
    start = fl.initial_state(problem.network, data, widths={"W1": width}, seed=0)
    start = fl.descend(problem, start, data, step=0.01, count=round(warm / 0.01), record_every=10_000).last
    curvature = Curvature(problem, data, start.weights())
    step = below * 2 / float(curvature.top(curvature.row(start.weights()))[0][0])
    found = models(problem, start, data, step=step, time=count * step, rows=41, window=20)
    ratio = found.dataset.sharpness * step / 2
    late = slice(21, None)
    assert float(ratio.sel(model="flow")[-1]) > 1.1
    assert float(ratio.sel(model="discrete")[late].mean()) == pytest.approx(1.0, abs=0.1)
    assert float(ratio.sel(model="central")[late].max()) < 1 + 1e-9
    apart = found.dataset.distance_averaged[:, late].mean("time")
    assert float(apart.sel(model="central")) < 0.25 * float(apart.sel(model="flow"))
    assert float(apart.sel(model="modified")) > 3 * float(apart.sel(model="central"))
