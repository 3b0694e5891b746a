"""Every law of many random networks: none false, and none lost that is right."""

from fractions import Fraction

import corpus
import numpy as np
import pytest

import flowlab as fl
from flowlab.core.errors import FlowlabError
from flowlab.language.norm_groups import scaled
from flowlab.symbolic.certificate import random_state, reference
from flowlab.symbolic.conserved import Conserved

STEP = 1e-5
"""Way along the flow on either side: the square of it, times what a law bends, stays below the bound of 1e-6."""


def read(law: Conserved, rho: dict, V: dict, W: dict) -> np.ndarray:
    """The printed text of a law, worked out by its own small reader."""
    text = law.text
    part = text[len("diag(") : text.index(")", 5)] if text.startswith("diag(") else text
    factor = 1.0
    if text.startswith("("):
        inside, _, tail = text[1:].rpartition(") ")
        part = inside[len("diag(") : -1] if inside.startswith("diag(") else inside
        name = tail.removeprefix("exp(").removesuffix(")").removesuffix("^2").removeprefix("rho_")
        factor = np.exp(rho[name] ** 2) if tail.startswith("exp(") else rho[name] ** 2
    terms = [term(each, rho, V, W) for each in part.split(" - ")]
    value = factor * (terms[0] - terms[1])
    return np.diagonal(value) if "diag(" in text else value


def term(text: str, rho: dict, V: dict, W: dict) -> np.ndarray:
    """`q a/p`, of a norm, its logarithm, or a product with a transpose."""
    front, _, below = text.partition("/")
    words = front.split(" ")
    share = Fraction(int(words[0]) if words[0].isdigit() else 1, int(below or 1))
    words = words[1:] if words[0].isdigit() else words
    if words[0].startswith("rho_"):
        return float(share) * rho[words[0][4:].removesuffix("^2")] ** 2
    if words[0] == "log":
        return float(share) * np.log(rho[words[1][4:]])

    def matrix(word: str) -> np.ndarray:
        name = word.removesuffix("^T")
        value = np.atleast_2d(V[name[2:]] if name.startswith("V_") else W[name])
        # A vector is a column here.
        value = (
            value.T
            if name[-2:] and np.ndim((V if name.startswith("V_") else W)[name.removeprefix("V_")]) == 1
            else value
        )
        return value.T if word.endswith("^T") else value

    return float(share) * matrix(words[0]) @ matrix(words[1])


def rate_of(law: Conserved, problem: fl.Problem, seed: int) -> float:
    """The relative rate of a printed law along autodiff's rates, by a central difference."""
    state = random_state(problem, seed)
    rates = reference(problem, state)
    speed = max(float(np.linalg.norm(np.ravel(r))) for r in rates.values())
    if not speed:
        # All units are off here; another state says more.
        return rate_of(law, problem, seed + 1000)
    step = STEP / speed
    if problem.coordinates == "weights":
        W_rate = {w: rates["W", w] for w in problem.network.weights}
        sides = [({}, {}, {w: state.weights[w] + h * W_rate[w] for w in W_rate}) for h in (step, -step)]
    else:
        sides = []
        for h in (step, -step):
            rho = {k: state.rho[k] + h * rates["rho", k] for k in state.rho}
            V = {w: state.V[w] + h * rates["V", w] for w in state.V}
            sides.append((rho, V, scaled(rho, V, problem.per)))
    ahead, behind = (read(law, *side) for side in sides)
    return float(np.linalg.norm(ahead - behind)) / (2 * STEP) / max(1.0, float(np.linalg.norm(ahead)))


def problem_of(seed: int) -> fl.Problem:
    """A random network under a scheme that has laws."""
    rng = np.random.default_rng(seed)
    network = corpus.Grammar(20_000 + seed).network()
    coordinates = "weights" if seed % 4 == 0 else "polar"
    scheme = "gradient_flow" if coordinates == "weights" else str(rng.choice(corpus.SCHEMES[:5]))
    return fl.Problem(network, str(rng.choice(["logistic", "square"])), scheme, coordinates=coordinates)


def sweep(seeds: range) -> tuple[int, int]:
    """Networks looked at, and laws; raises where one is false or lost."""
    networks = laws = 0
    for seed in seeds:
        problem = problem_of(seed)
        found = fl.derive(problem, verify=False).matched
        try:
            kept = fl.derive(problem).matched
        except FlowlabError as error:
            pytest.fail(f"{problem!r}: {error}")
        # Shipped words are right about themselves: nothing that matching finds is lost.
        assert kept == found, (problem, [law.text for law in found], [law.text for law in kept])
        networks += 1
        for law in kept:
            assert rate_of(law, problem, 77 + seed) < 1e-6, (problem, law.text)
            laws += 1
    return networks, laws


def test_printed_laws_of_random_networks():
    networks, laws = sweep(range(1, 3))
    assert networks == 2
    assert laws


def test_the_reader_sees_a_false_law():
    from dataclasses import replace

    problem = fl.Problem("W2 @ abs(W1 @ x)**1.5", "square")
    law = fl.derive(problem, verify=False).matched[0]
    assert rate_of(law, problem, 3) < 1e-6
    assert rate_of(replace(law, text="rho_W1^2/3 - rho_W2^2"), problem, 3) > 1e-2


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_printed_laws_of_two_hundred_networks():
    networks, laws = sweep(range(200))
    assert networks == 200
    assert laws >= 200
