"""A2: how singular values of the product of balanced layers move."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.arora2018.flows import (
    ANY_TARGETS,
    LAYERS,
    balanced_flow,
    end_to_end,
    gradient,
    product,
    rows,
)
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.autodiff import velocity


@claim("A2")
class SingularValueFlow(Claim):
    """Singular values of the product move along their own singular vectors, at a rate that grows with their size."""

    title = "singular values of the product of balanced layers"
    statement = (
        "From a balanced start the singular values of the product obey d sigma_r/dt = -N (sigma_r^2)^(1-1/N) <G, u_r "
        "v_r^T>."
    )
    latex = r"\dot\sigma_r = -N (\sigma_r^2)^{1-1/N} \langle G, u_r v_r^\top\rangle"
    source = "Arora, Cohen, Hu, Luo 2019, theorem 3 (number not checked)"
    hypotheses = ANY_TARGETS
    stated = Variant(exponent=1 - 1 / LAYERS, factor=float(LAYERS))
    mutants = (
        stated.but("exponent 1 - 2/N", exponent=1 - 2 / LAYERS),
        stated.but("exponent of two layers", exponent=0.5),
        stated.but("factor one instead of N", factor=1.0),
    )
    counter_example = "exponent of two layers: right for N = 2, where the plateau has another shape"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        problem, path, data = balanced_flow(case)
        quantities = []
        for i in rows(path, 3):
            weights = {k: np.asarray(w) for k, w in path.state(i).weights().items()}
            moved = {k: np.asarray(v) for k, v in velocity(problem, weights, data).items()}
            W = product(weights)
            u, s, vt = np.linalg.svd(W, full_matrices=False)
            rate = sum((product(weights | {k: moved[k]}) for k in weights), np.zeros_like(W))
            G = gradient(W, data)
            again = end_to_end(W, G)
            for r in range(len(s)):
                expected = -variant.factor * (s[r] ** 2) ** variant.exponent * float(u[:, r] @ G @ vt[r])
                size = float(np.linalg.norm(G)) * LAYERS
                quantities.append(
                    Quantity(
                        f"d sigma_{r + 1}/dt at row {i} over N|G|",
                        float(u[:, r] @ rate @ vt[r]) / size,
                        expected / size,
                        1e-8,
                        route="autodiff of the layers",
                        second=float(u[:, r] @ again @ vt[r]) / size,
                        second_route="the end-to-end flow",
                        # A rate that happens to vanish has no percent.
                        altered=0.01 if abs(expected) > 1e-5 * size else 0.0,
                    )
                )
        return Measurement.of(
            quantities,
            "balancedness is kept to the tolerance 1e-11 of the flow, and powers of small singular values take the "
            "root of that",
        )
