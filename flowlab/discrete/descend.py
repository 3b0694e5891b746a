"""`descend`: gradient descent by autodiff, in the format of a trajectory."""

import math
import time as watch
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.errors import LanguageError
from flowlab.core.precision import require_x64
from flowlab.discrete.rules import Rule, rules
from flowlab.language.data import Data
from flowlab.language.groups import inner, scaled
from flowlab.language.problem import Problem
from flowlab.language.state import State, names_match
from flowlab.language.trajectory import Outcome, Trajectory

_ROWS, _BATCH = 2_000, 64


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
        record_every: steps between stored states; by default at most 2,000 rows are stored.
        freeze_norm: keep the norms (unit-norm rules only).
        seed: recorded with the result.

    Returns:
        A trajectory whose `log_t` is the log of the time passed, Σ η (or Σ η/L). With `rule="gradient"` it has two more
        variables over `(step, weight)`: `grad_sq`, ‖∂L/∂W_k‖² at each stored state, and `step_sq`, the squared lengths
        of all steps so far, Σ η²‖∂L/∂W_k‖² (with ∂log L for `loss_scaled`), skipped rows included: where every block
        has degree one, ρ_k² - ρ_j² changes by exactly the difference of these sums (P20).

    Raises:
        LanguageError, UnknownName, ShapeMismatch, DataError, PrecisionTooLow: for bad input.
    """
    require_x64("descend")
    how: Rule = rules[rule]()
    names_match(start, problem.network)
    problem.loss.check_labels(data)
    _check(problem, start, step, count, how, loss_scaled, freeze_norm, record_every)
    every = record_every or max(1, math.ceil(count / _ROWS))
    began = watch.monotonic()
    # The last stored row may be fewer than `every` steps after the one before.
    lengths = np.full(-(-count // every), every)
    lengths[-1] = count - (len(lengths) - 1) * every
    carry = (_pack(start, how), jnp.asarray(-jnp.inf, dtype=jnp.float64), jnp.zeros(len(problem.network.weights)))
    rows: list[Any] = [jax.tree.map(np.asarray, carry)]
    outcome = Outcome("done", f"{count} steps of size {step:g} were taken.")
    taken = 0
    try:
        for first in range(0, len(lengths), _BATCH):
            batch = lengths[first : first + _BATCH]
            # Padded with empty blocks: one compilation serves every number of steps.
            padded = jnp.asarray(np.pad(batch, (0, _BATCH - len(batch))))
            carry, stored = _walk(problem, how, loss_scaled, freeze_norm, data, carry, jnp.asarray(float(step)), padded)
            stored = jax.tree.map(np.asarray, stored)
            for i, length in enumerate(batch):
                row = jax.tree.map(lambda leaf, i=i: leaf[i], stored)
                if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(row[0])):
                    outcome = Outcome("nonfinite", f"the weights stopped being finite by step {taken + length}; use a smaller step than {step:g}.")
                    break
                rows.append(row)
                taken += int(length)
            if not outcome.ok:
                break
    except KeyboardInterrupt:
        outcome = Outcome("budget", f"interrupted after {taken} steps; everything before is kept.")
    position, log_t, step_sq = jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *rows)
    states = _unpack(position, how, start.per)
    stats = {"steps": taken, "rejected": 0, "evaluations": taken, "wall_seconds": round(watch.monotonic() - began, 3)}
    settings = {"rule": rule, "step": step, "count": count, "loss_scaled": loss_scaled, "record_every": every, "freeze_norm": freeze_norm, "seed": seed}
    variables = {
        "grad_sq": (("step", "weight"), _gradient_squares(problem, states, data), "squared norm of the gradient of each block"),
        "step_sq": (("step", "weight"), np.asarray(step_sq), "sum of squared step lengths of each block so far"),
    } if how.on_weights else None  # fmt: skip
    return Trajectory.from_states(
        problem, data, np.asarray(log_t), states, outcome, stats, kind="descent", extra={"settings": settings}, variables=variables
    )


def _check(problem: Problem, start: State, step: float, count: int, how: Rule, loss_scaled: bool, freeze_norm: bool, record_every: int | None) -> None:
    if isinstance(step, bool) or not isinstance(step, int | float) or not 0 < step < math.inf:
        raise LanguageError(f"`step={step!r}` is no step size; use a finite number above zero.")
    if type(count) is not int or count < 1:
        raise LanguageError(f"`count={count!r}` is no number of steps; use a positive integer.")
    if record_every is not None and (type(record_every) is not int or record_every < 1):
        raise LanguageError(f"`record_every={record_every!r}` is no number of steps; use a positive integer.")
    if loss_scaled and any(problem.decay.values()):
        raise LanguageError("`loss_scaled=True` divides by the data loss and is not defined with weight decay; drop one of them.")
    if freeze_norm and how.on_weights:
        raise LanguageError("`freeze_norm=True` needs a rule on directions, not \"gradient\"; use \"geodesic\" for example.")
    if not how.on_weights and start.per != "layer":
        raise LanguageError(f"the rule \"{how.name}\" is defined per layer, not per {start.per}; make the state with per=\"layer\".")


def _pack(start: State, how: Rule) -> Any:
    units = start.directions()
    return start.weights() if how.on_weights else (dict(start.rho), dict(units.V))


def _unpack(position: Any, how: Rule, per: str) -> State:
    if not how.on_weights:
        return State(rho=position[0], V=position[1], per=per)

    return _split(position, per)


@eqx.filter_jit
def _split(position: dict[str, jax.Array], per: str) -> State:
    def one(weights: dict[str, jax.Array]) -> State:
        lengths = {k: jnp.sqrt(v) for k, v in inner(weights, weights, per).items()}
        return State(rho=lengths, V=scaled({k: 1.0 / r for k, r in lengths.items()}, weights, per), per=per)

    return jax.vmap(one)(position)


def _objective(problem: Problem, how: Rule, loss_scaled: bool, position: Any, data: Data) -> jax.Array:
    """What is differentiated: the objective, or the logarithm of the loss."""
    weights = position
    if not how.on_weights:
        rho, V = position
        # W = ρ V without normalising: the rules work with the gradient in V itself, on the sphere or beside it.
        weights = {w: rho[w] * V[w] for w in V}
    return problem.log_loss(weights, data, jnp) if loss_scaled else problem.objective(weights, data, jnp)


@eqx.filter_jit
def _walk(
    problem: Problem, how: Rule, loss_scaled: bool, freeze_norm: bool, data: Data, carry: Any, step: jax.Array, lengths: jax.Array
) -> tuple[Any, Any]:
    """Blocks of steps, and what is carried after each block: position, log of time, squared step lengths."""

    def once(_: jax.Array, carry: Any) -> Any:
        position, passed, lengths_sq = carry
        value, gradient = jax.value_and_grad(lambda p: _objective(problem, how, loss_scaled, p, data))(position)
        passed = jnp.logaddexp(passed, jnp.log(step) - (value if loss_scaled else 0.0))
        if how.on_weights:
            lengths_sq = lengths_sq + step**2 * _block_squares(problem, gradient)
            return {w: how.update(position[w], -gradient[w], step) for w in position}, passed, lengths_sq
        (rho, V), (rho_gradient, V_gradient) = position, gradient
        moved = dict(rho) if freeze_norm else {k: r - step * rho_gradient[k] for k, r in rho.items()}
        return (moved, {w: how.update(V[w], -V_gradient[w], step) for w in V}), passed, lengths_sq

    def block(carry: Any, length: jax.Array) -> tuple[Any, Any]:
        carry = jax.lax.fori_loop(0, length, once, carry)
        return carry, carry

    return jax.lax.scan(block, carry, lengths)


def _block_squares(problem: Problem, gradient: dict[str, jax.Array]) -> jax.Array:
    return jnp.stack([jnp.sum(gradient[name] ** 2) for name in problem.network.weights])


@eqx.filter_jit
def _squares(problem: Problem, states: State, data: Data) -> jax.Array:
    def one(state: State) -> jax.Array:
        return _block_squares(problem, jax.grad(lambda p: problem.objective(p, data, jnp))(state.weights()))

    return jax.lax.map(one, states)


def _gradient_squares(problem: Problem, states: State, data: Data) -> np.ndarray:
    return np.asarray(_squares(problem, states, data))
