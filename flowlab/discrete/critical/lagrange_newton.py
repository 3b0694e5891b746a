"""Critical points to round-off: Newton's method on the Lagrangian, with the slopes of units that rest on their kink
among the unknowns.

A critical point satisfies ∂F/∂V_k = λ_k V_k on every sphere (Poggio, Banburski and Liao 2020, eq. 1.10). Where a unit
stands on the kink of its activation for some sample, ∂F is a Clarke subgradient: there is a slope between the two
one-sided ones with which the equations hold. One such slope and one equation h_b = 0 per kink leave as many equations
as unknowns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import lstsq
from scipy.optimize import lsq_linear

from flowlab.core.typing import Array, Given, Pieces
from flowlab.discrete.critical.constrained_problem import Constrained, objective_of
from flowlab.discrete.critical.sphere_product import Layout, blocks
from flowlab.language.problem import Problem

SOFTNESS = 1e-6
"""Rounding of kinks, in units of typical pre-activations, at which it is read off which units rest on a kink."""
_MARGIN = 1e-3
_ROUNDS, _NEWTON = 12, 30
_ROUGH = 1e-3
"""Share of the gradient that is still tangent where slopes are taken to be unknown."""


@dataclass(frozen=True)
class Critical:
    """What Newton's method ends with.

    Attributes:
        theta: directions, (P,).
        multipliers: λ_k, one per sphere, (K,).
        bent: indices of pairs (unit, sample) on their kink, (B,), and `slopes`, the slope of each between left and
            right, (B,).
        residual: the largest of: the tangent part of the gradient over the gradient, |h_b| of bent pairs in units of
            typical pre-activations, and how far slopes lie outside their range. Recomputed at θ.
        hessian: second derivatives of the Lagrangian, (P, P); `normals` of the spheres and of h_b = 0, (K + B, P).
        pull: derivative of the objective with respect to the value of each bent activation, (B,): where it has the sign
            of right - left, the kink attracts.
    """

    theta: np.ndarray
    multipliers: np.ndarray
    bent: np.ndarray
    slopes: np.ndarray
    residual: float
    hessian: np.ndarray
    normals: np.ndarray
    pull: np.ndarray


def polish(con: Constrained, theta: np.ndarray, softness: float = SOFTNESS) -> Critical:
    """The critical point nearest to θ; its residual tells whether there is one.

    Args:
        con: the constrained problem.
        theta: near the critical point; where there are kinks, the end of a descent with kinks rounded by `softness`,
            (P,).
        softness: see above.
    """
    left, right = kink_sides(con)
    h = con.preactivations(theta)
    share = 0.5 * (1.0 + h / np.sqrt(h * h + softness**2)) if len(h) else h
    bent = np.flatnonzero((share > _MARGIN) & (share < 1.0 - _MARGIN))
    seen: set[bytes] = set()
    best: Critical | None = None
    for _ in range(_ROUNDS):
        seen.add(bent.tobytes())
        slopes = np.where(share > 0.5, right, left)
        slopes[bent] = (left + (right - left) * share)[bent]
        found = _newton(con, theta, slopes, bent, left, right)
        if best is None or found.residual < best.residual:
            best = found
        if found.residual <= 1e-12:
            break
        # A pair whose slope leaves its range moves off to that side; one that changed side is put on its kink.
        low, high = np.minimum(left, right)[bent], np.maximum(left, right)[bent]
        outside = np.maximum(low - found.slopes, found.slopes - high) if len(bent) else np.zeros(0)
        now = con.preactivations(found.theta)
        crossed = np.flatnonzero((now * (share - 0.5) < -1e-9) & ~np.isin(np.arange(len(h)), bent))
        if len(outside) and outside.max() > 1e-9:
            worst = int(np.argmax(outside))
            share[bent[worst]] = float(
                abs(found.slopes[worst] - left[bent[worst]]) > abs(found.slopes[worst] - right[bent[worst]])
            )
            bent = np.delete(bent, worst)
        elif len(crossed):
            first = crossed[np.argmin(np.abs(h[crossed]))]
            bent, share[first] = np.union1d(bent, first), 0.5
        else:
            break
        if bent.tobytes() in seen:
            break
    assert best is not None
    return best


def _newton(
    con: Constrained, theta: np.ndarray, slopes: np.ndarray, bent: np.ndarray, left: np.ndarray, right: np.ndarray
) -> Critical:
    """Levenberg steps whose damping vanishes with the equations; without a part along the orbits of symmetries, where
    these are singular.
    """
    spheres, P, B = con.spheres, len(theta), len(bent)
    K, slopes = spheres.count, slopes.copy()
    rows = np.zeros((1 << (B - 1).bit_length() if B else 0, len(slopes)))
    rows[np.arange(B), bent] = 1.0
    g, H, S, h, Jh, pull = _held(con, theta, slopes, rows)
    scale = con.measure(g)
    if B and np.linalg.norm(spheres.tangent(theta, g)) > _ROUGH * scale:
        # Slopes read off a state that is on its kinks already say nothing, and would send it far along flat directions.
        slopes[bent] = _slopes(
            con, theta, g, S[:B], slopes[bent], np.minimum(left, right)[bent], np.maximum(left, right)[bent]
        )
        g, H, S, h, Jh, pull = _held(con, theta, slopes, rows)
    lam = spheres.squares(theta, g)

    def equations(t: np.ndarray, lam: np.ndarray, parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        g, H, S, h, Jh, _ = parts
        F = np.r_[(g - lam[spheres.owner] * t) / scale, 0.5 * (spheres.squares(t, t) - 1.0), h[:B]]
        D = np.zeros((len(F), P + K + B))
        normals = np.zeros((K, P))
        normals[spheres.owner, np.arange(P)] = t
        D[:P, :P], D[:P, P : P + K], D[:P, P + K :] = (
            (H - np.diag(lam[spheres.owner])) / scale,
            -normals.T / scale,
            S[:B].T / scale,
        )
        D[P : P + K, :P], D[P + K :, :P] = normals, Jh[:B]
        return F, D

    t, parts = theta, (g, H, S, h, Jh, pull)
    F, D = equations(t, lam, parts)
    size, damping = float(np.linalg.norm(F)), 1e-2
    for _ in range(_NEWTON):
        if size < 1e-15 or damping > 1e8:
            break
        # Unknowns in comparable units: multipliers are of the size of the gradient, directions and slopes of order one.
        weigh = np.r_[np.ones(P), np.full(K, scale), np.ones(B)]
        root = np.sqrt(min(size, 1.0) ** 2 * damping)
        found = lstsq(np.vstack([D * weigh, root * np.eye(len(weigh))]), np.r_[-F, np.zeros(len(weigh))], cond=1e-12)
        assert found is not None
        step = found[0] * weigh
        t_new, lam_new, slopes_new = t + step[:P], lam + step[P : P + K], slopes.copy()
        slopes_new[bent] += step[P + K :]
        parts = _held(con, t_new, slopes_new, rows)
        F_new, D_new = equations(t_new, lam_new, parts)
        new = float(np.linalg.norm(F_new))
        if np.isfinite(new) and new < size:
            t, lam, slopes, F, D, size, damping = t_new, lam_new, slopes_new, F_new, D_new, new, damping / 10.0
        elif size < 1e-12:
            break
        else:
            damping *= 10.0
    t = spheres.project(t)
    g, H, S, h, Jh, pull = _held(con, t, slopes, rows)
    lam = spheres.squares(t, g)
    low, high = np.minimum(left, right)[bent], np.maximum(left, right)[bent]
    off = float(np.linalg.norm(spheres.tangent(t, g))) / con.measure(g)
    bad = [
        off,
        float(np.abs(h[:B]).max(initial=0.0)),
        float(np.maximum(low - slopes[bent], slopes[bent] - high).max(initial=0.0)),
    ]
    now = con.preactivations(t)
    side = np.where(slopes == right, 1.0, -1.0)
    free = ~np.isin(np.arange(len(now)), bent)
    bad.append(float((-now * side)[free].max(initial=0.0)))
    normals = np.vstack([spheres.normals(t), Jh[:B]])
    return Critical(t, lam, bent, slopes[bent], max(bad), H - np.diag(lam[spheres.owner]), normals, pull[bent])


def _slopes(
    con: Constrained,
    theta: np.ndarray,
    g: np.ndarray,
    S: np.ndarray,
    slopes: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> np.ndarray:
    """The slopes in their range that leave the least tangent gradient at θ; on the kinks the gradient is affine in
    them.
    """
    across = np.array([con.spheres.tangent(theta, row) for row in S]).T
    tangent = con.spheres.tangent(theta, g) - across @ slopes
    return lsq_linear(across, -tangent, (low, high), method="bvls" if len(slopes) <= len(theta) else "trf", tol=1e-14).x


def kink_sides(con: Constrained) -> tuple[np.ndarray, np.ndarray]:
    """Slopes left and right of the kink for every pair, (B,) each."""
    counts = [h.size for h in con.pairs()]
    left, right = ([getattr(slot, side) for slot in con.slots] for side in ("left", "right"))
    return np.repeat(np.asarray(left, dtype=float), counts), np.repeat(np.asarray(right, dtype=float), counts)


def held_pieces(con: Constrained, theta: np.ndarray, slopes: np.ndarray, bent: np.ndarray) -> tuple[np.ndarray, ...]:
    """Gradient g (P,), ∂²F (P, P), ∂g/∂σ_b (B, P), h_b (B,), ∂h_b (B, P) of the bent pairs and ∂F/∂(activation), every
    pair on the piece of its slope.
    """
    rows = np.zeros((1 << (len(bent) - 1).bit_length() if len(bent) else 0, len(slopes)))
    rows[np.arange(len(bent)), bent] = 1.0
    g, H, S, h, Jh, pull = _held(con, theta, slopes, rows)
    return g, H, S[: len(bent)], h[: len(bent)], Jh[: len(bent)], pull


def _held(con: Constrained, theta: np.ndarray, slopes: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, ...]:
    """Gradient g (P,), ∂²F (P, P), ∂g/∂σ_b (B, P), h_b (B,), ∂h_b (B, P) and ∂F/∂(activation) of every pair, with the
    pieces held.
    """
    shapes = tuple(h.shape for h in con.pairs())
    fixed = (
        con.plain,
        con.spheres.layout,
        shapes,
        jnp.asarray(con.spheres.radii),
        con.data.inputs,
        con.data.y,
        jnp.asarray(con.unit),
    )
    out = _derivatives(*fixed, theta, slopes, rows)
    return tuple(np.asarray(a) for a in out)


@eqx.filter_jit
def _derivatives(
    problem: Problem,
    layout: Layout,
    shapes: tuple[tuple[int, ...], ...],
    radii: Array,
    x: Given,
    y: Array,
    unit: Array,
    theta: Array,
    slopes: Array,
    rows: Array,
) -> tuple[Array, ...]:
    network = problem.network
    tracked = [slot for slot in network.slots if slot.tracked]

    def pieces(s: Array, push: Array) -> Pieces:
        parts, out, at = iter(shapes), [], 0
        for slot in network.slots:
            if not slot.tracked:
                out.append(None)
                continue
            shape = next(parts)
            size = int(np.prod(shape))
            slope, added = s[at : at + size].reshape(shape), push[at : at + size].reshape(shape)
            out.append(lambda h, slope=slope, added=added: slope * h + added)
            at += size
        return out

    none = jnp.zeros_like(slopes)

    def objective(t: Array, s: Array, push: Array) -> Array:
        return objective_of(problem, blocks(layout, radii * t), x, y, pieces(s, push))

    def arguments(t: Array) -> Array:
        values = network.node_values(blocks(layout, radii * t), x, jnp, pieces(slopes, none))
        return (
            jnp.concatenate([values[id(slot.argument)].ravel() for slot in tracked]) / unit if tracked else jnp.zeros(0)
        )

    gradient = jax.grad(objective)
    g, H = gradient(theta, slopes, none), jax.hessian(objective)(theta, slopes, none)
    if not tracked:
        return g, H, jnp.zeros((0, len(theta))), jnp.zeros(0), jnp.zeros((0, len(theta))), jnp.zeros(0)
    S = jax.vmap(lambda row: jax.jvp(lambda s: gradient(theta, s, none), (slopes,), (row,))[1])(rows)
    h, back = jax.vjp(arguments, theta)
    return (
        g,
        H,
        S,
        rows @ h,
        jax.vmap(lambda row: back(row)[0])(rows),
        jax.grad(objective, argnums=2)(theta, slopes, none),
    )
