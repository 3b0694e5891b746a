"""The largest margin of a layer of kinked units inside one activation cell, and from cell to cell uphill.

Where f = Σ_j c_j a_j σ(w_j·φ_n) and no pre-activation changes side, q is linear in v_j = |a_j| w_j, and ½‖θ‖² is at
least Σ_j ‖v_j‖, with equality for balanced units. So min ½‖θ‖² subject to q ≥ 1 is a convex program with second-order
cones (M. Pilanci, T. Ergen, "Neural networks are convex regularizers", ICML 2020). Its multiplier at a pre-activation
that came to rest on its kink tells the slope that holds it there: one between the two one-sided slopes is a Clarke
subgradient's, and one outside says that the margin grows in the cell beyond.
"""

from dataclasses import dataclass
from typing import Any

import clarabel as _clarabel
import numpy as np
from scipy.sparse import coo_matrix, csc_matrix

from flowlab.discrete.margin.margin_constraints import System

clarabel: Any = _clarabel  # a compiled module without type stubs

_STEPS = 60
_GAIN = 1e-9
"""Part of ½‖θ‖² that a step to another cell must save."""
_IDLE, _OUTSIDE = 1e-7, 1e-5
"""Part of all mass below which a unit has none, and how far a slope lies outside its two ends before its unit crosses:
what the solver resolves.
"""
_TURNS, _GROWS = 200, 1e-4
"""Steps in which a unit without mass is turned, and growth beyond that of units with mass at which it enters."""


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
    if "layer" not in system.found:
        system.found["layer"] = _layer(system)
    return system.found["layer"]


def _layer(system: System) -> Layer | None:
    network, x = system.problem.network, np.asarray(system.data.x)
    slots, units, size = network.slots, len(system.low), len(system.kappa)
    if (
        len(slots) != 1
        or not units
        or (system.samples < 0).any()
        or system.pairs[0, 1] >= 0
        or network.symmetry.joint_degree != 2
    ):
        return None
    rng = np.random.default_rng(0)
    theta = rng.uniform(0.5, 1.5, size=size) * rng.choice([-1.0, 1.0], size=size)
    H = np.stack([system.preactivations(e).reshape(-1, units) for e in np.eye(size)])
    used = (H != 0.0).any(axis=1)

    def outputs(weights: np.ndarray, after: np.ndarray) -> np.ndarray:
        pieces = [lambda h: np.broadcast_to(after, np.shape(h))]
        return np.asarray(network.outputs(system.blocks(weights), x, np, pieces))[:, 0]

    if (used.sum(axis=1) > 1).any() or not used.any(axis=0).all() or np.any(outputs(theta, np.zeros(units))):
        return None
    # Weights that are multiplied by their own number tell which one a unit's output is proportional to.
    through = np.array([[outputs(theta, e)[0], outputs(theta * np.arange(1, size + 1), e)[0]] for e in np.eye(units)])
    with np.errstate(divide="ignore", invalid="ignore"):
        outer = np.nan_to_num(np.rint(through[:, 1] / through[:, 0])) - 1
    if outer.min() < 0 or outer.max() >= size or used[outer.astype(int)].any():
        return None
    outer = outer.astype(int)
    found = Layer(
        [np.flatnonzero(c) for c in used.T],
        [H[c][:, :, j].T for j, c in enumerate(used.T)],
        outer,
        through[:, 0] / theta[outer],
    )
    h = np.stack([f @ theta[i] for f, i in zip(found.features, found.inner, strict=True)], axis=1)
    after = np.where(h > 0, slots[0].right, slots[0].left) * h
    both = np.asarray(system.data.y) * (after @ (found.scale * theta[outer])), system.margins(theta)
    return found if np.allclose(*both, rtol=1e-9, atol=1e-12 * float(np.abs(both[1]).max())) else None


