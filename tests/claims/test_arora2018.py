"""Deep linear nets: every claim of the pack holds and refutes its wrong variants."""

import pytest

import flowlab as fl
from flowlab.claims import claims, load_library
from flowlab.claims.library.arora2018 import balanced

load_library()
ALL = ("A1", "A2", "A3", "A4", "A5", "A6")


@pytest.mark.parametrize("name", ["A3", "A1"])
def test_holds(name):
    (verdict,) = fl.check([name])
    assert verdict.answer == "holds", verdict.reason
    assert set(verdict.evidence["mutants"]) >= set(claims[name].mutants)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_holds_on_other_seeds(seed):
    for verdict in fl.check(ALL, seed=seed):
        assert verdict.answer == "holds", (verdict.id, verdict.reason)


def test_a_start_off_balance_is_refuted(monkeypatch):
    """Layers of the same product that are off balance must not pass A1 and A2."""
    honest = balanced.layers

    def tilted(product, count=3, seed=0):
        weights = honest(product, count, seed)
        return weights | {"W1": 1.3 * weights["W1"], "W3": weights["W3"] / 1.3}

    monkeypatch.setattr(balanced, "layers", tilted)
    for verdict in fl.check(["A1", "A2"]):
        assert verdict.answer == "refuted" or verdict.code == "routes disagree", verdict.reason


def test_other_networks_are_told():
    for verdict in fl.check(ALL, fl.Problem("W2 @ relu(W1 @ x)", "square")):
        assert verdict.code == "does not apply", verdict.reason
