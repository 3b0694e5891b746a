"""`descend`: gradient descent by autodiff, in the format of a trajectory; full or by batches, with or without momentum.

With `batch=B` every step takes the gradient on B samples. An epoch is ⌊N/B⌋ steps on samples drawn without replacement,
in an order that `seed` fixes and that is drawn afresh for each epoch; the N mod B samples left over sit that epoch out.
Sums over samples are multiplied by N/B, so that the mean of the gradients is the gradient. With B = N this is gradient
descent to the last bit.

With `momentum=β` the step is along u ← β u - η g, from u = 0 on (heavy ball; Polyak 1964), or along β u - η g of the
new u (`nesterov`, in the form of Sutskever, Martens, Dahl and Hinton 2013 with the gradient at the position carried).
As η → 0 both follow the gradient flow in the time η k/(1 - β), which is what `log_t` adds up.

With `rule="gradient"` the trajectory has two more variables over `(step, weight)`: `grad_sq`, ‖∂L/∂W_k‖² at each stored
state, and `step_sq`, the squared lengths of all steps so far, Σ η²‖∂L/∂W_k‖² (with ∂log L for `loss_scaled`, of batches
where there are some, and the squares of what was moved under momentum), skipped rows included. Where every block has
degree one and there is no momentum, ρ_k² - ρ_j² changes by exactly the difference of these sums (P20).
"""

import math
import sys
import time as watch
from collections.abc import Sequence
from functools import partial
from numbers import Integral
from typing import Required, TypedDict, Unpack, overload

import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.arguments import guarded, must_be, positive, short
from flowlab.core.compiling import Program
from flowlab.core.errors import LanguageError
from flowlab.core.memory import ALL_ROW_BYTES, ROW_BYTES, ROWS, require_memory, require_time, rows_within
from flowlab.core.precision import require_x64
from flowlab.core.seeds import checked_seed
from flowlab.core.typing import Coordinates, Record
from flowlab.discrete.descent.gradient_walk import chart_objective, squares
from flowlab.discrete.descent.walks import Lane, Method, Walked, checked, ended, lanes_of, size_of, walk_all, walk_one
from flowlab.language.batches import asks_for_batch
from flowlab.language.data import Data
from flowlab.language.geometries import require_in_space
from flowlab.language.norm_groups import split
from flowlab.language.observables import Observables, Observers
from flowlab.language.optax_rule import GradientTransformation, Transformed, rule_of
from flowlab.language.problem import Problem
from flowlab.language.rules import Rule, checked_momentum
from flowlab.language.state import State, names_match, shapes_match
from flowlab.language.trajectories import Trajectories
from flowlab.language.trajectory import Trajectory
from flowlab.language.trajectory_table import weights_of

_PART_BYTES = 4e6
"""Of rows whose directions are worked out at once: on the way a program holds some times as much."""
_LEAST = 1e-7
"""Seconds that no step of a compiled program stays below, however few the weights."""


class Settings(TypedDict, total=False):
    """Arguments of `descend` that one descent and a batch have in common."""

    count: Required[int]
    rule: str | GradientTransformation
    loss_scaled: bool
    record_every: int | None
    freeze_norm: bool
    batch: int | None
    momentum: float
    nesterov: bool
    blend: float
    observe: Observables | None


@overload
def descend(
    problem: Problem,
    start: State,
    data: Data | None = None,
    *,
    step: float | None = None,
    seed: int | None = None,
    **settings: Unpack[Settings],
) -> Trajectory: ...


@overload
def descend(
    problem: Problem,
    start: State | Sequence[State],
    data: Data | Sequence[Data] | None = None,
    *,
    step: float | Sequence[float] | None = None,
    seed: int | Sequence[int] | None = None,
    **settings: Unpack[Settings],
) -> Trajectories: ...


