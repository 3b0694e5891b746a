"""P20: the exact one-step identity of gradient descent."""

import math

import numpy as np

from flowlab.claims.claim import Case, Claim, claim
from flowlab.claims.hypotheses import hypothesis, layered
from flowlab.claims.library.poggio2020.descent_walks import usable, walks_at_steps
from flowlab.claims.library.poggio2020.flows import order_of
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@hypothesis("two or more blocks without weight decay")
def _several_blocks(case: Case) -> str | None:
    if case.problem is not None and any(case.problem.decay.values()):
        return "weight decay adds its own change of the norms"
    if case.problem is not None and len(case.problem.network.weights) < 2:
        return "the network has one block only"
    return None


@claim("P20")
class DescentBalance(Claim):
    """Every step of gradient descent changes ρ_k² - ρ_j² by exactly η²(‖g_k‖² - ‖g_j‖²); in total by O(η)."""

    title = "equal growth under gradient descent: exact one-step identity"
    statement = (
        "A step of gradient descent changes rho_k^2/kappa_k - rho_j^2/kappa_j by exactly eta^2(|g_k|^2/kappa_k - "
        "|g_j|^2/kappa_j); over a fixed time the change is O(eta)."
    )
    latex = r"\Delta(\rho_k^2 - \rho_j^2) = \eta^2(\lVert g_k\rVert^2 - \lVert g_j\rVert^2)"
    source = "one step of descent in (1.8) of flowlab's derivations, after Poggio, Banburski, Liao 2020"
    hypotheses = (layered, _several_blocks)
    stated = Variant(factor=lambda _: 1.0, late=0, order=1.0)
    mutants = (
        stated.but("eta instead of eta^2", factor=lambda step: 1.0 / step),
        stated.but("1% off", factor=lambda _: 1.01),
        stated.but("gradients of the next step", late=1),
        stated.but("drift expected of order 2", order=2.0),
    )
    counter_example = "eta instead of eta^2: the change is second order in one step"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        walks = case.once("P20 walks", lambda: walks_at_steps(case))
        own = [] if not usable(case) else [(float(case.descent.provenance["settings"]["step"]), case.descent)]
        apart, drifts = [], []
        for step, walk in [*walks, *own]:
            degrees = np.array(
                [float(walk.problem.network.symmetry.degree(w) or 1) for w in walk.problem.network.weights]
            )
            blocks = list(walk.problem.network.weights)
            squares = walk.dataset["rho"].sel(block=blocks).values ** 2 / degrees
            lengths = walk.dataset["step_sq"].values / degrees
            change = np.diff(squares - squares[:, :1], axis=0)
            used = np.diff(lengths, axis=0)
            predicted = variant.factor(step) * (used - used[:, :1])
            change, predicted = change[: len(change) - variant.late], predicted[variant.late :]
            # Squares of norms are differenced: their roundings, not those of the small change, set the scale.
            noise = 1e-13 * float(squares.max())
            size = float(np.abs(predicted).max())
            apart.append(float(np.abs(change - predicted).max()) / (1e-10 * size + noise))
            drifts.append(float(np.abs((squares - squares[:, :1])[-1] - (squares - squares[:, :1])[0]).max()))
        # Where nothing drifts (features that are all zero) there is no order: nothing is decided.
        order, bar = order_of(drifts[1 : len(walks)])
        quantities = [
            Quantity(
                "error of the one-step identity, in tolerances",
                float(np.max(apart)),
                0.0,
                1.0,
                route="all rows of five descents",
            ),
            Quantity(
                "order of the drift in eta",
                order,
                variant.order,
                4e-3,
                error=0.0 if math.isnan(bar) else bar,
                route="four smaller steps, extrapolated",
            ),
        ]
        because = (
            "1e-10 of the change plus 1e-13 of the squares for the identity; "
            "local orders lack terms of order eta^2 after extrapolation"
        )
        return Measurement.of(
            quantities, because, network=walks[0][1].problem.network.text, steps=[s for s, _ in walks]
        )
