"""Q3 and Q4: expected coarse gradients in closed form."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.yin2019 import quadrature
from flowlab.claims.library.yin2019.flows import coarse_identity, coarse_relu, target
from flowlab.claims.library.yin2019.population import draws, model
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

M, N, COUNT = 4, 6, 40
ROUNDINGS = 1e-14
"""Of coarse gradients, relative to 1 and their size: some tens of roundings."""
FIELDS = {"relu": coarse_relu, "identity": coarse_identity}


def _against(case: Case, own: str, other: str, factor: float) -> Measurement:
    """The derived field with a surrogate against a closed form and quadrature by the definition."""
    vs, ws = target(case.seed, M, N, 0.7)
    v, w = draws(case.seed + 3, COUNT, M, N)
    found = case.once(f"coarse field of the {own}", lambda: model(own, M, N).gradient(v, w, vs, ws)[1])
    direct = case.once(
        f"{own} by quadrature",
        lambda: [quadrature.coarse(_SLOPES[own], a, b, vs, ws) for a, b in zip(v, w, strict=True)],
    )
    residual = case.once(f"residual of the {own}", lambda: model(own, M, N).flow.residual)
    closed = factor * FIELDS[other](v, w, vs, ws)
    size = 1 + np.abs(found)
    return Measurement.of(
        [
            Quantity(
                "worst gap of field and closed form",
                np.max(np.abs(found - closed) / size),
                0.0,
                ROUNDINGS,
                relation="<=",
            ),
            Quantity(
                "worst gap of field and quadrature",
                np.max(np.abs(found - direct) / size),
                0.0,
                ROUNDINGS,
                relation="<=",
            ),
            Quantity("residual of the certificate", float(residual or np.nan), 0.0, 1e-12, relation="<="),
        ],
        f"{COUNT} random weights; the field is the slope of closed means in the surrogate's arguments (Stein)",
    )


_SLOPES = {"relu": "step", "identity": "one"}
"""The slope of each surrogate, as quadrature knows it."""


@claim("Q3")
class CoarseRelu(Claim):
    """The expected coarse gradient behind the slope of a ReLU."""

    title = "the expected coarse gradient of the ReLU"
    statement = (
        "With u = w/|w| and h = |v|^2 + (1 v)^2 - (1 v)(1 v*) + v v*, E g = h u/(2 sqrt(2 pi)) - (v v*)(u + w*)/(2 "
        "sqrt(2 pi)), which needs no division where w and w* are opposite."
    )
    latex = r"\mathrm E\,g = \frac{h\,u - (v^\top v^*)(u + w^*)}{2\sqrt{2\pi}}"
    source = "Yin et al. 2019, lemma 5 (number not checked), with cos(theta/2) put into the sum of unit vectors"
    hypotheses = (own_instances,)
    stated = Variant(slope="relu", factor=1.0)
    mutants = (
        stated.but("the identity's", slope="identity"),
        stated.but("half of it", factor=0.5),
        stated.but("the other sign", factor=-1.0),
    )
    counter_example = "the identity's: the same only where v and v* are zero"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        return _against(case, "relu", variant.slope, variant.factor)


@claim("Q4")
class CoarseIdentity(Claim):
    """The expected coarse gradient behind slope one."""

    title = "the expected coarse gradient of the identity"
    statement = "With u = w/|w|, E g = (|v|^2 u - (v v*) w*)/sqrt(2 pi)."
    latex = r"\mathrm E\,g = \frac{\lVert v\rVert^2 u - (v^\top v^*)\,w^*}{\sqrt{2\pi}}"
    source = "Yin et al. 2019, lemma 9 (number not checked)"
    hypotheses = (own_instances,)
    stated = Variant(slope="identity", factor=1.0)
    mutants = (
        stated.but("the ReLU's", slope="relu"),
        stated.but("half of it", factor=0.5),
        stated.but("the other sign", factor=-1.0),
    )
    counter_example = "the ReLU's: the same only where v and v* are zero"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        return _against(case, "identity", variant.slope, variant.factor)