@guarded
def descend(
    problem: Problem,
    start: State | Sequence[State],
    data: Data | Sequence[Data] | None = None,
    *,
    step: float | Sequence[float] | None = None,
    count: int,
    rule: str | GradientTransformation = "gradient",
    loss_scaled: bool = False,
    record_every: int | None = None,
    freeze_norm: bool = False,
    seed: int | Sequence[int] | None = None,
    batch: int | None = None,
    momentum: float = 0.0,
    nesterov: bool = False,
    blend: float = 0.0,
    observe: Observables | None = None,
) -> Trajectory | Trajectories:
    """Descend a problem's objective, using nothing but autodiff of it.

    Args:
        problem: network and loss; of its scheme only the way a state stands for weights is used.
        start: the first state; several, or one with an axis over runs, are a batch, with one or as many `data`, `step`.
        data: samples, or constants; nothing, where the objective takes neither.
        step: step size η (above zero); in units of flow time, or of ∫ L dt with `loss_scaled`. A transformation of
            optax has its own, so that none is given, and time counts steps.
        count: number of steps.
        rule: `"gradient"`, `"optimistic"`, `"extragradient"` or a gradient transformation such as `optax.adam(1e-3)`,
            in the charts of the weights; or a unit-norm rule of eq. (1.14) of directions, whose norms follow gradients.
        loss_scaled: divide each step by the loss, so that descent goes on when it has underflowed; `log_t` sums η/L.
        record_every: steps between stored states; by default so many that at most 2,000 rows and 256 MB are stored.
        freeze_norm: keep the norms (unit-norm rules only).
        seed: of the batches; without them it is only recorded with the result.
        batch: samples per step, from 1 to N; all of them by default.
        momentum: β, from 0 up to but not including 1; with the rule "gradient" only.
        nesterov: look ahead along the momentum (needs one above zero).
        blend: pull of blocks on a grid towards their points, a part η·blend of the way per step (Yin et al. 2018).
        observe: functions of the weights, such as `fl.held_out(problem, test)`; `walk.observed` has their values.

    Returns:
        A trajectory, of a batch the `Trajectories`, whose `log_t` is the log of the time passed, Σ η (or Σ η/L, or
        Σ η/(1 - β)); with `rule="gradient"` also `grad_sq` and `step_sq` over `(step, weight)`, as the module says.
        Where a game does not settle, its outcome tells the largest step that converges, if it is smaller and known.

    Raises:
        LanguageError, UnknownName, ShapeMismatch, DataError, PrecisionTooLow: for bad input; TooLarge: too many rows.

    Examples:
        >>> data, problem = fl.Data([[1.0, 0.5], [-1.0, 0.2]], [1, -1]), fl.Problem("W @ x")
        >>> fl.descend(problem, fl.initial_state("W @ x", data, seed=0), data, step=1e-2, count=200).outcome.kind
        'done'
    """
    require_x64("descend")
    how = rule_of(rule)
    lanes = lanes_of(problem, start, data, _steps(how, step), seed)

    def method(lane: Lane) -> Method:
        """What is descended and how, once the lane is known to fit."""
        names_match(lane.start, problem.network)
        problem.loss.check_labels(lane.data)
        shapes_match(lane.start, problem.network, lane.data)
        _check(problem, lane.start, lane.step, count, how, loss_scaled, freeze_norm, record_every)
        require_in_space(problem.geometry, weights_of(problem, lane.start))
        beta, drawn = _variant(lane.data, how, loss_scaled, batch, momentum, nesterov, lane.seed)
        pull = _blended(problem, how, blend, lane.step)
        return Method(problem, how, loss_scaled, freeze_norm, nesterov, drawn, beta, pull)

    found = checked(lanes, method)
    observers = Observers.of(observe, weights_of(problem, lanes[0].start))
    every = _spacing(size_of(lanes[0].start), count, record_every, len(lanes))
    settings: Record = {"rule": _called(how, problem, lanes[0]), "count": count, "loss_scaled": loss_scaled}
    settings |= {"record_every": every, "freeze_norm": freeze_norm, "batch": batch, "nesterov": nesterov}
    settings |= {"momentum": float(momentum)} | ({"blend": float(blend)} if blend else {})
    began = watch.monotonic()
    if not asks_for_batch(start, data, step, seed):
        walked = walk_one(found, lanes[0], count, every)
        return _trajectory(found, lanes[0], walked, watch.monotonic() - began, settings, observers)
    walks = walk_all(found, lanes, count, every)
    told = watch.monotonic() - began, settings, observers
    return Trajectories([partial(_trajectory, found, *pair, *told) for pair in zip(lanes, walks, strict=True)])