def climb(system: System, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Uphill from θ to where no cell beside has a larger margin: unit direction, (P,), support, and pairs on kinks;
    None where that cannot be done.

    Units that end with no mass are turned from where θ has them, as the flow turns small ones, and enter where that
    makes them grow.
    """
    layer = layer_of(system)
    if layer is None:
        return None
    slot, sides = system.problem.network.slots[0], np.array([-1.0, 1.0])
    h = system.preactivations(theta).reshape(-1, len(system.low))
    right, out = h > 0, np.sign(layer.scale * theta[layer.outer])
    live = np.flatnonzero(out)
    # In units in which margins are near one.
    size = max(float(np.abs(f).max()) for f in layer.features) * float(np.abs(layer.scale).max())
    gain = np.asarray(system.data.y)[:, None] * out * np.abs(layer.scale) / size
    best: tuple[float, Any] = (np.inf, None)
    single = False
    for _ in range(_STEPS):
        slopes, side = np.where(right, slot.right, slot.left), sides[right.astype(int)]
        found = _program(layer, live, gain * slopes, side)
        if found is None:
            break
        v, mass, multipliers, walls = found
        total, gained = float(mass.sum()), best[0] - mass.sum() > _GAIN * mass.sum()
        if not gained and single:
            break
        # Cells of several pairs are crossed at once as long as that pays, then one by one.
        single = not gained
        busy = mass > _IDLE * total
        if total < best[0]:
            best = total, (v, np.where(busy, mass, 0.0), multipliers, walls)
        # At a wall the slope in force is s + side ν / (λ gain).
        with np.errstate(divide="ignore", invalid="ignore"):
            force = slopes + side * walls / (multipliers[:, None] * gain)
        inside = np.maximum(system.low - force, force - system.high) <= _OUTSIDE
        pull = np.where((walls > _OUTSIDE * np.abs(multipliers[:, None] * gain).max()) & busy & ~inside, walls, 0.0)
        if pull.any():
            right ^= (pull > 0) & (pull >= (pull.max() if single else 0.0))
            continue
        turned = _sprouts(
            layer, theta, [int(j) for j in live if not busy[j]], (slot.left, slot.right), gain * multipliers[:, None]
        )
        if not turned:
            break
        for j, w in turned.items():
            right[:, j] = layer.features[j] @ w > 0
    if best[1] is None:
        return None
    v, mass, multipliers, walls = best[1]
    support = np.flatnonzero(multipliers > 1e-6 * multipliers.max())
    busy = np.flatnonzero(mass)
    after = np.where(right, slot.right, slot.left)
    per_mass = np.stack([gain[:, j] * after[:, j] * (layer.features[j] @ v[j]) / mass[j] for j in busy], axis=1)[
        support
    ]
    own = np.array([np.abs(theta[layer.outer[j]]) * np.linalg.norm(theta[layer.inner[j]]) for j in busy])
    own = own * size / float(system.margins(theta).min())
    end = np.zeros(len(theta))
    for j, m in zip(busy, _shared(per_mass, own, mass[busy]), strict=True):
        end[layer.inner[j]] = v[j] / mass[j] * np.sqrt(m)
        end[layer.outer[j]] = np.sqrt(m) * np.sign(theta[layer.outer[j]])
    end = system.project(end)
    h = np.abs(system.preactivations(end))
    held = (walls > 1e-6 * np.abs(multipliers[:, None] * gain).max()) & (mass > 0)
    return end, support, np.flatnonzero(held.ravel() & (h <= 1e-4 * h.max()))


def _shared(per_mass: np.ndarray, own: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """The masses nearest to a state's own that keep the support at margin one: units of one direction share theirs in
    many ways.
    """
    free = np.ones(len(own), dtype=bool)
    for _ in range(len(own)):
        left = 1.0 - per_mass[:, free] @ own[free]
        found = np.zeros(len(own))
        found[free] = own[free] + np.linalg.lstsq(per_mass[:, free], left, rcond=1e-6)[0]
        if found.min() >= 0 and np.abs(per_mass @ found - 1.0).max() < 1e-4:
            return found
        free &= found > 0
        if not free.any():
            break
    return mass


def _sprouts(
    layer: Layer, theta: np.ndarray, idle: list[int], ends: tuple[float, float], force: np.ndarray
) -> dict[int, np.ndarray]:
    """Incoming weights of units without mass that would gain some where the flow turns them: growth above one of Σ_n
    force_n σ(w·φ_n)/‖w‖.
    """
    grown: dict[int, np.ndarray] = {}
    for j in idle:
        phi, w = layer.features[j], theta[layer.inner[j]]
        if not np.linalg.norm(w) > 0:
            continue
        w, step, now = w / np.linalg.norm(w), 1.0, -np.inf
        for _ in range(_TURNS):
            h = phi @ w
            slopes = np.where(h > 0, ends[1], ends[0])
            now, along = float(force[:, j] @ (slopes * h)), (force[:, j] * slopes) @ phi
            tried = w + step * (along - (along @ w) * w)
            tried = tried / np.linalg.norm(tried)
            z = phi @ tried
            if float(force[:, j] @ (np.where(z > 0, ends[1], ends[0]) * z)) > now:
                w, step = tried, min(1.5 * step, 1.0)
            else:
                step *= 0.5
            if step < 1e-9:
                break
        if now > 1.0 + _GROWS:
            grown[j] = w
    return grown


def idle(system: System, theta: np.ndarray) -> np.ndarray:
    """Coordinates of units that have no weight to speak of, in a layer of kinked units: their kinks say nothing on
    which side they are.
    """
    layer = layer_of(system)
    if layer is None:
        return np.zeros(0, dtype=int)
    own = [np.r_[i, o] for i, o in zip(layer.inner, layer.outer, strict=True)]
    return np.concatenate([np.zeros(0, dtype=int), *(c for c in own if np.abs(theta[c]).max() <= _IDLE)])


def _program(layer: Layer, live: np.ndarray, weight: np.ndarray, side: np.ndarray) -> tuple[Any, ...] | None:
    """Least Σ ‖v_j‖ subject to Σ_j weight_nj φ_jn·v_j ≥ 1 and side_nj φ_jn·v_j ≥ 0: v, ‖v_j‖, multipliers (N,) and of
    the walls (N, U).
    """
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
    A = csc_matrix(
        coo_matrix(
            (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(row, total + len(live))
        )
    )
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
