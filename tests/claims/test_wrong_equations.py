"""Equations that were made wrong on purpose and given to `check` are never said to hold."""

import itertools

import pytest

import flowlab as fl
from flowlab.symbolic.derive import derive

NETS = (
    "W1 @ x",
    "W2 @ relu(W1 @ x)",
    "W3 @ W2 @ W1 @ x",
    "a @ relu(W @ x)**2",
    "W2 @ leaky_relu(W1 @ x, 0.2)",
    "W2 @ abs(W1 @ x)",
)
LOSSES = ("exponential", "logistic", "square")
SCHEMES = ("gradient_flow", "lagrange", "weight_normalization", "exponential_weight_normalization", "tangent")


def wrong(net, loss, scheme):
    return fl.mutants(derive(fl.Problem(net, loss=loss, scheme=scheme), verify=False))


def never_holds(made):
    refuted = 0
    for mutant in made:
        (verdict,) = fl.check(["P2"], mutant.flow)
        assert verdict.answer != "holds", (mutant.kind, mutant.block, str(mutant.flow.problem))
        refuted += verdict.answer == "refuted"
    return refuted


@pytest.mark.parametrize(
    ("net", "loss", "scheme"),
    [("W2 @ relu(W1 @ x)", "exponential", "gradient_flow"), ("a @ relu(W @ x)**2", "square", "lagrange")],
)
def test_some_wrong_equations(net, loss, scheme):
    flow = derive(fl.Problem(net, loss=loss, scheme=scheme), verify=False)
    made = fl.mutants(flow)
    assert never_holds(made) == len(made)
    # Control: the same equations as they were derived hold.
    (verdict,) = fl.check(["P2"], flow)
    assert verdict.answer == "holds", verdict.reason
    assert verdict.evidence["given"]


@pytest.mark.slow
def test_three_hundred_wrong_equations():
    # Every fourth combination: all networks, losses and schemes occur.
    combinations = list(itertools.product(NETS, LOSSES, SCHEMES))[::4]
    assert all(any(word in c for c in combinations) for word in (*NETS, *LOSSES, *SCHEMES))
    made = [m for case in combinations for m in wrong(*case)]
    assert len(made) >= 300
    chosen = [made[i * len(made) // 300] for i in range(300)]
    assert len(chosen) == 300
    assert never_holds(chosen) == 300