def _steps(how: Rule, step: float | Sequence[float] | None) -> float | Sequence[float] | None:
    """Step sizes; 1, where a rule has its own and time counts steps."""
    if how.own_rate and step is not None:
        raise LanguageError(
            f"`step` must be left out where `rule` has a learning rate of its own, got {short(step, 40)}; pass"
            " `count` alone."
        )
    return 1.0 if how.own_rate else step


def _called(how: Rule, problem: Problem, lane: Lane) -> str:
    """What provenance calls a rule; a transformation is tried on shapes."""
    if not isinstance(how, Transformed):
        return how.name
    return how.told(problem.dual(weights_of(problem, lane.start)), chart_objective(problem, lane.data))


def _trajectory(
    method: Method, lane: Lane, walked: Walked, seconds: float, settings: Record, observers: Observers
) -> Trajectory:
    """The trajectory of a descent."""
    problem, how, data = method.problem, method.how, lane.data
    taken, outcome = walked.taken, ended(method, lane, walked)
    position, log_t, step_sq = walked.rows
    del walked
    states, gradients = _unpack(problem, position, how, lane.start.per, data)
    del position
    stats = {"steps": taken, "rejected": 0, "evaluations": taken, "wall_seconds": round(seconds, 3)}
    variables = None if gradients is None else _gradient_columns(gradients, step_sq)
    told = settings | {"step": lane.step, "seed": lane.seed}
    more: Record = {"kind": "descent", "extra": {"settings": told}, "variables": variables, "observe": observers}
    return Trajectory.from_states(problem, data, np.asarray(log_t), states, outcome, stats, **more)


def _blended(problem: Problem, how: Rule, blend: float, step: float) -> jax.Array | None:
    """The pull towards grids, or None without one."""
    if isinstance(blend, bool) or not isinstance(blend, int | float) or not 0 <= blend <= sys.float_info.max:
        raise must_be("blend", blend, "a finite number from 0 on", "for example 1.0")
    if not blend:
        return None
    if not how.on_weights or not any(problem.on_grid(w) for w in problem.network.weights):
        raise LanguageError(
            '`blend` must be used with blocks on a grid, got none; pass `geometry={"w": "binary"}` to the problem.'
        )
    if blend * step > 1:
        raise LanguageError(
            f"`blend` times `step` must be at most 1, the whole way, got {blend * step:g}; use a smaller one."
        )
    return jnp.asarray(float(blend))


