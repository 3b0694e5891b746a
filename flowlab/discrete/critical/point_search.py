"""Searches for one critical point: down to a minimum, to a zero of the gradient near a direction, or next to a state;
kinks are rounded on the way.
"""

import numpy as np

from flowlab.discrete.critical.constrained_problem import Constrained
from flowlab.discrete.critical.lagrange_newton import SOFTNESS, Critical, polish
from flowlab.discrete.critical.trust_region import TOLERANCE, minimize, root

SOFT = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, SOFTNESS)
"""Roundings of kinks that descents go through."""
_TRIES = 5


def settle(con: Constrained, theta: np.ndarray) -> Critical:
    """The critical point next to θ: polished where it stands, or, if that ends elsewhere, after a descent."""
    direct = polish(con, theta, 1e-4)
    return (
        direct
        if direct.residual <= con.resolution and np.linalg.norm(direct.theta - theta) < 0.1
        else down(con, theta, 2)[0]
    )


def down(con: Constrained, theta: np.ndarray, skip: int = 0) -> list[Critical]:
    """The end of a descent; at large norms, where softmax and kinks are too sharp to go down on, by smaller ones. The
    first `skip` roundings are left out.
    """
    rungs = con.rungs()
    for rung in rungs:
        if not con.bends:
            theta, _ = minimize(rung, theta, tolerance=1e-6 if rung is not con else TOLERANCE)
            continue
        sharp = _sharp(rung)
        for softness in sharp[skip:] if rung is rungs[0] else sharp[-1:]:
            theta, _ = minimize(
                rung.rounded(softness), theta, tolerance=1e-6 if softness > sharp[-1] or rung is not con else 1e-9
            )
    return [polish(con, theta, _sharp(con)[-1])]


def _sharp(con: Constrained) -> tuple[float, ...]:
    """Softnesses of kinks, down to where it is read off which units rest on one: the less, the larger outputs are."""
    least = max(1e-2 / max(1e4, 2.0 * con.spread), 1e-12)
    return SOFT + tuple(float(s) for s in SOFTNESS * 10.0 ** -np.arange(1, 7) if s >= 0.3 * least)


def roots(con: Constrained, rng: np.random.Generator) -> list[Critical]:
    """Two zeros of the gradient near one random direction; other directions while there is none."""
    known: list[np.ndarray] = []
    found = []
    first, *rungs = con.rungs()
    soft = first.rounded(SOFT[1]) if con.bends else first
    start = con.random(rng)
    for _ in range(_TRIES):
        theta = root(soft, start, known)
        if theta is None:
            if found:
                break
            start = con.random(rng)
            continue
        known.append(theta)
        for softness in _sharp(first)[2:] if con.bends else ():
            sharper = root(first.rounded(softness), theta, [])
            theta = theta if sharper is None else sharper
        for rung in rungs:
            sharper = root(rung.rounded(_sharp(rung)[-1]) if con.bends else rung, theta, [])
            theta = theta if sharper is None else sharper
        found.append(polish(con, theta, _sharp(con)[-1]))
        if len(found) == 2:
            break
    return found
