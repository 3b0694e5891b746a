"""Flows against rates written here, other integrators, other coordinates, other clocks, and 30 digits of mpmath."""

import json
from importlib import import_module
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.integrate import solve_ivp

import flowlab as fl

host = import_module("flowlab.dynamics.run.loop")
REFERENCES = sorted((Path(__file__).parent / "references").glob("*.json"))
ACTS = {
    "linear": lambda z: z,
    "relu2": lambda z: jnp.maximum(z, 0.0) ** 2,
    "tanh": jnp.tanh,
    "softplus": jax.nn.softplus,
    "gelu": lambda z: 0.5 * z * (1 + jax.scipy.special.erf(z / jnp.sqrt(2.0))),
}
CORPUS = [
    ("W1 @ x", "linear", "exponential", {}, "DOP853"),
    pytest.param("W2 @ W1 @ x", "linear", "logistic", {}, "LSODA", marks=pytest.mark.slow),
    ("W2 @ relu(W1 @ x)**2", "relu2", "exponential", {}, "Radau"),
    pytest.param("W2 @ tanh(W1 @ x)", "tanh", "logistic", {"decay": 0.05}, "DOP853", marks=pytest.mark.slow),
    pytest.param("W2 @ softplus(W1 @ x)", "softplus", "square", {}, "Radau", marks=pytest.mark.slow),
    pytest.param("W2 @ gelu(W1 @ x)", "gelu", "exponential", {"reduction": "mean"}, "DOP853", marks=pytest.mark.slow),
    ("W2 @ tanh(W1 @ x)", "tanh", "cross_entropy", {}, "LSODA"),
    ("W2 @ W1 @ x", "linear", "square", {"decay": 0.1}, "Radau"),
]


def instance(text, loss, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(8, 3))
    if loss == "square":
        data = fl.Data(x, rng.normal(size=8), kind="targets")
    elif loss == "cross_entropy":
        data = fl.Data(x, np.arange(8) % 3)
    else:
        data = fl.Data(x, np.where(np.arange(8) % 2 == 0, 1.0, -1.0))
    return data, fl.initial_state(text, data, widths={"W1": 3} if "W2" in text else None, seed=seed)


def objective(act, loss, data, settings):
    """The loss of flat weights, written here."""
    decay, mean = settings.get("decay", 0.0), settings.get("reduction") == "mean"

    def of(w):
        z = data.x @ w["W1"].T
        f = ACTS[act](z) @ w["W2"].T if "W2" in w else z
        if loss == "cross_entropy":
            each = jax.nn.logsumexp(f, axis=1) - f[jnp.arange(len(f)), data.y]
        else:
            q = f[:, 0]
            kinds = {
                "exponential": lambda: jnp.exp(-data.y * q),
                "logistic": lambda: jnp.logaddexp(0.0, -data.y * q),
                "square": lambda: 0.5 * (q - data.y) ** 2,
            }
            each = kinds[loss]()
        total = jnp.mean(each) if mean else jnp.sum(each)
        return total + decay * sum(jnp.sum(v * v) for v in w.values())

    return of


def by_scipy(of, start, t, method):
    """Weights at time t on the gradient of an objective."""
    y0, restore = ravel_pytree(start.weights())
    pull = jax.jit(lambda v: -ravel_pytree(jax.grad(of)(restore(v)))[0])
    slope = jax.jit(jax.jacfwd(pull))
    more = {"jac": lambda _, v: np.asarray(slope(v))} if method == "Radau" else {}
    out = solve_ivp(
        lambda _, v: np.asarray(pull(v)), (0.0, t), np.asarray(y0), method=method, rtol=3e-12, atol=1e-13, **more
    )
    assert out.success
    return restore(jnp.asarray(out.y[:, -1]))


def apart(path, want):
    return max(float(jnp.abs(path.last.weights()[k] - want[k]).max()) for k in want)


