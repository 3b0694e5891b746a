"""Diagonal linear nets: every claim of the pack holds and refutes its wrong variants."""

import pytest

import flowlab as fl
from flowlab.claims import claims, load_library

load_library()
ALL = ("W1", "W2", "W3", "W4", "W5")


@pytest.mark.parametrize("name", ["W4"])
def test_holds(name):
    (verdict,) = fl.check([name])
    assert verdict.answer == "holds", verdict.reason
    assert set(verdict.evidence["mutants"]) >= set(claims[name].mutants)
    assert all(q["as_printed"] is not False or "differs" in verdict.evidence for q in verdict.quantities)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_holds_on_other_seeds(seed):
    for verdict in fl.check(ALL, seed=seed):
        assert verdict.answer == "holds", (verdict.id, verdict.reason)


def test_a_flow_from_another_start_is_refuted(monkeypatch):
    """Limits of flows that began 2 % further out must not pass W4's comparison with the units."""
    from flowlab.claims.library.woodworth2020 import w3_depth

    honest = w3_depth.limit
    monkeypatch.setattr(w3_depth, "limit", lambda case, data, alpha, *net: honest(case, data, 1.02 * alpha, *net))
    (verdict,) = fl.check(["W4"])
    assert verdict.answer == "refuted", verdict.reason


def test_what_is_given_from_outside_is_refused():
    for verdict in fl.check(ALL, fl.Problem("W2 @ relu(W1 @ x)", "square")):
        assert verdict.code == "does not apply", verdict.reason
