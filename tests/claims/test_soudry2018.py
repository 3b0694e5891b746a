"""The pack of Soudry et al. (2018): every claim holds and refutes its wrong variants;
data outside the hypotheses decide nothing.
"""

import numpy as np

import flowlab as fl


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
    from flowlab.claims.library.soudry2018 import s2_multipliers

    honest = s2_multipliers.machine

    def wrong(data):
        w, support, alpha, bounded = honest(data)
        return w, support, alpha * (1 + 1e-5), bounded

    monkeypatch.setattr(s2_multipliers, "machine", wrong)
    (verdict,) = fl.check(["S2"])
    assert verdict.answer == "refuted", str(verdict)
