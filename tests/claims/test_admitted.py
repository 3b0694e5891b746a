"""Which problems theorems cover, read off their hypotheses by hand, and whether the claims take them: 20 claims on 14
problems of no claim's own.

The table was written from the statements, not from the code. A claim that takes a problem answers on it; what it
answers is up to the numbers.
"""

import pytest

import flowlab as fl
from flowlab.claims import claims
from flowlab.claims.case import case_of

PROBLEMS = {
    "leaky": fl.Problem("v @ leaky_relu(U @ x, 0.2)", "exponential"),
    "squared": fl.Problem("v @ relu(U @ x)**2", "logistic"),
    "three": fl.Problem("C @ B @ A @ x", "logistic"),
    "four": fl.Problem("D @ C @ B @ A @ x", "exponential"),
    "classes": fl.Problem("V @ leaky_relu(U @ x, 0.1)", "cross_entropy"),
    "bias": fl.Problem("v @ relu(U @ x + b)", "exponential"),
    "biases": fl.Problem("v @ relu(U @ x + b) + c", "logistic"),
    "abs": fl.Problem("v @ abs(U @ x)", "logistic"),
    "square": fl.Problem("v @ U @ x", "square"),
    "decay": fl.Problem("v @ relu(U @ x)", "exponential", decay=0.05),
    "normalised": fl.Problem("v @ leaky_relu(U @ x, 0.3)", "exponential", "weight_normalization"),
    "shared": fl.Problem("v @ W @ W @ x", "exponential"),
    "mean": fl.Problem("w @ x", "exponential", reduction="mean"),
    "tanh": fl.Problem("v @ tanh(U @ x)", "logistic"),
}

ALONE = {"bias": "U and b scale together only", "biases": "no scaling", "tanh": "no scaling"}
"""Why blocks do not scale one by one. (A bias of the first layer and its matrix scale together,
so that all weights do.)
"""
SINGLE = ALONE | {
    "decay": "decay shrinks norms at rates of their own",
    "mean": "one block, and it is about differences between blocks",
}
LATE = {
    "biases": "not homogeneous",
    "tanh": "not homogeneous",
    "square": "no tail",
    "decay": "norms stay finite",
    "normalised": "not gradient flow",
}
LAYER = dict.fromkeys(set(PROBLEMS) - {"mean"}, "not a single linear layer under the exponential loss")
EXCLUDED = {
    "P1": ALONE,
    "P2": ALONE,
    "P3": ALONE,
    "P5": ALONE,
    "P4": SINGLE,
    "E1.8": SINGLE,
    "P20": SINGLE,
    "P7": (
        ALONE
        | {
            "decay": "decay moves norms",
            "classes": "binary losses",
            "square": "the sign of s is that of margins under losses with a tail only",
        }
    ),
    "P14": (
        ALONE
        | {
            "decay": "decay moves norms",
            **dict.fromkeys(("squared", "three", "classes", "abs", "square"), "it is stated for the exponential loss"),
        }
    ),
    "D1": SINGLE | {"normalised": "not gradient flow"},
    "L1": LATE,
    "L2": LATE,
    "L3": LATE,
    "L4": LATE,
    "L5": LATE,
    "L9": LATE | {"bias": "blocks do not scale one by one"},
    "P8": LAYER,
    "S1": LAYER,
    "S2": LAYER,
    "T3": {
        "squared": "no kink",
        "three": "linear",
        "four": "linear",
        "square": "linear",
        "normalised": "not gradient flow",
        "shared": "linear",
        "mean": "linear",
        "tanh": "smooth",
    },
}
"""Claim: the problems its hypotheses exclude, each with the reason; all others are admitted."""
ADMITTED = [(name, key) for name, why in EXCLUDED.items() for key in PROBLEMS if key not in why]


def taken(name, key):
    """Why a claim does not apply to a problem, or None."""
    return claims[name]().unmet(case_of([PROBLEMS[key]], 0))


def test_the_table_is_whole():
    assert len(EXCLUDED) == 20
    assert len(PROBLEMS) == 14
    assert len(ADMITTED) > 150


@pytest.mark.parametrize("name", EXCLUDED)
def test_claims_take_what_their_theorem_admits_and_nothing_else(name):
    for key in PROBLEMS:
        reason = taken(name, key)
        assert (reason is not None) == (key in EXCLUDED[name]), f"{name} on {key}: {reason}"


@pytest.mark.slow
@pytest.mark.parametrize("key", PROBLEMS)
def test_what_is_taken_is_answered_and_not_refuted(key):
    for name in (name for name, one in ADMITTED if one == key):
        (verdict,) = fl.check([name], PROBLEMS[key])
        assert verdict.code not in ("does not apply", "not tested"), str(verdict)
        assert verdict.answer != "refuted", str(verdict)
