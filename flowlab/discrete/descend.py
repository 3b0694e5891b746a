"""`descend`: gradient descent by autodiff, in the format of a trajectory."""

import math
import time as clock
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.errors import LanguageError
from flowlab.core.precision import require_x64
from flowlab.discrete.rules import Rule, rules
from flowlab.language.data import Data
from flowlab.language.groups import inner
from flowlab.language.problem import Problem
from flowlab.language.state import State, names_match
from flowlab.language.trajectory import Outcome, Trajectory

_ROWS = 2_000


def descend(
    problem: Problem,
    start: State,
    data: Data,
    *,
    step: float,
    count: int,
    rule: str = "gradient",
    loss_scaled: bool = False,
    record_every: int | None = None,
    freeze_norm: bool = False,
    seed: int | None = None,
) -> Trajectory:
    """Descend a problem's objective, using nothing but autodiff of it.

    Args:
        problem: network and loss; of its scheme only the way a state stands for weights is used.
        start: the first state.
        data: samples.
        step: step size η (above zero); in units of flow time, or of ∫ L dt with `loss_scaled`.
        count: number of steps.
        rule: `"gradient"` on the weights, or a unit-norm rule of eq. (1.14) applied to every direction while the
            norm follows its own gradient.
        loss_scaled: divide each step by the loss, through the gradient of its logarithm, so that descent goes on when
            loss and gradient have underflowed; `log_t` then adds up η/L in log space.
        record_every: rows between stored states; by default at most 2,000 rows are stored.
        freeze_norm: keep the norms (unit-norm rules only).
        seed: recorded with the result.

    Returns:
        A trajectory whose `log_t` is the log of the time passed, Σ η (or Σ η/L). With `rule="gradient"` it has `grad_sq`
        over `(step, block)`: ‖∂L/∂W_k‖² at each stored state.

    Raises:
        LanguageError, UnknownName, ShapeMismatch, DataError, PrecisionTooLow: for bad input.
    """
    require_x64("descend")
    how: Rule = rules[rule]()
    names_match(start, problem.network)
    problem.loss.check_labels(data)
    _check(problem, start, step, count, how, loss_scaled, freeze_norm)
    every = record_every or max(1, math.ceil(count / _ROWS))
    began = clock.monotonic()
    blocks = -(-count // every)
    state, log_t = _pack(start, how), jnp.asarray(-jnp.inf)
    rows: list[Any] = [jax.tree.map(np.asarray, state)]
    times = [-np.inf]
    outcome = Outcome("done", f"{count} steps of size {step:g} were taken.")
    try:
        done = 0
        while done < blocks:
            batch = min(64, blocks - done)
            # The last stored row may be fewer than `every` steps after the one before.
            last = count - (blocks - 1) * every
            lengths = jnp.asarray([every if done + i < blocks - 1 else last for i in range(batch)])
            state, log_t, stored, clocks = _walk(problem, how, loss_scaled, freeze_norm, data, state, log_t, jnp.asarray(float(step)), lengths)
            for i in range(batch):
                row = jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i]), stored)
                if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(row)):
                    outcome = Outcome("nonfinite", f"the weights stopped being finite near step {(done + i + 1) * every}; use a smaller step than {step:g}.")
                    break
                rows.append(row)
                times.append(float(clocks[i]))
            if not outcome.ok:
                break
            done += batch
    except KeyboardInterrupt:
        outcome = Outcome("budget", f"interrupted after {len(rows) - 1} stored rows; everything before is kept.")
    stacked = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *rows)
    states = _unpack(problem, stacked, how, start.per)
    stats = {"steps": (len(rows) - 1) * every if not outcome.ok else count, "rejected": 0, "evaluations": count, "wall_seconds": round(clock.monotonic() - began, 3)}
    settings = {"rule": rule, "step": step, "count": count, "loss_scaled": loss_scaled, "record_every": every, "freeze_norm": freeze_norm, "seed": seed}
    variables = {"grad_sq": (("step", "weight"), _gradient_squares(problem, states, data), "squared norm of the gradient of each block")} if how.on_weights else None
    return Trajectory.from_states(problem, data, np.asarray(times), states, outcome, stats, kind="descent", extra={"settings": settings}, variables=variables)


