"""P16 and P17: the constrained Hessian, positive for one layer, with zero modes for more."""

from typing import Any

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import hypothesis
from flowlab.claims.library.poggio2020.flows import machine
from flowlab.claims.library.poggio2020.p18_not_minimum_norm import samples
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import separable
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.errors import FlowlabError

SIZES = ((4, 10), (15, 3))
NORM = 15.0
LINEAR, RELU = "W2 @ W1 @ x", "W2 @ relu(W1 @ x)"


def _points(
    case: Case, net: str, data: Any, name: str, widths: dict[str, int] | None, starts: int, norm: float = NORM
) -> Any:
    from flowlab.discrete.critical.critical_points import critical_points
    from flowlab.language.problem import Problem

    told = f"critical points of {net} {widths} on {name}"
    return case.once(
        told, lambda: critical_points(Problem(net), data, norm=norm, widths=widths, starts=starts, seed=case.seed)
    )


@hypothesis("`W1 @ x` under the exponential loss, separable samples")
def _separable_layer(case: Case) -> str | None:
    if case.problem is not None and case.problem.network.text != "W1 @ x":
        return f"it is about one linear layer, and the network is {case.problem.network.text}"
    if case.problem is not None and case.problem.loss.name != "exponential":
        return f"it is about the exponential loss, and the loss is {case.problem.loss.name}"
    if case.data is None:
        return None
    if case.data.kind != "binary":
        return "labels are not ±1"

    try:
        machine(case.data)
    except FlowlabError as error:
        return f"R s > 0 needs samples that can be separated ({error})"
    return None


@claim("P16")
class NoZeroModes(Claim):
    """For one layer the constrained Hessian at the minimum is at least R s, and exactly that across the samples."""

    title = "the constrained minimum of one layer is not degenerate"
    statement = (
        "On separable data the Riemannian Hessian of one linear layer at its constrained minimum has no zero mode: its least eigenvalue is at least R s, "
        "and equals it where there are more features than samples."
    )
    latex = r"\lambda_{\min}(H) \ge R s > 0, \qquad H = P\,R^2 \sum_n \ell''_n x_n x_n^\top P + R s\,P"
    source = "(1.11) of flowlab's derivations with K = 1, after Poggio, Banburski, Liao 2020 on non-degenerate minima"
    hypotheses = (_separable_layer,)
    stated = Variant(net="W1 @ x", widths=None, left_out=0.0, over=1.0)
    mutants = (
        stated.but("multiplier left out", left_out=1.0),
        stated.but("multiplier doubled", over=2.0),
        stated.but("two layers", net=LINEAR, widths={"W1": 2}),
    )
    counter_example = "two layers: with W2 W1 x of width 2 hidden rotations are a zero mode"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        told = []
        sets = [separable(n, d, case.seed + 10 * k) for k, (n, d) in enumerate(SIZES)]
        for data in sets if case.data is None else [*sets, case.data]:
            point = _points(case, variant.net, data, data.name, variant.widths, 4)[0]
            v = np.asarray(point.state.V["W1"])[:1].ravel()
            values, drift = _by_hand(np.asarray(data.x) * np.asarray(data.y)[:, None], v / np.linalg.norm(v), NORM)
            # Without + R s P all eigenvalues fall by R s.
            least = (point.eigenvalues[0] / drift - variant.left_out) / variant.over
            more = data.d > data.n
            told += [
                Quantity(
                    f"least eigenvalue over R s, {data.n} samples in {data.d} dimensions",
                    least,
                    1.0,
                    1e-9,
                    relation="=" if more else ">=",
                    route="critical_points at R = 15",
                    second=values[0] / drift,
                    second_route="(1.11) of flowlab's derivations by hand",
                ),
                Quantity(
                    f"zero modes, {data.n} samples in {data.d} dimensions",
                    point.nullity,
                    0.0,
                    0.5,
                    altered=0.0,
                    route="critical_points",
                ),
                Quantity(
                    f"R s/L, {data.n} samples in {data.d} dimensions", drift, 0.0, 0.0, relation=">=", altered=0.0
                ),
            ]
        return Measurement.of(
            told,
            "eigenvalues of log L, in units of R s/L; the inequality is exact, so only roundings remain",
            norm=NORM,
        )


