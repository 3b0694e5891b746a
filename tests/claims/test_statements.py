"""Forty statements that are true and forty that are not: of the former at least 95 % hold and none is refuted,
of the latter none holds.
"""

import pytest

import flowlab as fl
from tests.claims.statements import FALSE, TRUE

BRIEF = {
    "statements.closed-form",
    "statements.loss-mean",
    "statements.product",
    "statements.tangent-keeps",
    "statements.euler-with-bias",
    "P3",
    "E1.8",
}


def test_there_are_enough():
    assert len(TRUE) >= 40
    assert len(FALSE) >= 40


def answers(statements):
    return [
        (name, *((v.answer, str(v)) for v in fl.check([name], *evidence(), seed=17))) for name, evidence in statements
    ]


def test_some_by_default():
    for name, (answer, told) in answers([s for s in TRUE if s[0] in BRIEF][:8]):
        assert answer == "holds", (name, told)
    for name, (answer, told) in answers([s for s in FALSE if s[0] in BRIEF]):
        assert answer != "holds", (name, told)


@pytest.mark.slow
def test_true_ones_hold():
    found = answers(TRUE)
    assert not [told for _, (answer, told) in found if answer == "refuted"]
    held = sum(answer == "holds" for _, (answer, _) in found)
    assert held >= 0.95 * len(found), [told for _, (answer, told) in found if answer != "holds"]


@pytest.mark.slow
def test_no_false_one_holds():
    assert not [told for _, (answer, told) in answers(FALSE) if answer == "holds"]
