"""States beside critical points: within the basin of one that attracts, and off the kinks that a flow is stopped by.

Some minima of deep networks attract from a hundred-thousandth of a radian only: units of weight zero in every layer are
held there by the multiplier alone, and any of them that is larger than its square times the loss's slope leaves. A
start "beside" such a point has to be chosen by the curvature.
"""

import numpy as np

from flowlab.core import arguments
from flowlab.core.arguments import guarded, must_be
from flowlab.core.seeds import checked_seed
from flowlab.discrete.critical.constrained_problem import Constrained
from flowlab.discrete.critical.critical_points import NULL, CriticalPoints
from flowlab.discrete.critical.lagrange_newton import Critical, held_pieces, kink_sides, polish
from flowlab.language.state import State

REACH = 4e-3
"""The largest displacement, √Σ_k ‖δV_k‖² (radians)."""
ON_KINK = 1e-9
"""Pre-activations below this, in units of their typical size, are on their kink."""
_SHARE, _PROBES, _SMALLEST = 0.5, 6, 1e-9


@guarded
def beside(points: CriticalPoints, k: int, *, seed: int = 0, reach: float = REACH) -> State:
    """A state at a random direction from critical point k, so near that curvature and slopes there are still those of
    the point.

    Half the largest radius, `reach` over a power of two, at which the positive eigenvalues of the Riemannian Hessian
    keep half of the smallest one in every direction that is tried, and no pre-activation comes to another kink. Where
    the point is a minimum its basin holds such a ball.

    Args:
        points: from `critical_points`.
        k: which of them.
        seed: of the directions.
        reach: the largest displacement (radians).

    Raises:
        LanguageError: for a point that is not there, or a reach outside (0, 1).

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> points = fl.critical_points(fl.Problem("W @ x"), data, norm=2.0, starts=4)
        >>> near = fl.beside(points, 0, seed=0)
        >>> sorted(near.V)
        ['W']
    """
    if not 0 <= k < len(points):
        raise must_be("k", k, f"an integer from 0 to {len(points) - 1}", "the number of a critical point")
    if not 0 < reach < 1:
        raise must_be("reach", reach, "a number between 0 and 1", f"for example {REACH}")
    con, rng = points.constrained, np.random.default_rng(checked_seed(seed))
    end = polish(con, con.row(points[k].state), ON_KINK)
    theta = end.theta
    slopes = _slopes(con, end)
    free = ~np.isin(np.arange(len(slopes)), end.bent)
    sides = np.sign(con.preactivations(theta))
    values = _eigenvalues(end.hessian, end.normals)
    above = values > NULL * float(np.abs(values).max(initial=0.0))
    least, count = float(values[above].min(initial=np.inf)), int(above.sum())
    ways = [_unit(con, theta, rng) for _ in range(_PROBES)]

    def kept(radius: float) -> bool:
        for way in ways:
            aside = con.spheres.project(theta + radius * way)
            if (con.preactivations(aside) * sides < 0)[free].any():
                return False
            g, H, _, _, normals, _ = held_pieces(con, aside, slopes, end.bent)
            lam = con.spheres.squares(aside, g)[con.spheres.owner]
            seen = _eigenvalues(H - np.diag(lam), np.vstack([con.spheres.normals(aside), normals]))
            if int((seen >= _SHARE * least).sum()) < count:
                return False
        return True

    radius = reach
    while radius > _SMALLEST and not kept(radius):
        radius *= 0.5
    return con.spheres.state(con.spheres.project(theta + 0.5 * radius * _unit(con, theta, rng)))


@guarded
def branches(con: Constrained, state: State, *, count: int = 8, seed: int = 0, reach: float = 1e-7) -> list[State]:
    """States just off the kinks that a state stands on; where a flow is not unique, flows from them are its
    continuations.

    On one kink that repels there are two sides. Where many meet, as at a unit whose weights are zero, random ways off
    all of them are taken, and several may lead to one continuation. Kinks that attract take such a state back at once.

    Args:
        con: the constrained problem, such as `points.constrained`.
        state: such as the last one of a trajectory whose outcome is `nonunique`.
        count: how many ways where more than one pre-activation can be moved.
        seed: of the random ways.
        reach: the displacement (radians).

    Returns:
        Two states, or `count`; none where no pre-activation is on its kink.

    Raises:
        LanguageError: for arguments that are none.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W2 @ relu(W1 @ x)")
        >>> points = fl.critical_points(problem, data, norm=2.0, widths={"W1": 1}, starts=4)
        >>> on_a_kink = fl.State.from_weights({"W1": [[0.5, -1.0]], "W2": [[1.0]]})
        >>> len(fl.branches(points.constrained, on_a_kink))
        2
    """
    count, seed = arguments.count("count", count, 1, 8), checked_seed(seed)
    if isinstance(reach, bool) or not isinstance(reach, int | float) or not 0 < reach < 1:
        raise must_be("reach", reach, "a number between 0 and 1", "for example 1e-7")
    theta = con.row(state)
    bent = np.flatnonzero(np.abs(con.preactivations(theta)) <= ON_KINK)
    if not len(bent):
        return []
    left, right = kink_sides(con)
    normals = held_pieces(con, theta, np.where(con.preactivations(theta) > 0, right, left), bent)[4]
    _, sizes, rows = np.linalg.svd(np.array([con.spheres.tangent(theta, n) for n in normals]), full_matrices=False)
    span = rows[sizes > 1e-9 * max(float(sizes[0]), 1e-300)]
    rng = np.random.default_rng(seed)
    ways = (
        [span[0], -span[0]]
        if len(span) == 1
        else [_of_length_one(c @ span) for c in rng.normal(size=(count, len(span)))]
    )
    return [con.spheres.state(con.spheres.project(theta + reach * way)) for way in ways]


def _slopes(con: Constrained, end: Critical) -> np.ndarray:
    left, right = kink_sides(con)
    slopes = np.where(con.preactivations(end.theta) > 0, right, left)
    slopes[end.bent] = end.slopes
    return slopes


def _eigenvalues(hessian: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Of a Hessian on what is normal to none of the rows."""
    _, sizes, rows = np.linalg.svd(normals)
    free = rows[int((sizes > 1e-9 * sizes[0]).sum()) :].T
    return np.linalg.eigvalsh(free.T @ hessian @ free) if free.shape[1] else np.zeros(0)


def _unit(con: Constrained, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _of_length_one(con.spheres.tangent(theta, rng.normal(size=len(theta))))


def _of_length_one(way: np.ndarray) -> np.ndarray:
    return way / np.linalg.norm(way)