def _by_hand(z: np.ndarray, v: np.ndarray, R: float) -> tuple[np.ndarray, float]:
    """Eigenvalues of (1.11) of flowlab's derivations, over L, on the tangent space, and R s/L, at the direction v of one layer; z = y x, (N, d)."""
    q = R * z @ v
    share = np.exp(q.min() - q)
    share /= share.sum()
    drift = float(share @ q)
    basis = np.linalg.svd(v[None])[2][1:].T
    return np.linalg.eigvalsh(basis.T @ (R**2 * (z.T * share) @ z) @ basis + drift * np.eye(len(v) - 1)), drift


@hypothesis("two layers, linear or ReLU, under the exponential loss, labels ±1")
def _two_layers(case: Case) -> str | None:
    if case.problem is not None and case.problem.network.text not in (LINEAR, RELU):
        return f"it is about two-layer networks, linear and ReLU, and the network is {case.problem.network.text}"
    if case.problem is not None and case.problem.loss.name != "exponential":
        return f"it is checked under the exponential loss, and the loss is {case.problem.loss.name}"
    return "labels are not ±1" if case.data is not None and case.data.kind != "binary" else None


@claim("P17")
class ZeroModes(Claim):
    """Minima of networks of two layers are not isolated: hidden rotations and units that split are zero modes of the Hessian."""

    title = "minima of more than one layer are not hyperbolic"
    statement = (
        "At fixed norms the minimum of a two-layer linear network of width h has exactly h - 1 zero modes, and a smooth minimum of a ReLU network "
        "that separates the samples as many as active units less their distinct directions."
    )
    latex = r"\dim\ker H = h - 1 \;\text{(linear)}, \qquad \dim\ker H = \#\text{active} - \#\text{directions} \;\text{(ReLU)}"
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
    decisive = "the number of zero modes: h - 1 for linear networks, 2 and 6 for ReLU networks of 4 and 8 units on two samples, instead of 0"
    quick = False

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data = case.data if case.data is not None else separable(8, 3, case.seed)
        told, bent, smooth = [], 0, 0
        for h in (1, 2, 3, 4):
            best = _points(case, LINEAR, data, data.name, {"W1": h}, 4)[0]
            told.append(
                _count(
                    f"zero modes of W2 W1 x, h = {h}", best.nullity, variant.modes(h - 1), best.explained, str(h - 1)
                )
            )
            if h > 1:
                told.append(
                    Quantity(
                        f"gap above them, h = {h}",
                        min(best.gap, 1e300),
                        1e4,
                        0.0,
                        relation=">=",
                        route="least other eigenvalue over the largest of them",
                    )
                )
        two = case.once("P18 samples", samples)
        for h, modes in ((4, 2), (8, 6)):
            points = _points(case, RELU, two, two.name, {"W1": h}, 12)
            full = [
                p
                for p in points
                if p.index == 0
                and not p.kinks
                and p.margin > 0
                and points.symmetries.directions(points.constrained.row(p.state)) == (h, 2)
            ]
            told.append(
                _count(
                    f"zero modes of W2 relu(W1 x) on two samples, h = {h}",
                    full[0].nullity if full else np.nan,
                    variant.on_two_samples(modes),
                    full[0].explained if full else None,
                    str(modes),
                )
            )
        points = _points(case, RELU, data, data.name, {"W1": 4}, 12)
        for p in points:
            active, distinct = points.symmetries.directions(points.constrained.row(p.state))
            bent += p.kinks > 0
            # Where no unit sees a sample the loss is flat in everything; that plateau separates nothing.
            if active == 4 and p.index == 0 and not p.kinks and p.margin > 0:
                told.append(
                    _count(
                        f"zero modes of W2 relu(W1 x), minimum {smooth}, {active} units, {distinct} directions",
                        p.nullity,
                        variant.modes(active - distinct),
                        p.explained,
                    )
                )
                smooth += 1
        return Measurement.of(
            told,
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
