"""Square loss under one norm: every claim of the pack holds and refutes its wrong variants."""

import pytest

import flowlab as fl
from flowlab.claims import claims, load_library

load_library()
ALL = ("R1", "R2", "R3", "R4", "R5", "R6", "R7")


@pytest.mark.parametrize("name", ["R1", "R2", "R3", "R7"])
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


def test_another_optimum_is_refuted(monkeypatch):
    """Ridge regression with decay 2 % too large must not pass."""
    from flowlab.claims.library.square_loss import r1_equilibrium

    honest = r1_equilibrium.ridge
    monkeypatch.setattr(r1_equilibrium, "ridge", lambda z, decay: honest(z, 1.02 * decay))
    for verdict in fl.check(["R1", "R3"]):
        assert verdict.answer == "refuted" or verdict.code == "routes disagree", verdict.reason


def test_what_is_given_from_outside_is_refused():
    for verdict in fl.check(ALL, fl.Problem("W2 @ relu(W1 @ x)", "square")):
        assert verdict.code == "does not apply", verdict.reason
