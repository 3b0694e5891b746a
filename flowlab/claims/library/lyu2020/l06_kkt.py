"""L6: limits are KKT points of the least-norm problem."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.library.lyu2020.flows import best, flow, late_flow
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.discrete.margin.max_margin import lyu_li
from flowlab.language.data import Data
from flowlab.language.state import State
from flowlab.language.trajectory import Trajectory


def _at_the_start(_: Case, path: Trajectory, __: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights of the first row that separates the samples."""
    first = int(np.argmax(path.dataset["min_margin"].values > 0))
    return {k: np.asarray(v) for k, v in path.state(first).weights().items()}


def _moved(case: Case, _: object, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(case.seed)
    return {k: w + 1e-3 * np.linalg.norm(w) * rng.normal(size=w.shape) for k, w in weights.items()}


@claim("L6")
class LimitsAreKKT(Claim):
    """The KKT residuals of Lyu and Li decay: ε like (log t)^(-1/K), δ like 1/log t.

    What late weights keep of their start, such as the balance of layers, does not grow; against ‖θ‖ ~ (log t)^{1/K} it
    falls no faster than 1/‖θ‖.
    """

    title = "directions tend to KKT points"
    statement = (
        "Scaled to min q = 1, late weights satisfy the KKT conditions of min (1/2)|theta|^2 subject to q_n >= 1 up to "
        "residuals that vanish. The residual epsilon, of the best multipliers, falls like (log t)^(-1/K). The "
        "residual delta, of multipliers proportional to exp(-q_n), falls like 1/log t."
    )
    latex = (
        r"\varepsilon = \min_{\mu \ge 0} \frac{\lVert\theta - \sum_n \mu_n \nabla q_n\rVert}{\lVert\theta\rVert} = "
        r"\Theta((\log t)^{-1/K}), \quad \delta = \frac{\sum_n \mu_n (q_n - 1)}{\lVert\theta\rVert^2} = \Theta(1/\log "
        r"t)"
    )
    source = "Lyu and Li 2020, theorem 4.4 (number not checked); the rates are measured"
    hypotheses = (late_flow("smooth", "deep"),)
    stated = Variant(power=lambda K: -1.0 / K, point=lambda _, __, weights: weights)
    mutants = (
        stated.but(USUAL, power=lambda _: -1.0),
        stated.but("epsilon like (log t)^(-2/K)", power=lambda K: -2.0 / K),
        stated.but("at the start", point=_at_the_start),
        stated.but("with a direction moved by 1e-3", point=_moved),
    )
    counter_example = "at the start: a direction other than a limit has residuals of order 1"
    usual = "Both residuals decay like 1/log t."
    decisive = "the exponents of epsilon, -1/2 for two layers and -1/3 for three"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        quantities = []
        for which in ("deep", "three layers"):
            data, path = flow(case, which)
            K = float(path.problem.network.symmetry.joint_degree or 0)
            power = variant.power(K)
            exponents = case.once(f"lyu residuals {which}", lambda path=path, data=data: _residuals(path, data))
            for name, expected in (("epsilon", power), ("delta", -1.0)):
                slope, bar = exponents[name]
                quantities.append(
                    Quantity(
                        f"exponent of {name}, {which}",
                        slope,
                        expected,
                        5e-3 * abs(expected),
                        bar,
                        route="decades up to log t = 1e6",
                    )
                )
        for which in ("deep", "smooth"):
            data, path = flow(case, which)
            weights = {k: np.array(v) for k, v in best(case, which).weights.items()}
            end = lyu_li(path.problem, State.from_weights(variant.point(case, path, weights)), data)
            quantities.append(
                Quantity(
                    f"epsilon at the limit, {which}",
                    end.epsilon,
                    0.0,
                    1e-10,
                    relation="<=",
                    route="NNLS at the KKT point",
                )
            )
        return Measurement.of(
            quantities, "exponents between decades, extrapolated; the limit is solved for to roundings"
        )


def _residuals(path: Trajectory, data: Data) -> dict[str, tuple[float, float]]:
    """Exponents in log t of ε by NNLS and of δ of multipliers as the softmax gives them, each with a bar."""
    log_t, K = path.dataset["log_t"].values, float(path.problem.network.symmetry.joint_degree or 0)
    rows = [int(np.argmin(np.abs(np.log(np.maximum(log_t, 1.0)) - np.log(h)))) for h in (1e4, 1e5, 1e6)]
    values: dict[str, list[float]] = {"epsilon": [], "delta": []}
    for i in rows:
        values["epsilon"].append(lyu_li(path.problem, path.state(i), data).epsilon)
        q = np.asarray(path.problem.margins({k: np.asarray(v) for k, v in path.state(i).weights().items()}, data, np))
        p = np.exp(q.min() - q)
        values["delta"].append(float((p * (q - q.min())).sum() / (K * (p * q).sum())))
    exponents = {}
    for name, sizes in values.items():
        slopes = np.diff(np.log(sizes)) / np.diff(np.log(log_t[rows]))
        # A slope is off by a part in log t: of the difference of two decades a ninth is left.
        exponents[name] = float(slopes[1] + (slopes[1] - slopes[0]) / 9.0), float(abs(slopes[1] - slopes[0]) / 9.0)
    return exponents
