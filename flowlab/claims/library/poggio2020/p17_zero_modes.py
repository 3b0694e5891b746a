"""P17: the constrained Hessian of more layers has zero modes."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import hypothesis
from flowlab.claims.library.poggio2020.flows import LINEAR, RELU, critical_set, two_samples
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import separable
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@hypothesis("two layers, linear or ReLU, under the exponential loss, labels ±1")
def _two_layers(case: Case) -> str | None:
    if case.problem is not None and case.problem.network.text not in (LINEAR, RELU):
        return f"it is about two-layer networks, linear and ReLU, and the network is {case.problem.network.text}"
    if case.problem is not None and case.problem.loss.name != "exponential":
        return f"it is checked under the exponential loss, and the loss is {case.problem.loss.name}"
    return "labels are not ±1" if case.data is not None and case.data.kind != "binary" else None


@claim("P17")
class ZeroModes(Claim):
    """Minima of networks of two layers are not isolated: hidden rotations and units that split are zero modes of the
    Hessian.
    """

    title = "minima of more than one layer are not hyperbolic"
    statement = (
        "At fixed norms the minimum of a two-layer linear network of width h has exactly h - 1 zero modes. A smooth "
        "minimum of a ReLU network that separates the samples has as many as active units less their distinct "
        "directions."
    )
    latex = (
        r"\dim\ker H = h - 1 \;\text{(linear)}, \qquad \dim\ker H = \#\text{active} - \#\text{directions} "
        r"\;\text{(ReLU)}"
    )
    source = "against `hyperbolic minima' in Poggio, Banburski, Liao 2020"
    hypotheses = (_two_layers,)
    stated = Variant(modes=float, on_two_samples=float)
    mutants = (
        stated.but(USUAL, modes=lambda _: 0.0, on_two_samples=lambda _: 0.0),
        stated.but(
            "one zero mode for every hidden unit",
            modes=lambda count: count + 1.0,
            on_two_samples=lambda count: count + 1.0,
        ),
        stated.but("as many as directions", on_two_samples=lambda _: 2.0),
    )
    counter_example = "as usually stated: isolated, hyperbolic minima would have no zero mode"
    usual = "Minima of the constrained problem are isolated and hyperbolic."
    decisive = (
        "the number of zero modes: h - 1 for linear networks, 2 and 6 for ReLU networks of 4 and 8 units on two "
        "samples, instead of 0"
    )
    quick = False

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data = case.data if case.data is not None else separable(8, 3, case.seed)
        quantities, bent, smooth = [], 0, 0
        for h in (1, 2, 3, 4):
            best = critical_set(case, LINEAR, data, data.name, {"W1": h}, 4)[0]
            quantities.append(
                _count(
                    f"zero modes of W2 W1 x, h = {h}", best.nullity, variant.modes(h - 1), best.explained, str(h - 1)
                )
            )
            if h > 1:
                quantities.append(
                    Quantity(
                        f"gap above them, h = {h}",
                        min(best.gap, 1e300),
                        1e4,
                        0.0,
                        relation=">=",
                        route="least other eigenvalue over the largest of them",
                    )
                )
        two = case.once("P18 samples", two_samples)
        for h, modes in ((4, 2), (8, 6)):
            points = critical_set(case, RELU, two, two.name, {"W1": h}, 12)
            full = [
                p
                for p in points
                if p.index == 0
                and not p.kinks
                and p.margin > 0
                and points.symmetries.directions(points.constrained.row(p.state)) == (h, 2)
            ]
            quantities.append(
                _count(
                    f"zero modes of W2 relu(W1 x) on two samples, h = {h}",
                    full[0].nullity if full else np.nan,
                    variant.on_two_samples(modes),
                    full[0].explained if full else None,
                    str(modes),
                )
            )
        points = critical_set(case, RELU, data, data.name, {"W1": 4}, 12)
        for p in points:
            active, distinct = points.symmetries.directions(points.constrained.row(p.state))
            bent += p.kinks > 0
            # Where no unit sees a sample the loss is flat in everything; that plateau separates nothing.
            if active == 4 and p.index == 0 and not p.kinks and p.margin > 0:
                quantities.append(
                    _count(
                        f"zero modes of W2 relu(W1 x), minimum {smooth}, {active} units, {distinct} directions",
                        p.nullity,
                        variant.modes(active - distinct),
                        p.explained,
                    )
                )
                smooth += 1
        return Measurement.of(
            quantities,
            "counts; zero are eigenvalues below 1e-7 of the largest, and a gap of four decades must lie above them",
            smooth_minima=smooth,
            on_kinks=bent,
        )


def _count(name: str, found: float, wanted: float, explained: float | None, printed: str = "") -> Quantity:
    # A count is right or wrong: a change by 1 % has no meaning.
    return Quantity(
        name,
        found,
        wanted,
        0.5,
        altered=0.0,
        route="critical_points",
        second=explained,
        second_route="directions of symmetries",
        printed=printed,
    )
