"""The limit of a flow in direction, against quadratic programming, a figure of an interior-point solver, and wrong
answers.
"""

import jax
import numpy as np
import pytest
from scipy.optimize import minimize

jax.config.update("jax_enable_x64", True)

import flowlab as fl
from flowlab.core.errors import DataError, LanguageError, NotHomogeneous, RunFailed
from flowlab.discrete.margin.directional_limit import limit
from flowlab.language.trajectory import Trajectory

JOINT = 0.0191320989
"""Margin of the KKT point of W2 @ relu(W1 @ x)**2 on the joint sphere, by an interior-point solver (relaxed
by 1e-8).
"""


def _samples():
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(20, 4)), rng.normal(size=4)
    x = x[np.abs(x @ w) > 0.3]
    return fl.Data(x, np.sign(x @ w)), rng.normal(size=40) * 0.3


def _three():
    rng = np.random.default_rng(5)
    y = np.repeat(np.arange(3), 8)
    return fl.Data(2.0 * np.eye(3)[y] + 0.6 * rng.normal(size=(24, 3)), y)


def _flow(network, data, until=200.0, start=None, **settings):
    problem = fl.Problem(network, **settings)
    start = start or fl.initial_state(problem.network, data, default_width=5, seed=0, per=problem.per)
    return fl.integrate(
        fl.lower(fl.derive(problem)), start, data, until=fl.log_time(until), solver="dopri8", rtol=1e-6, atol=1e-9
    )


def _machine(rows):
    """The largest margin of a unit vector: min ½|w|² subject to rows @ w ≥ 1."""
    start = np.linalg.lstsq(rows, np.full(len(rows), 3.0), rcond=None)[0]
    found = minimize(
        lambda w: (w @ w / 2, w),
        start,
        jac=True,
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
        constraints=[{"type": "ineq", "fun": lambda w: rows @ w - 1, "jac": lambda w: rows}],
    )
    return found.x / np.linalg.norm(found.x), 1 / np.linalg.norm(found.x)


@pytest.fixture(scope="module")
def squared():
    data, v = _samples()
    start = fl.State.from_weights({"W1": v[:32].reshape(8, 4), "W2": v[32:].reshape(1, 8)})
    return _flow("W2 @ relu(W1 @ x)**2", data, start=start)


@pytest.fixture(scope="module")
def found(squared):
    return limit(squared)


@pytest.mark.long
def test_the_squared_relu_goes_to_the_point_of_the_interior_point_solver(found):
    assert found.decided
    assert found.residual <= 1e-12
    assert abs(found.joint_margin / JOINT - 1) < 2e-8
    assert found.joint_margin == pytest.approx(found.margin * (2 / 3) * (1 / 3) ** 0.5, rel=1e-14)
    assert found.support == (1, 2, 3, 7, 9, 10, 16)
    assert found.unique_multipliers
    assert found.multipliers.min() > 0
    assert found.curvature < 0
    assert "joint sphere" in str(found)


@pytest.mark.long
def test_idle_units_set_the_pace(found):
    # Five of eight units keep their size while the others grow: ‖V - V*‖ ~ 1/‖θ‖ = R^{-1/3}.
    assert (np.linalg.norm(found.V["W1"], axis=1) < 1e-12).sum() == 5
    assert abs(found.rate.slope + 1 / 3) < 0.05
    assert found.unseen == (16,)
    assert len(found.distance) == found.rate.rows or found.rate.rows < len(found.distance)


def test_a_perturbed_direction_and_a_wrong_support_are_refused(found):
    rng = np.random.default_rng(0)
    assert found.check(found.V) <= 1e-12
    moved = {k: v + 1e-6 * rng.normal(size=v.shape) for k, v in found.V.items()}
    assert found.check(moved) > 1e-8
    assert found.check(found.V, found.support[1:]) > 1e-3
    assert found.check(found.V, tuple(n for n in found.support if n != 16)) > 1e-3
    # An idle constraint may join only with the multiplier zero; one instead of a member may not.
    assert found.check(found.V, (*found.support[:-1], 0)) > 1e-3
    with pytest.raises(DataError, match="must name constraints"):
        found.check(found.V, (99,))


def test_the_equations_agree_with_autodiff_on_the_joint_sphere(found, squared):
    # θ balanced and scaled to q ≥ 1: θ = Σ λ_n ∂q_n/∂θ with λ ≥ 0 (Lyu and Li 2020).
    theta = {"W1": np.sqrt(2 / 3) * found.V["W1"], "W2": np.sqrt(1 / 3) * found.V["W2"]}
    theta = {k: v / found.joint_margin ** (1 / 3) for k, v in theta.items()}
    data = squared.data
    J = jax.jacrev(lambda w: squared.problem.margins(w, data))(theta)
    columns = np.hstack([np.asarray(J[k]).reshape(data.n, -1) for k in theta])[list(found.support)].T
    target = np.concatenate([v.ravel() for v in theta.values()])
    multipliers = np.linalg.lstsq(columns, target, rcond=None)[0]
    assert multipliers.min() > 0
    assert np.linalg.norm(columns @ multipliers - target) < 1e-11 * np.linalg.norm(target)
    assert np.asarray(squared.problem.margins(theta, data)).min() == pytest.approx(1.0, abs=1e-12)


