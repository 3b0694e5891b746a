"""Late times: the clocks, the seam between them, and the limits they reach, against the hard-margin problem solved
elsewhere.
"""

import numpy as np
import pytest
from scipy.optimize import minimize, nnls

import flowlab as fl
from flowlab.dynamics.clocks import CLOCKS
from flowlab.dynamics.run.cursor import Cursor
from flowlab.dynamics.steppers import solvers
from flowlab.dynamics.steppers.kvaerno5 import Kvaerno5
from flowlab.dynamics.steppers.solvers import SOLVERS


def separable(n, d, seed):
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(n, d)), rng.normal(size=d)
    y = np.sign(x @ w)
    return fl.Data(x + 0.3 * np.outer(y, w) / np.linalg.norm(w), y)


def ready(expression, data, widths=None, seed=0, scale=1.0, **told):
    problem = fl.Problem(expression, **({"loss": "exponential"} | told))
    start = fl.initial_state(problem.network, data, widths=widths, seed=seed, per=problem.per, scale=scale)
    return fl.lower(fl.derive(problem)), start


def support_vectors(data):
    """The hard-margin direction by scipy, and its margin."""
    z = np.asarray(data.x) * np.asarray(data.y)[:, None]
    found = minimize(
        lambda w: w @ w / 2,
        z.mean(axis=0) * 10,
        jac=lambda w: w,
        method="SLSQP",
        options={"ftol": 1e-16, "maxiter": 2000},
        constraints={"type": "ineq", "fun": lambda w: z @ w - 1, "jac": lambda w: z},
    )
    # Polished on the active set: w is the least-norm solution of z_S w = 1.
    active = z @ found.x < 1 + 1e-6
    w = np.linalg.lstsq(z[active], np.ones(active.sum()), rcond=None)[0]
    return w / np.linalg.norm(w), 1 / np.linalg.norm(w)


def q_of(path):
    return float(path.dataset.log_t[-1] + path.dataset.log_loss[-1])


