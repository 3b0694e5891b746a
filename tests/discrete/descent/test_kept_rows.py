"""Rows are kept within bytes: the compiled loop skips those in between, and what is done stays the same to the bit."""

import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.memory import ROW_BYTES, ROWS, rows_within
from flowlab.discrete.descent import walks
from flowlab.dynamics.run import setup

NET, DATA = "W2 @ tanh(W1 @ x)", fl.Data([[1.0, 0.5], [-0.3, 0.8], [0.2, -1.0]], [1.0, -1.0, 1.0])


@pytest.fixture
def start():
    return fl.initial_state(NET, DATA, widths={"W1": 4}, seed=0)


def test_rows_are_kept_within_bytes(start, monkeypatch):
    module = import_module("flowlab.discrete.descent.descend")
    whole = fl.descend(fl.Problem(NET), start, DATA, step=1e-2, count=100)
    numbers = sum(np.size(v) for part in (start.rho, start.V) for v in part.values())
    monkeypatch.setattr(module, "ROW_BYTES", 8 * numbers * 20)
    monkeypatch.setattr(walks, "CHUNK_BYTES", 8 * numbers * 3)
    part = fl.descend(fl.Problem(NET), start, DATA, step=1e-2, count=100)
    assert (len(whole), len(part)) == (101, 21)
    rows = whole.dataset.isel(step=slice(0, None, 5))
    for name in ("V_W1", "V_W2", "rho", "log_t", "step_sq"):
        assert (part.dataset[name].values == rows[name].values).all()
    # Who asks for rows gets them.
    assert len(fl.descend(fl.Problem(NET), start, DATA, step=1e-2, count=100, record_every=1)) == 101


def test_flows_are_thinned_within_bytes(start, monkeypatch):
    field = fl.lower(fl.derive(fl.Problem(NET)))
    whole = fl.integrate(field, start, DATA, until=fl.time(20.0))
    numbers = sum(np.size(v) for part in (start.rho, start.V) for v in part.values())
    monkeypatch.setattr(setup, "ROW_BYTES", 8 * numbers * 10)
    part = fl.integrate(field, start, DATA, until=fl.time(20.0))
    assert len(part) <= 11 < len(whole)
    assert np.isin(part.dataset["log_t"].values, whole.dataset["log_t"].values).all()
    assert (np.asarray(part.last.V["W1"]) == np.asarray(whole.last.V["W1"])).all()


@pytest.mark.parametrize(("numbers", "rows"), [(1, ROWS), (16_000, ROWS), (400_000, 80), (10**9, 1)])
def test_rows_within_a_room(numbers, rows):
    assert rows_within(ROW_BYTES, numbers, ROWS) == rows


LARGE = """
import sys
from pathlib import Path
import jax; jax.config.update("jax_enable_x64", True)
import numpy as np
import flowlab as fl
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
rng = np.random.default_rng(0); x = rng.normal(size=(4, 199)); data = fl.Data(x, np.sign(x[:, 0]))
start = fl.initial_state("W2 @ relu(W1 @ x)", data, widths={"W1": 2000}, seed=0)
before = peak()
problem, every = fl.Problem("W2 @ relu(W1 @ x)"), int(sys.argv[1]) or None
assert len(fl.descend(problem, start, data, step=1e-3, count=250, record_every=every).dataset.step) > 50
print(peak() - before)
"""


@pytest.mark.long
def test_a_large_descent_stays_within_its_memory():
    """4·10^5 weights, by the growth of the peak of a whole process, in kilobytes."""
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells the peak of a process in /proc")

    def growth(every: int) -> int:
        call = [sys.executable, "-c", LARGE, str(every)]
        return int(subprocess.run(call, check=True, capture_output=True, text=True).stdout)

    # The rows once, and what compiling and one chunk take; control: 251 rows where 80 fit.
    assert growth(0) < 3 * ROW_BYTES / 1024 < growth(1)
