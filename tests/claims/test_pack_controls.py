"""Controls of single packs: what a claim leans on is tampered with, and the claim must see it."""

from dataclasses import replace

import jax
import numpy as np
import pytest

import flowlab as fl
from flowlab.claims.library.arora2018 import flows as balanced
from flowlab.claims.library.saxe2014 import x1_modes, x2_unbalanced, x4_half_times


@pytest.mark.slow
def test_a_start_off_balance_is_refuted(monkeypatch):
    """Layers of the same product that are off balance must not pass A1 and A2."""
    honest = balanced.layers

    def tilted(product, count=3, seed=0):
        weights = honest(product, count, seed)
        return weights | {"W1": 1.3 * weights["W1"], "W3": weights["W3"] / 1.3}

    monkeypatch.setattr(balanced, "layers", tilted)
    for verdict in fl.check(["A1", "A2"]):
        assert verdict.answer == "refuted" or verdict.code == "routes disagree", verdict.reason


def test_a_wrong_field_is_refuted(monkeypatch):
    """Modes that learn one per cent faster than they should must not pass."""
    honest = x1_modes.learned

    def faster(*given):
        times, u, path = honest(*given)
        return times / 1.01, u, path

    for module in (x1_modes, x2_unbalanced, x4_half_times):
        monkeypatch.setattr(module, "learned", faster)
    for verdict in fl.check(["X1", "X2", "X4"]):
        assert verdict.answer == "refuted" or verdict.code == "routes disagree", verdict.reason


@pytest.mark.slow
def test_a_flow_from_another_start_is_refuted(monkeypatch):
    """Limits of flows that began 2 % further out must not pass W4's comparison with the units."""
    from flowlab.claims.library.woodworth2020 import w4_width

    honest = w4_width.limit
    monkeypatch.setattr(w4_width, "limit", lambda case, data, alpha, *net: honest(case, data, 1.02 * alpha, *net))
    (verdict,) = fl.check(["W4"])
    assert verdict.answer == "refuted", verdict.reason


def test_another_optimum_is_refuted(monkeypatch):
    """Ridge regression with decay 2 % too large must not pass."""
    from flowlab.claims.library.square_loss import r1_equilibrium, r3_loss

    honest = r1_equilibrium.ridge
    for module in (r1_equilibrium, r3_loss):
        monkeypatch.setattr(module, "ridge", lambda z, decay: honest(z, 1.02 * decay))
    for verdict in fl.check(["R1", "R3"]):
        assert verdict.answer == "refuted" or verdict.code == "routes disagree", verdict.reason


def test_a_gradient_that_is_not_orthogonal_is_refuted(monkeypatch):
    """Steps with a part along the weights must not pass the laws of a scale-invariant layer."""
    from flowlab.claims.library.neural_mechanics import flows as invariant

    honest = invariant.slope
    monkeypatch.setattr(invariant, "slope", lambda x, y, theta: honest(x, y, theta) + 0.01 * theta)
    for verdict in fl.check(["K2", "K7"]):
        assert verdict.answer == "refuted" or verdict.code == "routes disagree", verdict.reason


@pytest.mark.long
def test_a_faster_flow_is_refuted(monkeypatch):
    """A Bures-Wasserstein flow that is 2 % faster than its equations must not pass B8."""
    from flowlab.claims.library.brechet2023 import b8_rate

    honest, calls = b8_rate.built_path, []

    def faster(case):
        calls.append(1)
        path = honest(case)
        return replace(path, dataset=path.dataset.assign(log_t=path.dataset["log_t"] - np.log(1.02)))

    monkeypatch.setattr(b8_rate, "built_path", faster)
    (verdict,) = fl.check(["B8"])
    assert calls
    assert verdict.answer == "refuted" or verdict.code == "routes disagree", verdict.reason


@pytest.mark.slow
def test_a_rule_that_forgets_half_of_the_past_is_refuted(monkeypatch):
    """Steps η(1.5 F - .5 F⁻) must not pass as optimistic multiplicative weights."""
    from flowlab.language.rules import rules

    def half(self, memory, place, force, field, step):
        return force, {w: place[w] + step * (1.5 * force[w] - 0.5 * memory[w]) for w in place}

    monkeypatch.setattr(rules["optimistic"], "advance", half)
    # Compiled steps are kept by the class of the rule, which stays the same here.
    jax.clear_caches()
    try:
        for verdict in fl.check(["O4", "O13"]):
            assert verdict.answer == "refuted", verdict.reason
    finally:
        jax.clear_caches()