@pytest.mark.long
@pytest.mark.parametrize("coordinates", ["polar", pytest.param("weights", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("n", "d", "seed"), [(8, 3, 4), pytest.param(20, 5, 1, marks=pytest.mark.slow)])
def test_a_linear_net_to_log_t_of_a_billion(n, d, seed, coordinates):
    data = separable(n, d, seed)
    V, gamma = support_vectors(data)
    field, start = ready("W1 @ x", data, seed=seed, coordinates=coordinates)
    apart = []
    for horizon in (1e3, 1e6, 1e9):
        path = fl.integrate(field, start, data, until=fl.log_time(horizon))
        assert path.outcome.kind == "done"
        assert path.stats["steps"] + path.stats["rejected"] < 1000
        assert float(path.dataset.log_t[-1]) == pytest.approx(horizon, rel=1e-12)
        # L t tends to 1/γ² (Soudry et al. 2018, the sharp constant); its logarithm is carried, and known to the
        # round-off of exponents of size log t.
        assert q_of(path) == pytest.approx(-2 * np.log(gamma), abs=1e-8 if horizon > 1e3 and horizon < 1e9 else 1e-6)
        apart.append(np.linalg.norm(np.asarray(path.last.V["W1"])[0] - V) * float(path.last.rho["W1"]))
        assert (np.diff(path.dataset.log_loss.values) <= 1e-7).all()
    assert abs(apart[0] - apart[1]) < 1e-6 * max(1.0, apart[1]) + 2 * apart[1] ** 2 * gamma / 1e3
    assert abs(apart[1] - apart[2]) < 1e-5


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_residual_and_constants_of_the_linear_net(seed):
    """Soudry et al. 2018: with w = w_svm log t + w~, support vectors have x_n w~ = -log alpha_n; and R|V - V_svm| tends
    to |P_perp w~|.
    """
    data = separable(8, 3, seed)
    V, gamma = support_vectors(data)
    z = np.asarray(data.x) * np.asarray(data.y)[:, None]
    z = z[z @ V < gamma * (1 + 1e-9)]
    alpha, _ = nnls(z.T, V / gamma)
    assert (alpha > 1e-6).all()
    field, start = ready("W1 @ x", data, seed=seed, coordinates="weights")
    path = fl.integrate(field, start, data, until=fl.log_time(1e3))
    bounded = np.asarray(path.last.weights()["W1"])[0] - 1e3 * V / gamma
    assert np.abs(z @ bounded + np.log(alpha)).max() < 1e-8
    assert np.abs(z @ (1.01 * bounded) + np.log(alpha)).max() > 1e-4
    late = fl.integrate(field, start, data, until=fl.log_time(1e6))
    constant = np.linalg.norm(np.asarray(late.last.V["W1"])[0] - V) * float(late.last.rho["W1"])
    assert constant == pytest.approx(np.linalg.norm(bounded - V * (V @ bounded)), rel=1e-8)


@pytest.mark.parametrize(
    ("expression", "widths", "K"),
    [
        ("W1 @ x", {}, 1),
        pytest.param("W2 @ W1 @ x", {"W1": 4}, 2, marks=pytest.mark.slow),
        pytest.param("W3 @ W2 @ W1 @ x", {"W1": 4, "W2": 4}, 3, marks=pytest.mark.slow),
    ],
)
def test_sharp_constant_of_the_gradient(expression, widths, K):
    """|grad L|^2 / (L^2 (log 1/L)^{2-2/K}) tends to K^2 g^{2/K}, with g the largest margin over the K-th power of the
    joint norm.
    """
    data = separable(8, 3, 1)
    _, gamma = support_vectors(data)
    field, start = ready(expression, data, widths, seed=1, coordinates="weights")
    path = fl.integrate(field, start, data, until=fl.log_time(1e5))
    rate, log_loss = field.scaled_rate(field.pack(path.last), data)
    square = sum(float((np.asarray(r) ** 2).sum()) for r in rate.values())
    joint = gamma / K ** (K / 2)
    assert square / (-float(log_loss)) ** (2 - 2 / K) == pytest.approx(K**2 * joint ** (2 / K), rel=1e-2)


@pytest.mark.long
@pytest.mark.parametrize(
    ("expression", "widths", "told"),
    [
        ("W2 @ W1 @ x", {"W1": 4}, {}),
        pytest.param("W3 @ W2 @ W1 @ x", {"W1": 3, "W2": 3}, {"coordinates": "weights"}, marks=pytest.mark.slow),
        pytest.param("W2 @ relu(W1 @ x)**2", {"W1": 5}, {"loss": "logistic"}, marks=pytest.mark.slow),
        pytest.param("W1 @ x", {}, {"scheme": "exponential_weight_normalization"}, marks=pytest.mark.slow),
    ],
)
def test_deep_and_smooth_nets_to_a_million(expression, widths, told):
    data = separable(10, 4, 2)
    field, start = ready(expression, data, widths, seed=2, **told)
    path = fl.integrate(field, start, data, until=fl.log_time(1e6))
    assert path.outcome.kind == "done"
    assert path.stats["steps"] + path.stats["rejected"] < 1000
    smoothed = -path.dataset.log_loss.values / np.exp(path.dataset.log_R.values)
    late = path.dataset.log_loss.values < 0
    # The smoothed margin never falls once the loss is below one (Lyu and Li 2020, theorem 4.1).
    assert (np.diff(smoothed[late]) >= -1e-12).all()
    # Schemes that normalise inside the network let directions have any length and conserve it only as the tolerance
    # does.
    defect = np.abs(np.sqrt((path.dataset["V_W1"].values ** 2).sum(axis=(1, 2))) - 1).max()
    assert defect < (1e-14 if path.problem.scheme.unit else 1e-6)


@pytest.mark.long
def test_rows_know_their_clock_and_the_seam_does_not_show():
    data = separable(9, 3, 6)
    field, start = ready("W2 @ W1 @ x", data, {"W1": 3}, seed=1)
    both = [
        fl.integrate(field, start, data, until=[fl.log_loss(-19.0), fl.log_time(horizon)], rtol=1e-10, atol=1e-12)
        for horizon in (29.0, 1e5)
    ]
    assert set(both[0].dataset.clock.values) == {"time"}
    assert list(dict.fromkeys(both[1].dataset.clock.values)) == ["time", "norm"]
    (switch,) = both[1].provenance["switches"]
    assert switch["clock"] == "norm"
    assert (np.diff(both[1].dataset.log_t.values) > 0).all()
    assert float(both[0].dataset.log_t[-1]) == pytest.approx(float(both[1].dataset.log_t[-1]), abs=1e-7)
    for name in ("W1", "W2"):
        assert np.allclose(both[0].last.V[name], both[1].last.V[name], atol=1e-8)


@pytest.mark.long
def test_a_network_without_scaling_runs_in_the_loss_clock():
    data = separable(9, 3, 6)
    field, start = ready("W2 @ tanh(W1 @ x)", data, {"W1": 3}, coordinates="weights")
    path = fl.integrate(field, start, data, until=fl.log_time(1e3))
    assert path.outcome.kind == "done"
    assert set(path.dataset.clock.values) == {"time", "loss"}
    short, full = fl.integrate(field, start, data, until=fl.log_time(28.0)), path.dataset
    assert float(np.interp(28.0, full.log_t[1:], full.log_loss[1:])) == pytest.approx(
        float(short.dataset.log_loss[-1]), abs=2e-3
    )


def test_a_wrong_equation_ends_elsewhere():
    """Control: the constant tells apart what is off by one per cent."""
    data = separable(8, 3, 4)
    _, gamma = support_vectors(data)
    other = fl.Data(np.asarray(data.x) * 1.01, data.y)
    field, start = ready("W1 @ x", data)
    assert abs(q_of(fl.integrate(field, start, other, until=fl.log_time(1e5))) + 2 * np.log(gamma)) > 1e-2


@pytest.mark.slow
def test_samples_serve_as_jacobian_for_many_unknowns(monkeypatch):
    data = separable(15, 6, 3)
    field, start = ready("W2 @ W1 @ x", data, {"W1": 4}, coordinates="weights")
    run = [fl.integrate(field, start, data, until=fl.log_time(1e5))]
    # With so few unknowns the whole Jacobian is taken unless the bound is lowered.
    monkeypatch.setattr(solvers, "DENSE", 3)
    run.append(fl.integrate(field, start, data, until=fl.log_time(1e5)))
    assert [p.outcome.kind for p in run] == ["done", "done"]
    assert q_of(run[0]) == pytest.approx(q_of(run[1]), abs=1e-7)
    assert np.allclose(run[0].last.V["W1"], run[1].last.V["W1"], atol=1e-9)


def test_what_no_clock_can_do_is_refused_at_the_start():
    data = separable(8, 3, 4)
    targets = fl.Data(np.asarray(data.x), np.asarray(data.x)[:, 0])
    for told, given, samples in (
        ({"loss": "square"}, {"until": fl.log_time(1e4)}, targets),
        ({"decay": 0.1}, {"until": fl.log_time(1e4)}, data),
        ({"loss": "square"}, {"until": fl.log_time(1.0), "clock": "norm"}, targets),
    ):
        field, start = ready("W1 @ x", samples, **told)
        with pytest.raises(fl.LanguageError, match="clock"):
            fl.integrate(field, start, samples, **given)
    field, start = ready("W1 @ x", data)
    with pytest.raises(fl.UnknownName, match="clock"):
        fl.integrate(field, start, data, until=fl.log_time(1.0), clock="sun")
    with pytest.raises(fl.LanguageError, match="must be Condition"):
        fl.integrate(field, start, data, until=3.0)


@pytest.mark.long
def test_the_first_stage_of_an_implicit_step_is_never_evaluated_anew():
    """Control: with it evaluated again, its round-off stops a run at log t of some 1e8 that otherwise takes a few
    hundred steps.
    """
    data = separable(20, 5, 1)
    field, start = ready("W1 @ x", data, coordinates="weights", seed=1)

    class Recomputed(Kvaerno5):
        def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
            return super().step(terms, t0, t1, y0, args, self.init(terms, t0, t1, y0, args), made_jump)

    kept = SOLVERS["kvaerno5"]
    try:
        SOLVERS["kvaerno5"] = Recomputed()
        path = fl.integrate(field, start, data, until=fl.log_time(1e9), max_steps=1500)
    finally:
        SOLVERS["kvaerno5"] = kept
    assert path.outcome.kind == "budget"


def test_every_clock_is_known():
    assert list(CLOCKS) == ["time", "loss", "norm"]
    assert Cursor.__doc__
