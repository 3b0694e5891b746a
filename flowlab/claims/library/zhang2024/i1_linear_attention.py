"""I1: linear attention learns in-context regression, on the exact population loss."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.dynamics.conditions import log_time
from flowlab.language.data import Data
from flowlab.language.network import Network
from flowlab.language.problem import Problem
from flowlab.language.state import State

D = 3
"""Features of a token."""
LENGTH = 4
"""Examples in a prompt: few, so that their number shows in the limit."""
SIZE = 0.2
"""σ of the start; the theorem asks for σ^2 sqrt(D) ‖Γ‖ < 2."""
LATE = 8.0
"""Log t of the end: the approach is exponential, at rates of order one."""


def covariance(seed: int) -> np.ndarray:
    """Λ of the tokens, (D, D), with eigenvalues between 0.5 and 1.5."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(D, D)))[0]
    return (basis * rng.uniform(0.5, 1.5, size=D)) @ basis.T


def spread(cov: np.ndarray, length: float) -> np.ndarray:
    """Γ = (1 + 1/M) Λ + tr(Λ)/M I, for prompts of M examples."""
    return (1.0 + 1.0 / length) * cov + np.trace(cov) / length * np.eye(D)


def root(matrix: np.ndarray, power: float) -> np.ndarray:
    """A power of a positive definite matrix."""
    values, basis = np.linalg.eigh(matrix)
    return (basis * values**power) @ basis.T


def population(cov: np.ndarray) -> Data:
    """Samples whose square loss is the population loss of the merged attention, up to a constant.

    With tasks w ~ N(0, I) and tokens ~ N(0, Λ) it is E (q·(w - u U h))²/2 with h = (1/M) Σ x_i x_i·w. So
    tr Λ(u²U E[hh'] U' - 2 u U E[hw'])/2 with E[hh'] = ΛΓ and E[hw'] = Λ: a polynomial of second degree in u U, which
    D² samples (q, h) = (Λ^{1/2} e_i, (ΛΓ)^{1/2} e_j) with fitting targets have as well.
    """
    second = root(cov @ spread(cov, LENGTH), 0.5)
    first = root(cov, 0.5)
    q, h = np.repeat(first, D, axis=0), np.tile(second, (D, 1))
    return Data(q=q, h=h, y=(first @ cov @ np.linalg.inv(second)).ravel(), kind="targets")


@claim("I1")
class InContext(Claim):
    """From the structured start linear attention reaches the closed-form limit of in-context regression."""

    title = "linear attention reaches the closed-form limit of in-context regression"
    statement = (
        "Gradient flow of one layer of linear attention with merged key and query, on the population square loss of "
        "in-context linear regression, starts at U = s T T', u = s with |T T'| = 1 and small s. It converges to u U = "
        "Gamma^-1 with |U| = |u|, where Gamma = (1 + 1/M) Lambda + tr(Lambda)/M I for prompts of M examples."
    )
    latex = (
        r"U_\infty = [\operatorname{tr}\Gamma^{-2}]^{-1/4}\,\Gamma^{-1}, \quad"
        r" u_\infty = [\operatorname{tr}\Gamma^{-2}]^{1/4}, \qquad"
        r" \Gamma = (1+\tfrac1M)\Lambda + \tfrac1M\operatorname{tr}(\Lambda) I"
    )
    source = "Zhang, Frei, Bartlett 2024, theorem 4.1 (number not checked); the instance is computed here"
    hypotheses = (own_instances,)
    stated = Variant(length=LENGTH, share=1.0)
    mutants = (
        stated.but("prompts of infinite length", length=1e12),
        stated.but("one example more", length=LENGTH + 1),
        stated.but("twice the share of u", share=2.0),
    )
    counter_example = "prompts of infinite length: the limit would be the inverse covariance"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        cov = covariance(case.seed)
        network = Network("u * einsum('i,ij,j->', q, U, h)", inputs=("q", "h"))
        factor = np.random.default_rng([case.seed, 1]).normal(size=(D, D))
        start = factor @ factor.T
        state = State.from_weights({"U": SIZE * start / np.linalg.norm(start), "u": np.asarray(SIZE)})
        problem = Problem(network, "square", coordinates="weights")
        path = integrated(case, "attention", problem, state, population(cov), log_time(LATE), rtol=1e-11, atol=1e-13)
        W = {name: np.asarray(v) for name, v in path.last.weights().items()}
        inverse = np.linalg.inv(spread(cov, variant.length))
        size = np.linalg.norm(inverse) ** 0.5 * variant.share
        return Measurement.of(
            [
                Quantity(
                    "distance of U from its limit",
                    float(np.linalg.norm(W["U"] - inverse / size)),
                    0.0,
                    1e-7,
                    relation="<=",
                ),
                Quantity("u at the end", float(W["u"]), float(size), 1e-7, route="gradient flow"),
            ],
            "the flow approaches its limit exponentially and is integrated to local errors of 1e-11",
            features=D,
            length=LENGTH,
            start=SIZE,
            log_t=LATE,
        )
