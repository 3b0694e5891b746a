"""B12: the rank of the start is the rank of the limit."""

import numpy as np
from scipy.linalg import expm

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.brechet2023.flows import SPECTRUM, TAU, basis, data, power, problem, target, whole
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.dynamics import time
from flowlab.symbolic.balanced_start import balanced_state

RANK = 2
CASES = ((1, TAU, 4.5), (2, TAU, 12.0), (1, 0.0, 12.0))
"""Layers, noise and time. A single layer with noise blows roundings up by exp(2.5 t), so that its time is short."""


def completed(W: np.ndarray, root: np.ndarray) -> np.ndarray:
    """The gradient without noise whose polar factor has all singular vectors, those of the value zero too."""
    u, _, vt = np.linalg.svd(root @ W)
    return 2 * (W - root @ u @ vt)


@claim("B12")
class Rank(Claim):
    """Balanced flows and flows of one layer keep the rank, and stop at the best of that rank."""

    title = "the rank of a flow under the Bures-Wasserstein loss"
    statement = (
        "One layer keeps its rank and row space, with noise and without, where the polar factor is compact; so do "
        "balanced layers. A start of rank r ends at the loss of the r largest eigenvalues, sum_(i > r) (sqrt(lambda_i) "
        "- sqrt(tau))^2. A polar factor that is completed to all singular vectors raises the rank."
    )
    latex = (
        r"\operatorname{rank} W(t) = \operatorname{rank} W(0), \qquad "
        r"L \to \sum_{i > r} (\sqrt{\lambda_i} - \sqrt\tau)^2"
    )
    source = "derived here; the authors' code completes the singular value decomposition at tau = 0"
    hypotheses = (own_instances,)
    stated = Variant(left=lambda tau: float(((np.sqrt(SPECTRUM[RANK:]) - np.sqrt(tau)) ** 2).sum()), kept=True)
    mutants = (
        stated.but(USUAL, kept=False),
        stated.but("the flow finds the global minimum", left=lambda _: 0.0),
        stated.but("one eigenvalue more is found", left=lambda tau: float((np.sqrt(SPECTRUM[-1]) - np.sqrt(tau)) ** 2)),
    )
    counter_example = "the flow finds the global minimum: from a start of full rank"
    usual = "At rank loss any polar factor will do."
    decisive = "the third singular value after one step with a completed polar factor"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        rng = np.random.default_rng([case.seed, 12])
        skew, right = rng.normal(size=(4, 4)), np.linalg.qr(rng.normal(size=(4, 4)))[0]
        left = expm(0.02 * (skew - skew.T)) @ basis(case)[:, :RANK]
        W0 = (left * np.array([2.0, 1.9])) @ right[:, :RANK].T
        quantities = []
        for depth, tau, end in CASES:
            prob = problem(depth, tau)
            start = balanced_state(prob, product=W0)
            name = f"rank {depth} {tau}"
            path = integrated(case, name, prob, start, data(case), time(end), rtol=1e-11, atol=1e-14)
            third = max(
                float(np.linalg.svd(whole(path.state(i).weights()), compute_uv=False)[RANK])
                for i in np.linspace(0, len(path) - 1, 6).astype(int)
            )
            told = f"{depth} layer{'s' if depth > 1 else ''}, tau = {tau:g}"
            goal = variant.left(tau)
            last = float(path.dataset["objective"].values[-1])
            quantities += [
                Quantity(f"third singular value, {told}", third, 0.0, 1e-10, relation="<="),
                Quantity(f"loss at the end, {told}", last, goal, 1e-5, route="flow"),
            ]
        root = power(target(case), 0.5)
        stepped = W0 - 1e-2 * completed(W0, root)
        raised = float(np.linalg.svd(stepped, compute_uv=False)[RANK])
        quantities.append(
            Quantity("third singular value after a step of the completed factor", raised, 1e-3, 0.0, relation=">=")
            if variant.kept
            else Quantity(
                "third singular value after a step of the completed factor", raised, 0.0, 1e-10, relation="<="
            )
        )
        return Measurement.of(
            quantities,
            "flows are integrated to 1e-11, from starts that are turned by some hundredths out of the eigenvectors",
        )
