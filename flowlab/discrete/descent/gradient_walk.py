"""Blocks of gradient steps, compiled: the objective on all samples or on batches, the momentum, and what is carried
along.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.compiling import Program
from flowlab.core.seeds import checked_seed
from flowlab.core.typing import Blocks, Coordinates, Number, PyTree, Scalar
from flowlab.language.data import Batch, Data
from flowlab.language.optax_rule import Transformed
from flowlab.language.problem import Problem
from flowlab.language.rules import Momentum, Rule
from flowlab.language.state import State


def _weights(problem: Problem, how: Rule, position: Coordinates) -> Blocks:
    if how.on_weights:
        return problem.lift(position)
    rho, V = position
    # W = ρ V without normalising: the rules work with the gradient in V itself, on the sphere or beside it.
    return {w: rho[w] * V[w] for w in V}


def _objective(problem: Problem, how: Rule, loss_scaled: bool, position: Coordinates, data: Data) -> Number:
    """What is differentiated: the objective, or the logarithm of the loss."""
    weights = _weights(problem, how, position)
    return problem.log_loss(weights, data, jnp) if loss_scaled else problem.objective(weights, data, jnp)


class Memory(eqx.Module):
    """What a step needs from the ones before: the momentum, the order of the samples in this epoch, the place in it.

    Attributes:
        u: momentum in the shapes of the weights, or None.
        past: what the rule remembers.
        order: samples of the epoch, (N,), the number of steps taken, and the key of the seed; or None.
    """

    u: Blocks | None
    order: tuple[jax.Array, jax.Array, jax.Array] | None
    past: PyTree = None

    @classmethod
    def fresh(
        cls,
        position: Coordinates,
        data: Data,
        beta: Scalar | None,
        drawn: int | None,
        seed: int | None,
        past: PyTree = None,
    ) -> "Memory":
        """At the first step, with the order of the samples drawn from the seed."""
        u = None if beta is None else jax.tree.map(lambda leaf: jnp.asarray(np.zeros(np.shape(leaf))), position)
        if drawn is None:
            return cls(u, None, past)
        key = jax.random.key_data(jax.random.key(checked_seed(seed)))
        return cls(u, (jnp.asarray(np.arange(data.n)), jnp.asarray(0), key), past)

    def next_samples(self, data: Data, drawn: int) -> tuple["Memory", Batch]:
        """The samples of this step."""
        assert self.order is not None
        order, taken, key = self.order
        epoch, place = taken // (data.n // drawn), taken % (data.n // drawn)

        def draw() -> jax.Array:
            return jax.random.permutation(jax.random.fold_in(jax.random.wrap_key_data(key), epoch), data.n).astype(
                order.dtype
            )

        order = jax.lax.cond(place == 0, draw, lambda: order)
        chosen = jax.lax.dynamic_slice(order, (place * drawn,), (drawn,))
        return Memory(self.u, (order, taken + 1, key), self.past), data.batch(chosen)


def _stochastic(problem: Problem, how: Rule, position: Coordinates, data: Data, samples: Batch) -> Number:
    """The objective on a batch, of which the mean over batches is the objective."""
    return _on_batch(problem, _weights(problem, how, position), data, samples)


def _on_batch(problem: Problem, weights: Blocks, data: Data, samples: Batch) -> Number:
    value = problem.objective(weights, samples, jnp)
    if problem.reduction == "mean":
        return value
    return value + (data.n / samples.y.shape[0] - 1.0) * jnp.exp(problem.log_loss(weights, samples, jnp))


def force_of(
    problem: Problem, data: Data, place: Blocks, samples: Batch | None = None, blend: Scalar | None = None
) -> Blocks:
    """What moves the places of all blocks in their charts: z' of the flow; on a batch where one is given, and with a
    pull of strength `blend` of places on grids towards their lifts.
    """
    weights = problem.lift(place)
    if samples is None:
        gradient = jax.grad(lambda W: problem.objective(W, data, jnp))(weights)
    else:
        gradient = jax.grad(lambda W: _on_batch(problem, W, data, samples))(weights)
    force = problem.chart_rate(place, weights, {w: -g for w, g in gradient.items()})
    if blend is None:
        return force
    return {w: f - blend * (place[w] - weights[w]) if problem.on_grid(w) else f for w, f in force.items()}


def chart_objective(problem: Problem, data: Data, samples: Batch | None = None) -> Callable[[Blocks], Number] | None:
    """The objective at places of all blocks, on a batch where one is given; None where some block ascends it."""
    if problem.ascend:
        return None
    if samples is None:
        return lambda place: problem.objective(problem.lift(place), data, jnp)
    return lambda place: _on_batch(problem, problem.lift(place), data, samples)


@eqx.filter_jit
def first_force(problem: Problem, data: Data, place: Blocks) -> Blocks:
    """The force at the start, on all samples."""
    return force_of(problem, data, place)


def _forced(
    problem: Problem,
    how: Rule,
    data: Data,
    place: Blocks,
    memory: Memory,
    step: Scalar,
    heavy: Momentum | None,
    beta: Scalar | None,
    samples: Batch | None,
    blend: Scalar | None,
) -> tuple[Blocks, Memory]:
    """The next place and memory of a rule on forces."""

    def field(z: Blocks) -> Blocks:
        return force_of(problem, data, z, samples, blend)

    force = field(place)
    if heavy is not None and beta is not None and memory.u is not None:
        u, moved = heavy.update(memory.u, {w: -f for w, f in force.items()}, step, beta)
        return {w: place[w] + moved[w] for w in place}, Memory(u, memory.order, memory.past)
    if isinstance(how, Transformed):
        past, after = how.advance(memory.past, place, force, field, step, chart_objective(problem, data, samples))
    else:
        past, after = how.advance(memory.past, place, force, field, step)
    return after, Memory(memory.u, memory.order, past)


@eqx.filter_jit
def walk(
    problem: Problem,
    how: Rule,
    loss_scaled: bool,
    freeze_norm: bool,
    data: Data,
    carry: PyTree,
    step: jax.Array,
    lengths: jax.Array,
    heavy: Momentum | None,
    drawn: int | None,
    beta: Scalar | None,
    blend: Scalar | None = None,
) -> tuple[PyTree, PyTree]:
    """Blocks of steps, and what is carried after each block: position, log of time, squared step lengths."""

    def once(_: jax.Array, carry: PyTree) -> PyTree:
        (position, passed, lengths_sq), memory = carry
        samples = None
        if drawn is not None:
            memory, samples = memory.next_samples(data, drawn)
        pace = step if beta is None else step / (1.0 - beta)
        if how.on_weights and (problem.moved_by_force or not how.is_plain):
            passed = jnp.logaddexp(passed, jnp.log(pace))
            after, memory = _forced(problem, how, data, position, memory, step, heavy, beta, samples, blend)
            moved = {w: after[w] - position[w] for w in position}
            return (after, passed, lengths_sq + _block_squares(problem, moved)), memory
        if samples is None:
            value, gradient = jax.value_and_grad(lambda p: _objective(problem, how, loss_scaled, p, data))(position)
        else:
            value, gradient = jax.value_and_grad(lambda p: _stochastic(problem, how, p, data, samples))(position)
        if problem.is_rated:
            gradient = jax.tree.map(problem.paced, gradient, is_leaf=lambda part: isinstance(part, dict))
        passed = jnp.logaddexp(passed, jnp.log(pace) - (value if loss_scaled else 0.0))
        if heavy is not None and beta is not None:
            u, moved = heavy.update(memory.u, gradient, step, beta)
            return (
                {w: position[w] + moved[w] for w in position},
                passed,
                lengths_sq + _block_squares(problem, moved),
            ), Memory(u, memory.order, memory.past)
        if how.on_weights:
            lengths_sq = lengths_sq + step**2 * _block_squares(problem, gradient)
            return ({w: how.update(position[w], -gradient[w], step) for w in position}, passed, lengths_sq), memory
        (rho, V), (rho_gradient, V_gradient) = position, gradient
        moved = dict(rho) if freeze_norm else {k: r - step * rho_gradient[k] for k, r in rho.items()}
        return ((moved, {w: how.update(V[w], -V_gradient[w], step) for w in V}), passed, lengths_sq), memory

    def block(carry: PyTree, length: jax.Array) -> tuple[PyTree, PyTree]:
        carry = jax.lax.fori_loop(0, length, once, carry)
        return carry, carry[0]

    return jax.lax.scan(block, carry, lengths)


def _block_squares(problem: Problem, gradient: Blocks) -> jax.Array:
    return jnp.stack([jnp.sum(gradient[name] ** 2) for name in problem.network.weights])


@Program
def squares(problem: Problem, states: State, data: Data) -> jax.Array:
    """Squared norms of the gradient of each block at states with a leading axis, (rows, blocks)."""

    def one(state: State) -> jax.Array:
        return _block_squares(problem, jax.grad(lambda p: problem.objective(p, data, jnp))(state.weights()))

    return jax.lax.map(one, states)