@pytest.mark.parametrize(("text", "act", "loss", "settings", "method"), CORPUS)
def test_flows_are_those_of_scipy_on_a_rate_written_here(text, act, loss, settings, method):
    data, start = instance(text, loss, seed=211)
    want = by_scipy(objective(act, loss, data, settings), start, 3.0, method)
    problem = {"loss": loss} | settings
    for coordinates in ("weights", "polar") if loss == "logistic" else ("polar",) if act == "relu2" else ("weights",):
        field = fl.lower(fl.derive(fl.Problem(text, coordinates=coordinates, **problem)))
        path = fl.integrate(field, start, data, until=fl.time(3.0), rtol=1e-10, atol=1e-12)
        assert apart(path, want) < 1e-7
        assert all(seen["holds"] for seen in path.monitors.values()), path.monitors
    # Control: the same flow of another objective is noticed.
    other = objective(act, loss, data, settings | {"decay": settings.get("decay", 0.0) + 1e-4})
    assert apart(path, by_scipy(other, start, 3.0, "DOP853")) > 1e-6


@pytest.mark.long
@pytest.mark.parametrize(
    "solver", ["dopri8", "kvaerno5", *(pytest.param(s, marks=pytest.mark.slow) for s in ("tsit5", "rodas5p"))]
)
@pytest.mark.parametrize("file", REFERENCES, ids=lambda f: f.stem)
def test_thirty_digits(file, solver):
    case = json.loads(file.read_text())
    kind = {"kind": "targets"} if case["loss"] == "square" else {}
    data = fl.Data(np.array(case["x"]), np.array(case["y"]), **kind)
    field = fl.lower(fl.derive(fl.Problem(case["text"], loss=case["loss"], coordinates="weights")))
    start = fl.State.from_weights({k: np.array(v) for k, v in case["start"].items()})
    path = fl.integrate(field, start, data, until=fl.time(case["t"]), solver=solver, rtol=1e-12, atol=1e-13)
    want = {k: np.array([[float(v) for v in row] for row in m]) for k, m in case["end"].items()}
    assert path.outcome.ok
    assert apart(path, want) < 1e-10


def test_there_are_references():
    assert len(REFERENCES) >= 3


@pytest.mark.slow
def test_late_clocks_and_ordinary_time_tell_the_same():
    rng = np.random.default_rng(307)
    x, w = rng.normal(size=(9, 3)), rng.normal(size=3)
    y = np.sign(x @ w)
    data = fl.Data(x + 0.3 * np.outer(y, w), y)
    field, start = (
        fl.lower(fl.derive(fl.Problem("W1 @ x", loss="logistic"))),
        fl.initial_state("W1 @ x", data, seed=307),
    )
    tight = {"rtol": 1e-10, "atol": 1e-12}
    ordinary = fl.integrate(field, start, data, until=fl.log_time(11.0), clock="time", **tight).last
    want = ordinary.weights()
    # The loss clock begins at t = 1e-6 with the state of t = 0.
    assert apart(fl.integrate(field, start, data, until=fl.log_time(11.0), clock="loss", **tight), want) < 1e-5
    # Handed over on the way, and stopped at the norm that ordinary time had reached.
    seam = fl.integrate(
        field, start, data, until=[fl.log_time(40.0), fl.log_norm(float(jnp.log(ordinary.rho["W1"])))], **tight
    )
    assert seam.provenance["switches"]
    assert apart(seam, want) < 1e-7
    assert float(seam.dataset.log_t[-1]) == pytest.approx(11.0, abs=1e-6)


@pytest.mark.slow
def test_heyoka_agrees():
    hy = pytest.importorskip("heyoka")
    text = "W2 @ tanh(W1 @ x)"
    data, start = instance(text, "exponential", seed=401)
    flat, _ = ravel_pytree(start.weights())
    names = hy.make_vars(*[f"v{i}" for i in range(flat.size)])
    W1, W2 = np.array(names[:9], dtype=object).reshape(3, 3), np.array(names[9:], dtype=object)
    hidden = np.vectorize(hy.tanh, otypes=[object])(W1 @ np.asarray(data.x).T)
    loss = hy.sum([hy.exp(-float(t) * f) for f, t in zip(W2 @ hidden, np.asarray(data.y), strict=True)])
    pull = hy.diff_tensors([loss], names, diff_order=1).gradient
    taylor = hy.taylor_adaptive([(v, -p) for v, p in zip(names, pull, strict=True)], np.asarray(flat).tolist())
    taylor.propagate_until(5.0)
    path = fl.integrate(
        fl.lower(fl.derive(fl.Problem(text, coordinates="weights"))),
        start,
        data,
        until=fl.time(5.0),
        rtol=1e-12,
        atol=1e-13,
        solver="dopri8",
    )
    assert float(jnp.abs(ravel_pytree(path.last.weights())[0] - taylor.state).max()) < 1e-10
