"""`max_margin`: the largest margin there is, or the best of the local ones, each with what shows it; and how far any
weights are from a KKT point.

Gradient flow under losses with an exponential tail converges in direction to KKT points of min ½‖θ‖² subject to
q_n(θ) ≥ 1 (Lyu and Li 2020). Where the network is linear in its weights this is the hard-margin machine and its answer
is the global one. Elsewhere it is one of several local problems (P18): the result says what was found, and that nothing
better exists is not claimed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from flowlab.core.arguments import count, guarded
from flowlab.core.display import displayed
from flowlab.core.errors import RunFailed
from flowlab.core.memory import require_memory
from flowlab.core.precision import require_x64
from flowlab.core.seeds import checked_seed
from flowlab.discrete.critical.constrained_problem import Constrained
from flowlab.discrete.critical.trust_region import minimize
from flowlab.discrete.margin.clarke_residual import stationarity
from flowlab.discrete.margin.directional_limit import Label, admit, balance, labels
from flowlab.discrete.margin.kkt import Point, affordable, curvature
from flowlab.discrete.margin.kkt_search import SADDLE, candidates, same
from flowlab.discrete.margin.margin_constraints import STEPS, System, margin_count
from flowlab.discrete.margin.svm import Certificate, hard_margin
from flowlab.language.data import Data
from flowlab.language.network import Network
from flowlab.language.problem import Problem
from flowlab.language.single_input import require_plain
from flowlab.language.state import State, names_match, shapes_match

_SHARP = (1e1, 1e2, 1e3)
"""Norms, over the smallest margin of interest, at which the loss is minimised on the way to the margin."""


@dataclass(frozen=True)
@displayed
class KKT:
    """What shows that a direction is a KKT point of the max-margin problem.

    Attributes:
        residual: largest violation of any KKT condition, relative to the margin.
        curvature: largest eigenvalue of the Lagrangian's Hessian across the support, over the margin; positive at a
            saddle.
        kinks: pre-activations that rest on a kink.
    """

    residual: float
    curvature: float
    kinks: int

    @property
    def is_local_maximum(self) -> bool:
        """Whether the margin does not grow to second order along any direction."""
        return self.curvature <= SADDLE


@dataclass(frozen=True)
@displayed
class MaxMargin:
    """A direction of locally, or where the network is linear in its weights globally, largest margin.

    Attributes:
        margin: min_n q_n(V), directions of unit norm per block (all blocks together on the joint sphere).
        joint_margin: min_n q_n(θ)/‖θ‖^K where all ρ_k²/κ_k are equal.
        V: directions by block.
        weights: the weights of least norm with q_n ≥ 1: ½‖θ‖² = ½ joint_margin^(-2/K) (L7).
        support: samples, or (sample, wrong class) pairs, with q_n = margin, and `multipliers`, non-negative, with sum
            1.
        certificate: the exact certificate of separability for a machine; the KKT residuals for a network.
        is_global: whether nothing better exists.
        others: further KKT points that were found, by falling joint margin.
        found: how many starts led here.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> best = fl.max_margin("W @ x", data)
        >>> best.is_global, best.support
        (True, (2, 3))
    """

    margin: float
    joint_margin: float
    V: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    support: tuple[Label, ...]
    multipliers: np.ndarray
    certificate: Certificate | KKT
    is_global: bool
    others: tuple["MaxMargin", ...] = ()
    found: int = 1

    def __str__(self) -> str:
        if isinstance(self.certificate, Certificate):
            return f"largest margin {self.margin:.12g}, {len(self.support)} support vectors, {self.certificate}"
        lines = ["joint margin     support  kinks  residual  curvature  found"]
        for point in (self, *self.others):
            c = point.certificate
            assert isinstance(c, KKT)
            kind = "local maximum" if c.is_local_maximum else "saddle"
            told = (
                f"{point.joint_margin:<15.10g}  {len(point.support):7d}  {c.kinks:5d}  {c.residual:8.1e} "
                f" {c.curvature:9.2g}"
            )
            lines.append(f"{told}  {point.found:5d}  {kind}")
        return "\n".join(lines)


@guarded
def max_margin(
    network: Network | Problem | str,
    data: Data,
    *,
    near: State | None = None,
    widths: Mapping[str, int] | None = None,
    starts: int = 16,
    seed: int = 0,
) -> MaxMargin:
    """The largest margin of a homogeneous network on data.

    Args:
        network: a network, or a problem whose loss has an exponential tail.
        data: labels ±1 or classes; with classes every wrong one is a constraint of its own.
        near: weights to look beside, such as the last state of a path; then there is one start.
        widths: rows of hidden blocks; by default those of `near`.
        starts: number of random starts, for networks that are not linear in their weights.
        seed: of the starts.

    Raises:
        NotSeparable: with an exact certificate, for networks linear in their weights; RunFailed: if no start separated
            the data; NotHomogeneous, DataError, LanguageError: for what has no margin; PrecisionTooLow: without
            float64; TooLarge: for what needs more memory than there is, or more than a day.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> best = fl.max_margin("W @ x", data)
        >>> round(best.margin, 6)
        0.650538
        >>> best.certificate.holds(data.x, data.y)
        True
    """
    require_x64("max_margin")
    starts, seed = count("starts", starts, 1, 16), checked_seed(seed)
    loss = "cross_entropy" if data.kind == "classes" else "exponential"
    problem = network if isinstance(network, Problem) else Problem(network, loss)
    require_plain(problem.network, "a problem of margins")
    data = admit(problem, data)
    problem.loss.check_labels(data)
    if near is not None:
        names_match(near, problem.network)
        shapes_match(near, problem.network, data)
        shapes = {k: tuple(int(n) for n in np.shape(v)) for k, v in near.V.items()}
    else:
        shapes = problem.network.resolve(data.shapes, (data.n_classes or 1) if data.kind == "classes" else 1, widths)
    tried = 1 if near is not None else starts
    if len(shapes) > 1:
        affordable(shapes, data, tried)
    system = System(problem, data, shapes)
    if (features := _features(system)) is not None:
        return _machine(system, features)
    affordable(shapes, data, tried)
    found: list[tuple[Point, int]] = []
    rng = np.random.default_rng(seed)
    for _ in range(tried):
        if near is not None:
            theta = system.flat(near.weights())
            log_R = float(np.asarray(problem.log_product({k: np.asarray(v) for k, v in near.weights().items()}, np)))
        else:
            theta, log_R = _climb(problem, system, shapes, rng)
        q = system.margins(theta)
        if not q.min() > 0:
            continue
        system.budget = STEPS
        for point in candidates(system, theta, system.beyond(log_R, q - q.min()))[:1]:
            at = next((k for k, (known, _) in enumerate(found) if same(system, point, known)), None)
            if at is None:
                found.append((point, 1))
            else:
                found[at] = (found[at][0], found[at][1] + 1)
    if not found:
        told = f"none of {tried} starts came to a KKT point of positive margin"
        raise RunFailed(f"{told}; use more `starts` or wider layers.")
    first, *others = sorted((_result(system, point, count) for point, count in found), key=lambda m: -m.joint_margin)
    return MaxMargin(**{**first.__dict__, "others": tuple(others)})


def _climb(
    problem: Problem, system: System, shapes: dict[str, tuple[int, ...]], rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """A direction of small loss at large norm, and the logarithm of that norm in units of the data."""
    theta = system.project(rng.normal(size=len(system.kappa)))
    # One sphere for all weights where only they scale together; one for every block otherwise.
    per = "layer" if problem.network.symmetry.is_multihomogeneous else "network"
    plain = Problem(problem.network, problem.loss.name, per=per)
    size, R = float(np.median(np.abs(system.margins(theta)))) or 1.0, 1.0
    widths = {name: shape[0] for name, shape in shapes.items() if len(shape) == 2}
    for sharp in _SHARP:
        R = sharp / size
        con = Constrained(
            plain,
            system.data,
            norm=R if per == "layer" else {"network": R ** (1.0 / float(system.kappa[0]))},
            widths=widths,
        )
        con = con.rounded(1e-2 / sharp) if con.bends else con
        theta = minimize(con, theta, tolerance=1e-6, steps=100)[0]
    return theta, float(np.log(R) - system.log2 * np.log(2.0))


def _features(system: System) -> np.ndarray | None:
    """∂q/∂θ, (M, P), where q is linear in θ; else None."""
    if len(system.layout) > 1 or system.bends:
        return None
    rng = np.random.default_rng(0)
    # By Euler's identity J θ = q at the θ of J itself for any degree one: another θ tells.
    J = system.pieces(rng.normal(size=len(system.kappa)), np.zeros((len(system.pairs), 0)))
    theta = rng.normal(size=len(system.kappa))
    return J if np.allclose(J @ theta, system.margins(theta), rtol=1e-12, atol=1e-13 * float(np.abs(J).max())) else None


def _machine(system: System, J: np.ndarray) -> MaxMargin:
    found = hard_margin(J, np.ones(len(J)))
    names = labels(system)
    alpha = found.alpha[list(found.support)]
    margin = system.true(found.margin)
    V = system.blocks(found.w * found.margin)
    weights = {k: v / margin for k, v in V.items()}
    support = tuple(names[n] for n in found.support)
    return MaxMargin(margin, margin, V, weights, support, alpha / alpha.sum(), found.certificate, True)


def _result(system: System, point: Point, count: int) -> MaxMargin:
    problem = system.problem
    margin = system.true(point.margin)
    joint = margin * balance(problem)
    K = float(problem.network.symmetry.joint_degree or 1)
    kappa = system.kappa / K if problem.network.symmetry.is_multihomogeneous else np.ones(len(point.theta))
    weights = system.blocks(point.theta * np.sqrt(kappa) * joint ** (-1.0 / K))
    names = labels(system)
    shown = KKT(point.residual, curvature(system, point), len(point.bent))
    return MaxMargin(
        margin,
        joint,
        system.blocks(point.theta),
        weights,
        tuple(names[n] for n in point.support),
        point.alpha,
        shown,
        False,
        (),
        count,
    )


@dataclass(frozen=True)
@displayed
class LyuLi:
    """How far weights are from a KKT point of min ½‖θ‖² subject to q_n ≥ 1, after they were scaled to min q_n = 1 (Lyu
    and Li 2020, L6).

    At a kink ∂q_n is any element whose slopes lie between the one-sided ones, each by itself and for each constraint by
    itself; pre-activations within 1e-8 of the largest count as being there. Where units that rest on a kink do not
    depend on one another these are Clarke's elements. Where they do, as in layers that feed one another, they are the
    hull of the gradients of all pieces, which holds Clarke's: a large ε still excludes a KKT point.

    Attributes:
        epsilon: ‖θ - Σ μ_n ∂q_n‖/‖θ‖, dimensionless.
        delta: Σ μ_n (q_n - 1)/‖θ‖², dimensionless.
        multipliers: the μ ≥ 0 that, with the slopes, makes ε² + δ² least, (M,).
        exact: whether no other slopes do better; else, where kinked units feed kinked units and more than 8 of them
            rest on one sample, ε is an upper bound.
    """

    epsilon: float
    delta: float
    multipliers: np.ndarray
    exact: bool = True


@guarded
def lyu_li(network: Network | Problem | str, state: State, data: Data) -> LyuLi:
    """KKT residuals of a state that separates the data; arguments as for `max_margin`.

    Raises:
        RunFailed: if the state does not separate the data, or its gradients or multipliers do not fit in float64;
            others as for `max_margin`.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(1e3))
        >>> fl.lyu_li("W @ x", path.last, data).epsilon < 0.1
        True
    """
    require_x64("lyu_li")
    problem = (
        network
        if isinstance(network, Problem)
        else Problem(network, "cross_entropy" if data.kind == "classes" else "exponential")
    )
    data = admit(problem, data)
    names_match(state, problem.network)
    shapes_match(state, problem.network, data)
    weights = {k: np.asarray(v) for k, v in state.weights().items()}
    size, margins = sum(v.size for v in weights.values()), margin_count(data)
    # The gradients of all margins: as they are made, with one more entry, those that are kept, of length one,
    # and twice within the least squares.
    require_memory(6 * 8 * size * margins, f"the matrix of {margins} gradients in {size} weights")
    system = System(problem, data, {k: v.shape for k, v in weights.items()})
    theta = np.concatenate([weights[name].ravel() for name, _ in system.layout])
    found = stationarity(system, theta)
    unit = theta / np.abs(theta).max()
    unit = unit / np.linalg.norm(unit)
    with np.errstate(over="ignore"):
        square = np.float64(system.true(float(system.margins(unit).min()))) ** (
            -2.0 / float(problem.network.symmetry.joint_degree or 1)
        )
        multipliers = found.multipliers * square
    if not np.isfinite(multipliers).all():
        raise RunFailed("the multipliers of the state do not fit in float64; scale the inputs to sizes near one.")
    return LyuLi(found.epsilon, found.delta, multipliers, found.exact)