DEEP = [
    pytest.param("W2 @ W1 @ x", -1 / 2, marks=pytest.mark.slow),
    pytest.param("W3 @ W2 @ W1 @ x", -1 / 3, marks=pytest.mark.slow),
]


@pytest.mark.long
@pytest.mark.parametrize(("network", "slope"), [("W1 @ x", -1.0), *DEEP])
def test_linear_networks_find_the_maximum_margin_machine(network, slope):
    data, _ = _samples()
    got = limit(_flow(network, data))
    w, margin = _machine(np.asarray(data.x) * np.asarray(data.y)[:, None])
    product = np.eye(4)
    for V in got.V.values():
        product = V @ product
    assert got.decided
    assert got.residual <= 1e-12
    assert got.margin == pytest.approx(margin, rel=1e-9)
    np.testing.assert_allclose(product[0], w, atol=1e-7)
    assert abs(got.rate.slope - slope) < 0.1


@pytest.mark.long
def test_every_wrong_class_is_a_constraint_of_its_own():
    data = _three()
    got = limit(_flow("W1 @ x", data, loss="cross_entropy"))
    x, y = np.asarray(data.x), np.asarray(data.y)
    rows = np.array([np.kron(np.eye(3)[y[n]] - np.eye(3)[j], x[n]) for n in range(24) for j in range(3) if j != y[n]])
    _, margin = _machine(rows)
    assert got.margin == pytest.approx(margin, rel=1e-9)
    assert all(j != y[n] for n, j in got.support)
    assert got.residual <= 1e-12


@pytest.mark.slow
def test_three_classes_of_squared_relus():
    data = _three()
    start = fl.initial_state(fl.Network("W2 @ relu(W1 @ x)**2"), data, default_width=6, seed=0)
    got = limit(_flow("W2 @ relu(W1 @ x)**2", data, start=start, loss="cross_entropy"))
    assert got.residual <= 1e-12
    assert got.check(got.V) <= 1e-12
    assert got.check({k: v + 1e-6 for k, v in got.V.items()}) > 1e-8
    assert got.margin == pytest.approx(0.394763467822184, rel=1e-9)


def test_a_unit_may_rest_on_its_kink():
    data, _ = _samples()
    problem = fl.Problem("W2 @ relu(W1 @ x)")
    start = fl.initial_state(problem.network, data, default_width=6, seed=0)
    got = limit(fl.descend(problem, start, data, step=3e-4, count=80_000, loss_scaled=True))
    assert got.residual <= 1e-12
    assert got.kinks == 2
    assert "kink" in str(got)
    h = got.V["W1"] @ np.asarray(data.x).T / np.linalg.norm(got.V["W1"], axis=1)[:, None]
    assert (np.abs(h) < 1e-12).sum() == 2


@pytest.mark.long
def test_a_short_path_says_that_it_is_short():
    data, _ = _samples()
    start = fl.initial_state(fl.Network("W2 @ relu(W1 @ x)**2"), data, default_width=6, seed=0)
    got = limit(_flow("W2 @ relu(W1 @ x)**2", data, until=8.0, start=start))
    assert not got.decided
    assert "run longer" in got.reason
    assert "not decided" in str(got)


def test_what_has_no_limit_is_refused(squared, tmp_path):
    data, _ = _samples()
    bare = Trajectory.load(squared.save(tmp_path / "path.nc"))
    with pytest.raises(DataError, match="must have its data"):
        limit(bare)
    assert limit(bare, data).margin == pytest.approx(limit(squared).margin, rel=1e-14)

    def path(network="w @ x", count=2, **settings):
        problem = fl.Problem(network, **settings)
        start = fl.initial_state(problem.network, data, default_width=3, seed=0)
        return fl.descend(problem, start, data, step=1e-6, count=count)

    with pytest.raises(LanguageError, match="must have an exponential tail"):
        limit(path(loss="square"))
    with pytest.raises(LanguageError, match="weight decay"):
        limit(path(decay=0.1))
    with pytest.raises(NotHomogeneous, match="must scale"):
        limit(path("W2 @ tanh(W1 @ x)"))
    with pytest.raises(RunFailed, match="run longer"):
        limit(path())


@pytest.fixture(scope="module")
def opposed():
    """Two equal samples of opposite labels beside one that is fitted: weights rest where no sample of the two is on its
    right side.
    """
    problem, data = fl.Problem("W2 @ W1 @ x", "logistic"), fl.Data([[1.0, 0.0], [1.0, 0.0]], [1.0, -1.0])
    return fl.lower(fl.derive(problem)), fl.State.from_weights({"W1": [[0.5, 0.3]], "W2": [[1.0]]}), data


@pytest.mark.long
@pytest.mark.parametrize(
    ("until", "told"), [(1e4, r"at rest since log t = .*; start from other weights"), (1.0, "run longer")]
)
def test_a_path_at_rest_is_not_told_to_run_longer(opposed, until, told):
    path = fl.integrate(*opposed, until=fl.time(until))
    with pytest.raises(RunFailed, match=told):
        limit(path)


def test_a_path_that_never_moved_is_at_rest(opposed):
    field, _, data = opposed
    path = fl.integrate(field, fl.State.from_weights({"W1": [[0.0, 0.3]], "W2": [[1.0]]}), data, until=fl.time(1.0))
    assert path.outcome.kind == "stalled"
    with pytest.raises(RunFailed, match="at rest; start from other weights"):
        limit(path)
