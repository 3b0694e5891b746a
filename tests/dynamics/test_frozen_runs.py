"""Runs of today against how the same runs ended when they were written down: outcomes, kinks and last states."""

import json

import numpy as np
import pytest

from tests.dynamics.frozen_runs import STORED, ended, runs

RTOL = 1e-8
"""Relative tolerance of the runs; ten of it is what two versions may differ by."""
RUNS, FROZEN = runs(), json.loads(STORED.read_text())
QUICK = ("scheme gradient_flow W1 @ x", "resumed polar", "kinks W2 @ relu(W1 @ x) 1")


def agrees(now, before):
    """What differs between the ends of two runs, in words."""
    off = [key for key in ("outcome", "switches", "kinks") if now[key] != before[key]]
    numbers = ["log_t", "log_loss", "kink_log_t", "rho", *(("V", name) for name in before["V"])]
    for key in numbers:
        a, b = (np.ravel(each["V"][key[1]] if isinstance(key, tuple) else each[key]) for each in (now, before))
        size = max(1.0, float(np.abs(b).max(initial=0.0)))
        if a.shape != b.shape or not np.allclose(a, b, rtol=10 * RTOL, atol=10 * RTOL * size):
            off.append(str(key))
    return off


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in RUNS])
def test_a_run_ends_as_it_did(name):
    assert agrees(ended(RUNS[name]), FROZEN[name]) == []


def test_every_run_is_written_down_and_a_change_is_noticed():
    assert RUNS.keys() == FROZEN.keys()
    assert len(RUNS) >= 60
    before = FROZEN["resumed polar"]
    assert agrees(before, before) == []
    assert agrees(before | {"rho": [2.0 * r for r in before["rho"]]}, before) == ["rho"]
    assert agrees(before | {"outcome": "budget"}, before) == ["outcome"]
    assert agrees(before | {"kinks": [[0, 0, 0, -1, 1]]}, before) == ["kinks"]
