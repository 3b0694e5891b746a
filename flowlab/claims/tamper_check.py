"""Whether a run is as it came: against its own record, its columns against its states, and its rows against the flow
between them.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from flowlab.core.typing import Array, Blocks, Given

if TYPE_CHECKING:
    from flowlab.language.data import Data
    from flowlab.language.trajectory import Trajectory

Moving: TypeAlias = tuple[Blocks, Blocks]
"""Norms and directions by block, or their rates."""
STILL = 1e-3
"""What a state must move by, relative to its size, before one that stands still is wrong."""
ROWS = 2_000
"""Rows whose columns are computed again; longer runs are sampled."""
GAPS = 40
"""Gaps between rows that are compared with the flow's own rates; one compilation serves all of a shape."""
TYPICAL = 0.05
"""What the median of the defects may be.

Rows lie so close that a clean run is at a hundredth or below; rows of other runs are off by one and more.
"""
NUDGE = 1e-9
"""Relative displacement of the weights that shows a kink: the rates of both sides are compared."""
ALIKE = 1e-3
"""Relative difference of rates on both sides of a state below which they are one."""
ROUNDED = 1e-12
"""Part of the largest objective of a run that one near 0 may be off by: some thousand roundings."""
ULPS = 1e-15
"""Relative change of weights that tells what an objective near 0 owes to roundings."""
FLOOR = 1e-7
"""Changes below this part of the state are left to the solver's tolerance."""


def altered(run: "Trajectory", data: "Data | None") -> str | None:
    """Why a trajectory is not as it came from its run, or None.

    Args:
        run: a flow or a descent.
        data: its samples, or None where they are not to be had: then rows are compared with the record alone.
    """
    for change in (_by_record(run, data), _by_numbers(run)):
        if change is not None:
            return change
    if data is None:
        return None
    row = _stray_row(run, data)
    if row is not None:
        return f"row {row} has a loss, margin or product of norms that its norms and directions do not have"
    return _by_rates(run, data)


def _by_record(run: "Trajectory", data: "Data | None") -> str | None:
    from flowlab.language.trajectory_table import rows_digest

    record = run.provenance
    if record.get("problem_signature", run.problem.signature) != run.problem.signature:
        return f"it was run for another problem than {run.problem}"
    if data is not None and record.get("data", {}).get("sha256", data.sha256()) != data.sha256():
        return f"it was run on other samples than `{data.name}` ({data.n} of {data.d} features)"
    rows = record.get("rows")
    if rows is not None and rows != rows_digest(run.dataset):
        return f"its {len(run)} rows are not the {rows['count']} rows of its run"
    return None


def _by_numbers(run: "Trajectory") -> str | None:
    names = ("rho", *(f"V_{w}" for w in run.problem.network.weights))
    fine = np.all([np.isfinite(run.dataset[name].values.reshape(len(run), -1)).all(axis=1) for name in names], axis=0)
    if not fine.all():
        return f"row {int(np.argmin(fine))} is not finite"
    return None if bool((np.diff(run.dataset["log_t"].values) >= 0).all()) else "its times do not grow"


def _stray_row(run: "Trajectory", data: "Data") -> int | None:
    """The first row whose log loss or objective, margin or product of norms is not that of its state."""
    problem, named = run.problem, "objective" if run.problem.loss.is_value else "log_loss"
    recorded = {name: run.dataset[name].values for name in (named, "log_R", "min_margin")}
    largest = float(np.nanmax(np.abs(recorded[named]), initial=0.0)) if problem.loss.is_value else 0.0
    for i in np.unique(np.linspace(0, len(run) - 1, min(len(run), ROWS)).astype(int)):
        weights = run.weights(int(i))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            again = _columns(run, data, weights)
            # An objective near 0 may be a difference of large numbers, which two libraries round otherwise.
            unsure = ROUNDED * largest + _roundings(run, data, weights, again[named]) if problem.loss.is_value else 0.0
        for name, value in again.items():
            # Margins of norms like 1e9 are known to roundings of that size; losses near 0 to those of what is squared.
            size = abs(value) if name == "objective" else max(1.0, abs(value))
            if np.isfinite(value) and not abs(float(recorded[name][i]) - value) <= 1e-6 * size + unsure:
                return int(i)
    return None


