"""`limit`: where the direction of a path is going, as a KKT point of the max-margin problem.

Under losses with an exponential tail the direction of gradient flow on a homogeneous network converges to a KKT point
of min ½‖θ‖² subject to q_n(θ) ≥ 1 (Lyu and Li 2020; Ji and Telgarsky 2020). Where every block scales alone this says
that all ρ_k²/κ_k become equal and that the directions V_k satisfy Σ α_n ∂q_n/∂V_k = κ_k γ V_k on the product of unit
spheres (Poggio, Banburski and Liao 2020, eq. 1.10). The path only tells which point; its digits come from Newton's
method on these equations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from flowlab.core.arguments import guarded, must_be
from flowlab.core.display import displayed
from flowlab.core.errors import DataError, LanguageError, NotHomogeneous, RunFailed
from flowlab.core.precision import require_x64
from flowlab.core.typing import ArrayLike, Record
from flowlab.discrete.margin.clarke_residual import Stationarity, stationarity
from flowlab.discrete.margin.kkt import Point, affordable, certify, curvature
from flowlab.discrete.margin.kkt_search import SADDLE, candidates, uphill
from flowlab.discrete.margin.limit_evidence import Rate, Rival, doubt, rate, resting, rival
from flowlab.discrete.margin.margin_constraints import System
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.trajectory import Trajectory

_NONE = np.zeros(0, dtype=int)

Label = int | tuple[int, int]


@dataclass(frozen=True)
@displayed
class Limit:
    """The limit of a gradient flow in direction.

    Attributes:
        V: directions by block, of unit norm (all blocks together on the joint sphere).
        margin: γ = min_n q_n(V).
        joint_margin: min_n q_n(θ)/‖θ‖^K where all ρ_k²/κ_k are equal: γ Π (κ_k/K)^{κ_k/2}; γ itself on the joint
            sphere.
        support: constraints with q_n = γ: samples, or (sample, wrong class) pairs.
        multipliers: α_n of the support, non-negative, with sum 1: the limit of the shares of the loss.
        unique_multipliers: whether these are the only ones.
        kinks: number of pre-activations that rest on the kink of their activation.
        residual: largest relative violation of any KKT condition at V; where no point was found, the `epsilon` of the
            last state.
        epsilon: KKT residual of the last state itself, with slopes at kinks between the one-sided ones, as `lyu_li` has
            it.
        curvature: largest eigenvalue of the Lagrangian's Hessian across the support, over γ; positive at a saddle.
        status: "decided" where the path settles that this is its limit; "moving" where it does not, and V is the
            nearest KKT point uphill; "undecided" where there is no such point, and V is the last state or a saddle
            beside it.
        reason: a sentence that says why.
        distance: ‖V(row) - V‖ at every row of the path, (rows,); nan where no point was found.
        rate: how the distance shrinks with R.
        unseen: members of the support that the last state still gives no share of the loss.
        rival: what the path cannot tell from this limit, or None.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(1e4))
        >>> found = fl.limit(path)
        >>> found.status, found.support
        ('decided', (2, 3))
    """

    V: dict[str, np.ndarray]
    margin: float
    joint_margin: float
    support: tuple[Label, ...]
    multipliers: np.ndarray
    unique_multipliers: bool
    kinks: int
    residual: float
    epsilon: float
    curvature: float
    status: str
    reason: str
    distance: np.ndarray
    rate: Rate
    unseen: tuple[Label, ...]
    rival: Rival | None
    _system: System = field(repr=False, compare=False)
    _point: Point = field(repr=False, compare=False)

    @property
    def decided(self) -> bool:
        """Whether the path settles that this is its limit."""
        return self.status == "decided"

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """The directions, as weights that a network can be evaluated at."""
        return dict(self.V)

    def check(self, V: Mapping[str, ArrayLike], support: tuple[Label, ...] | None = None) -> float:
        """The KKT residual of other directions, or of another support, with the best multipliers there are.

        Args:
            V: directions by block, taken as they are.
            support: constraints as in `support`; by default those of this limit.

        Raises:
            DataError: if the support names something other than constraints.
        """
        names = labels(self._system)
        wanted = self.support if support is None else support
        if not wanted or not set(wanted) <= set(names):
            odd = sorted(set(wanted) - set(names), key=str)
            raise DataError(
                f"the support must name constraints of these data, got {odd if odd else 'none'}; use samples, or"
                " (sample, wrong class) pairs."
            )
        theta = np.concatenate([np.ravel(np.asarray(V[name], dtype=np.float64)) for name in self.V])
        chosen = np.array(sorted(names.index(name) for name in set(wanted)))
        bent = self._point.bent
        # Negative multipliers make the certificate look for its own.
        return certify(
            self._system, Point(theta, 0.0, chosen, -np.ones(len(chosen)), bent, np.zeros(len(bent)), np.inf)
        ).residual

    def __str__(self) -> str:
        lines = [
            f"limit {'decided' if self.decided else 'not decided'}: {self.reason}",
            f"margin {self.margin:.15g} on unit blocks, {self.joint_margin:.15g} on the joint sphere; KKT residual"
            f" {self.residual:.2e}"
            + ("" if self.residual == self.epsilon else f", of the last state {self.epsilon:.2e}"),
            f"support of {len(self.support)}: "
            + ", ".join(f"{name} ({a:.4g})" for name, a in zip(self.support, self.multipliers, strict=True))
            + ("" if self.unique_multipliers else "; other multipliers fit as well"),
            f"distance of the last row {self.distance[-1]:.4g}, slope in log R {self.rate}",
        ]
        if self.kinks:
            lines.append(f"{self.kinks} pre-activations rest on a kink")
        if self.unseen:
            lines.append(f"not yet seen by the path: {', '.join(map(str, self.unseen))}")
        if self.rival:
            lines.append(f"rival: {self.rival}")
        return "\n".join(lines)


@guarded
def limit(path: Trajectory, data: Data | None = None) -> Limit:
    """The limit of a path in direction, and whether the path settles it.

    Norms that follow another scheme than gradient flow need not become balanced; then `margin` is the one to read.

    Args:
        path: of a homogeneous network under a loss with an exponential tail, past the separation of the data.
        data: the samples, for a path that was loaded without them.

    Raises:
        NotHomogeneous: if weights scaled together do not scale the output.
        LanguageError: for losses without an exponential tail, weight decay and fixed norms, which bound the weights.
        DataError: without data; RunFailed: if the last state does not separate them.
        PrecisionTooLow: without float64.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(1e4))
        >>> best, found = fl.max_margin("W @ x", data), fl.limit(path)
        >>> abs(found.margin / best.margin - 1) < 1e-6
        True
    """
    require_x64("limit")
    if not isinstance(path, Trajectory):
        raise must_be("path", path, "a trajectory", "what `integrate` returns")
    data = _samples(path, data)
    thetas, log_R, system = _rows(path, data)
    q = system.margins(thetas[-1])
    if not q.min() > 0:
        since = resting(path)
        remedy = (
            "run longer, `until=fl.separated()` and beyond"
            if since is None
            else f"that margin is at rest{since}; start from other weights"
        )
        raise RunFailed(f"the last state must separate the data, got the margin {q.min():.3g}; {remedy}.")
    weights = path.last.weights()
    end = stationarity(system, np.concatenate([np.ravel(np.asarray(weights[name])) for name, _ in system.layout]))
    points = candidates(system, thetas[-1], system.beyond(log_R[-1], q - q.min()))
    if not points:
        return _undecided(
            system,
            thetas,
            q,
            end,
            f"no KKT point was reached from the last state, where the logarithm of R is {log_R[-1]:.4g}",
        )
    return _judged(system, thetas, log_R, end, points)


def _samples(path: Trajectory, data: Data | None) -> Data:
    """The samples of a path, if it has a max-margin limit on them."""
    own = path.provenance["data"]["sha256"]
    if data is not None and data.sha256() != own:
        told = f"their hash begins {data.sha256()[:12]} and that of the path's {own[:12]}"
        raise DataError(f"`data` must be the samples of the path: {told}; pass the same ones.")
    return admit(path.problem, data if data is not None else path.data)


def _judged(system: System, thetas: np.ndarray, log_R: np.ndarray, end: Stationarity, points: list[Point]) -> Limit:
    """The first of the points as the limit, and whether the path settles it.

    Args:
        system: the constraints.
        thetas: directions of all rows, (rows, P).
        log_R: log R of all rows, (rows,).
        end: how far the last state is from a KKT point.
        points: KKT points, the nearest first.
    """
    point, others = points[0], points[1:]
    q, names = system.margins(thetas[-1]), labels(system)
    units = system.beyond(log_R[-1], q - q.min())
    shares = np.exp(-units) / np.exp(-units).sum()
    margin = system.true(point.margin)
    distance = np.linalg.norm(thetas - point.theta, axis=1)
    slope = rate(log_R, distance)
    bend = curvature(system, point)
    other = rival(system, names, point, others, thetas, log_R, distance[-1])
    outside = 1.0 - float(shares[point.support].sum())
    unseen = tuple(names[n] for n, a in zip(point.support, point.alpha, strict=True) if shares[n] < 1e-3 * a)
    why, placed = doubt(point.residual, distance[-1], slope, bend, outside, other), bend <= SADDLE and uphill(point, q)
    late = f"; {len(unseen)} of its support have no share of the loss yet" if unseen else ""
    reason = f"the path approaches one KKT point like R^{slope.slope:.2g}, {distance[-1]:.3g} away at its end{late}"
    if why:
        reason = f"{why}; run longer"
        if placed:
            told = f"has the margin {margin:.6g}, residual {point.residual:.1e}, distance {distance[-1]:.3g}"
            reason = f"the path is still moving: the nearest KKT point uphill {told}; {reason}"
    return Limit(
        V=system.blocks(point.theta),
        margin=margin,
        joint_margin=margin * balance(system.problem),
        support=tuple(names[n] for n in point.support),
        multipliers=point.alpha,
        unique_multipliers=point.unique,
        kinks=len(point.bent),
        residual=point.residual,
        epsilon=end.epsilon,
        curvature=bend,
        status="decided" if not why else "moving" if placed else "undecided",
        reason=reason,
        distance=distance,
        rate=slope,
        unseen=unseen,
        rival=other,
        _system=system,
        _point=point,
    )


def admit(problem: Problem, data: Data | None) -> Data:
    """The data, if the problem has a max-margin limit on them."""
    if not problem.loss.classifies:
        raise LanguageError(
            f'the loss must have an exponential tail, got "{problem.loss.name}"; use "exponential" or "cross_entropy".'
        )
    if not problem.network.symmetry.joint_degree:
        raise NotHomogeneous(
            f"`{problem.network.text[:120]}` must scale with all its weights together, got a"
            f" {problem.network.symmetry.kind} one; drop what breaks the scaling."
        )
    if any(problem.decay.values()) or not problem.scheme.moves_norms:
        why = "weight decay" if any(problem.decay.values()) else 'the scheme "fixed_norm"'
        raise LanguageError(
            f"norms must be free to grow for a max-margin limit, but {why} bounds them; use a problem without it."
        )
    if data is None:
        raise DataError("the path must have its data, got none; pass them, `limit(path, data)`.")
    problem.loss.check_labels(data)
    return data


def _rows(path: Trajectory, data: Data) -> tuple[np.ndarray, np.ndarray, System]:
    """Unit directions of all rows, (rows, P), log R of all rows, (rows,), and the constraints."""
    problem, stored = path.problem, path.dataset
    rho: Record = {}
    for column, label in enumerate(stored["block"].values.tolist()):
        rho.setdefault(label.partition("[")[0], []).append((stored["rho"].values[:, column], "[" in label))
    V = {name: stored[f"V_{name}"].values for name in problem.network.weights}
    shapes = {name: v.shape[1:] for name, v in V.items()}
    affordable(shapes, data, 1)
    system = System(problem, data, shapes)
    thetas = []
    for i in range(len(path)):
        norms = {
            k: np.array([c[i] for c, _ in columns]) if columns[0][1] else columns[0][0][i] for k, columns in rho.items()
        }
        thetas.append(system.flat(problem.scheme.weights(np, norms, {k: v[i] for k, v in V.items()}, problem.per)))
    return np.array(thetas), stored["log_R"].values, system


def _undecided(system: System, thetas: np.ndarray, q: np.ndarray, end: Stationarity, why: str) -> Limit:
    theta, names = thetas[-1], labels(system)
    chosen = np.flatnonzero(end.multipliers > 1e-9 * end.multipliers.max())
    alpha = end.multipliers[chosen] / end.multipliers[chosen].sum()
    margin = system.true(float(q.min()))
    point = Point(theta, float(q.min()), chosen, alpha, _NONE, np.zeros(0), end.epsilon)
    return Limit(
        V=system.blocks(theta),
        margin=margin,
        joint_margin=margin * balance(system.problem),
        support=tuple(names[n] for n in chosen),
        multipliers=alpha,
        unique_multipliers=False,
        kinks=len(system.resting(theta)),
        residual=end.epsilon,
        epsilon=end.epsilon,
        curvature=np.nan,
        status="undecided",
        reason=f"{why}; run longer",
        distance=np.full(len(thetas), np.nan),
        rate=Rate(np.nan, np.nan, 0),
        unseen=(),
        rival=None,
        _system=system,
        _point=point,
    )


def balance(problem: Problem) -> float:
    """Π (κ_k/K)^{κ_k/2}: what a margin on unit blocks becomes on the joint sphere when all ρ_k²/κ_k are equal."""
    symmetry = problem.network.symmetry
    if not symmetry.is_multihomogeneous:
        return 1.0
    kappa = np.array([float(symmetry.degree(w) or 0) for w in problem.network.weights])
    kappa = kappa[kappa > 0]
    return float(np.exp((kappa * np.log(kappa / kappa.sum())).sum() / 2.0))


def labels(system: System) -> list[Label]:
    """Samples, or (sample, wrong class) pairs, by the number of the constraint."""
    return [int(n) if j < 0 else (int(n), int(j)) for n, j in system.pairs]
