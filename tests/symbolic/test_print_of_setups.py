"""The set-ups of the literature, read back from their print, are the gradient that autodiff takes."""

from dataclasses import replace

import numpy as np
import pytest
from print_check import given, largest_gap
from setups import SETUPS
from tensor_networks import SAMPLES

import flowlab as fl
from flowlab.symbolic.certificate import random_state, reference
from flowlab.symbolic.names import labels

BOUND = 1e-12
"""Largest relative difference, about 5,000 roundings."""
QUICK = ("two-layer ReLU", "learning rate per block", "softmax attention, 1 layer", "contrastive losses")


def drawn(problem):
    """A random state at which something moves, with the rates that autodiff has there."""
    for seed in range(20):
        state = random_state(problem, seed, d=3, width=4, n=SAMPLES, lengths=seed % 2 == 1)
        truth = reference(problem, state)
        if any(np.abs(v).max() > 1e-6 for v in truth.values()):
            return state, truth
    raise AssertionError(f"{problem} does not move")


def gaps(setup):
    """How far text and LaTeX are from autodiff."""
    problem = fl.Problem(fl.Network(setup.text, **setup.network), **{"loss": "square", **setup.problem})
    flow = fl.derive(problem, verify=False)
    state, truth = drawn(problem)
    called = {False: labels(problem).text, True: labels(problem).tex}
    prints = {False: flow.text("matrix", steps=False), True: flow.latex("matrix", steps=False)}
    return [
        largest_gap(problem, truth, print_, given(problem, state, tex), called[tex], tex)
        for tex, print_ in prints.items()
    ]


@pytest.mark.parametrize("row", [row if row in QUICK else pytest.param(row, marks=pytest.mark.slow) for row in SETUPS])
def test_the_print_of_a_setup_is_the_gradient(row):
    assert max(size for setup in SETUPS[row] for size in gaps(setup)) <= BOUND


def test_another_rate_is_noticed(monkeypatch):
    """Equations of one learning rate are not the gradient at another one."""
    (setup,) = SETUPS["learning rate per block"]
    other = replace(setup, problem=setup.problem | {"rates": {"W1": 0.3, "W2": 1.0}})
    text = fl.FlowEquations.text
    monkeypatch.setattr(fl.FlowEquations, "text", lambda *a, **k: text(*a, **k).replace("eta_W1 = 0.3", "eta_W1 = 0.1"))
    wrong, right = gaps(other)
    assert wrong > 0.1
    assert right <= BOUND
