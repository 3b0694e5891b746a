"""The central flow of gradient descent: where its oscillations at the edge of stability leave it on average.

J. Cohen, A. Damian, A. Talwalkar, J. Z. Kolter, J. D. Lee, "Understanding optimization in deep learning with central
flows", 2024. In the time η k,

    dw/dt = -∇(L(w) + ½⟨H(w), Σ⟩)   with Σ held fixed in the gradient,

where Σ, the covariance of the oscillations, is the positive semidefinite matrix on the eigenvectors of H with
eigenvalue 2/η that solves

    Σ ⪰ 0,   2/η - H(w(t)) ⪰ 0,   ⟨Σ, d/dt (2/η - H(w(t)))⟩ = 0   (a semidefinite complementarity problem; for one
    eigenvalue, a scalar one).

So it is the gradient flow projected onto {w : H(w) ⪯ 2/η}: below the edge Σ = 0 and it is the gradient flow. This is
how it is integrated here (Moreau's catching-up scheme): a Runge-Kutta step of the gradient flow over a part of η, then
the nearest point of that set, by successive quadratic programs over Y = ∫Σ dt on the top eigenvectors, min ½⟨Y, B
Y⟩ + ⟨A, Y⟩ over Y ⪰ 0, of which each is that complementarity problem. The scheme is of first order in the part of η;
its constraint holds to roundings at every step, whereas Euler steps hold it to first order.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import clarabel as _clarabel
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse import csc_matrix

from flowlab.core.display import displayed
from flowlab.core.errors import LanguageError, RunFailed
from flowlab.core.runge_kutta import runge_kutta_step
from flowlab.core.typing import Array, Given, Scalar
from flowlab.discrete.critical.sphere_product import Layout
from flowlab.discrete.descent.sharpness import Curvature, objective_of_row
from flowlab.language.problem import Problem

clarabel: Any = _clarabel  # a compiled module without type stubs

_BAND = 0.15
"""Eigenvalues within this part below 2/η may become critical in a step and are constrained with those that are."""
_SETTLED, _ITERATIONS, _VIOLATED, _ROUNDING = 1e-10, 60, 1e-6, 1e-13


@dataclass(frozen=True)
@displayed
class Central:
    """The central flow at common times.

    Attributes:
        rows: weights, (S, P), the first row the start; fewer rows than were asked for where it `failed`.
        variance: tr Σ, averaged over the time since the row before, (S,).
        active: rank of Σ in the last part of the time before each row, (S,).
        excess: largest (λ_max - 2/η)/(2/η) that any step left behind.
        failed: why it went no further; empty where it reached the end.
    """

    rows: np.ndarray
    variance: np.ndarray
    active: np.ndarray
    excess: float
    failed: str = ""


def central_flow(
    curvature: Curvature,
    start: np.ndarray,
    step: float,
    counts: np.ndarray,
    *,
    parts: int = 4,
    edge: float | None = None,
) -> Central:
    """Integrate the central flow of gradient descent.

    Far below the edge the sharpness is looked at after every η, within the band near it after every part.

    Args:
        curvature: the objective.
        start: weights, (P,), with H ⪯ 2/η.
        step: η.
        counts: increasing numbers of steps of η at which to store, (S,), the first one 0.
        parts: parts of η, the steps of the scheme.
        edge: bound of the sharpness in place of 2/η.

    Raises:
        LanguageError: if the start is sharper than the edge, or the counts or parts are none.
    """
    edge, h = 2.0 / step if edge is None else edge, step / parts
    if len(counts) < 1 or counts[0] != 0 or not (np.diff(counts) > 0).all() or parts < 1:
        raise LanguageError(
            f"`counts` must increase from 0 on and `parts` be at least 1, got {counts!r} and {parts!r}; pass such"
            " numbers."
        )
    w = np.asarray(start, dtype=np.float64)
    sharpest = float(curvature.top(w)[0][0])
    if sharpest > edge * (1 + 1e-9):
        told = f"the start has sharpness {sharpest:.6g}, above the edge {edge:.6g} of step {step:g}"
        raise LanguageError(
            f"{told}, where no central flow begins; use a step below {2 / sharpest:.3g}, or a later start."
        )
    track, failed = _Track(curvature, w, edge, h, sharpest), ""
    rows, variance, active = [w], [0.0], [0]
    for before, after in pairwise(counts.tolist()):
        track.variance = 0.0
        try:
            for _ in range(int(after - before)):
                track.go(parts)
        except RunFailed as error:
            failed = f"the central flow was lost between the times {before * step:g} and {after * step:g}: {error}"
            break
        rows.append(track.w)
        variance.append(track.variance / ((after - before) * step))
        active.append(track.rank)
    return Central(np.array(rows), np.array(variance), np.array(active), track.excess, failed)


class _Track:
    """Where the flow is, and what was seen on the way."""

    def __init__(self, curvature: Curvature, w: np.ndarray, edge: float, h: float, sharpest: float) -> None:
        self.curvature, self.w, self.edge, self.h, self.sharpest = curvature, w, edge, h, sharpest
        self.variance, self.rank, self.excess, self.vectors = 0.0, 0, 0.0, None

    def free(self, count: int) -> np.ndarray:
        """Where the gradient flow is after so many parts."""
        return np.asarray(_free(*self.curvature.args, self.w, jnp.asarray(self.h), jnp.asarray(count)))

    def go(self, parts: int) -> None:
        """Over one η: in one go where the sharpness is far below the edge before and after, else part by part."""
        band = (1.0 - _BAND) * self.edge
        if self.sharpest < band:
            free = self.free(parts)
            values, vectors = _critical(self.curvature, free, self.edge, self.vectors)
            if values[0] < band:
                self.w, self.sharpest, self.vectors, self.rank = free, float(values[0]), vectors, 0
                return
        for _ in range(parts):
            free = self.free(1)
            self.w, Y, self.sharpest, self.vectors = _projected(self.curvature, free, self.edge, self.vectors)
            self.excess = max(self.excess, self.sharpest / self.edge - 1.0)
            self.variance += float(np.trace(Y))
            self.rank = int((np.linalg.eigvalsh(Y) > 1e-6 * max(float(np.trace(Y)), 1e-300)).sum()) if Y.size else 0


@eqx.filter_jit
def _free(problem: Problem, layout: Layout, x: Given, y: jax.Array, row: Array, h: Scalar, count: Scalar) -> jax.Array:
    """Classical Runge-Kutta steps of the gradient flow; at h λ ≤ 2/parts they need no control of their error."""
    slope = jax.grad(lambda w: -objective_of_row(problem, layout, x, y, w))

    return jax.lax.fori_loop(0, count, lambda _, at: runge_kutta_step(slope, at, h), row)


def _projected(
    curvature: Curvature, free: np.ndarray, edge: float, first: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    """The point of {H ⪯ edge} nearest to `free`, Y with free - point = ½∇⟨H, Y⟩, its largest eigenvalue, and the top
    eigenvectors.
    """
    values, U = _critical(curvature, free, edge, first)
    if values[0] <= edge * (1.0 + _ROUNDING):
        return free, np.zeros((0, 0)), float(values[0]), U
    w, z, moved = free, np.zeros(1), np.inf
    for _ in range(_ITERATIONS):
        pairs = [(i, j) for j in range(len(values)) for i in range(j + 1)]
        scale = np.array([1.0 if i == j else np.sqrt(2.0) for i, j in pairs])
        normals = scale[:, None] * np.array([curvature.bending(w, U[:, i], U[:, j]) for i, j in pairs])
        slack = _flat(np.diag(edge - values)) - normals @ (free - w)
        z = complementary(slack, 0.5 * normals @ normals.T)
        new = free - 0.5 * normals.T @ z
        moved, w = float(np.linalg.norm(new - w)), new
        values, U = _critical(curvature, w, edge, U)
        if moved <= _SETTLED * (1.0 + float(np.linalg.norm(w))):
            break
    over = max(float(values[0]) / edge - 1.0, 0.0)
    # A point on the edge that still moves is not the nearest one.
    if not (over <= _VIOLATED and moved <= 1e3 * _SETTLED * (1.0 + float(np.linalg.norm(w)))):
        raise RunFailed(
            f"the projection onto sharpness {edge:.6g} did not converge ({over:.1g} above, still moving by"
            f" {moved:.1g}); use more `parts`."
        )
    return w, _square(z), float(values[0]), U


def _critical(
    curvature: Curvature, w: np.ndarray, edge: float, first: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues that are critical or may become so, at least one, and their eigenvectors (P, k)."""
    count = 3 if first is None else first.shape[1] + 2
    while True:
        count = min(count, curvature.size)
        values, U = curvature.top(w, count, first=None if first is None else first[:, 0])
        if values[-1] < (1.0 - _BAND) * edge or count == curvature.size:
            keep = max(int((values >= (1.0 - _BAND) * edge).sum()), 1)
            return values[:keep], U[:, :keep]
        count *= 2


