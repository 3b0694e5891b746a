"""Modes of deep linear nets: every claim of the pack holds and refutes its wrong variants."""

import pytest

import flowlab as fl
from flowlab.claims import claims, load_library
from flowlab.claims.library.saxe2014 import x1_modes

load_library()
ALL = ("X1", "X2", "X3", "X4", "X5")


@pytest.mark.parametrize("name", ["X1", "X2", "X4", "X5"])
def test_holds(name):
    (verdict,) = fl.check([name])
    assert verdict.answer == "holds", verdict.reason
    assert set(verdict.evidence["mutants"]) >= set(claims[name].mutants)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_holds_on_other_seeds(seed):
    for verdict in fl.check(ALL, seed=seed):
        assert verdict.answer == "holds", (verdict.id, verdict.reason)


def test_a_wrong_field_is_refuted(monkeypatch):
    """Modes that learn one per cent faster than they should must not pass."""
    honest = x1_modes.learned

    def faster(*given):
        times, u, path = honest(*given)
        return times / 1.01, u, path

    monkeypatch.setattr(x1_modes, "learned", faster)
    for verdict in fl.check(["X1", "X2", "X4"]):
        assert verdict.answer == "refuted" or verdict.code == "routes disagree", verdict.reason


def test_other_networks_are_told():
    for verdict in fl.check(ALL, fl.Problem("W2 @ relu(W1 @ x)", "square")):
        assert verdict.code == "does not apply", verdict.reason
