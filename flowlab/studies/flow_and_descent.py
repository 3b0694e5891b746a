"""Weights over time, as rows: of gradient flow and of the modified flow, by Runge-Kutta of order 8, and of
a descent.
"""

import math

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.arguments import must_be, positive
from flowlab.core.precision import require_x64
from flowlab.core.typing import Array, Blocks, Given, PyTree, Scalar
from flowlab.discrete.critical.sphere_product import Layout
from flowlab.discrete.descent.sharpness import Curvature, objective_of_row
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State, names_match, shapes_match
from flowlab.language.trajectory import Outcome, Trajectory

CORRECTION = 0.25
RTOL, _MOST = 1e-11, 50_000


def begin(
    where: str, problem: Problem, start: State, data: Data, step: float, time: float
) -> tuple[Curvature, np.ndarray]:
    """The curvature of the objective and the row to begin at, once all arguments of `where` are checked."""
    require_x64(where)
    names_match(start, problem.network)
    problem.loss.check_labels(data)
    shapes_match(start, problem.network, data)
    for name, value in (("step", step), ("time", time)):
        positive(name, value)
    if time < step * (1 - 1e-12):
        raise must_be("time", time, f"at least one step of {step:g}", "a longer one")
    weights = _of_state(start)
    curvature = Curvature(problem, data, weights)
    return curvature, curvature.row(weights)


def _of_state(state: State) -> Blocks:
    """The weights that `descend` begins with."""
    return {name: np.asarray(w) for name, w in state.weights().items()}


def descent_rows(curvature: Curvature, walk: Trajectory, count: int) -> tuple[np.ndarray, Outcome]:
    """All stored weights, (rows, P), and how the first `count` steps ended."""
    rho, rows = _rho(walk), []
    for name, _ in curvature.layout:
        V, r = walk.dataset[f"V_{name}"].values, rho[name if name in rho else "network"]
        # A norm that overflows has the direction 0; the product is NaN, and is found to be so later.
        with np.errstate(invalid="ignore"):
            rows.append((V * r.reshape(*r.shape, *(1,) * (V.ndim - r.ndim))).reshape(len(V), -1))
    steps, outcome = np.concatenate(rows, axis=1), walk.outcome
    if not outcome.ok and walk.stats["steps"] >= count:
        # It failed in what was added for the average alone.
        outcome = Outcome("done", f"{count} steps were taken.")
    return steps, outcome


def _rho(walk: Trajectory) -> dict[str, np.ndarray]:
    """Norms by name over the rows: (S,), or (S, rows of the block)."""
    found: dict[str, list[np.ndarray]] = {}
    for label, column in zip(walk.dataset["block"].values.tolist(), walk.dataset["rho"].values.T, strict=True):
        found.setdefault(label.partition("[")[0], []).append(column)
    return {name: columns[0] if len(columns) == 1 else np.stack(columns, axis=1) for name, columns in found.items()}


def flow_rows(curvature: Curvature, w: np.ndarray, times: np.ndarray, correction: float) -> tuple[np.ndarray, Outcome]:
    """Gradient flow of L + correction ‖∇L‖² at the given times, as far as it went, and how it ended."""
    scale = RTOL * (1.0 + float(np.linalg.norm(w)) / math.sqrt(len(w)))
    ys, result, finite = _integrated(curvature.args, w, jnp.asarray(times), jnp.asarray(correction), jnp.asarray(scale))
    rows = np.asarray(ys)
    good = int(np.argmin(np.r_[np.isfinite(rows).all(axis=1), False]))
    if good == len(times) and bool(finite):
        return rows, Outcome("done", f"the time {times[-1]:g} was reached.")
    reached = f"after the time {times[max(good - 1, 0)]:g}"
    if result == diffrax.RESULTS.max_steps_reached:
        why = (
            "it may slide on a kink, which this solver cannot follow"
            if curvature.problem.network.slots
            else "it is stiff there; use a smaller step"
        )
        return rows[:good], Outcome("budget", f"{_MOST} steps were used up {reached}; {why}.")
    if result == diffrax.RESULTS.dt_min_reached:
        return rows[:good], Outcome("stalled", f"the step size fell below the resolution of time {reached}.")
    return rows[:good], Outcome("nonfinite", f"the flow stopped being finite {reached}.")


@eqx.filter_jit
def _integrated(
    args: tuple[Problem, Layout, Given, jax.Array], w: Array, times: jax.Array, correction: Scalar, scale: Scalar
) -> tuple[PyTree | None, diffrax.RESULTS, jax.Array]:
    problem, layout, x, y = args
    slope = jax.grad(lambda v: objective_of_row(problem, layout, x, y, v))

    def rate(_: object, v: jax.Array, __: object) -> jax.Array:
        # One program for both flows: compiling a second one takes longer than the product with the Hessian that it
        # would save.
        g, bent = jax.jvp(slope, (v,), (slope(v),))
        return -(g + 2.0 * correction * bent)

    control = diffrax.PIDController(rtol=RTOL, atol=scale, dtmin=1e-14 * times[-1])
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(rate),
        diffrax.Dopri8(),
        times[0],
        times[-1],
        None,
        w,
        saveat=diffrax.SaveAt(ts=times),
        stepsize_controller=control,
        max_steps=_MOST,
        throw=False,
    )
    return solution.ys, solution.result, jnp.isfinite(jnp.asarray(solution.ys)).all()
