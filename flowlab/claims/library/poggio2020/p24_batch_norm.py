"""P24: a layer followed by batch normalisation is scale invariant, and is not the Lagrange flow."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.poggio2020.batch_norm_net import COUNT, STEP, TIME, by_descent, flow
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("P24")
class BatchNorm(Claim):
    """Under batch normalisation |W| is kept by the flow and grows by η²|g|² per step; directions move at a speed of
    1/|W|².
    """

    title = "batch normalisation keeps the norms of weights, not of layers"
    statement = (
        "A layer before batch normalisation over the full batch without epsilon is scale invariant row by row. "
        "Gradient flow keeps the norm of every row, and a step of descent adds exactly eta^2 |g|^2 to its square. "
        "Directions move at a speed proportional to 1/|W|^2."
    )
    latex = (
        r"\langle w_j, \partial_{w_j} L\rangle = 0, \qquad "
        r"\Delta\lVert W\rVert^2 = \eta^2 \lVert g\rVert^2, \qquad \lVert\dot{\hat w}\rVert \propto \lVert w\rVert^{-2}"
    )
    source = (
        "Banburski et al. 2019 (Theory III) on batch normalisation as constrained optimisation; Ioffe and Szegedy 2015"
    )
    hypotheses = (own_instances,)
    stated = Variant(whole=True, change=lambda squares, _: squares, power=2.0)
    mutants = (
        stated.but("no division by the deviation", whole=False),
        stated.but("eta instead of eta^2", change=lambda _, first: first),
        stated.but("speed of the first power", power=1.0),
    )
    counter_example = "no division by the deviation: centring alone is not scale invariant"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        whole = variant.whole
        one, two = (case.once(f"P24 flow {whole} {c}", lambda c=c: flow(case.seed, whole, c)) for c in (1.0, 2.0))
        change, squares, first = case.once(f"P24 descent {whole}", lambda: by_descent(case.seed, whole))
        wanted = variant.change(squares, first)
        return Measurement.of(
            [
                Quantity(
                    "largest relative drift of a row's |w|^2",
                    float(np.abs(two["ends"] / two["rows"] - 1.0).max()),
                    0.0,
                    1e-9,
                    route="DOP853 at rtol 1e-12",
                ),
                Quantity("largest |<w, grad>|", max(one["along"], two["along"]), 0.0, 1e-11, route="autodiff"),
                Quantity(
                    "change of |W|^2 by descent",
                    change,
                    wanted,
                    1e-11 * max(squares, 1.0),
                    route="40 steps of gradient descent",
                ),
                Quantity(
                    "exponent of the directions' speed in |W|",
                    float(np.log2(one["speed"] / two["speed"])),
                    variant.power,
                    1e-10,
                    route="speeds at |W| and 2|W|",
                ),
                Quantity(
                    "change of a gain by the flow",
                    float(one["gains"]),
                    1e-3,
                    0.0,
                    relation=">=",
                    route="DOP853 at rtol 1e-12",
                ),
            ],
            "identities, so that roundings and the solver's tolerance remain; the gains move, so that scale is kept "
            "per channel and not per layer",
            steps=COUNT,
            step=STEP,
            time=TIME,
        )
