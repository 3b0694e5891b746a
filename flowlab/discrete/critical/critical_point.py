"""A critical point of the constrained problem, and what its spectrum, kinks and symmetries say of it."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from flowlab.core.display import displayed
from flowlab.core.typing import Record
from flowlab.discrete.critical.constrained_problem import Constrained
from flowlab.discrete.critical.lagrange_newton import Critical, kink_sides
from flowlab.discrete.critical.stability_probe import is_left
from flowlab.discrete.critical.symmetries import Symmetries
from flowlab.discrete.critical.zero_units import EMPTY, growth
from flowlab.language.state import State

NULL = 1e-7
"""Eigenvalues below this share of the largest are zero modes; the gap to the next one is recorded."""
_EXPLAINED = 1e-6


@dataclass(frozen=True)
@displayed
class CriticalPoint:
    """A critical point of the constrained problem; dimensionless but for the norms of its state.

    Attributes:
        state: norms and directions.
        residual: tangent part of ∂F over ∂F, recomputed at the state; with kinks also |h| and the range of slopes.
        log_loss: logarithm of the loss (the loss itself is kept finite only there).
        margin: smallest normalised margin y f(V; x); nan for losses of targets.
        multipliers: λ_k of F = log L (L for losses of targets) on every sphere, (K,).
        eigenvalues: of the Riemannian Hessian of F (eq. 1.11), ascending; on h_b = 0 where units rest on a kink.
        index: how many are negative.
        nullity: how many are zero, and `explained`, how many of those are directions of a symmetry.
        gap: smallest non-zero |eigenvalue| over the largest one called zero (inf where that is zero or there is none).
        kinks: how many pairs of a unit and a sample rest on a kink, and `repelling`, how many of those kinks repel.
        kind: minimum, saddle, maximum; Morse-Bott where there are zero modes; non-smooth where there are kinks, and no
            Hessian.
        attracting: whether descents from beside it come back to its loss.
        found: how many searches ended here.
        is_alone: whether symmetries make all of its zero modes, so that critical points beside it are its images.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> points = fl.critical_points(fl.Problem("W @ x"), data, norm=2.0, starts=4)
        >>> points[0].kind, points[0].index, points[0].residual < 1e-9
        ('minimum', 0, True)
    """

    state: State
    residual: float
    log_loss: float
    margin: float
    multipliers: np.ndarray
    eigenvalues: np.ndarray
    index: int
    nullity: int
    explained: int
    gap: float
    kinks: int
    repelling: int
    kind: str
    attracting: bool
    found: int
    is_alone: bool = field(repr=False, compare=False)

    @property
    def unexplained(self) -> int:
        """Zero modes that no symmetry of the network explains."""
        return self.nullity - self.explained

    def to_dict(self) -> Record:
        """Everything but the state, for JSON."""
        numbers = {
            k: getattr(self, k)
            for k in (
                "residual",
                "log_loss",
                "margin",
                "index",
                "nullity",
                "explained",
                "gap",
                "kinks",
                "repelling",
                "kind",
            )
        }
        numbers = {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in numbers.items()}
        lists = {"multipliers": self.multipliers.tolist(), "eigenvalues": self.eigenvalues.tolist()}
        V = {k: np.asarray(v).tolist() for k, v in self.state.V.items()}
        rho = {k: np.asarray(r).tolist() for k, r in self.state.rho.items()}
        return {**numbers, "attracting": self.attracting, "found": self.found, **lists, "rho": rho, "V": V}


def described(con: Constrained, symmetries: Symmetries, end: Critical, found: int) -> CriticalPoint:
    """What a polished end is: index, zero modes, kinks, kind, and whether it attracts."""
    _, sizes, rows = np.linalg.svd(end.normals)
    free = rows[int((sizes > 1e-9 * sizes[0]).sum()) :].T
    values, vectors = np.linalg.eigh(free.T @ end.hessian @ free) if free.shape[1] else (np.zeros(0), np.zeros((0, 0)))
    top = float(np.abs(values).max(initial=0.0))
    null = np.abs(values) <= NULL * top
    index, nullity = int((values[~null] < 0).sum()), int(null.sum())
    flat = free @ vectors[:, null]
    explained, turned = (
        int((np.linalg.svd(rows @ flat, compute_uv=False) > 1.0 - _EXPLAINED).sum()) if rows.size and flat.size else 0
        for rows in (symmetries.freedom(end.theta, con.spheres.normals(end.theta)), symmetries.orbit(end.theta))
    )
    below, above = float(np.abs(values[null]).max(initial=0.0)), float(np.abs(values[~null]).min(initial=np.inf))
    left, right = kink_sides(con)
    # Units without weights pull on none of their kinks; whether they stay is a question of second order.
    without = growth(con, symmetries, end)
    own = np.isin(end.bent, without.pairs)
    push = end.pull * (right - left)[end.bent]
    # Where the loss does not answer to norms there are no multipliers to compare with.
    scale = max(float(np.abs(end.multipliers).max(initial=0.0)), 1e-3 * con.typical) / max(1, data_size(con))
    repels, idle = (push < -1e-9 * scale) & ~own, (np.abs(push) <= 1e-9 * scale) & ~own
    kind = (
        "non-smooth"
        if len(end.bent)
        else "Morse-Bott"
        if nullity
        else "minimum"
        if not index
        else "maximum"
        if (values < 0).all()
        else "saddle"
    )
    doubtful = bool((repels | idle).any()) or nullity > explained or not without.exact
    unexplained = flat if nullity > explained else flat[:, :0]
    attracting = (
        index == 0
        and without.largest <= 1.0 + EMPTY
        and not (doubtful and is_left(con, end, repels | idle, unexplained))
    )
    gap = above / below if below > 0 and np.isfinite(above) else np.inf
    told = Told(index, nullity, explained, gap, len(end.bent), int(repels.sum()), kind, bool(attracting))
    return pointed(con, end, values, told, found, nullity <= turned)


class Told(NamedTuple):
    """What the spectrum and the kinks say of a point; as in `CriticalPoint`."""

    index: int
    nullity: int
    explained: int
    gap: float
    kinks: int
    repelling: int
    kind: str
    attracting: bool


def pointed(con: Constrained, end: Critical, values: np.ndarray, told: Told, found: int, alone: bool) -> CriticalPoint:
    """A point with its state, loss and margin, from what was told of it."""
    state = con.spheres.state(end.theta)
    # Adding zero turns -0, of a unit that is off and a label of -1, into 0.
    margin = (
        float(np.min(np.asarray(con.problem.margins(state.V, con.data, np)))) + 0.0
        if con.problem.loss.classifies
        else float("nan")
    )
    value = con.value(end.theta)
    return CriticalPoint(
        state=state,
        residual=end.residual,
        log_loss=value if con.is_logarithm else float(np.log(value)) if value > 0 else -np.inf,
        margin=margin,
        multipliers=end.multipliers,
        eigenvalues=values,
        found=found,
        is_alone=alone,
        **told._asdict(),
    )


def data_size(con: Constrained) -> int:
    """Number of samples."""
    return con.data.n
