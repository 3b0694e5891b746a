"""N3: the flow beside the constrained minimisers."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.complexity2020.fixed_norm_minimiser import minimiser
from flowlab.claims.library.complexity2020.flows import instance, late
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.dynamics import norm_above
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.trajectory import Trajectory

NORMS = (8.0, 16.0, 32.0)


def _apart(path: Trajectory, data: Data, share: float = 1.0) -> tuple[float, float]:
    """R ‖v - V_R‖ at the last row, V_R taken at `share` of R, and R."""
    z = np.asarray(data.x) * np.asarray(data.y)[:, None]
    W = np.asarray(path.last.weights()["W1"]).ravel()
    R = float(np.linalg.norm(W))
    return R * float(np.linalg.norm(W / R - minimiser(z, share * R, W))), R


@claim("N3")
class HiddenRegularisation(Claim):
    """R ‖v(t) - V_R‖ tends to the part of the start off the samples for gradient flow, and to 0 for weight
    normalisation.
    """

    title = "the flow follows the constrained minimiser up to a term of order 1/R"
    statement = (
        "Take one layer on samples that are all support vectors, and R times the distance of the direction from the "
        "constrained minimiser at equal norm. Under gradient flow it tends to |P w(0)|, the start off the samples. "
        "Under weight normalisation it tends to 0, where that part falls like exp(-R^2/2)."
    )
    latex = r"R\,\lVert v(t) - V_{R(t)}\rVert \to \lVert P_\perp w(0)\rVert \;\text{(GF)}, \qquad \to 0 \;\text{(WN)}"
    source = "(1.12) of flowlab's derivations, after Poggio, Liao, Banburski 2020 on hidden complexity control"
    hypotheses = (own_instances,)
    stated = Variant(left=0.0, start=lambda _, off: off, share=1.0)
    mutants = (
        stated.but("weight normalisation keeps it too", left=1.0),
        stated.but("whole start instead of its part off the samples", start=lambda w, _: w),
        stated.but("minimiser at half the norm", share=0.5),
    )
    counter_example = "weight normalisation keeps it too: it has another law, exp(R^2/2)"
    quick = False

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data, start = instance(case)
        x = np.asarray(data.x)
        w0 = np.asarray(start.weights()["W1"]).ravel()
        off = float(np.linalg.norm(variant.start(w0, w0 - np.linalg.pinv(x) @ x @ w0)))
        path = late(case)
        far, R = _apart(path, data, variant.share)
        quantities = [
            Quantity(
                "R |v - V_R| of gradient flow",
                far,
                off,
                1e-3 * off,
                route="flow at log t = 1e6, Newton's method on the sphere",
            )
        ]
        before = np.inf
        for norm in NORMS:
            wn = integrated(
                case,
                f"N3 weight normalisation to R = {norm:g}",
                Problem("W1 @ x", scheme="weight_normalization"),
                start,
                data,
                norm_above(norm),
                max_steps=400_000,
            )
            near, at = _apart(wn, data)
            if np.isfinite(before):
                quantities.append(
                    Quantity(
                        f"R |v - V_R| of weight normalisation at R = {at:.3g} over that at half of it",
                        near / before,
                        0.7,
                        0.0,
                        relation="<=",
                    )
                )
            before = near
        quantities.append(
            Quantity("the last of them", before, variant.left * off, 0.05 * off, altered=0.0, route="flow")
        )
        return Measurement.of(
            quantities,
            "the constant lacks a few units of 1/R at log t = 1e6; weight normalisation halves what is left as R "
            "doubles",
            off=off,
            R=R,
        )