def _spacing(size: int, count: int, record_every: int | None, lanes: int) -> int:
    """Steps between stored rows; refuses a descent that takes more than a day, or whose rows do not fit into memory."""
    every = record_every or max(1, math.ceil(count / rows_within(min(ROW_BYTES, ALL_ROW_BYTES / lanes), size, ROWS)))
    require_time(_LEAST * count, f"a descent of {short(count)} steps", "use a smaller `count`")
    rows = lanes * (1 - (-count // every))
    # Rows of a batch in parts, as one, as directions, and in the data set; a single descent holds them once.
    what = f"a descent that stores {rows} states of {size} numbers"
    require_memory(4 * 8 * size * rows, what, "use a larger `record_every`, or smaller widths")
    return every


def _check(
    problem: Problem,
    start: State,
    step: float,
    count: int,
    how: Rule,
    loss_scaled: bool,
    freeze_norm: bool,
    record_every: int | None,
) -> None:
    positive("step", step, "for example 1e-3")
    if type(count) is not int or count < 1:
        raise must_be("count", count, "an integer from 1 on", "for example 1000")
    if record_every is not None and (type(record_every) is not int or record_every < 1):
        raise must_be("record_every", record_every, "an integer from 1 on", "for example 10")
    if loss_scaled and problem.loss.is_value:
        raise LanguageError(
            f'`loss_scaled=True` must be used with a loss over samples, got "{problem.loss.name}"; leave it out.'
        )
    if loss_scaled and any(problem.decay.values()):
        raise LanguageError(
            "`loss_scaled=True` must be used without weight decay, which it does not define; drop one of them."
        )
    if problem.moved_by_force and (loss_scaled or not how.on_weights):
        what = "`loss_scaled=True`" if loss_scaled else f'the rule "{how.name}"'
        problem.require_plain(what)
    if loss_scaled and not how.is_plain:
        raise LanguageError(
            f'`loss_scaled=True` must be used with the rule "gradient", got "{how.name}"; leave it out.'
        )
    if freeze_norm and how.on_weights:
        raise LanguageError(
            f'`freeze_norm=True` must be used with a rule on directions, got "{how.name}"; use for example "geodesic".'
        )
    if not how.on_weights and start.per != "layer":
        raise LanguageError(
            f'the state must be per layer for the rule "{how.name}", got per {start.per}; make it with per="layer".'
        )


def _variant(
    data: Data, how: Rule, loss_scaled: bool, batch: int | None, momentum: float, nesterov: bool, seed: int | None
) -> tuple[jax.Array | None, int | None]:
    """β, or None without momentum; and samples per step, or None where all are taken."""
    checked_momentum(how, momentum)
    if type(nesterov) is not bool or (nesterov and momentum == 0):
        raise must_be(
            "nesterov", nesterov, "True or False, and True only with a momentum above 0", "`momentum=0.9` with it"
        )
    if batch is not None and (isinstance(batch, bool) or not isinstance(batch, Integral) or not 1 <= batch <= data.n):
        raise must_be("batch", batch, f"an integer from 1 to {data.n}, the number of samples", "a smaller one, or None")
    if batch is not None and seed is None:
        raise LanguageError(
            "`seed` must be an integer where `batch` draws samples, got None; pass for example `seed=0`."
        )
    if seed is not None:
        checked_seed(seed)
    if loss_scaled and (batch is not None or momentum):
        raise LanguageError(
            "`loss_scaled=True` must be used with all samples and no momentum; drop `batch` and `momentum`."
        )
    # The plain program is used where nothing differs from it: equal to the last bit by construction.
    drawn = None if batch is None or batch == data.n else int(batch)
    return (jnp.asarray(float(momentum)) if momentum else None), drawn


def _unpack(
    problem: Problem, position: Coordinates, how: Rule, per: str, data: Data
) -> tuple[State, np.ndarray | None]:
    """The states of rows, and the squared norms of their gradients where weights are moved.

    Rows are large: directions are written where the weights were, some at a time, unless other runs share the arrays.
    """
    if not how.on_weights:
        return State(rho=position[0], V=position[1], per=per), None
    count = len(next(iter(position.values())))
    size = sum(leaf[0].size for leaf in position.values())
    block = min(count, rows_within(_PART_BYTES, size, ROWS))
    V = {w: leaf if leaf.base is None and leaf.flags.owndata else np.empty_like(leaf) for w, leaf in position.items()}
    norms, gradients = [], []
    for first in range(0, count, block):
        # The last block is filled up from the rows before it, so that one program serves all of them.
        some = slice(max(0, min(first, count - block)), min(first + block, count))
        new = slice(first - some.start, None)
        state, squared = _split(problem, {w: jnp.array(leaf[some]) for w, leaf in position.items()}, per, data)
        for w, value in state.V.items():
            V[w][first : some.stop] = np.asarray(value)[new]
        norms.append({k: np.asarray(value)[new] for k, value in state.rho.items()})
        gradients.append(np.asarray(squared)[new])
    rho = {k: np.concatenate([each[k] for each in norms]) for k in norms[0]}
    return State(rho=rho, V=V, per=per), np.concatenate(gradients)


@Program
def _split(problem: Problem, position: dict[str, jax.Array], per: str, data: Data) -> tuple[State, jax.Array]:
    def one(place: dict[str, jax.Array]) -> State:
        rho, V = split(jnp, problem.lift(place), per)
        return State(rho=rho, V=V, per=per)

    states = jax.vmap(one)(position)
    return states, squares(problem, states, data)


def _gradient_columns(gradients: np.ndarray, step_sq: np.ndarray) -> Record:
    """`grad_sq` and `step_sq` as columns."""
    return {
        "grad_sq": (("step", "weight"), gradients, "squared norm of the gradient of each block"),
        "step_sq": (("step", "weight"), np.asarray(step_sq), "sum of squared step lengths of each block so far"),
    }
