"""Solvers keep their order in both coordinates, projection included; and a wrong coefficient or projection loses it."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.integrate import solve_ivp

import flowlab as fl
from flowlab.dynamics.clocks import CLOCKS, Setting
from flowlab.dynamics.run import compiled_steps
from flowlab.dynamics.steppers import rodas5p
from flowlab.dynamics.steppers.explicit_rk import Explicit
from flowlab.dynamics.steppers.solvers import SOLVERS

TEXT, HORIZON = "W2 @ tanh(W1 @ x)", 0.5
ORDERS = {"tsit5": 5, "dopri8": 8, "kvaerno5": 5, "rodas5p": 5}
STEPS = {"tsit5": (8, 16, 32), "dopri8": (2, 3, 4), "kvaerno5": (8, 16, 32), "rodas5p": (8, 16, 32)}
TIGHT = (jnp.asarray(1e-13), jnp.asarray(1e-13))


def made(coordinates, seed=17):
    rng = np.random.default_rng(seed)
    data = fl.Data(rng.normal(size=(7, 2)), np.where(np.arange(7) % 2 == 0, 1.0, -1.0))
    problem = fl.Problem(TEXT, loss="logistic", coordinates=coordinates)
    return fl.lower(fl.derive(problem)), fl.initial_state(TEXT, data, widths={"W1": 3}, seed=seed, scale=1.5), data


def weights_at_the_end(field, start, data):
    """By SciPy's DOP853 on the gradient of a loss written here."""
    y0, restore = ravel_pytree(start.weights())

    def loss(v):
        w = restore(v)
        return jnp.sum(jnp.logaddexp(0.0, -data.y * (jnp.tanh(data.x @ w["W1"].T) @ w["W2"][0])))

    pull = jax.jit(jax.grad(loss))
    out = solve_ivp(
        lambda _, v: -np.asarray(pull(v)), (0.0, HORIZON), np.asarray(y0), method="DOP853", rtol=3e-14, atol=1e-15
    )
    return restore(jnp.asarray(out.y[:, -1]))


def stepped(solver, field, data, moved=True):
    """Equal steps, projected after each, as a function of the state, their size and their count: one compilation for
    all counts.
    """
    clock = CLOCKS["time"]
    args = Setting(clock, field, data, *TIGHT)

    @jax.jit
    def go(y, h, steps):
        def step(i, carry):
            y, state = carry
            out, _, _, state, _ = solver.step(compiled_steps.TERM, i * h, i * h + h, y, args, state, moved)
            return clock.constrain(field, out), state

        return jax.lax.fori_loop(0, steps, step, (y, solver.init(compiled_steps.TERM, 0.0, h, y, args)))[0]

    return go


def error(go, field, start, want, steps):
    """Largest error of a weight after equal steps."""
    end = field.unpack(go(field.pack(start), jnp.asarray(HORIZON / steps), jnp.asarray(steps))).weights()
    return max(float(jnp.abs(end[k] - want[k]).max()) for k in want)


def order(solver, field, start, data, want, counts, moved=True):
    """Slope of log error over log steps."""
    go = stepped(solver, field, data, moved)
    errors = [error(go, field, start, want, n) for n in counts]
    assert 1e-14 < errors[-1] < errors[0] < 1e-1, errors
    return float(-np.polyfit(np.log(counts), np.log(errors), 1)[0])


@pytest.fixture(scope="module", params=["weights", "polar"])
def flow(request):
    field, start, data = made(request.param)
    return field, start, data, weights_at_the_end(field, start, data)


@pytest.mark.parametrize("name", ORDERS)
def test_the_order_is_kept(flow, name):
    assert order(SOLVERS[name], *flow, STEPS[name]) > ORDERS[name] - 0.2


class Radius(eqx.Module):
    """A field whose projection lands off the sphere by as much as a step moved, or moves along it."""

    field: eqx.Module
    kind: str = eqx.field(static=True)

    def __getattr__(self, name):
        return getattr(self.field, name)

    def constrain(self, y):
        rho, V = self.field.constrain(y)
        if self.kind == "radius":
            return rho, {k: v * (1.0 + 1e-6) for k, v in V.items()}
        return self.field.constrain((rho, {k: v.at[0, 0].add(1e-6) for k, v in V.items()}))


@pytest.mark.parametrize("kind", ["radius", "tangent"])
def test_a_projection_that_moves_the_state_loses_the_order(kind):
    field, start, data = made("polar")
    want = weights_at_the_end(field, start, data)
    solver = SOLVERS["tsit5"]
    assert error(stepped(solver, field, data), field, start, want, 32) < 1e-8
    # A direction that is off by 1e-6 after every step; the network does not see its length, so that shows in the rates
    # alone.
    moved = Radius(field, kind)
    assert error(stepped(solver, moved, data), moved, start, want, 32) > 1e-7


@pytest.mark.long
def test_a_wrong_coefficient_loses_the_order(flow, monkeypatch):
    tableau = diffrax.Tsit5.tableau
    rows = tuple(np.array(row) for row in tableau.a_lower)
    rows[3][0] += 1e-3
    wrong = Explicit(diffrax.Tsit5())
    object.__setattr__(
        wrong,
        "method",
        type(
            "Wrong", (), {"tableau": type("T", (), {"a_lower": rows, "b_error": tableau.b_error, "c": tableau.c})()}
        )(),
    )
    assert order(wrong, *flow, STEPS["tsit5"]) < 4.0
    a = np.array(rodas5p._A)
    a[3, 1] += 1e-3
    monkeypatch.setattr(rodas5p, "_A", a)
    assert order(rodas5p.Rodas5P(), *flow, STEPS["rodas5p"]) < 4.0


def test_a_rate_kept_over_a_projection_costs_the_order_nothing_it_can_afford():
    """The last stage of a step belongs to the point before projection; that the driver computes it again shows in the
    constant, not in the order.
    """
    field, start, data = made("polar")
    want = weights_at_the_end(field, start, data)
    assert order(SOLVERS["tsit5"], field, start, data, want, STEPS["tsit5"], moved=False) > 4.5
    assert compiled_steps.projects(field)


@pytest.mark.long
@pytest.mark.parametrize(
    ("scheme", "per", "log_t"),
    [
        pytest.param("gradient_flow", "layer", 1e3, marks=pytest.mark.slow),
        ("lagrange", "neuron", 3.0),
        ("tangent", "layer", 3.0),
    ],
)
def test_directions_lie_on_the_sphere_at_every_step(scheme, per, log_t):
    rng = np.random.default_rng(41)
    x, w = rng.normal(size=(9, 3)), rng.normal(size=3)
    y = np.sign(x @ w)
    data = fl.Data(x + 0.3 * np.outer(y, w), y)
    problem = fl.Problem("W2 @ W1 @ x", scheme=scheme, per=per)
    start = fl.initial_state("W2 @ W1 @ x", data, widths={"W1": 3}, seed=2, per=per)
    path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(log_t))
    assert path.outcome.ok
    for name in ("W1", "W2"):
        V = path.dataset[f"V_{name}"].values
        norms = np.sqrt((V**2).sum(axis=2 if per == "neuron" else (1, 2)))
        assert np.abs(norms - 1.0).max() <= 1e-14
