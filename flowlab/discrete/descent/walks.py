"""Descents block by block: one, or the lanes of a batch at once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.lanes import even, spread, stacked
from flowlab.core.memory import CHUNK_BYTES, rows_within
from flowlab.core.typing import Array, Coordinates, PyTree, Scalar
from flowlab.discrete.descent.gradient_walk import Memory, first_force, walk
from flowlab.discrete.descent.step_limit import settles, step_limit
from flowlab.language.batches import alike, each, each_start, for_each, in_range, of_run
from flowlab.language.data import Data
from flowlab.language.given_data import required
from flowlab.language.problem import Problem
from flowlab.language.rules import Momentum, Rule
from flowlab.language.state import State
from flowlab.language.trajectory import Outcome

_BATCH = 64
"""Rows that one compiled call stores of a descent, at most."""
_LARGEST = 1e150
"""Weights beyond it have no norm in float64."""


class Lane(NamedTuple):
    """Where a descent begins and what is its own."""

    start: State
    data: Data
    step: float
    seed: int | None


class Method(NamedTuple):
    """What is descended and how; β and the pull to grids are None without one, `drawn` where all samples are taken."""

    problem: Problem
    how: Rule
    loss_scaled: bool
    freeze_norm: bool
    nesterov: bool
    drawn: int | None
    beta: Scalar | None
    blend: Scalar | None

    @property
    def heavy(self) -> Momentum | None:
        """The momentum; None without one."""
        return None if self.beta is None else Momentum(self.nesterov)

    def memory(self, position: Coordinates, lane: Lane) -> Memory:
        """What the first step finds."""
        plain = self.how.is_plain or not self.how.on_weights
        past = None if plain else self.how.begun(position, first_force(self.problem, lane.data, position))
        return Memory.fresh(position, lane.data, self.beta, self.drawn, lane.seed, past)


class Walked(NamedTuple):
    """Rows of a descent (position, log of time, squared step lengths), how many steps led to them, and how it ended."""

    rows: PyTree
    taken: int
    outcome: Outcome


def lanes_of(problem: Problem, start: Any, data: Any, step: Any, seed: Any) -> list[Lane]:
    """The lanes of a batch; of a single descent the one.

    Raises:
        LanguageError, ShapeMismatch, DataError: for what is no batch.
    """
    starts, several = each_start(start), [required(problem, one) for one in each("data", data)]
    if len(starts) > 1 or len(several) > 1:
        alike(starts, several)
    given = for_each(start=starts, data=several, step=each("step", step), seed=each("seed", seed))
    return [Lane(*lane) for lane in zip(*given, strict=True)]


def checked(lanes: Sequence[Lane], method: Callable[[Lane], Method]) -> Method:
    """The method of all lanes, each of which fits.

    Raises:
        LanguageError, ShapeMismatch, DataError: as `method` does, naming the run of a batch.
    """
    if len(lanes) == 1:
        return method(lanes[0])
    with of_run(0):
        found = method(lanes[0])
    fine, _ = in_range(found.problem, [lane.start for lane in lanes])
    for i, lane in enumerate(lanes[1:], 1):
        # What differs by its start alone, in numbers that are in range, needs no look of its own.
        if not fine[i] or found.problem.geometry or lane[1:] != lanes[0][1:]:
            with of_run(i):
                method(lane)
    return found


def size_of(start: State) -> int:
    """Numbers of a state."""
    return sum(int(np.size(leaf)) for leaf in jax.tree.leaves(start))


def _lengths(count: int, every: int, block: int) -> Iterator[np.ndarray]:
    """Steps before each row, for one compiled call of so many rows after another, padded with none."""
    # The last stored row may be fewer than `every` steps after the one before.
    lengths = np.full(-(-count // every), every)
    lengths[-1] = count - (len(lengths) - 1) * every
    for first in range(0, len(lengths), block):
        yield lengths[first : first + block]


def _padded(chunk: np.ndarray, block: int) -> np.ndarray:
    """Padded with empty blocks: one compilation serves every number of steps."""
    return np.pad(chunk, (0, block - len(chunk)))


def _not_finite(how: Rule, step: float, taken: int) -> Outcome:
    smaller = "a smaller learning rate" if how.own_rate else f"a smaller step than {step:g}"
    return Outcome("nonfinite", f"the weights stopped being finite by step {taken}; use {smaller}.")


def _interrupted(taken: int) -> Outcome:
    return Outcome("budget", f"interrupted after {taken} steps; everything before is kept.")


def _done(how: Rule, count: int, step: float) -> Outcome:
    return Outcome("done", f"{count} steps {'' if how.own_rate else f'of size {step:g} '}were taken.")


def ended(method: Method, lane: Lane, walked: Walked) -> Outcome:
    """The outcome, which says so where a game does not settle and its step is one with which it cannot."""
    problem, how, outcome = method.problem, method.how, walked.outcome
    plain = how.on_weights and not how.own_rate and method.drawn is None and method.blend is None
    if not (problem.ascend and plain) or outcome.kind == "budget":
        return outcome
    count = len(jax.tree.leaves(walked.rows)[0])
    places = [jax.tree.map(lambda leaf, i=i: leaf[i], walked.rows[0]) for i in range(count)]
    if outcome.ok and settles(problem, places):
        return outcome
    near = problem.lift(places[-1 if outcome.ok else 0], np)
    beta = 0.0 if method.beta is None else float(method.beta)
    limit = step_limit(problem, lane.data, near, how, method.heavy, beta)
    if limit is None or lane.step <= limit:
        return outcome
    first = outcome.message.partition(";")[0].rstrip(".")
    why = f"steps above {limit:.6g} do not converge to the equilibrium, as `stability` tells; use a smaller one"
    none = f'no step of the rule "{how.name}" converges to the equilibrium; use another rule, such as "optimistic"'
    return replace(outcome, message=f"{first}: {why if limit else none}.")


def walk_one(method: Method, lane: Lane, count: int, every: int) -> Walked:
    """A single descent."""
    problem, how, loss_scaled, freeze_norm, _, drawn, beta, blend = method
    start, data, step, _ = lane
    carry = pack(problem, start, how), jnp.asarray(-jnp.inf, dtype=jnp.float64), jnp.zeros(len(problem.network.weights))
    # Rows are large: room is made for all of them at once, which takes memory as they are written.
    rows: PyTree = jax.tree.map(lambda leaf: np.empty((1 - (-count // every), *leaf.shape)), carry)
    _write(rows, 0, carry)
    memory, taken, kept, outcome = method.memory(carry[0], lane), 0, 1, None
    fixed, block = (problem, how, loss_scaled, freeze_norm, data), rows_within(CHUNK_BYTES, size_of(start), _BATCH)
    try:
        for chunk in _lengths(count, every, block):
            (carry, memory), stored = walk(
                *fixed,
                (carry, memory),
                jnp.asarray(float(step)),
                jnp.asarray(_padded(chunk, block)),
                method.heavy,
                drawn,
                beta,
                blend,
            )
            stored = jax.tree.map(np.asarray, stored)
            for i, length in enumerate(chunk):
                row = jax.tree.map(lambda leaf, i=i: leaf[i], stored)
                if not all((np.abs(leaf) < _LARGEST).all() for leaf in jax.tree.leaves(row[0])):
                    outcome = _not_finite(how, step, taken + length)
                    break
                _write(rows, kept, row)
                kept, taken = kept + 1, taken + int(length)
            if outcome is not None:
                break
    except KeyboardInterrupt:
        outcome = _interrupted(taken)
    whole = kept == len(jax.tree.leaves(rows)[0])
    return Walked(
        rows if whole else jax.tree.map(lambda leaf: leaf[:kept], rows), taken, outcome or _done(how, count, step)
    )


def _write(rows: PyTree, i: int, row: PyTree) -> None:
    for leaf, value in zip(jax.tree.leaves(rows), jax.tree.leaves(row), strict=True):
        leaf[i] = value


def walk_all(method: Method, lanes: Sequence[Lane], count: int, every: int) -> list[Walked]:
    """The descents of all lanes, in blocks that are spread over the devices."""
    width = even(len(lanes), rows_within(CHUNK_BYTES, size_of(lanes[0].start) * _BATCH, len(lanes)))
    found: list[Walked] = []
    for first in range(0, len(lanes), width):
        found += _walk_block(method, lanes[first : first + width], count, every, width)
    return found


def _walk_block(method: Method, lanes: Sequence[Lane], count: int, every: int, width: int) -> list[Walked]:
    """The descents of a block."""
    position = _packed(method.problem, method.how, stacked([lane.start for lane in lanes], width))
    position = jax.tree.map(np.asarray, position)
    zeros = np.zeros((width, len(method.problem.network.weights)))
    carry: PyTree = position, np.full(width, -np.inf), zeros
    parts: list[PyTree] = [jax.tree.map(lambda leaf: leaf[:, None], carry)]
    memories = [method.memory(jax.tree.map(lambda leaf, i=i: leaf[i], position), lane) for i, lane in enumerate(lanes)]
    memory = stacked(memories, width)
    shared = all(lane.data is lanes[0].data for lane in lanes)
    arrays, static = (None, lanes[0].data) if shared else eqx.partition(lanes[0].data, eqx.is_array)
    if not shared:
        arrays = stacked([eqx.filter(lane.data, eqx.is_array) for lane in lanes], width)
    steps = np.array([float(lane.step) for lane in lanes] + [float(lanes[0].step)] * (width - len(lanes)))
    taken, interrupted, block = [0], False, rows_within(CHUNK_BYTES, size_of(lanes[0].start) * width, _BATCH)
    try:
        for chunk in _lengths(count, every, block):
            padded = _padded(chunk, block)
            (carry, memory), stored = _walk_lanes(method, arrays, static, (carry, memory), steps, padded)
            blocks = len(chunk)
            parts.append(jax.tree.map(lambda leaf, blocks=blocks: np.asarray(leaf)[:, :blocks], stored))
            taken += (taken[-1] + np.cumsum(chunk)).tolist()
    except KeyboardInterrupt:
        interrupted = True
    rows = jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=1), *parts)
    # Rows are large: none is held longer than it is needed.
    del parts
    with np.errstate(invalid="ignore"):
        fine = np.all(
            [(np.abs(v) < _LARGEST).reshape(*v.shape[:2], -1).all(axis=2) for v in jax.tree.leaves(rows[0])], axis=0
        )
    found = []
    for i, lane in enumerate(lanes):
        bad = np.flatnonzero(~fine[i])
        kept = int(bad[0]) if bad.size else len(taken)
        outcome = _interrupted(taken[-1]) if interrupted else _done(method.how, count, lane.step)
        outcome = _not_finite(method.how, lane.step, taken[kept]) if bad.size else outcome
        found.append(Walked(jax.tree.map(lambda leaf, i=i, kept=kept: leaf[i, :kept], rows), taken[kept - 1], outcome))
    return found


@eqx.filter_jit
def _walk_lanes(
    method: Method, arrays: PyTree, static: PyTree, carry: PyTree, steps: Array, lengths: Array
) -> tuple[PyTree, PyTree]:
    """As `walk`, of all lanes; the data are those of each lane, or shared where `arrays` is None."""

    def block(arrays: PyTree, carry: PyTree, steps: jax.Array, shared: PyTree) -> tuple[PyTree, PyTree]:
        static, lengths, (problem, how, loss_scaled, freeze_norm, nesterov, drawn, beta, blend) = shared
        heavy = None if beta is None else Momentum(nesterov)

        def one(arrays: PyTree, carry: PyTree, step: jax.Array) -> tuple[PyTree, PyTree]:
            data = static if arrays is None else eqx.combine(arrays, static)
            how_far = step, lengths, heavy, drawn, beta, blend
            return walk(problem, how, loss_scaled, freeze_norm, data, carry, *how_far)

        return jax.vmap(one)(arrays, carry, steps)

    return spread(block, (arrays, carry, steps), (static, lengths, method))


@eqx.filter_jit
def _packed(problem: Problem, how: Rule, starts: State) -> Coordinates:
    return jax.vmap(lambda start: pack(problem, start, how))(starts)


def pack(problem: Problem, start: State, how: Rule) -> Coordinates:
    """What a rule moves: places of the weights, or norms and unit directions."""
    units = start.directions()
    return problem.dual(start.weights()) if how.on_weights else (dict(start.rho), dict(units.V))