def complementary(a: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Solve 0 ⪯ Z ⊥ A + B[Z] ⪰ 0, the optimality of min ½⟨Z, B[Z]⟩ + ⟨A, Z⟩ over Z ⪰ 0, by interior points.

    Args:
        a: A by its upper triangle, column by column, with entries off the diagonal times √2, (k(k + 1)/2,).
        B: a positive semidefinite map in these coordinates.

    Returns:
        Z in these coordinates.

    Raises:
        RunFailed: where the problem has no solution.
    """
    A = _square(a)
    size = float(np.linalg.norm(B))
    reach = float(np.linalg.norm(a))
    if np.linalg.eigvalsh(A)[0] >= 0:
        return np.zeros(len(a))
    failed = (
        "the sharpness does not depend on the weights along its own eigenvectors, so that nothing can hold it at"
        " 2/step; use a smaller step."
    )
    if size <= 1e-14 * reach or not np.isfinite(size):
        raise RunFailed(failed)
    if len(a) == 1:
        return -a / B[0]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-13
    # In units in which map and slack are of size one.
    cone = [clarabel.PSDTriangleConeT(len(A))]
    found = clarabel.DefaultSolver(
        csc_matrix(np.triu(B / size)), a / reach, csc_matrix(-np.eye(len(a))), np.zeros(len(a)), cone, settings
    ).solve()
    if str(found.status) not in ("Solved", "AlmostSolved", "InsufficientProgress"):
        raise RunFailed(failed)
    return np.asarray(found.x) * (reach / size)


def _flat(A: np.ndarray) -> np.ndarray:
    """The upper triangle, column by column, with entries off the diagonal times √2: lengths and products are those of
    the matrices.
    """
    return np.array([A[i, j] * (1.0 if i == j else np.sqrt(2.0)) for j in range(len(A)) for i in range(j + 1)])


def _square(z: np.ndarray) -> np.ndarray:
    k = round((np.sqrt(8 * len(z) + 1) - 1) / 2)
    out, at = np.zeros((k, k)), 0
    for j in range(k):
        for i in range(j + 1):
            out[i, j] = out[j, i] = z[at] / (1.0 if i == j else np.sqrt(2.0))
            at += 1
    return out
