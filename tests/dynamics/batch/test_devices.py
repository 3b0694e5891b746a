"""Batches over several devices: the same lanes as on one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import jax; jax.config.update("jax_enable_x64", True)
import numpy as np
import flowlab as fl
from flowlab.core.lanes import even
assert jax.local_device_count() == 8
assert even(11, 64) % 8 == 0
rng = np.random.default_rng(0)
x = rng.normal(size=(8, 2)); x[:, 0] += 0.5 * np.sign(x[:, 0])
data = fl.Data(x, np.sign(x[:, 0]))
net = fl.Network("W2 @ tanh(W1 @ x)")
problem = fl.Problem(net, loss="exponential")
field = fl.lower(fl.derive(problem))
starts = fl.initial_state(net, data, widths={"W1": 3}, seed=range(11))
asked = {"until": fl.log_time(40.0), "rtol": 1e-6, "atol": 1e-8}
paths = fl.integrate(field, starts, data, **asked)
for i in (0, 7, 10):
    single = fl.integrate(field, jax.tree.map(lambda leaf: leaf[i], starts), data, **asked)
    assert single.outcome.kind == paths[i].outcome.kind == "done"
    counts = "steps", "rejected", "evaluations"
    assert [single.stats[k] for k in counts] == [paths[i].stats[k] for k in counts]
    # Estimates of errors are small differences, so rows lie at slightly other times; the ends are at one time.
    np.testing.assert_allclose(paths[i].dataset.log_t.values, single.dataset.log_t.values, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(paths[i].dataset.rho.values[-1], single.dataset.rho.values[-1], rtol=1e-11)
walks = fl.descend(problem, starts, data, step=1e-2, count=20)
single = fl.descend(problem, jax.tree.map(lambda leaf: leaf[9], starts), data, step=1e-2, count=20)
np.testing.assert_allclose(walks[9].dataset.rho.values, single.dataset.rho.values, rtol=1e-12)
print("equal")
"""


@pytest.mark.slow
def test_eight_devices_give_the_lanes_of_one():
    root = Path(__file__).resolve().parents[3]
    env = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=env, check=False)
    assert done.stdout.strip() == "equal", done.stderr[-2000:]