def _columns(run: "Trajectory", data: "Data", weights: Blocks) -> dict[str, float]:
    """What a row has besides its state, computed again."""
    problem, x, y = run.problem, *data.in_numpy
    outputs = problem.network.outputs(weights, x, np)
    log_R = float(problem.log_product(weights, np))
    told = {"log_R": log_R, "min_margin": float(problem.loss.margins(np, outputs, y).min() * np.exp(-log_R))}
    if problem.loss.is_value:
        return {"objective": float(problem.objective(weights, data, np))} | told
    return {"log_loss": float(problem.loss.log_loss(np, outputs, y, problem.reduction))} | told


def _roundings(run: "Trajectory", data: "Data", weights: Blocks, value: float) -> float:
    """A hundred times what an objective changes by where weights change in their last digits."""
    rng = np.random.default_rng(0)
    change = 0.0
    for _ in range(3):
        moved = {k: w * (1 + ULPS * rng.normal(size=np.shape(w))) for k, w in weights.items()}
        change = max(change, abs(float(run.problem.objective(moved, data, np)) - value))
    return 100.0 * change


def _state(run: "Trajectory", i: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    state = run.state(i)
    return {k: np.asarray(v) for k, v in state.rho.items()}, {k: np.asarray(v) for k, v in state.V.items()}


def _by_rates(run: "Trajectory", data: "Data") -> str | None:
    """Whether states move between rows as the flow says, and as long as it takes them: trapezoids in the clock ∫ L dt,
    which runs to any time, or in time where the objective is a value.
    """
    with np.errstate(all="ignore"):
        moves, times = defects(run, data)
    for words, defects_of_rows in (
        ("states do not move as its flow does", moves),
        ("times are not those its flow takes", times),
    ):
        if len(defects_of_rows) >= 3 and not np.median(defects_of_rows) <= TYPICAL:
            return f"its {words} between rows (off by {np.median(defects_of_rows):.2g} of what changes)"
    return None


def defects(run: "Trajectory", data: "Data") -> tuple[np.ndarray, np.ndarray]:
    """(G,) and (H,): what the change of the state lacks of a multiple of the mean rate, relative to it, and the
    logarithm of time passed over time due.

    Empty where the steps of a run are not those of a flow (momentum, batches, other rules), and in geometries, whose
    clock may have no logarithm. On kinks only the norms count, whose rates Euler's identity gives whatever the slope
    there is.
    """
    settings = run.provenance.get("settings", {})
    descent = run.kind == "descent"
    altered_rule = settings.get("rule", "gradient") != "gradient" or settings.get("momentum")
    if (
        len(run) < 3
        or run.problem.moved_by_force
        or (descent and (altered_rule or settings.get("batch") or settings.get("freeze_norm")))
    ):
        return np.empty(0), np.empty(0)
    # Stepping over kinks zigzags about them, so that directions move by the mean of the rates of both sides.
    # So do flows with several learning rates, whose kinks are stepped over as well.
    over = settings.get("kinks") == "ignore" or run.problem.is_rated
    chatters = over and any(slot.tracked for slot in run.problem.network.slots)
    log_t = run.dataset["log_t"].values
    # An objective that may be zero or less is no clock: its time is the plain one.
    log_loss = np.zeros_like(log_t) if run.problem.loss.is_value else run.dataset["log_loss"].values
    starts = np.unique(np.linspace(0, len(run) - 2, min(len(run) - 1, GAPS)).astype(int))
    states = [[_state(run, int(i) + k) for i in starts] for k in (0, 1)]
    sides = [_rates(run, data, each, descent) for each in states]
    moves, times = [], []
    for g, i in enumerate(starts):
        (rho, V), (rho_1, V_1) = states[0][g], states[1][g]
        pairs = [(rates[0][g], rates[1][g]) for rates in sides]
        smooth = not chatters and _equal(pairs, rho, norms_only=False)
        if not smooth and not (
            run.problem.network.symmetry.is_multihomogeneous and _equal(pairs, rho, norms_only=True)
        ):
            continue
        u, u_1 = (_flat(pair[0], rho, norms_only=not smooth) for pair in pairs)
        change = _flat(({k: rho_1[k] - rho[k] for k in rho}, {w: V_1[w] - V[w] for w in V}), rho, norms_only=not smooth)
        size = float(np.linalg.norm(change))
        # A step of descent takes the rate where it begins.
        mean = u if descent else 0.5 * (u + u_1)
        if not np.isfinite(mean).all() or not mean.any():
            continue
        passed = log_t[i + 1] + np.log1p(-np.exp(min(log_t[i] - log_t[i + 1], -1e-300)))
        log_L = log_loss[i] if descent else _log_mean(float(log_loss[i]), float(log_loss[i + 1]))
        scale = float(np.sqrt(sum(float((r**2).sum()) for r in rho.values())))
        if not size > FLOOR * scale:
            if passed + log_L + np.log(np.linalg.norm(mean) / scale) > np.log(STILL):
                moves.append(np.inf)
            continue
        h = float(change @ mean) / float(mean @ mean)
        # Where the rate turns between the rows, by a long step or over a kink, half of that is the trapezoid's own
        # error.
        turned = 0.5 * min(float(np.linalg.norm(u_1 - u) / np.linalg.norm(mean)), 1.0)
        moves.append(max(float(np.linalg.norm(change - h * mean)) / size - turned, 0.0) if h > 0 else np.inf)
        if h > 0:
            times.append(max(abs(passed - np.log(h) + log_L) - turned, 0.0))
    return np.array(moves), np.array(times)


def _equal(pairs: list[tuple[Moving, Moving]], rho: dict[str, np.ndarray], *, norms_only: bool) -> bool:
    """Whether rates on both sides of the states are the same: neither a kink nor roundings decide them."""
    flat = [[_flat(side, rho, norms_only=norms_only) for side in pair] for pair in pairs]
    return all(np.linalg.norm(a - b) <= ALIKE * np.linalg.norm(a) for a, b in flat)


def _log_mean(a: float, b: float) -> float:
    """Log of the L whose inverse is the mean of 1/L between two rows, log L being linear between them."""
    apart = abs(a - b)
    return max(a, b) - apart + (0.0 if apart < 1e-9 else np.log(apart) - np.log(-np.expm1(-apart)))


def _flat(rates: Moving, rho: dict[str, np.ndarray], *, norms_only: bool = False) -> np.ndarray:
    """Rates of norms, and of directions times the size of the state, in one vector."""
    size = np.sqrt(np.mean([float((r**2).mean()) for r in rho.values()]))
    parts = [np.ravel(rates[0][k]) for k in sorted(rates[0])]
    return np.concatenate(parts if norms_only else [*parts, *(size * np.ravel(rates[1][w]) for w in sorted(rates[1]))])


_COMPILED: dict[str, Callable[..., list[Moving]]] = {}


def _rates(
    run: "Trajectory", data: "Data", states: Sequence[Moving], descent: bool
) -> tuple[list[Moving], list[Moving]]:
    """(ρ', V')/L at every state, a little on either side of it, by autodiff of log L; (ρ', V') of an objective."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from flowlab.language.problem import Problem
    from flowlab.language.schemes import schemes

    problem: Problem = run.problem
    scheme = schemes["gradient_flow"]() if descent else problem.scheme

    @eqx.filter_jit
    def compiled(rho: Blocks, V: Blocks, noise: Blocks, x: Given, y: Array) -> list[Moving]:
        def log_loss(W: Blocks) -> Array:
            if problem.loss.is_value:
                return problem.loss.total(jnp, problem.network.outputs(W, x, jnp), y, problem.reduction)
            return problem.loss.log_loss(jnp, problem.network.outputs(W, x, jnp), y, problem.reduction)

        def one(state: Moving) -> list[Moving]:
            rho, V = state
            sides = []
            for side in (NUDGE, -NUDGE):
                W = scheme.weights(jnp, rho, V, problem.per)
                W = {k: w + side * jnp.sqrt(jnp.mean(w * w)) * noise[k] for k, w in W.items()}
                level, slope = jax.value_and_grad(log_loss)(W)
                level = jnp.zeros_like(level) if problem.loss.is_value else level
                g = {
                    k: -slope[k] - (2.0 * problem.decay[k] * w * jnp.exp(-level) if problem.decay[k] else 0.0)
                    for k, w in W.items()
                }
                sides.append(scheme.numeric(jnp, rho, V, problem.paced(g), problem.per))
            return sides

        return jax.lax.map(one, (rho, V))

    rng = np.random.default_rng(0)
    noise = {w: jnp.asarray(rng.normal(size=v.shape)) for w, v in states[0][1].items()}
    # One shape, whatever the number of rows.
    padded = [*states, *[states[-1]] * (GAPS - len(states))]
    rho, V = jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *padded)
    values = _COMPILED.setdefault(f"{problem.signature} {descent}", compiled)(
        rho, V, noise, data.inputs, jnp.asarray(data.y)
    )
    sides = [jax.tree.map(np.asarray, side) for side in values]
    before, after = ([jax.tree.map(lambda leaf, g=g: leaf[g], side) for g in range(len(states))] for side in sides)
    return before, after
