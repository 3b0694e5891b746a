"""The pack of Soudry et al. (2018): every claim holds and refutes its wrong variants; data outside the hypotheses decide nothing."""

import numpy as np
import pytest

import flowlab as fl
from flowlab.claims import claims, load_library

load_library()
ALL = ("S1", "S2", "S3", "S4", "S5")
SLOW = ("S5",)


def test_the_pack_is_complete():
    assert set(ALL) == {name for name in claims if claims[name].__module__.startswith("flowlab.claims.library.soudry2018")}


@pytest.mark.parametrize("name", ALL)
def test_contract(name):
    claim = claims[name]
    assert claim.statement.endswith(".")
    assert claim.title
    assert claim.latex
    assert claim.source
    assert len(claim.mutants) >= 3
    assert claim.counter_example


def holds(verdict):
    assert verdict.answer == "holds", str(verdict)
    assert set(verdict.evidence["mutants"]) >= set(claims[verdict.id].mutants)
    return True


def test_holds_and_refutes_its_mutants():
    """In one call, so that claims about one flow share it."""
    assert all(holds(v) for v in fl.check([n for n in ALL if n not in SLOW]))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_holds_on_other_seeds(seed):
    assert all(holds(v) for v in fl.check(ALL, seed=seed))


def test_data_that_nothing_separates_decide_nothing():
    data = fl.Data(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), np.array([1.0, 1.0, -1.0, -1.0]))
    for verdict in fl.check(["S1", "S2", "S3"], data):
        assert verdict.code == "does not apply", str(verdict)
        assert "separates" in verdict.reason


def test_one_support_vector_has_no_sharp_rate():
    data = fl.Data(np.array([[1.0, 0.5], [-2.0, -1.5], [3.0, 0.5]]), np.array([1.0, -1.0, 1.0]))
    (verdict,) = fl.check(["S3"], data)
    assert verdict.code == "does not apply"
    assert "support" in verdict.reason


def test_a_machine_with_wrong_multipliers_is_refuted(monkeypatch):
    """Control: multipliers off by a part in 10⁵ are told apart by S2."""
    from flowlab.claims.library.soudry2018 import s1_limits

    honest = s1_limits.machine

    def wrong(data):
        w, support, alpha, bounded = honest(data)
        return w, support, alpha * (1 + 1e-5), bounded

    monkeypatch.setattr(s1_limits, "machine", wrong)
    (verdict,) = fl.check(["S2"])
    assert verdict.answer == "refuted", str(verdict)
