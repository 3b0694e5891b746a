"""B10: the step that the convergence theorem allows, and the one that descent bears."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.brechet2023.flows import (
    LAYERS,
    SPECTRUM,
    built_path,
    built_start,
    constants,
    data,
    flow,
    problem,
)
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.discrete import descend
from flowlab.discrete.descent.sharpness import sharpness
from flowlab.symbolic.balanced_start import balanced_state

_COUNT = 400


def allowed(L0: float) -> float:
    """The least of the three bounds, with M = sqrt(C_0)."""
    _, c, size = constants(L0)
    N, M = LAYERS, np.sqrt(size)
    middle = 2.0 ** (N + 1) * c ** (-2.0 * N) * N**2 * M ** ((4 * N - 3) / N) * np.sqrt(SPECTRUM[0])
    middle += 8 * N * (N - 1) * M ** ((3 * N - 4) / N) * (M ** (1 / N) + SPECTRUM.sum())
    first = c**2 / (8 * M * np.sqrt(L0))
    second = N * c ** (2 * (N - 1) / N) / (2 * middle)
    third = 1 / (4 * N * c ** (2 * (N - 1) / N))
    return float(min(first, second, third))


@claim("B10")
class AllowedStep(Claim):
    """Below the bound on the step descent falls; it bears steps thousands of times as long."""

    title = "the step of gradient descent under the Bures-Wasserstein loss"
    statement = (
        "Gradient descent with a step of at most min(eta_1, eta_2, eta_3) of the theorem lets the loss fall in every "
        "step. Descent is stable near the minimum up to 2 over its largest curvature, more than 1000 times that bound."
    )
    latex = r"\eta \le \min(\eta_1, \eta_2, \eta_3) \ll 2/\lambda_{\max}(\nabla^2 L)"
    source = "Bréchet et al. 2023 (constants as in the authors' code)"
    hypotheses = (own_instances,)
    stated = Variant(step=lambda bound, _: bound, stable=0.98, ratio=(1000.0, ">="))
    mutants = (
        stated.but(USUAL, ratio=(2.0, "<=")),
        stated.but("any step", step=lambda _, edge: 1.5 * edge),
        stated.but("stable up to three over the curvature", stable=1.5),
    )
    counter_example = "any step: beyond 2 over the curvature the loss rises"
    usual = "The bound is the step that descent bears."
    decisive = "the longest stable step over the bound"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        run, prob, told = flow(case), problem(LAYERS), data(case)
        bound = allowed(float(run["loss"][0]))
        start = balanced_state(prob, product=built_start(case), seed=case.seed)
        edge = case.once("edge", lambda: 2.0 / float(sharpness(built_path(case), rows=2)["eigenvalue"].values[-1, 0]))
        walk = descend(prob, start, told, step=variant.step(bound, edge), count=_COUNT)
        rises = np.diff(walk.dataset["objective"].values)
        near = descend(
            prob, balanced_state(prob, product=1.001 * run["W"][-1]), told, step=variant.stable * edge, count=_COUNT
        )
        values = near.dataset["objective"].values
        least, relation = variant.ratio
        return Measurement.of(
            [
                Quantity(
                    "largest rise of the loss in a step at the bound", float(rises.max()), 0.0, 0.0, relation="<="
                ),
                Quantity(
                    "loss below the edge, at the end over the start",
                    float(values[-1] / values[0]),
                    0.1,
                    0.0,
                    relation="<=",
                    altered=0.0,
                ),
                Quantity("longest stable step over the bound", edge / bound, least, 0.0, relation=relation),
            ],
            "a rise is any rise above roundings of the loss; the edge is 2 over the largest eigenvalue of the Hessian",
            bound=bound,
            edge=edge,
        )