def _check(problem: Problem, start: State, step: float, count: int, how: Rule, loss_scaled: bool, freeze_norm: bool) -> None:
    if isinstance(step, bool) or not isinstance(step, int | float) or not 0 < step < math.inf:
        raise LanguageError(f"`step={step!r}` is no step size; use a finite number above zero.")
    if type(count) is not int or count < 1:
        raise LanguageError(f"`count={count!r}` is no number of steps; use a positive integer.")
    if loss_scaled and any(problem.decay.values()):
        raise LanguageError("`loss_scaled=True` divides by the data loss and is not defined with weight decay; drop one of them.")
    if freeze_norm and how.on_weights:
        raise LanguageError("`freeze_norm=True` needs a rule on directions, not \"gradient\"; use \"geodesic\" for example.")
    if not how.on_weights and start.per != "layer":
        raise LanguageError(f"the rule \"{how.name}\" is defined per layer, not per {start.per}; make the state with per=\"layer\".")


def _pack(start: State, how: Rule) -> Any:
    return start.weights() if how.on_weights else (dict(start.rho), dict(start.V))


def _unpack(problem: Problem, stacked: Any, how: Rule, per: str) -> State:
    if not how.on_weights:
        return State(rho=stacked[0], V=stacked[1], per=per)

    def split(weights: dict[str, jax.Array]) -> State:
        lengths = {k: jnp.sqrt(v) for k, v in inner(weights, weights, per).items()}
        from flowlab.language.groups import scaled

        return State(rho=lengths, V=scaled({k: 1.0 / r for k, r in lengths.items()}, weights, per), per=per)

    return jax.vmap(split)(stacked)


def _objective(problem: Problem, how: Rule, loss_scaled: bool, position: Any, data: Data) -> jax.Array:
    """What is differentiated: the objective, or the logarithm of the loss."""
    weights = position
    if not how.on_weights:
        rho, V = position
        # W = ρ V without normalising: the rules work with the gradient in V itself, on the sphere or beside it.
        weights = {w: rho[w] * V[w] for w in V}
    return problem.log_loss(weights, data, jnp) if loss_scaled else problem.objective(weights, data, jnp)


@eqx.filter_jit
def _walk(problem: Problem, how: Rule, loss_scaled: bool, freeze_norm: bool, data: Data, state: Any, log_t: jax.Array, step: jax.Array, lengths: jax.Array) -> Any:
    def once(_: jax.Array, carry: tuple[Any, jax.Array]) -> tuple[Any, jax.Array]:
        position, passed = carry
        value, gradient = jax.value_and_grad(lambda p: _objective(problem, how, loss_scaled, p, data))(position)
        passed = jnp.logaddexp(passed, jnp.log(step) - (value if loss_scaled else 0.0))
        if how.on_weights:
            return {w: how.update(position[w], -gradient[w], step) for w in position}, passed
        (rho, V), (rho_gradient, V_gradient) = position, gradient
        moved = dict(rho) if freeze_norm else {k: r - step * rho_gradient[k] for k, r in rho.items()}
        return (moved, {w: how.update(V[w], -V_gradient[w], step) for w in V}), passed

    def block(carry: tuple[Any, jax.Array], length: jax.Array) -> tuple[Any, Any]:
        carry = jax.lax.fori_loop(0, length, once, carry)
        return carry, carry

    (state, log_t), (stored, clocks) = jax.lax.scan(block, (state, log_t), lengths)
    return state, log_t, stored, clocks


@eqx.filter_jit
def _squares(problem: Problem, weights: dict[str, jax.Array], data: Data) -> jax.Array:
    def one(w: dict[str, jax.Array]) -> jax.Array:
        gradient = jax.grad(lambda p: problem.objective(p, data, jnp))(w)
        return jnp.stack([jnp.sum(gradient[name] ** 2) for name in problem.network.weights])

    return jax.lax.map(one, weights)


def _gradient_squares(problem: Problem, states: State, data: Data) -> np.ndarray:
    return np.asarray(_squares(problem, jax.vmap(lambda s: s.weights())(states), data))
