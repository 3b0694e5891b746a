"""Implicit stages through the samples' outputs: matrices and products with vectors invert the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl
from flowlab.dynamics.steppers import through_samples
from flowlab.dynamics.steppers.through_samples import Coupling, inverse


def coupling(n=60, m=12, weight=1e6, seed=0, entry=-3.0):
    """Outputs of which three carry all weight but a part of 1e-8, as late in a run."""
    rng = np.random.default_rng(seed)
    b = rng.normal(size=(m, n)) / np.sqrt(n)
    b[:, -1] = 0.0  # outputs do not depend on q, and q answers by its own entry alone
    size = np.full(m, weight * 1e-8)
    size[:3] = weight
    u = -b.T * size
    made = Coupling(lambda v: b @ v, lambda y: u @ y, lambda: jnp.asarray(b), m, n, jnp.asarray(entry))
    u[-1] = 0.0
    return made, u @ b + np.diag([0.0] * (n - 1) + [entry])


@pytest.mark.parametrize("entries", [through_samples.ENTRIES, 0])
@pytest.mark.parametrize("c", [1e-6, 1e-2, 10.0])
def test_both_forms_invert(monkeypatch, entries, c):
    monkeypatch.setattr(through_samples, "ENTRIES", entries)
    made, whole = coupling()
    right = np.random.default_rng(1).normal(size=60)
    found = inverse(made, jnp.asarray(c))(jnp.asarray(right))
    wanted = np.linalg.solve(np.eye(60) - c * whole, right)
    assert np.linalg.norm(found - wanted) < 0.05 * np.linalg.norm(right)


def test_nothing_to_solve_is_nothing_and_small_is_solved(monkeypatch):
    monkeypatch.setattr(through_samples, "ENTRIES", 0)
    made, whole = coupling()
    solve = inverse(made, jnp.asarray(0.1))
    assert np.array_equal(solve(jnp.zeros(60)), np.zeros(60))
    right = np.random.default_rng(1).normal(size=60)
    wanted = np.linalg.solve(np.eye(60) - 0.1 * whole, right)
    found = solve(jnp.asarray(1e-200 * right)) / 1e-200
    assert np.linalg.norm(found - wanted) < 1e-3 * np.linalg.norm(right)


def test_with_too_few_outputs_it_does_not_invert(monkeypatch):
    """Control: the comparison above sees a solution that is not one."""
    monkeypatch.setattr(through_samples, "ENTRIES", 0)
    monkeypatch.setattr(through_samples, "_MOST", 1)
    made, whole = coupling()
    right = np.random.default_rng(1).normal(size=60)
    wanted = np.linalg.solve(np.eye(60) - whole, right)
    assert np.linalg.norm(inverse(made, jnp.asarray(1.0))(jnp.asarray(right)) - wanted) > 0.05 * np.linalg.norm(right)


@pytest.mark.parametrize(("c", "count"), [(1e-12, 0), (1e-3, 3), (1e3, 12)])
def test_columns_are_worked_out_for_outputs_that_matter_alone(c, count):
    made, _ = coupling()
    asked = []

    def columns(y):
        jax.debug.callback(lambda one: asked.append(one), jnp.sum(y != 0) == 1)
        return made.columns(y)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(through_samples, "ENTRIES", 0)
        inverse(made._replace(columns=columns), jnp.asarray(c))
    jax.effects_barrier()
    assert sum(map(bool, asked)) == count


@pytest.mark.slow
def test_a_late_flow_is_the_same_by_products(monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 50)) / np.sqrt(50)
    data = fl.Data(x, np.sign(x @ rng.normal(size=50)))
    net = fl.Network("W2 @ relu(W1 @ x)**2")
    field = fl.lower(fl.derive(fl.Problem(net, "exponential", reduction="mean")))
    start = fl.initial_state(net, data, widths={"W1": 20}, seed=0)
    ends = []
    for entries in (through_samples.ENTRIES, 0):
        monkeypatch.setattr(through_samples, "ENTRIES", entries)
        jax.clear_caches()
        ends.append(fl.integrate(field, start, data, until=fl.log_time(100.0)))
    one, other = ends
    assert one.outcome.ok
    assert other.outcome.ok
    assert np.abs(one.last.V["W1"] - other.last.V["W1"]).max() < 1e-5
    assert float(one.dataset.log_loss[-1]) == pytest.approx(float(other.dataset.log_loss[-1]), rel=1e-7)
