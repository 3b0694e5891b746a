"""The largest margin of a layer of kinked units inside one activation cell, and from cell to cell uphill.

Where f = Σ_j c_j a_j σ(w_j·φ_n) and no pre-activation changes side, q is linear in v_j = |a_j| w_j, and ½‖θ‖² is at least Σ_j ‖v_j‖, with
equality for balanced units. So min ½‖θ‖² subject to q ≥ 1 is a convex program with second-order cones (M. Pilanci, T. Ergen, "Neural networks are
convex regularizers", ICML 2020). Its multiplier at a pre-activation that came to rest on its kink tells the slope that holds it there: one between the two
one-sided slopes is a Clarke subgradient's, and one outside says that the margin grows in the cell beyond.
"""

from dataclasses import dataclass
from typing import Any

import clarabel as _clarabel
import numpy as np
from scipy.sparse import coo_matrix, csc_matrix

from flowlab.discrete.constraints import System

clarabel: Any = _clarabel  # a compiled module without type stubs

_STEPS = 60
_GAIN = 1e-9
"""Part of ½‖θ‖² that a step to another cell must save."""
_IDLE, _OUTSIDE = 1e-7, 1e-5
"""Part of all mass below which a unit has none, and how far a slope lies outside its two ends before its unit crosses: what the solver resolves."""


@dataclass(frozen=True)
class Layer:
    """A network as a layer of kinked units: f(x_n) = Σ_j scale_j θ[outer_j] σ(Σ_i θ[inner_ji] φ_jni).

    Attributes:
        inner: coordinates of the incoming weights of every unit.
        features: φ of every unit, (N, d_j) each.
        outer: coordinate of the outgoing weight of every unit, (U,), and `scale`, (U,).
    """

    inner: list[np.ndarray]
    features: list[np.ndarray]
    outer: np.ndarray
    scale: np.ndarray


def layer_of(system: System) -> Layer | None:
    """The network as such a layer, found by trial on weights; None where it is none, or has several outputs."""
    network, x = system.problem.network, np.asarray(system.data.x)
    slots, units, size = network.slots, len(system.low), len(system.kappa)
    if len(slots) != 1 or not units or (system.samples < 0).any() or system.pairs[0, 1] >= 0 or network.symmetry.joint_degree != 2:
        return None
    rng = np.random.default_rng(0)
    theta = rng.uniform(0.5, 1.5, size=size) * rng.choice([-1.0, 1.0], size=size)
    H = np.stack([system.preactivations(e).reshape(-1, units) for e in np.eye(size)])
    used = (H != 0.0).any(axis=1)

    def outputs(weights: np.ndarray, after: np.ndarray) -> np.ndarray:
        return network.outputs(system.blocks(weights), x, np, pieces=[lambda h: np.broadcast_to(after, np.shape(h))])[:, 0]

    if (used.sum(axis=1) > 1).any() or not used.any(axis=0).all() or np.any(outputs(theta, np.zeros(units))):
        return None
    # Weights that are multiplied by their own number tell which one a unit's output is proportional to.
    through = np.array([[outputs(theta, e)[0], outputs(theta * np.arange(1, size + 1), e)[0]] for e in np.eye(units)])
    with np.errstate(divide="ignore", invalid="ignore"):
        outer = np.nan_to_num(np.rint(through[:, 1] / through[:, 0])) - 1
    if outer.min() < 0 or outer.max() >= size or used[outer.astype(int)].any():
        return None
    outer = outer.astype(int)
    found = Layer([np.flatnonzero(c) for c in used.T], [H[c][:, :, j].T for j, c in enumerate(used.T)], outer, through[:, 0] / theta[outer])
    h = np.stack([f @ theta[i] for f, i in zip(found.features, found.inner, strict=True)], axis=1)
    after = np.where(h > 0, slots[0].right, slots[0].left) * h
    both = np.asarray(system.data.y) * (after @ (found.scale * theta[outer])), system.margins(theta)
    return found if np.allclose(*both, rtol=1e-9, atol=1e-12 * float(np.abs(both[1]).max())) else None


