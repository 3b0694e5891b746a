"""Constants of the theory on seeds of their own: growth of deep nets, vanishing regularisation, the smoothed margin under every scheme."""

import numpy as np
import pytest
from scipy.optimize import minimize, nnls

import flowlab as fl


def separable(n, d, seed):
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(n, d)), rng.normal(size=d)
    y = np.sign(x @ w)
    return fl.Data(x + 0.3 * np.outer(y, w) / np.linalg.norm(w), y)


@pytest.mark.parametrize(("K", "text"), [(2, "W2 @ W1 @ x"), (3, "W3 @ W2 @ W1 @ x"), pytest.param(4, "W4 @ W3 @ W2 @ W1 @ x", marks=pytest.mark.slow)])
def test_growth_of_a_balanced_chain(K, text):
    """P10: with one unit per layer, equal weights and margin 1, R - log t - (2 - 2/K) log log t tends to log K (two samples: log 2t for log t)."""
    data = fl.Data(np.array([[1.0], [-1.0]]), np.array([1.0, -1.0]))
    field = fl.lower(fl.derive(fl.Problem(text, coordinates="weights")))
    start = fl.State.from_weights({f"W{k + 1}": np.array([[0.9]]) for k in range(K)})
    path = fl.integrate(field, start, data, until=fl.log_time(1e6))
    assert path.outcome.ok
    log_t = float(path.dataset.log_t[-1]) + np.log(2.0)
    R = float(np.prod([float(r) for r in path.last.rho.values()]))
    assert R - log_t - (2 - 2 / K) * np.log(log_t) == pytest.approx(np.log(K), rel=1e-2)
    # Control: with the exponent of another depth the difference is off.
    assert abs(R - log_t - (2 - 2 / (K + 1)) * np.log(log_t) - np.log(K)) > 0.5
    # Growth (log t)^{1/K} of each norm, by the fitted exponent.
    rows = path.dataset.isel(step=slice(-100, None))
    slope = np.polyfit(np.log(rows.log_t.values), np.log(rows.rho.values[:, 0]), 1)[0]
    assert slope == pytest.approx(1 / K, rel=1e-2)


def at_fixed_norm(z, R, V):
    """The direction of least exponential loss at norm R, by Newton steps on the sphere."""
    for _ in range(200):
        q = R * z @ V
        p = np.exp(q.min() - q)
        p /= p.sum()
        gradient = -R * (z.T @ p)
        tangent = np.eye(len(V)) - np.outer(V, V)
        hessian = R**2 * (z.T * p) @ z - R**2 * np.outer(z.T @ p, z.T @ p)
        along = tangent @ (hessian - np.eye(len(V)) * (gradient @ V)) @ tangent + np.outer(V, V)
        step = -np.linalg.solve(along, tangent @ gradient)
        step *= min(1.0, 0.3 / max(R * np.abs(z @ step).max(), 1e-300))
        V = (V + step) / np.linalg.norm(V + step)
        if np.linalg.norm(step) < 1e-15:
            break
    return V


@pytest.mark.parametrize("seed", [50, 51, 52, 53])
def test_vanishing_regularisation_has_the_constant_of_the_flow(seed):
    """P13: the best direction at norm R is within log(N)/R of the largest margin, and R|V_R - V*| tends to the C* of the flow, which C* P8 predicts."""
    data = separable(8, 3, seed)
    z = np.asarray(data.x) * np.asarray(data.y)[:, None]
    found = minimize(lambda w: w @ w / 2, 10 * z.mean(axis=0), jac=lambda w: w, method="SLSQP", options={"ftol": 1e-16, "maxiter": 2000},
                     constraints={"type": "ineq", "fun": lambda w: z @ w - 1, "jac": lambda w: z})  # fmt: skip
    active = z @ found.x < 1 + 1e-6
    w = np.linalg.lstsq(z[active], np.ones(active.sum()), rcond=None)[0]
    V, gamma = w / np.linalg.norm(w), 1 / np.linalg.norm(w)
    alpha, _ = nnls(z[active].T, w)
    assert (alpha > 1e-6).all()
    constants, direction = [], V
    for R in (320.0, 1280.0, 5120.0, 20480.0):
        direction = at_fixed_norm(z, R / gamma, direction)
        q = z @ direction
        assert gamma - np.log(8) / (R / gamma) <= q.min() <= gamma + 1e-12
        constants.append(R / gamma * np.linalg.norm(direction - V))
    path = fl.integrate(
        fl.lower(fl.derive(fl.Problem("W1 @ x", coordinates="weights"))), fl.initial_state("W1 @ x", data, seed=seed), data, until=fl.log_time(1e6)
    )
    flow = np.linalg.norm(np.asarray(path.last.V["W1"])[0] - V) * float(path.last.rho["W1"])
    bounded = np.asarray(path.last.weights()["W1"])[0] - float(path.dataset.log_t[-1]) * V / gamma
    # L t tends to 1/γ², and the residual of eq. (S2) closes.
    assert float(path.dataset.log_t[-1] + path.dataset.log_loss[-1]) == pytest.approx(-2 * np.log(gamma), abs=1e-6)
    assert np.abs(z[active] @ bounded + np.log(alpha)).max() < 1e-6
    if len(alpha) == 3:
        # As many support vectors as dimensions: nothing of the start stays, and both constants are fixed by the duals.
        assert constants[-1] == pytest.approx(flow, rel=1e-2)
        assert abs(constants[-1] - flow) < abs(constants[0] - flow) + 1e-9
    assert constants[-1] == pytest.approx(constants[-2], rel=1e-2)


@pytest.mark.parametrize("scheme", ["lagrange", pytest.param("exponential_weight_normalization", marks=pytest.mark.slow)])
def test_the_smoothed_margin_never_falls(scheme):
    """P14: log(1/L)/R over every accepted step after separation, by the monitor inside the loop; and it does fall where the norm is let grow alone."""
    data = separable(9, 3, 60)
    field = fl.lower(fl.derive(fl.Problem("W2 @ W1 @ x", scheme=scheme)))
    start = fl.initial_state("W2 @ W1 @ x", data, widths={"W1": 3}, seed=60)
    path = fl.integrate(field, start, data, until=fl.log_time(100.0))
    assert path.outcome.ok
    assert path.monitors["smoothed_margin"]["worst"] <= 1e-12
    smoothed = -path.dataset.log_loss.values - 0.01 * path.dataset.log_R.values ** 2 * np.exp(path.dataset.log_R.values)
    assert (np.diff(smoothed[path.dataset.log_loss.values < 0] / np.exp(path.dataset.log_R.values[path.dataset.log_loss.values < 0])) < -1e-12).any()
