"""Wrong equations of games, geometries, covariances and coarse gradients: every one that differs is refuted."""

from dataclasses import replace

import numpy as np
import pytest

import flowlab as fl
from flowlab.language.geometries import geometries
from flowlab.symbolic.certificate import inputs_of, residuals
from flowlab.symbolic.states import random_state

GAME = {"constants": ("A",)}
BILINEAR, QUADRATIC = "p @ (A @ q)", "p @ (A @ q) + p @ p - q @ q"
COVARIANCE = "bures(W2 @ W1 @ (W2 @ W1).T + 0.3 * eye, S)"
SLOPES = ("relu", "identity", "sigmoid", "tanh")
LEAST = 200
"""Mutants in all."""


def games():
    """Bilinear and quadratic games in all pairs of geometries of vectors, with one player ascending or none."""
    words = [word for word in geometries.names() if not geometries[word].jumps and not geometries[word].square]
    for text in (BILINEAR, QUADRATIC):
        for word in words:
            for up in ((), ("p",), ("q",)):
                yield fl.Problem(
                    fl.Network(text, **GAME), "value", ascend=up, geometry={"p": word, "q": words[-1]}, rates={"p": 0.5}
                )


def others():
    """Flows of covariances, of matrices in their geometries, and with surrogate slopes."""
    for word in ("bures_wasserstein", "affine_invariant"):
        yield fl.Problem(fl.Network("sum((S - T)**2)", constants=("T",)), "value", geometry={"S": word})
    for loss in (COVARIANCE, COVARIANCE.replace("bures", "frobenius"), COVARIANCE.replace("bures", "kullback_leibler")):
        yield fl.Problem(fl.Network(loss, constants=("S",)), "value")
    for slope in SLOPES:
        yield fl.Problem(f"v @ coarse(step, {slope})(W @ x)", "square", coordinates="weights")
    yield fl.Problem("v @ tanh(W @ stop(tanh(U @ x)))", "square", coordinates="weights")


def wrong(flow):
    """Mutants of the equations, without the one that forgets a sample where there are none."""
    sampled = not flow.problem.loss.is_value
    return [each.flow for each in fl.mutants(flow) if sampled or each.kind != "dropped-sample"]


def in_place_of(flow, other):
    """The program of another problem, to be held against this one."""
    mutant = replace(flow, residual=None)
    vars(mutant)["program"] = other.program
    return mutant


def swapped(problem):
    """The same problem with another metric, another slope, another distance, or other players."""
    told = problem.describe()
    for w, word in told.get("geometry", {}).items():
        for instead in geometries.names():
            fits = geometries[instead].square == geometries[word].square and not geometries[instead].jumps
            if instead != word and fits:
                yield fl.Problem.from_description(told | {"geometry": told["geometry"] | {w: instead}})
        bare = {k: v for k, v in told["geometry"].items() if k != w}
        yield fl.Problem.from_description(told | {"geometry": bare})
    if "ascend" in told:
        yield fl.Problem.from_description({k: v for k, v in told.items() if k != "ascend"})
    elif problem.loss.is_value and len(problem.network.weights) > 1:
        yield fl.Problem.from_description(told | {"ascend": [problem.network.weights[0]]})
    text = told["network"]["expression"]
    pairs = [(a, b) for a in SLOPES for b in SLOPES if a != b] + [
        ("bures", "frobenius"),
        ("stop(tanh(U @ x))", "tanh(U @ x)"),
    ]
    for a, b in pairs:
        if a in text and "coarse(step, " + b not in text and (a not in SLOPES or "coarse" in text):
            yield fl.Problem.from_description(told | {"network": told["network"] | {"expression": text.replace(a, b)}})


def refuted(flow):
    """Whether the equations are told to be wrong, or cannot even be read at the states of their problem."""
    try:
        fl.certify(flow, states=1)
    except (fl.DerivationMismatch, KeyError):
        return True
    except fl.DerivationUnchecked:
        found = residuals(flow, random_state(flow.problem, 1))
        return found is None or max(found.values()) > 1e-11
    return False


def differs(flow, mutant):
    """Whether a mutant has other numbers than the equations: an orthant's chart has the rate of a simplex's."""
    given = inputs_of(flow.problem, random_state(flow.problem, 0))
    right, wrong = flow.program.evaluate(np, given), mutant.program.evaluate(np, given)
    return right.keys() != wrong.keys() or any(not np.allclose(right[k], wrong[k], rtol=1e-9) for k in right)


def unrefuted(problems):
    """How many mutants differ, and those of them that pass."""
    count, passed = 0, []
    for problem in problems:
        flow = fl.derive(problem, verify=False)
        assert not refuted(flow), problem
        made = wrong(flow) + [in_place_of(flow, fl.derive(other, verify=False)) for other in swapped(problem)]
        made = [mutant for mutant in made if differs(flow, mutant)]
        count += len(made)
        passed += [(problem, mutant.program) for mutant in made if not refuted(mutant)]
    return count, passed


@pytest.mark.usefixtures("eager")
def test_some_wrong_equations_of_every_kind_are_refuted():
    some = (*list(games())[2::7], *list(others())[::3])
    count, passed = unrefuted(some)
    assert passed == []
    assert count > 40


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_every_wrong_equation_is_refuted():
    count, passed = unrefuted((*games(), *others()))
    assert passed == []
    assert count >= LEAST


def test_the_control_sees_nothing_wrong_with_the_equations_themselves():
    flow = fl.derive(next(games()), verify=False)
    assert not refuted(in_place_of(flow, flow))
    assert np.isfinite(max(residuals(flow, random_state(flow.problem, 0)).values()))
