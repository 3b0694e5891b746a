"""W1: the flow of a diagonal net minimises the hyperbolic entropy."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import about, hypothesis
from flowlab.claims.library.woodworth2020.flows import NET, entropy, entropy_limit, limit, off_rows, samples
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@hypothesis("independent samples with one real target each")
def _independent_samples(case: Case) -> str | None:
    if case.data is not None and (case.data.kind == "classes" or np.asarray(case.data.y).ndim > 1):
        return "it is about one real target per sample"
    if case.data is not None and np.linalg.matrix_rank(np.asarray(case.data.x)) < case.data.n:
        return "samples are not independent, so that some targets cannot be fitted"
    return None


@claim("W1")
class HyperbolicEntropy(Claim):
    """b = w^2 - u^2 from w = u = α: the limit minimises Q_α among all that fit."""

    title = "diagonal nets minimise the hyperbolic entropy"
    statement = (
        "The flow of b = w^2 - u^2 from w = u = alpha ends at the minimiser of Q_alpha over X b = y. There asinh(b/(2 "
        "alpha^2)) is in the row space of X."
    )
    latex = (
        r"b(\infty) = \arg\min_{Xb=y} \alpha^2\sum_i q(b_i/\alpha^2), \quad q(z) = 2 - \sqrt{4+z^2} + "
        r"z\,\mathrm{asinh}(z/2)"
    )
    source = "Woodworth et al. 2020, theorem 1 (number not checked)"
    hypotheses = (_independent_samples, about(NET, takes_data=True))
    stated = Variant(dual=lambda b, alpha: np.arcsinh(b / (2 * alpha**2)))
    mutants = (
        stated.but("twice the start", dual=lambda b, alpha: np.arcsinh(b / (2 * (2 * alpha) ** 2))),
        stated.but("least squares", dual=lambda b, _: b),
        stated.but("l1", dual=lambda b, _: np.sign(b)),
    )
    counter_example = "least squares: the limit of one linear layer"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data, _ = samples(case)
        x, y = np.asarray(data.x), np.asarray(data.y)
        quantities = []
        for alpha in (0.01, 0.3, 1.0):
            b = limit(case, data, alpha)
            dual = variant.dual(b, alpha)
            quantities.append(
                Quantity(
                    f"part of asinh(b/(2 alpha^2)) outside the row space, alpha = {alpha:g}",
                    off_rows(x, dual),
                    0.0,
                    1e-8,
                    relation="<=",
                )
            )
            best = case.once(f"entropy limit {alpha:g}", lambda alpha=alpha: entropy_limit(x, y, alpha))
            least, reached = entropy(best, alpha), entropy(b, alpha)
            quantities.append(
                Quantity(
                    f"Q_alpha of the limit, alpha = {alpha:g}",
                    reached,
                    least,
                    1e-8 * least,
                    route="flow",
                    second=least,
                    second_route="Newton on the dual",
                )
            )
            quantities.append(
                Quantity(
                    f"relative distance from the dual's minimiser, alpha = {alpha:g}",
                    float(np.linalg.norm(b - best) / np.linalg.norm(best)),
                    0.0,
                    1e-7,
                    relation="<=",
                )
            )
        return Measurement.of(quantities, "flows are integrated to local errors of 1e-11 until residuals are 4e-10")
