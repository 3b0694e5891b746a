"""Zhou and Ge, Bréchet et al., Yin et al., Daskalakis and Panageas: every claim of the pack holds and refutes its wrong variants."""

import pytest

import flowlab as fl
from flowlab.claims import claims, load_library
from flowlab.claims.claim import USUAL

load_library()
ALL = ("Z2", "B8", "B9", "Q10", "Q11", "O5", "O6", "O9")


@pytest.mark.parametrize("name", ["B8", "B9", "Q11", "O5", "O6", "O9"])
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


@pytest.mark.parametrize("name", ["Z2", "B8", "B9", "Q10", "Q11", "O5", "O6", "O9"])
def test_each_corrects_a_statement(name):
    assert claims[name].usual.endswith(".")
    assert claims[name].decisive
    assert USUAL in claims[name].mutants


def test_a_wrong_gradient_is_refuted(monkeypatch):
    """A Bures-Wasserstein gradient 2 % too long must not pass B8: its minimum is approached at another rate than the flow's own."""
    from flowlab.claims.library.brechet2023 import b8_rate

    honest, calls = b8_rate.slowest, []
    monkeypatch.setattr(b8_rate, "slowest", lambda W, root: calls.append(1) or 1.02 * honest(W, root))
    (verdict,) = fl.check(["B8"])
    assert calls
    assert verdict.answer == "refuted" or verdict.code == "routes disagree", verdict.reason


def test_what_is_given_from_outside_is_refused():
    for verdict in fl.check(ALL, fl.Problem("W2 @ relu(W1 @ x)", "square")):
        assert verdict.code == "does not apply", verdict.reason
