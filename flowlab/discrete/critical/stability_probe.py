"""Whether descents leave a critical point: by trial, in steps that do not leap, where curvature and kinks
do not tell.
"""

import numpy as np

from flowlab.discrete.critical.constrained_problem import Constrained
from flowlab.discrete.critical.lagrange_newton import SOFTNESS, Critical
from flowlab.discrete.critical.trust_region import exact

_PROBES, _ASIDE, _ALONG, _PLATEAU = 6, 1e-5, 1e-3, 1e-2


def is_left(con: Constrained, end: Critical, kinks: np.ndarray, flat: np.ndarray) -> bool:
    """Whether a descent from beside a point leaves it, where second derivatives do not tell.

    It starts in random directions, and off each of the kinks that repel or do nothing, to both sides: along its
    normal, and along the part of it that keeps to the others. A kink that repels alone is left; where many meet the
    others may hold what it releases.

    Args:
        con: the constrained problem.
        end: the critical point.
        kinks: which of its bent pairs these are, (B,).
        flat: directions without curvature, (P, M): along these it starts further away, where higher orders tell.
    """
    rng, theta, drop = np.random.default_rng(0), end.theta, 1e-9 * max(1.0, abs(con.value(end.theta)))
    normals = np.array([con.spheres.tangent(theta, n) for n in end.normals[con.spheres.count :]])
    ways = list(rng.normal(size=(_PROBES, len(theta))))
    for b in np.flatnonzero(kinks)[:_PROBES]:
        others = np.delete(normals, b, axis=0)
        alone = normals[b] - np.linalg.lstsq(others.T, normals[b], rcond=1e-9)[0] @ others
        ways += [side * way for way in (normals[b], alone) for side in (1.0, -1.0)]
    # Rounding pulls along sets of critical points that are flat, and is for points on kinks.
    begins = [(way, _ASIDE) for way in ways]
    begins += [
        (side * flat @ c, _ALONG)
        for c in rng.normal(size=(_PROBES if flat.shape[1] else 0, flat.shape[1]))
        for side in (1.0, -1.0)
    ]
    soft = con.rounded(SOFTNESS) if len(end.bent) else con
    for way, aside in begins:
        along = con.spheres.tangent(theta, way)
        size = float(np.linalg.norm(along))
        if size > 1e-6 * float(np.linalg.norm(way)) and leaves(
            con, soft, theta, con.spheres.project(theta + aside / size * along), drop
        ):
            return True
    return False


def leaves(
    con: Constrained, soft: Constrained, theta: np.ndarray, start: np.ndarray, drop: float, steps: int = 200
) -> bool:
    """Whether a descent from beside θ gets below its objective by `drop`, in steps of at most half its distance from θ,
    which do not leap out of basins.

    Args:
        con: the constrained problem.
        soft: the same with kinks rounded by less than the distance, on which the descent goes.
        theta: where it may leave, (P,).
        start: where it begins, (P,).
        drop: how much lower it is to get.
        steps: the most steps.
    """
    here, first = con.value(theta), float(np.linalg.norm(start - theta))
    f, radius = soft.value(start), 0.5 * first
    for _ in range(steps):
        value, away = con.value(start), float(np.linalg.norm(start - theta))
        if value < here - drop:
            return True
        # On a plateau only the rounding falls.
        if away > _PLATEAU and value >= here - 1e-15 * max(1.0, abs(here)):
            break
        if radius < 1e-6 * first or soft.residual(start) <= 1e-10:
            break
        move, gain = exact(soft, start, radius)
        trial = soft.spheres.project(start + move)
        f_new = soft.value(trial)
        if gain <= 1e-15 * max(1.0, abs(f)):
            break
        share = (f - f_new) / gain
        if share > 0.1:
            start, f = trial, f_new
        widest = 0.5 * max(first, float(np.linalg.norm(start - theta)))
        radius = min(widest, 2.0 * radius if share > 0.5 else radius if share > 0.1 else 0.25 * radius)
    return con.value(start) < here - drop
