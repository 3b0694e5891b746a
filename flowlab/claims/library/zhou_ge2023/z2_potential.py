"""Z2: the parametrisation b = w^2 - u^2 + λ v has a convex potential that its flow minimises."""

from collections.abc import Callable

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.woodworth2020.flows import off_rows
from flowlab.claims.library.zhou_ge2023.dual_minimiser import minimiser
from flowlab.claims.library.zhou_ge2023.flows import SOURCE, apart, draw, equations, induced, limit, samples, start
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated, worst
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.errors import ClaimError
from flowlab.dynamics import integrate, log_loss_below, time
from flowlab.language.state import State
from flowlab.lowering.lower import lower

ALPHA, LAM, DRAWS = 0.03, 0.4, 20
Best = Callable[[Case, np.ndarray, np.ndarray], np.ndarray]


def least_potential(lam: float) -> Best:
    """The minimiser of the derived potential at this λ."""
    return lambda case, x, y: limit(case, x, y, ALPHA, lam)


@claim("Z2")
class ConvexPotential(Claim):
    """The flow's limit is the minimiser of a strictly convex function among all that fit.

    The function is Φ(b) = min_{a + c = b} Q_α(a) + |c|²/(2λ²): a hyperbolic entropy for one part,
    a square for the other. It is not homogeneous, hence not a norm.
    """

    title = "beyond norms there still is a convex potential"
    statement = (
        "The flow of b = w^2 - u^2 + lambda v from w = u = alpha, v = 0 ends at the minimiser over X b = y of a "
        "convex potential. Its conjugate is sum (alpha^2/2) (cosh 4 z_i - 1) + (lambda^2/2) z_i^2."
    )
    latex = (
        r"b(\infty) = \arg\min_{Xb=y}\Phi(b), \quad \Phi^*(z) = \sum_i \tfrac{\alpha^2}{2}(\cosh 4z_i - 1) + "
        r"\tfrac{\lambda^2}{2} z_i^2"
    )
    source = f"{SOURCE}; potential derived here from w' = -2 w g, u' = 2 u g, v' = -lambda g"
    hypotheses = (own_instances,)
    stated = Variant(best=least_potential(LAM), apart=(1e-8, "<="))
    mutants = (
        stated.but(USUAL, apart=(1e-3, ">=")),
        stated.but("least squares", best=lambda _, x, y: np.linalg.pinv(x) @ y),
        stated.but("hyperbolic entropy alone", best=least_potential(1e-6)),
        stated.but("another lambda", best=least_potential(0.7)),
    )
    counter_example = "hyperbolic entropy alone: what lambda = 0 would give"
    usual = "The implicit regularisation goes beyond the minimisation of any fixed convex function."
    decisive = (
        "the distance of the flow's limit from the potential's minimiser: below 1e-8, where the usual reading has it "
        "differ"
    )

    def measure(self, case: Case, variant: Variant) -> Measurement:
        ends = case.once("ends of the flow of beta", lambda: self._ends(case))
        x, y, b = case.once("end of the flow of the weights", lambda: self._end_of_weights(case))
        bound, relation = variant.apart
        far = [apart(end, variant.best(case, *draw(seed))) for seed, end in ends.items()]
        best = variant.best(case, x, y)
        # Of a claim that they differ, the nearest one decides.
        of_all = worst(far) if relation == "<=" else min(far)
        witness = minimiser(x, y, ALPHA, LAM)
        size = float(np.linalg.norm(best))
        told = "relative distance of the limit from the minimiser"
        return Measurement.of(
            [
                Quantity(f"{told}, {DRAWS} flows of beta", of_all, bound, 0.0, relation=relation, route="flow in z"),
                Quantity(f"{told}, flow of the weights", apart(b, best), bound, 0.0, relation=relation),
                Quantity(
                    "norm of the limit",
                    float(np.linalg.norm(b)),
                    size,
                    1e-8 * size,
                    route="flow of the weights",
                    second=float(np.linalg.norm(witness)),
                    second_route="a dual written by hand",
                ),
            ],
            "flows are integrated to local errors of 1e-11 until the loss is e^-52",
            least_squares_is_at=float(np.linalg.norm(b - np.linalg.pinv(x) @ y)),
            outside_row_space=off_rows(x, b),
        )

    @staticmethod
    def _ends(case: Case) -> dict[int, np.ndarray]:
        """Where flows of beta in its mirror coordinate end, by seed."""
        first = case.seed + 100
        flow = induced(case, draw(first)[0].shape[1], ALPHA, LAM)
        field, found = lower(flow), {}
        for seed in range(first, first + DRAWS):
            x, y = draw(seed)
            until = [log_loss_below(-52.0), time(1e5)]
            path = integrate(field, flow.start, samples(x, y), until=until, rtol=1e-11, atol=1e-14)
            if not path.outcome.ok:
                raise ClaimError(f"the flow of draw {seed} ended early ({path.outcome}); try another seed.")
            found[seed] = np.asarray(path.last.weights()[flow.block])
        return found

    @staticmethod
    def _end_of_weights(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x, y = draw(case.seed + 100)
        first = State.from_weights(start(x.shape[1], ALPHA))
        until = [log_loss_below(-52.0), time(1e5)]
        path = integrated(
            case, "split", equations(case).problem, first, samples(x, y, LAM), until, rtol=1e-11, atol=1e-15
        )
        w, u, v = (np.asarray(path.last.weights()[name]) for name in "wuv")
        return x, y, w * w - u * u + LAM * v
