"""P16: the constrained Hessian of one layer is positive."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import hypothesis
from flowlab.claims.library.poggio2020.flows import LINEAR, NORM, critical_set, machine
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import separable
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.errors import FlowlabError

SIZES = ((4, 10), (15, 3))


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
        "On separable data the Riemannian Hessian of one linear layer at its constrained minimum has only positive "
        "eigenvalues. The least is at least R s, and equals it where there are more features than samples."
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
        quantities = []
        sets = [separable(n, d, case.seed + 10 * k) for k, (n, d) in enumerate(SIZES)]
        for data in sets if case.data is None else [*sets, case.data]:
            point = critical_set(case, variant.net, data, data.name, variant.widths, 4)[0]
            v = np.asarray(point.state.V["W1"])[:1].ravel()
            values, drift = _by_hand(np.asarray(data.x) * np.asarray(data.y)[:, None], v / np.linalg.norm(v), NORM)
            # Without + R s P all eigenvalues fall by R s.
            least = (point.eigenvalues[0] / drift - variant.left_out) / variant.over
            more = data.d > data.n
            quantities += [
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
            quantities,
            "eigenvalues of log L, in units of R s/L; the inequality is exact, so only roundings remain",
            norm=NORM,
        )


def _by_hand(z: np.ndarray, v: np.ndarray, R: float) -> tuple[np.ndarray, float]:
    """Eigenvalues of (1.11) of flowlab's derivations, over L, on the tangent space, and R s/L, at the direction v of
    one layer; z = y x, (N, d).
    """
    q = R * z @ v
    share = np.exp(q.min() - q)
    share /= share.sum()
    drift = float(share @ q)
    basis = np.linalg.svd(v[None])[2][1:].T
    return np.linalg.eigvalsh(basis.T @ (R**2 * (z.T * share) @ z) @ basis + drift * np.eye(len(v) - 1)), drift
