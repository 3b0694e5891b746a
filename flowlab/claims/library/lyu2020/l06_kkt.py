"""L6, L7 and L8: limits are KKT points of the least-norm problem, whose optimum and whose tangent machine are known."""

from typing import Any

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.library.lyu2020.flows import flow, late_flow
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import angle
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.errors import NotSeparable


def best(case: Case, which: str) -> Any:
    """The KKT point beside the end of a flow."""
    from flowlab.discrete.margin.max_margin import max_margin

    data, path = flow(case, which)
    return case.once(f"lyu best {which}", lambda: max_margin(path.problem, data, near=path.last))


def _at_the_start(_: Case, path: Any, __: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights of the first row that separates the samples."""
    first = int(np.argmax(path.dataset["min_margin"].values > 0))
    return {k: np.asarray(v) for k, v in path.state(first).weights().items()}


def _moved(case: Case, _: Any, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(case.seed)
    return {k: w + 1e-3 * np.linalg.norm(w) * rng.normal(size=w.shape) for k, w in weights.items()}


@claim("L6")
class LimitsAreKKT(Claim):
    """The KKT residuals of Lyu and Li decay: ε like (log t)^(-1/K), δ like 1/log t.

    What late weights keep of their start, such as the balance of layers, does not grow; against ‖θ‖ ~ (log t)^{1/K} it falls no faster than 1/‖θ‖.
    """

    title = "directions tend to KKT points"
    statement = (
        "Scaled to min q = 1, the weights of a late flow satisfy the KKT conditions of min (1/2)|theta|^2 subject to q_n >= 1 up to residuals that "
        "vanish: epsilon, of the best multipliers, like (log t)^(-1/K), and delta, of multipliers proportional to exp(-q_n), like 1/log t."
    )
    latex = (
        r"\varepsilon = \min_{\mu \ge 0} \frac{\lVert\theta - \sum_n \mu_n \nabla q_n\rVert}{\lVert\theta\rVert} = \Theta((\log t)^{-1/K}), "
        r"\quad \delta = \frac{\sum_n \mu_n (q_n - 1)}{\lVert\theta\rVert^2} = \Theta(1/\log t)"
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
    counter_example = "at the start: a direction that is no limit has residuals of order 1"
    usual = "Both residuals decay like 1/log t."
    decisive = "the exponents of epsilon, -1/2 for two layers and -1/3 for three"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        from flowlab.discrete.margin.max_margin import lyu_li
        from flowlab.language.state import State

        found = []
        for which in ("deep", "three layers"):
            data, path = flow(case, which)
            K = float(path.problem.network.symmetry.joint_degree)
            power = variant.power(K)
            told = case.once(f"lyu residuals {which}", lambda path=path, data=data: _residuals(path, data))
            for name, expected in (("epsilon", power), ("delta", -1.0)):
                slope, bar = told[name]
                found.append(
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
            found.append(
                Quantity(
                    f"epsilon at the limit, {which}",
                    end.epsilon,
                    0.0,
                    1e-10,
                    relation="<=",
                    route="NNLS at the KKT point",
                )
            )
        return Measurement.of(found, "exponents between decades, extrapolated; the limit is solved for to roundings")


def _residuals(path: Any, data: Any) -> dict[str, tuple[float, float]]:
    """Exponents in log t of ε by NNLS and of δ of multipliers as the softmax gives them, each with a bar."""
    from flowlab.discrete.margin.max_margin import lyu_li

    log_t, K = path.dataset["log_t"].values, float(path.problem.network.symmetry.joint_degree)
    rows = [int(np.argmin(np.abs(np.log(np.maximum(log_t, 1.0)) - np.log(h)))) for h in (1e4, 1e5, 1e6)]
    values: dict[str, list[float]] = {"epsilon": [], "delta": []}
    for i in rows:
        values["epsilon"].append(lyu_li(path.problem, path.state(i), data).epsilon)
        q = np.asarray(path.problem.margins({k: np.asarray(v) for k, v in path.state(i).weights().items()}, data, np))
        p = np.exp(q.min() - q)
        values["delta"].append(float((p * (q - q.min())).sum() / (K * (p * q).sum())))
    told = {}
    for name, seen in values.items():
        slopes = np.diff(np.log(seen)) / np.diff(np.log(log_t[rows]))
        # A slope is off by a part in log t: of the difference of two decades a ninth is left.
        told[name] = float(slopes[1] + (slopes[1] - slopes[0]) / 9.0), float(abs(slopes[1] - slopes[0]) / 9.0)
    return told


def _first_support(support: Any) -> int:
    return int(support[0][0] if isinstance(support[0], tuple) else support[0])


@claim("L7")
class OptimumOfLeastNorm(Claim):
    """The optimum of min ½‖θ‖² subject to q_n ≥ 1 is ½ g^(-2/K)."""

    title = "optimum of the least-norm problem"
    statement = (
        "At a point of largest margin g = min q/|theta|^K, min (1/2)|theta|^2 subject to q_n >= 1 is (1/2) g^(-2/K)."
    )
    latex = r"\min_{q_n \ge 1} \tfrac12\lVert\theta\rVert^2 = \tfrac12 \gamma_*^{-2/K}"
    source = "Lyu and Li 2020, section 4"
    hypotheses = (late_flow("smooth", "deep"),)
    stated = Variant(power=lambda K: -2.0 / K, left_out=lambda _: None)
    mutants = (
        stated.but("power -1/K", power=lambda K: -1.0 / K),
        stated.but("degree + 1", power=lambda K: -2.0 / (K + 1.0)),
        stated.but("one constraint left out", left_out=_first_support),
    )
    counter_example = "one constraint left out: another problem, with a smaller optimum"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        found = []
        for which in ("deep", "smooth"):
            data, path = flow(case, which)
            point, K = best(case, which), float(path.problem.network.symmetry.joint_degree)
            left_out = variant.left_out(point.support)
            key = f"lyu least {which} {left_out}"
            least = case.once(
                key,
                lambda path=path, data=data, point=point, out=left_out: _least(path.problem, data, point.weights, out),
            )
            value = 0.5 * point.joint_margin ** variant.power(K)
            found.append(
                Quantity(
                    f"least (1/2)|theta|^2, {which}",
                    least,
                    value,
                    1e-6 * value,
                    route="SLSQP from beside the KKT point",
                )
            )
        return Measurement.of(found, "relative to the optimum: what SLSQP resolves")


def _least(problem: Any, data: Any, weights: Any, out: int | None) -> float:
    """½‖θ‖² at the local optimum beside a point, by SLSQP on autodiff."""
    import jax
    import jax.numpy as jnp
    from jax.flatten_util import ravel_pytree
    from scipy.optimize import minimize

    flat, unravel = ravel_pytree({k: jnp.asarray(v) for k, v in weights.items()})
    keep = np.array([n for n in range(data.n) if n != out])
    margins = jax.jit(lambda t: problem.margins(unravel(t), data)[keep])
    slopes = jax.jit(jax.jacrev(margins))
    start = np.asarray(flat) * (1.0 + 1e-2 * np.random.default_rng(0).normal(size=flat.shape))
    rule = {"type": "ineq", "fun": lambda t: np.asarray(margins(t)) - 1.0, "jac": lambda t: np.asarray(slopes(t))}
    end = minimize(
        lambda t: 0.5 * t @ t,
        start,
        jac=lambda t: t,
        method="SLSQP",
        constraints=[rule],
        options={"ftol": 1e-15, "maxiter": 2000},
    )
    return float(end.fun) if np.asarray(margins(end.x)).min() > 1.0 - 1e-8 else float("nan")


def _of_the_limit(_: Any, theta: np.ndarray) -> np.ndarray:
    return theta


def _of_the_start(path: Any, _: np.ndarray) -> np.ndarray:
    import jax.numpy as jnp
    from jax.flatten_util import ravel_pytree

    return np.asarray(ravel_pytree({k: jnp.asarray(v) for k, v in path.state(0).weights().items()})[0])


@claim("L8")
class TangentMachine(Claim):
    """A limit direction is the hard-margin machine on its own tangent features."""

    title = "the limit is a machine on its own tangent features"
    statement = "At a KKT point theta is, up to scale, the hard-margin machine on the features d f(theta; x)/d theta."
    latex = r"\theta \parallel \arg\min_{y_n \langle w, \nabla_\theta f(\theta; x_n)\rangle \ge 1} \lVert w\rVert"
    source = "Lyu and Li 2020, appendix on the neural tangent kernel"
    hypotheses = (late_flow("smooth", "deep"),)
    stated = Variant(direction=0.0, features=_of_the_limit, sign=1.0)
    mutants = (
        stated.but("features of the start", features=_of_the_start),
        stated.but("a direction 5 % aside", direction=0.05),
        stated.but("one label flipped", sign=-1.0),
    )
    counter_example = "features of the start: the machine on the initial tangent kernel is another one"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        found = []
        for which in ("deep", "smooth"):
            found.append(
                Quantity(
                    f"angle between theta and the machine, {which}",
                    self._angle(case, which, variant),
                    0.0,
                    1e-7,
                    relation="<=",
                    route="exact machine on features by autodiff",
                )
            )
        return Measurement.of(found, "features are rounded, and machines move with them")

    def _angle(self, case: Case, which: str, variant: Variant) -> float:
        import jax
        import jax.numpy as jnp
        from jax.flatten_util import ravel_pytree

        from flowlab.discrete.margin.svm import hard_margin

        data, path = flow(case, which)
        flat, unravel = ravel_pytree({k: jnp.asarray(v) for k, v in best(case, which).weights.items()})
        theta = np.asarray(flat)
        noise = np.random.default_rng(case.seed).normal(size=theta.shape)
        theta = theta + variant.direction * np.linalg.norm(theta) * noise / np.linalg.norm(noise)
        at = variant.features(path, theta)
        features = np.asarray(
            jax.jacrev(lambda t: path.problem.network.outputs(unravel(t), data.x)[:, 0])(jnp.asarray(at))
        )
        y = np.asarray(data.y).copy()
        y[0] = variant.sign * y[0]
        try:
            w = hard_margin(features, y).w
        except NotSeparable:
            return float(np.pi)
        return angle(w, theta)
