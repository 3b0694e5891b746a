"""Rates on a kink that are not finite end a run by name, whatever they come from."""

import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl
from flowlab.dynamics.kinks import tracker


@pytest.mark.parametrize("which", [1, 2])
@pytest.mark.long
def test_a_run_ends_where_rates_on_a_kink_are_not_finite(monkeypatch, which):
    rng = np.random.default_rng(0)
    data = fl.Data(rng.normal(size=(6, 2)), np.where(np.arange(6) % 2, 1.0, -1.0))
    problem = fl.Problem("a @ relu(W @ x)", "square", coordinates="weights")
    start = fl.initial_state(problem.network, data, widths={"W": 4}, seed=0, scale=0.5)
    field = fl.lower(fl.derive(problem, verify=False))
    good = fl.integrate(field, start, data, until=fl.time(10.0))
    assert good.outcome.kind == "done"

    def broken(*args):
        found = list(tracker_drifts(*args))
        found[which] = jnp.full_like(found[which], jnp.nan)
        return tuple(found)

    tracker_drifts = tracker.drifts
    monkeypatch.setattr(tracker, "drifts", broken)
    path = fl.integrate(field, start, data, until=fl.time(10.0))
    assert path.outcome.kind == "stalled"
    assert "on their kinks are not finite" in str(path.outcome)