def climb(system: System, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Uphill from θ to where no cell beside has a larger margin: unit direction, (P,), support, and pairs on kinks; None where that cannot be done."""
    layer = layer_of(system)
    if layer is None:
        return None
    slot, y, units = system.problem.network.slots[0], np.asarray(system.data.y), len(system.low)
    right = system.preactivations(theta).reshape(-1, units) > 0
    out = np.sign(layer.scale * theta[layer.outer])
    live = np.flatnonzero(out)
    # In units in which margins and features are near one.
    size = max(float(np.abs(f).max()) for f in layer.features) * float(np.abs(layer.scale).max())
    best: tuple[float, Any] = (np.inf, None)
    single = False
    for _ in range(_STEPS):
        slopes = np.where(right, slot.right, slot.left)
        found = _program(layer, live, (y[:, None] * slopes * out * np.abs(layer.scale)) / size, np.where(right, 1.0, -1.0))
        if found is None:
            break
        v, mass, multipliers, walls = found
        gained = best[0] - mass.sum() > _GAIN * mass.sum()
        if not gained and single:
            break
        single = not gained
        if mass.sum() < best[0]:
            best = mass.sum(), (v, mass, multipliers, walls, right.copy())
        # At a wall the slope in force is s + σ ν / (λ y b c).
        with np.errstate(divide="ignore", invalid="ignore"):
            force = slopes + np.where(right, 1.0, -1.0) * walls / (multipliers[:, None] * y[:, None] * out * np.abs(layer.scale) / size)
        outside = np.maximum(system.low - force, force - system.high)
        weight = np.where((walls > _OUTSIDE * walls.max(initial=0.0)) & (mass > _IDLE * mass.sum()) & ~(outside <= _OUTSIDE), walls, 0.0)
        if not weight.any():
            break
        crossing = weight >= (weight.max() if single else 0.0)
        right = np.where(crossing & (weight > 0), ~right, right)
    if best[1] is None:
        return None
    v, mass, multipliers, walls, _ = best[1]
    end = np.zeros(len(theta))
    for j in live:
        root = np.sqrt(mass[j]) if mass[j] > _IDLE * mass.sum() else 0.0
        end[layer.inner[j]] = v[j] / root if root else 0.0
        end[layer.outer[j]] = root * np.sign(theta[layer.outer[j]])
    support = np.flatnonzero(multipliers > 1e-6 * multipliers.max())
    busy = (walls > 1e-5 * walls.max(initial=0.0)) & (mass > _IDLE * mass.sum())
    return system.project(end), support, np.flatnonzero(busy.ravel())


def _program(layer: Layer, live: np.ndarray, weight: np.ndarray, side: np.ndarray) -> tuple[Any, ...] | None:
    """min Σ ‖v_j‖ subject to Σ_j weight_nj φ_jn·v_j ≥ 1 and side_nj φ_jn·v_j ≥ 0: v, ‖v_j‖, multipliers (N,) and of the walls (N, U)."""
    N, U = weight.shape
    sizes = [len(layer.inner[j]) for j in live]
    starts = np.cumsum([0, *sizes])
    total, lengths = int(starts[-1]), [float(np.abs(layer.features[j]).max()) for j in live]
    margins = np.hstack([weight[:, [j]] * layer.features[j] for j in live])
    rows, columns, values = [np.repeat(np.arange(N), total)], [np.tile(np.arange(total), N)], [-margins.ravel()]
    for k, j in enumerate(live):
        wall = -side[:, [j]] * layer.features[j] / lengths[k]
        at = N * (k + 1) + np.arange(N)
        rows.append(np.repeat(at, sizes[k]))
        columns.append(np.tile(np.arange(starts[k], starts[k + 1]), N))
        values.append(wall.ravel())
    row, cones = N * (len(live) + 1), [clarabel.NonnegativeConeT(N * (len(live) + 1))]
    for k in range(len(live)):
        rows.append(row + np.arange(sizes[k] + 1))
        columns.append(np.r_[total + k, starts[k] : starts[k + 1]])
        values.append(-np.ones(sizes[k] + 1))
        cones.append(clarabel.SecondOrderConeT(sizes[k] + 1))
        row += sizes[k] + 1
    A = csc_matrix(coo_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(row, total + len(live))))
    b = np.r_[-np.ones(N), np.zeros(row - N)]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11
    cost = np.r_[np.zeros(total), np.ones(len(live))]
    solved = clarabel.DefaultSolver(csc_matrix((len(cost), len(cost))), cost, A, b, cones, settings).solve()
    z, dual = np.asarray(solved.x), np.asarray(solved.z)
    if str(solved.status) not in ("Solved", "AlmostSolved", "InsufficientProgress") or not np.isfinite(z).all():
        return None
    v: list[Any] = [None] * U
    mass, walls = np.zeros(U), np.zeros((N, U))
    for k, j in enumerate(live):
        v[j] = z[starts[k] : starts[k + 1]]
        mass[j] = float(np.linalg.norm(v[j]))
        walls[:, j] = dual[N * (k + 1) : N * (k + 2)] / lengths[k]
    return v, mass, dual[:N], walls
