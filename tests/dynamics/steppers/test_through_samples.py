"""Implicit stages through the samples' outputs: matrices and products with vectors invert the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl
from flowlab.dynamics.clocks import CLOCKS, Setting
from flowlab.dynamics.steppers import through_samples
from flowlab.dynamics.steppers.through_samples import Coupling, inverse, system_of


def inverted(made, c):
    return inverse(made, jnp.asarray(c), system_of(made, jnp.asarray(c)))


def coupling(n=60, m=12, weight=1e6, seed=0, entry=-3.0):
    """Outputs of which three carry all weight but a part of 1e-8, as late in a run."""
    rng = np.random.default_rng(seed)
    b = rng.normal(size=(m, n)) / np.sqrt(n)
    b[:, -1] = 0.0  # outputs do not depend on q, and q answers by its own entry alone
    size = np.full(m, weight * 1e-8)
    size[:3] = weight
    u = -b.T * size
    u[-1] = 0.0

    def among(chosen):
        return lambda v: jnp.asarray(b)[chosen] @ v, lambda y: jnp.asarray(u)[:, chosen] @ y

    made = Coupling(lambda v: b @ v, lambda y: u @ y, lambda: jnp.asarray(b), among, m, 1, n, jnp.asarray(entry))
    return made, u @ b + np.diag([0.0] * (n - 1) + [entry])


@pytest.mark.parametrize("entries", [through_samples.ENTRIES, 0])
@pytest.mark.parametrize("c", [1e-6, 1e-2, 10.0])
def test_both_forms_invert(monkeypatch, entries, c):
    monkeypatch.setattr(through_samples, "ENTRIES", entries)
    made, whole = coupling()
    right = np.random.default_rng(1).normal(size=60)
    found = inverted(made, c)(jnp.asarray(right))
    wanted = np.linalg.solve(np.eye(60) - c * whole, right)
    assert np.linalg.norm(found - wanted) < 0.05 * np.linalg.norm(right)


def test_nothing_to_solve_is_nothing_and_small_is_solved(monkeypatch):
    monkeypatch.setattr(through_samples, "ENTRIES", 0)
    made, whole = coupling()
    solve = inverted(made, 0.1)
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
    assert np.linalg.norm(inverted(made, 1.0)(jnp.asarray(right)) - wanted) > 0.05 * np.linalg.norm(right)


@pytest.mark.parametrize(("c", "count"), [(1e-12, 0), (1e-3, 3), (1e3, 12)])
def test_columns_are_worked_out_for_outputs_that_matter_alone(c, count):
    made, _ = coupling()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(through_samples, "ENTRIES", 0)
        found = system_of(made, jnp.asarray(c))
    assert int(found.count) == count
    assert np.count_nonzero(found.matrix) == count**2


@pytest.mark.parametrize("clock", ["loss", "norm"])
@pytest.mark.parametrize(("loss", "reduction"), [("exponential", "sum"), ("logistic", "mean")])
def test_products_through_some_samples_leave_out_the_others(clock, loss, reduction):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 5))
    data = fl.Data(x, np.sign(x @ rng.normal(size=5)))
    problem = fl.Problem("W2 @ relu(W1 @ x)**2", loss, reduction=reduction, coordinates="weights")
    field = fl.lower(fl.derive(problem))
    start = fl.initial_state(problem.network, data, widths={"W1": 20}, seed=0, scale=2.0)
    path = fl.integrate(field, start, data, until=fl.log_time(12.0))
    late = CLOCKS[clock]
    s, z = late.enter(field, path.last, jnp.asarray(12.0), data)
    made = Setting(late, field, data, jnp.asarray(1e-6), jnp.asarray(1e-8)).by_samples(s, z)
    shares = jax.nn.softmax(-problem.loss.margins(jnp, field.outputs(path.last.weights(), data.inputs), data.y))
    order = jnp.argsort(-shares)
    for count in (4, 8):
        chosen, left = order[:count], float(shares[order[count:]].sum())
        rows, columns = made.among(chosen)
        v = jnp.asarray(rng.normal(size=made.unknowns))
        np.testing.assert_allclose(rows(v), made.rows(v)[chosen], rtol=1e-10)
        y = jnp.asarray(rng.normal(size=count))
        whole = made.columns(jnp.zeros(8).at[chosen].set(y))[:-1]
        off = float(jnp.linalg.norm(columns(y)[:-1] - whole) / jnp.linalg.norm(whole))
        assert off <= 10.0 * left + 1e-10
        # Shares in the chosen samples alone are others: the control sees them.
        assert count == 8 or left > 1e-3


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
