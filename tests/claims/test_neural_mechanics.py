"""Laws of finite steps: every claim of the pack holds and refutes its wrong variants."""

import pytest

import flowlab as fl
from flowlab.claims import claims, load_library

load_library()
ALL = ("K1", "K2", "K3", "K4", "K5", "K6", "K7")


@pytest.mark.parametrize("name", ["K2", "K3", "K4", "K6", "K7"])
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


def test_a_gradient_that_is_not_orthogonal_is_refuted(monkeypatch):
    """Steps with a part along the weights must not pass the laws of a scale-invariant layer."""
    from flowlab.claims.library.neural_mechanics import invariant

    honest = invariant.slope
    monkeypatch.setattr(invariant, "slope", lambda x, y, theta: honest(x, y, theta) + 0.01 * theta)
    for verdict in fl.check(["K2", "K7"]):
        assert verdict.answer == "refuted" or verdict.code == "routes disagree", verdict.reason


def test_what_is_given_from_outside_is_refused():
    for verdict in fl.check(ALL, fl.Problem("W2 @ relu(W1 @ x)", "square")):
        assert verdict.code == "does not apply", verdict.reason
