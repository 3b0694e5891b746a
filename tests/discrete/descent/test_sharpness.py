"""Sharpness against known eigenvalues, its edge against actual divergence, and the identities of one step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)

from flowlab.core.errors import DataError, FlowlabError, LanguageError, RunFailed, UnknownName
from flowlab.discrete import descend
from flowlab.discrete.descent.one_step import one_step
from flowlab.discrete.descent.sharpness import Curvature, edge, sharpness
from flowlab.language.data import Data
from flowlab.language.datasets import load
from flowlab.language.problem import Problem
from flowlab.language.state import State, initial_state
from flowlab.language.trajectory import Trajectory

SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def cloud() -> Data:
    rng = np.random.default_rng(0)
    return Data(rng.normal(size=(12, 3)), rng.normal(size=12))


@pytest.fixture(scope="module")
def signs(cloud) -> Data:
    return Data(cloud.x, np.where(np.asarray(cloud.x)[:, 0] > 0, 1.0, -1.0))


@pytest.fixture(scope="module")
def walk(cloud) -> Trajectory:
    problem = Problem("W2 @ tanh(W1 @ x)", loss="square")
    return descend(problem, initial_state(problem.network, cloud, widths={"W1": 4}, seed=0), cloud, step=0.01, count=60)


@pytest.mark.parametrize(("reduction", "decay"), [("sum", 0.0), ("mean", 0.3)])
def test_a_quadratic_has_its_known_eigenvalues_everywhere(cloud, reduction, decay):
    problem = Problem("w @ x", loss="square", reduction=reduction, decay=decay)
    path = descend(problem, State.from_weights({"w": np.ones(3)}), cloud, step=0.01, count=20)
    x = np.asarray(cloud.x)
    known = np.linalg.eigvalsh(x.T @ x / (12 if reduction == "mean" else 1))[::-1] + 2 * decay
    found = sharpness(path, count=3)
    assert np.allclose(found.eigenvalue, known, rtol=1e-12)
    assert float(found.residual.max()) < 1e-11
    assert float(found.edge) == 200.0
    # What is known of one reduction or decay is not so of another.
    assert not np.allclose(found.eigenvalue, known + 0.01, rtol=1e-4)


@pytest.mark.parametrize(
    ("loss", "text"), [("square", "W2 @ tanh(W1 @ x)"), pytest.param("logistic", "W2 @ softplus(W1 @ x)", marks=SLOW)]
)
def test_derivatives_up_to_the_third_are_those_of_differences(signs, loss, text):
    problem = Problem(text, loss=loss, decay=0.02)
    start = initial_state(problem.network, signs, widths={"W1": 3}, seed=1)
    curvature = Curvature(problem, signs, start.weights())
    rng = np.random.default_rng(2)
    w, u, v = curvature.row(start.weights()), *rng.normal(size=(2, curvature.size))
    assert curvature.value(w) == pytest.approx(float(problem.objective(start.weights(), signs)), rel=1e-13)
    e, eye = 1e-5, np.eye(curvature.size)
    slope = [(curvature.value(w + e * i) - curvature.value(w - e * i)) / (2 * e) for i in eye]
    assert np.allclose(curvature.gradient(w), slope, atol=1e-8 * np.abs(slope).max())
    columns = np.array([(curvature.gradient(w + e * i) - curvature.gradient(w - e * i)) / (2 * e) for i in eye])
    assert np.allclose(curvature.hessian(w), columns, atol=1e-8 * np.abs(columns).max())
    assert np.allclose(curvature.times(w, u), curvature.hessian(w) @ u, rtol=1e-11)
    bend = np.array(
        [(u @ curvature.hessian(w + e * i) @ v - u @ curvature.hessian(w - e * i) @ v) / (2 * e) for i in eye]
    )
    assert np.allclose(curvature.bending(w, u, v), bend, atol=1e-7 * np.abs(bend).max())
    assert not np.allclose(curvature.bending(w, u, u), bend, atol=1e-3 * np.abs(bend).max())


@pytest.mark.parametrize("residual", [1e-20, 0.0])
def test_samples_that_are_fitted_exactly_keep_their_curvature(residual):
    """Through the logarithm of the loss their Hessian would be lost, and third derivatives be roundings."""
    problem, data = Problem("a @ (W @ x)", loss="square"), Data(np.eye(2), np.array([0.0, 1.0]), kind="targets")
    curvature = Curvature(problem, data, {"W": np.ones((1, 2)), "a": np.ones(1)})
    at = np.array([residual, 0.5, 2.0])
    assert np.allclose(curvature.hessian(at), [[4, 0, 0], [0, 4, 1], [0, 1, 0.25]], atol=1e-15)
    along = np.array([1.0, 0, 0])
    assert np.allclose(curvature.bending(at, along, along), [0, 0, 4], atol=1e-15)
    # What its logarithm would have answered.
    slope = jax.grad(lambda w: jnp.exp(problem.log_loss({"W": w[:2].reshape(1, 2), "a": w[2:]}, data, jnp)))
    lost = jax.jit(lambda w: jax.jvp(slope, (w,), (jnp.asarray(along),))[1])(jnp.asarray([0.0, 0.5, 2.0]))
    assert float(lost[0]) == 0.0


def test_lanczos_and_the_whole_matrix_agree(walk):
    dense, lanczos = (sharpness(walk, count=3, rows=6, method=method) for method in ("dense", "lanczos"))
    assert np.allclose(dense.eigenvalue, lanczos.eigenvalue, rtol=1e-9)
    assert float(lanczos.residual.max()) < 1e-6
    again = sharpness(walk, count=3, rows=6, method="lanczos")
    assert (again.eigenvalue.values == lanczos.eigenvalue.values).all()
    assert (np.diff(dense.eigenvalue, axis=1) < 0).all()
    assert dense.place.values.tolist() == np.linspace(0, 60, 6).round().astype(int).tolist()
    assert sharpness(walk, rows=1).sizes["row"] == 1


@pytest.mark.parametrize(
    "how", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"momentum": 0.3, "nesterov": True}], ids=str
)
def test_descent_diverges_just_above_the_edge_and_not_just_below(how):
    """f = w·x on one sample: the curvature is x² = 4 at all weights."""
    problem, data = Problem("w @ x", loss="square"), Data(np.array([[2.0]]), np.array([0.0]), kind="targets")
    start, beta = State.from_weights({"w": np.ones(1)}), how.get("momentum", 0.0)
    limit = 2 * (1 + beta) / (1 + 2 * beta if how.get("nesterov") else 1) / 4.0
    for factor, stable in ((0.99, True), (1.01, False)):
        path = descend(problem, start, data, step=factor * limit, count=4000, record_every=4000, **how)
        found = sharpness(path, rows=1)
        assert float(found.eigenvalue[0, 0]) == pytest.approx(4.0)
        assert (float(found.edge) > 4.0) is stable
        assert float(found.edge) == pytest.approx(4.0 / factor, rel=1e-12)
        size = float(path.last.rho["w"])
        assert (size < 1e-6 and path.outcome.ok) if stable else (size > 1e6 or path.outcome.kind == "nonfinite")
        # The edge of plain descent tells one of the two wrongly: it lies below that of the heavy ball and above that of
        # Nesterov.
        if beta:
            assert (2.0 / (factor * limit) > 4.0) is how.get("nesterov", False)


@pytest.mark.slow
def test_what_has_no_edge_has_none(walk, signs):
    problem = Problem("W2 @ tanh(W1 @ x)")
    start = initial_state(problem.network, signs, widths={"W1": 2}, seed=0)
    assert np.isnan(edge(descend(problem, start, signs, step=0.01, count=2, loss_scaled=True)))
    assert edge(walk, 0.5) == 4.0


def test_bad_input_is_refused(walk, cloud):
    for error, told, given in (
        (LanguageError, "`count` must be .* got 0", {"count": 0}),
        (LanguageError, "from 1 to 16", {"count": 17}),
        (LanguageError, "`rows` must be .* got 0", {"rows": 0}),
        (LanguageError, "`step` must be .* got -1", {"step": -1}),
        (UnknownName, "did you mean `lanczos`", {"method": "lanczo"}),
        (LanguageError, "seed", {"seed": -1}),
    ):
        with pytest.raises(error, match=told):
            sharpness(walk, **given)
    with pytest.raises(LanguageError, match="must be Trajectory"):
        sharpness(cloud)
    with pytest.raises(DataError, match="must have its samples"):
        sharpness(Trajectory(walk.dataset, walk.outcome, walk.last, walk.stats, walk.problem, None))
    curvature = Curvature(walk.problem, cloud, walk.last.weights())
    for method in ("dense", "lanczos"):
        with pytest.raises(RunFailed, match="not finite"):
            curvature.top(np.full(curvature.size, np.nan), method=method)


@pytest.fixture(scope="module")
def iris() -> Data:
    return load("iris:setosa", standardize=True)


def _state(problem: Problem, data: Data) -> State:
    return initial_state(problem.network, data, widths={"W1": 3}, seed=0, per=problem.per)


@pytest.mark.parametrize(
    ("per", "decay"),
    [("layer", 0.4), pytest.param("neuron", 0.0, marks=SLOW), pytest.param("network", 0.4, marks=SLOW)],
)
def test_scale_invariant_parts_grow_by_their_gradient_alone(iris, per, decay):
    problem = Problem("W2 @ relu(W1 @ x)", loss="logistic", scheme="weight_normalization", per=per, reduction="mean")
    ds = one_step(problem, _state(problem, iris), iris, 0.3, decay).dataset
    inside = np.array([name.startswith("V") for name in ds.part.values.tolist()])
    assert inside.sum() == {"layer": 2, "neuron": 4, "network": 1}[per]
    assert ds.invariant.values.tolist() == inside.tolist()
    assert float(ds.invariant_difference[inside].max()) < 1e-15
    assert float(ds.difference.max()) < 1e-15
    # The norms are not scale invariant, and for them the identity is wrong.
    assert float(ds.invariant_difference[~inside].min()) > 1e-5


def test_the_hypothesis_is_reported_where_it_fails(iris):
    problem = Problem("W2 @ relu(W1 @ x)", loss="logistic", reduction="mean")
    found = one_step(problem, _state(problem, iris), iris, 0.3, 0.1)
    assert not found.dataset.invariant.any()
    assert float(found.dataset.invariant_difference.min()) > 1e-4
    assert float(found.dataset.difference.max()) < 1e-15
    assert " no " in str(found)


@pytest.mark.parametrize(
    ("text", "loss"),
    [
        ("W2 @ relu(W1 @ x)**2", "logistic"),
        pytest.param("W2 @ relu(W1 @ x)", "exponential", marks=SLOW),
        pytest.param("W2 @ (W1 @ x)", "square", marks=SLOW),
    ],
)
def test_eulers_identity_and_the_growth_of_layers(iris, text, loss):
    problem = Problem(text, loss=loss)
    state = _state(problem, iris)
    ds = one_step(problem, state, iris, 1e-3).dataset
    assert float(ds.euler_difference.max()) < 1e-14
    # The step as `descend` takes it, by its own differentiation, and the two growths of the norms over their degrees.
    end = descend(problem, state, iris, step=1e-3, count=1).last
    squares = np.array([float(end.rho[name]) ** 2 for name in ds.part.values.tolist()])
    assert np.allclose(ds.left, squares, rtol=1e-14)
    growth = (ds.left - ds.square) / ds.degree
    exact = 1e-6 * ds.gradient_square / ds.degree
    assert float(growth[0] - growth[1]) == pytest.approx(float(exact[0] - exact[1]), rel=1e-6, abs=1e-12)
    # With another degree neither holds.
    wrong = np.abs(ds.product - 1.01 * ds.euler) / np.sqrt(ds.square * ds.gradient_square)
    assert float(wrong.min()) > 1e-5


def test_the_continuous_statements_are_right_to_first_order_only(iris):
    problem = Problem("W2 @ relu(W1 @ x)", loss="logistic", scheme="weight_normalization", reduction="mean")
    state, steps = _state(problem, iris), np.array([0.2, 0.1, 0.05, 0.025])
    runs = [one_step(problem, state, iris, float(step), 0.5).dataset.sel(part="V_W1") for step in steps]
    for name in ("flow_rate", "corrected_rate"):
        gaps = [abs(float(run["rate"] - run[name])) for run in runs]
        assert np.polyfit(np.log(steps), np.log(gaps), 1)[0] == pytest.approx(1.0, abs=0.02)
    exact = [
        abs(float(run["rate"] - (run["invariant_right"] - run["square"]) / step))
        for run, step in zip(runs, steps, strict=True)
    ]
    assert max(exact) < 1e-13
    # Without decay the correction is all there is.
    free = one_step(problem, state, iris, 0.2).dataset.sel(part="V_W1")
    assert float(free["rate"]) == pytest.approx(float(free["corrected_rate"]), rel=1e-12)
    assert abs(float(free["rate"] - free["flow_rate"])) > 1e-4


@pytest.mark.slow
def test_decay_is_that_of_the_objective_unless_it_is_given(iris):
    problem = Problem("W2 @ relu(W1 @ x)", loss="logistic", decay={"W1": 0.2})
    state = _state(problem, iris)
    ds = one_step(problem, state, iris, 1e-2).dataset
    assert ds.decay.values.tolist() == [0.4, 0.0]
    end = descend(problem, state, iris, step=1e-2, count=1).last
    assert [float(end.rho[k]) ** 2 for k in ("W1", "W2")] == pytest.approx(ds.left.values.tolist(), rel=1e-13)
    assert not np.allclose(one_step(problem, state, iris, 1e-2, 0.0).dataset.left[0], ds.left[0], rtol=1e-4)
    for given, told in (
        ({"decay": {"W9": 0.1}}, "W9"),
        ({"decay": -1.0}, "`decay` must be .* got -1"),
        ({"step": 0.0}, "`step` must be .* got 0"),
    ):
        with pytest.raises(FlowlabError, match=told):
            one_step(problem, state, iris, **({"step": 0.1} | given))
    joint = Problem("W2 @ relu(W1 @ x)", loss="logistic", decay={"W1": 0.2}, per="network")
    with pytest.raises(LanguageError, match="must have one decay"):
        one_step(joint, _state(joint, iris), iris, 0.1)
