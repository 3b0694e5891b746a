"""KKT points of max_V min_n q_n(V) on a product of unit spheres: the certificate and the Newton polish.

A direction is a KKT point of margin γ when multipliers α ≥ 0 with Σ α = 1, zero where q_n > γ, satisfy
Σ α_n ∂q_n/∂V_k = κ_k γ V_k in every block (Poggio, Banburski and Liao 2020, eq. 1.10; Lyu and Li 2020 on the joint
sphere, which is the case of one block). Where a unit rests on the kink of its activation, ∂q_n/∂V_k is a Clarke
subgradient: its slope lies anywhere between the two one-sided ones.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import lstsq
from scipy.optimize import nnls

from flowlab.core.memory import require_memory, require_time
from flowlab.discrete.margin.activation_cells import idle
from flowlab.discrete.margin.clarke_residual import nearest
from flowlab.discrete.margin.margin_constraints import STEPS, System, margin_count
from flowlab.language.data import Data

TOLERANCE = 1e-12
_SIGN = 1e-9
_NEWTON, _ROUNDS = 30, 20
_INT = np.zeros(0, dtype=int)
_SOLVE = 8e-10
"""Seconds per cube of unknowns of a least-squares solution with damping: 3 s at 1,500."""


def affordable(shapes: Mapping[str, tuple[int, ...]], data: Data, starts: int) -> None:
    """Refuse a search for KKT points that needs more memory than there is, or more than a day.

    The memory is a lower bound, the time a mean.

    Args:
        shapes: of the weights by block.
        data: the samples, which tell how many margins there are.
        starts: number of starts.

    Raises:
        TooLarge: with what it needs.
    """
    weights, constraints = sum(map(math.prod, shapes.values())), margin_count(data)
    units = sum(shape[0] for shape in shapes.values() if len(shape) > 1)
    what = f"the search for KKT points with {weights} weights and {constraints} margins"
    # Of second derivatives, tangents of all units at all margins, twice.
    # Then the equations of two points, damped ones, and their copy.
    require_memory(8 * (2 * weights * constraints * units + 7 * weights**2), what)
    seconds = starts * STEPS * _SOLVE * float(weights) ** 3
    require_time(seconds, f"{what} from {starts} starts", "use smaller widths or fewer starts")


@dataclass(frozen=True)
class Point:
    """A candidate: direction, multipliers, and how far it is from being KKT.

    Attributes:
        theta: all weights in a row, (P,), of unit norm per sphere.
        margin: γ, the smallest q over the support.
        support: indices of constraints with q = γ, (S,).
        alpha: their multipliers, (S,), with sum 1.
        bent: indices of pre-activations that rest on a kink, (B,), and `mu`, what they add to the stationarity, (B,).
        residual: the largest violation of any KKT condition, relative to the margin.
        unique: whether the support leaves no freedom in α and μ.
    """

    theta: np.ndarray
    margin: float
    support: np.ndarray
    alpha: np.ndarray
    bent: np.ndarray
    mu: np.ndarray
    residual: float
    unique: bool = False


def certify(system: System, point: Point) -> Point:
    """The point with its residual: the largest of stationarity, unit norm, feasibility, complementarity and signs.

    Multipliers that are not the only ones are replaced by non-negative ones where there are any.
    """
    theta, support, bent = point.theta, point.support, point.bent
    alpha = np.zeros(len(system.pairs))
    alpha[support] = point.alpha
    q, J, h, Jh, _ = system.derivatives(theta, alpha, bent, point.mu)
    margin = float(q[support].mean())
    if margin <= 0:
        return replace(point, margin=margin, residual=np.inf)
    target = system.kappa * margin * theta
    columns = np.vstack([np.hstack([J[support].T, Jh.T]) / margin, np.r_[np.ones(len(support)), np.zeros(len(bent))]])
    sizes = np.linalg.svd(columns, compute_uv=False)
    unique = columns.shape[1] <= columns.shape[0] and bool(sizes[-1] > 1e-9 * sizes[0])
    values = np.r_[point.alpha, point.mu]
    reach = slope_reach(system, theta, support, bent)
    if not unique or values[: len(support)].min() < 0:
        values = _chosen(columns, np.r_[target / margin, 1.0], reach)
    a, mu = values[: len(support)], values[len(support) :]
    alpha[support] = a
    bad = [
        np.linalg.norm(J[support].T @ a + Jh.T @ mu - target) / np.linalg.norm(target),
        np.abs(np.bincount(system.spheres, theta**2) - 1.0).max(),
        max(0.0, margin - float(q.min())) / margin,
        float(np.max(np.abs(a) * np.abs(q[support] - margin))) / margin,
        abs(a.sum() - 1.0),
        max(0.0, -float(a.min())),
    ]
    if len(bent):
        bad += [float(np.abs(h).max()), max(0.0, float(excess(a, mu, reach).max()))]
    return replace(point, margin=margin, alpha=a, mu=mu, residual=float(max(bad)), unique=unique)


def _chosen(columns: np.ndarray, target: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Multipliers α ≥ 0 and parts μ of kinks with |μ_b| ≤ Σ_n α_n reach_nb that fit best, (S + B,)."""
    smooth, kinks = columns[:, : len(reach)].T, columns[:, len(reach) :].T

    def best(left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mu = reach * np.sign(kinks @ left)
        return smooth + mu @ kinks, mu

    found = nearest(target, (smooth, np.zeros(reach.shape)), best)
    return np.r_[found.weights, found.shares @ found.tags]


def slope_reach(system: System, theta: np.ndarray, support: np.ndarray, bent: np.ndarray) -> np.ndarray:
    """How far from the mean slope's the gradients of constraints go along each kink, (S, B)."""
    return np.abs(system.arriving(theta, bent)[support]) * ((system.high - system.low) / 2.0)[system.units[bent]]


def excess(alpha: np.ndarray, mu: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """How far the slope of each kink lies outside its two one-sided ones, in units of their distance, (B,); negative
    inside.
    """
    most = alpha @ reach
    small = np.abs(mu) <= _SIGN * max(1.0, float(np.max(most, initial=0.0)))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(small, -0.5, 0.5 * np.abs(mu) / most - 0.5)


def _least(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The shortest least-squares solution."""
    found = lstsq(A, b, cond=1e-11)
    assert found is not None
    return found[0]


def newton(system: System, theta: np.ndarray, support: np.ndarray, bent: np.ndarray = _INT) -> tuple[Point, np.ndarray]:
    """Levenberg steps on the KKT equations of a frozen support; also tells which pre-activations changed sign on the
    way.

    The damping ‖F‖² vanishes with the equations, so that the steps turn quadratic, and the steps have no part along
    symmetry orbits (hidden rotations, split neurons), where the equations are singular.
    """
    P, S, B = len(theta), len(support), len(bent)
    kappa, spheres = system.kappa, system.spheres
    scale = float(system.margins(theta)[support].mean())
    scale = scale if scale > 0 else float(np.abs(system.margins(theta)).max())

    def equations(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        t, a, g, mu = z[:P], z[P : P + S], z[P + S], z[P + S + 1 :]
        alpha = np.zeros(len(system.pairs))
        alpha[support] = a
        q, J, h, Jh, H = system.derivatives(t, alpha / scale, bent, mu)
        F = np.r_[
            J[support].T @ a / scale + Jh.T @ mu - kappa * g * t,
            np.bincount(spheres, t**2) - 1.0,
            q[support] / scale - g,
            a.sum() - 1.0,
            h,
        ]
        D = np.zeros((len(F), len(z)))
        K = P + int(spheres[-1]) + 1
        D[:P, :P] = H - np.diag(kappa * g)
        D[:P, P : P + S], D[:P, P + S], D[:P, P + S + 1 :] = J[support].T / scale, -kappa * t, Jh.T
        D[spheres + P, np.arange(P)] = 2.0 * t
        D[K : K + S, :P], D[K : K + S, P + S] = J[support] / scale, -1.0
        D[K + S, P : P + S] = 1.0
        D[K + S + 1 :, :P] = Jh
        return F, D

    _, J, _, Jh, _ = system.derivatives(theta, np.zeros(len(system.pairs)), bent, np.zeros(B))
    first = np.vstack([np.hstack([J[support].T / scale, Jh.T]), np.r_[np.ones(S), np.zeros(B)]])
    start = nnls(np.hstack([first, -first[:, S:]]), np.r_[kappa * theta, 1.0], maxiter=100 * (S + 2 * B + 1))[0]
    z = np.r_[theta, start[:S], 1.0, start[S : S + B] - start[S + B :]]
    F, D = equations(z)
    size, damping, flips = float(np.linalg.norm(F)), 1.0, np.zeros(system.bends, dtype=bool)
    signs = system.preactivations(theta) > 0
    for _ in range(_NEWTON):
        if size < 1e-15 or damping > 1e8 or system.budget <= 0:
            break
        system.budget -= 1
        root = np.sqrt(min(size, 1.0) ** 2 * damping)
        step = _least(np.vstack([D, root * np.eye(len(z))]), np.r_[-F, np.zeros(len(z))])
        trial = z + step
        flips |= (system.preactivations(trial[:P]) > 0) != signs
        F_new, D_new = equations(trial)
        new = float(np.linalg.norm(F_new))
        if new < size:
            done = new > 0.5 * size and new < 1e-13
            z, F, D, size, damping = trial, F_new, D_new, new, damping / 10.0
            if done:
                break
        elif size < 1e-12:
            break
        else:
            damping *= 10.0
    t = system.project(z[:P])
    point = Point(t, z[P + S] * scale, support, z[P : P + S], bent, z[P + S + 1 :] * scale, np.inf)
    return replace(point, residual=size), flips


def active_set(system: System, theta: np.ndarray, support: np.ndarray, bent: np.ndarray = _INT) -> Point | None:
    """The KKT point nearest to θ, from a guess of its support and of the pairs on kinks; None if the search ends
    without one.

    Constraints with negative multipliers leave, violated ones enter, and units that change side on the way are
    put on their kink; each round starts from θ again, so that the point found is near it.
    """
    seen = set()
    for _ in range(_ROUNDS):
        key = (tuple(support), tuple(bent))
        if key in seen or not len(support) or system.budget <= 0:
            return None
        seen.add(key)
        point, flips = newton(system, theta, support, bent)
        if point.residual > 1e-9:
            flips[bent] = False
            relevant = flips & np.isin(system.samples, [-1, *system.pairs[support, 0]])
            if relevant.any():
                h = np.where(relevant, np.abs(system.preactivations(theta)), np.inf)
                bent = np.union1d(bent, np.argmin(h))
                continue
            # Too many equations: the constraint that is farthest from binding leaves.
            support = np.delete(support, np.argmax(system.margins(theta)[support]))
            continue
        q = system.margins(point.theta)
        near = np.nonzero(np.abs(q - point.margin) <= 1e-11 * abs(point.margin))[0]
        full = np.union1d(support, near)
        alpha = np.zeros(len(q))
        alpha[support] = point.alpha
        checked = certify(system, replace(point, support=full, alpha=alpha[full]))
        if checked.residual <= TOLERANCE:
            return checked
        if len(bent):
            outside = excess(np.abs(point.alpha), point.mu, slope_reach(system, point.theta, support, bent))
            if outside.max() > _SIGN:
                bent = np.delete(bent, np.argmax(outside))
                continue
        if point.margin > 0 and q.min() < point.margin * (1.0 - _SIGN):
            support = np.union1d(support, np.argmin(q))
        elif point.alpha.min() < -_SIGN:
            support = np.delete(support, np.argmin(point.alpha))
        else:
            return None
    return None


def curvature(system: System, point: Point) -> float:
    """The largest eigenvalue of the Lagrangian's Hessian across the active constraints, relative to the margin.

    Positive: the margin grows to second order along some direction, and the flow leaves the point. It is zero along
    symmetries. Weights of units without any, of one kinked layer, are left out: at zero they have no side, and `climb`
    asks whether they grow.
    """
    alpha = np.zeros(len(system.pairs))
    alpha[point.support] = point.alpha
    _, J, _, Jh, H = system.derivatives(point.theta, alpha, point.bent, point.mu)
    normals = np.zeros((int(system.spheres[-1]) + 1, len(point.theta)))
    normals[system.spheres, np.arange(len(point.theta))] = point.theta
    binding = point.support[point.alpha > _SIGN]
    _, sizes, rows = np.linalg.svd(
        np.vstack([normals, J[binding] / point.margin, Jh, np.eye(len(point.theta))[idle(system, point.theta)]])
    )
    free = rows[int((sizes > 1e-9 * sizes[0]).sum()) :]
    if not len(free):
        return -np.inf
    return float(np.linalg.eigvalsh(free @ (H / point.margin - np.diag(system.kappa)) @ free.T)[-1])
