"""T3: both routes to the flow along kinks, on its own instance and on a user's problem."""

import jax
import pytest

jax.config.update("jax_enable_x64", True)

import flowlab as fl


@pytest.mark.slow
@pytest.mark.parametrize("text", ["W2 @ relu(W1 @ x)", "W2 @ maximum(A @ x, B @ x)"])
def test_they_agree_and_tell_wrong_flows_apart(text):
    (verdict,) = fl.check(["T3"], fl.Problem(text, coordinates="weights"))
    assert verdict.answer == "holds"
    assert all(trial["refuted"] for trial in verdict.evidence["mutants"].values())


@pytest.mark.parametrize(
    ("text", "scheme", "reason"),
    [
        ("W2 @ W1 @ x", "gradient_flow", "no kinks"),
        ("W2 @ relu(W1 @ x)", "lagrange", "lagrange"),
        ("W2 @ relu(W1 @ x)**2", "gradient_flow", "no kinks"),
    ],
)
def test_where_it_does_not_apply_it_says_so(text, scheme, reason):
    (verdict,) = fl.check(["T3"], fl.Problem(text, scheme=scheme))
    assert verdict.answer == "undecided"
    assert reason in verdict.reason
