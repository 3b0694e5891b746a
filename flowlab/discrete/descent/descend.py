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
from numbers import Integral
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.arguments import guarded, must_be, short
from flowlab.core.errors import LanguageError
from flowlab.core.memory import require_memory, require_time
from flowlab.core.precision import require_x64
from flowlab.core.seeds import checked_seed
from flowlab.core.typing import Coordinates, PyTree, Record, Scalar
from flowlab.discrete.descent.gradient_walk import Memory, squares, walk
from flowlab.discrete.descent.rules import Momentum, Rule, rules
from flowlab.language.data import Data
from flowlab.language.norm_groups import split
from flowlab.language.problem import Problem
from flowlab.language.state import State, names_match, shapes_match
from flowlab.language.trajectory import Outcome, Trajectory

_ROWS, _BATCH = 2_000, 64
_LEAST = 1e-7
"""Seconds that no step of a compiled program stays below, however few the weights."""


@guarded
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
    batch: int | None = None,
    momentum: float = 0.0,
    nesterov: bool = False,
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
        seed: of the batches; without them it is only recorded with the result.
        batch: samples per step, from 1 to N; all of them by default.
        momentum: β, from 0 up to but not including 1; with the rule "gradient" only.
        nesterov: look ahead along the momentum (needs one above zero).

    Returns:
        A trajectory whose `log_t` is the log of the time passed, Σ η (or Σ η/L, or Σ η/(1 - β)); with `rule="gradient"`
        also with `grad_sq` and `step_sq` over `(step, weight)`, as the module says.

    Raises:
        LanguageError, UnknownName, ShapeMismatch, DataError, PrecisionTooLow: for bad input.
        TooLarge: if the stored rows do not fit into memory, or so many steps take more than a day.
    """
    require_x64("descend")
    how: Rule = rules[rule]()
    names_match(start, problem.network)
    problem.loss.check_labels(data)
    shapes_match(start, problem.network, data)
    _check(problem, start, step, count, how, loss_scaled, freeze_norm, record_every)
    beta, drawn = _variant(data, how, loss_scaled, batch, momentum, nesterov, seed)
    every = record_every or max(1, math.ceil(count / _ROWS))
    _affordable(start, count, every)
    began = watch.monotonic()
    method = _Method(problem, how, loss_scaled, freeze_norm, None if beta is None else Momentum(nesterov), drawn, beta)
    rows, taken, outcome = _rows(method, start, data, step, count, every, seed)
    position, log_t, step_sq = jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *rows)
    states = _unpack(position, how, start.per)
    stats = {"steps": taken, "rejected": 0, "evaluations": taken, "wall_seconds": round(watch.monotonic() - began, 3)}
    settings = {"rule": rule, "step": step, "count": count, "loss_scaled": loss_scaled, "record_every": every}
    settings |= {
        "freeze_norm": freeze_norm,
        "seed": seed,
        "batch": batch,
        "momentum": float(momentum),
        "nesterov": nesterov,
    }
    variables = _gradient_columns(problem, states, data, step_sq) if how.on_weights else None
    return Trajectory.from_states(
        problem,
        data,
        np.asarray(log_t),
        states,
        outcome,
        stats,
        kind="descent",
        extra={"settings": settings},
        variables=variables,
    )


def _affordable(start: State, count: int, every: int) -> None:
    """Refuse a descent that takes more than a day, or whose rows do not fit into memory."""
    require_time(_LEAST * count, f"a descent of {short(count)} steps", "use a smaller `count`")
    rows, size = 1 - (-count // every), sum(int(np.size(leaf)) for leaf in jax.tree.leaves(start))
    # A row in the list, in the stack, as norms and directions, and in the data set.
    what = f"a descent that stores {rows} states of {size} numbers"
    require_memory(4 * 8 * size * rows, what, "use a larger `record_every`, or smaller widths")


class _Method(NamedTuple):
    """What is descended and how; `heavy` and β are None without momentum, `drawn` where all samples are taken."""

    problem: Problem
    how: Rule
    loss_scaled: bool
    freeze_norm: bool
    heavy: Momentum | None
    drawn: int | None
    beta: Scalar | None


def _rows(
    method: _Method, start: State, data: Data, step: float, count: int, every: int, seed: int | None
) -> tuple[list[PyTree], int, Outcome]:
    """Rows of (position, log of time, squared step lengths), how many steps led to them, and how the descent ended."""
    problem, how, loss_scaled, freeze_norm, heavy, drawn, beta = method
    # The last stored row may be fewer than `every` steps after the one before.
    lengths = np.full(-(-count // every), every)
    lengths[-1] = count - (len(lengths) - 1) * every
    carry = (_pack(start, how), jnp.asarray(-jnp.inf, dtype=jnp.float64), jnp.zeros(len(problem.network.weights)))
    rows: list[PyTree] = [jax.tree.map(np.asarray, carry)]
    memory, taken = Memory.fresh(carry[0], data, beta, drawn, seed), 0
    try:
        for first in range(0, len(lengths), _BATCH):
            chunk = lengths[first : first + _BATCH]
            # Padded with empty blocks: one compilation serves every number of steps.
            padded = jnp.asarray(np.pad(chunk, (0, _BATCH - len(chunk))))
            (carry, memory), stored = walk(
                problem,
                how,
                loss_scaled,
                freeze_norm,
                data,
                (carry, memory),
                jnp.asarray(float(step)),
                padded,
                heavy,
                drawn,
                beta,
            )
            stored = jax.tree.map(np.asarray, stored)
            for i, length in enumerate(chunk):
                row = jax.tree.map(lambda leaf, i=i: leaf[i], stored)
                # Weights beyond 1e150 have no norm in float64.
                if not all((np.abs(leaf) < 1e150).all() for leaf in jax.tree.leaves(row[0])):
                    return (
                        rows,
                        taken,
                        Outcome(
                            "nonfinite",
                            f"the weights stopped being finite by step {taken + length}; use a smaller step than"
                            f" {step:g}.",
                        ),
                    )
                rows.append(row)
                taken += int(length)
    except KeyboardInterrupt:
        return rows, taken, Outcome("budget", f"interrupted after {taken} steps; everything before is kept.")
    return rows, taken, Outcome("done", f"{count} steps of size {step:g} were taken.")


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
    if isinstance(step, bool) or not isinstance(step, int | float) or not 0 < step <= sys.float_info.max:
        raise must_be("step", step, "a finite number above 0", "for example 1e-3")
    if type(count) is not int or count < 1:
        raise must_be("count", count, "an integer from 1 on", "for example 1000")
    if record_every is not None and (type(record_every) is not int or record_every < 1):
        raise must_be("record_every", record_every, "an integer from 1 on", "for example 10")
    if loss_scaled and any(problem.decay.values()):
        raise LanguageError(
            "`loss_scaled=True` must be used without weight decay, which it does not define; drop one of them."
        )
    if freeze_norm and how.on_weights:
        raise LanguageError(
            '`freeze_norm=True` must be used with a rule on directions, got "gradient"; use for example "geodesic".'
        )
    if not how.on_weights and start.per != "layer":
        raise LanguageError(
            f'the state must be per layer for the rule "{how.name}", got per {start.per}; make it with per="layer".'
        )


def _variant(
    data: Data, how: Rule, loss_scaled: bool, batch: int | None, momentum: float, nesterov: bool, seed: int | None
) -> tuple[jax.Array | None, int | None]:
    """β, or None without momentum; and samples per step, or None where all are taken."""
    if isinstance(momentum, bool) or not isinstance(momentum, int | float) or not 0 <= momentum < 1:
        raise must_be("momentum", momentum, "from 0 up to, but not including, 1", "for example 0.9")
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
    if momentum and not how.on_weights:
        raise LanguageError(
            f'`momentum` must be 0 for the rule "{how.name}" on directions, got {momentum:g}; use rule="gradient".'
        )
    # The plain program is used where nothing differs from it: equal to the last bit by construction.
    drawn = None if batch is None or batch == data.n else int(batch)
    return (jnp.asarray(float(momentum)) if momentum else None), drawn


def _pack(start: State, how: Rule) -> Coordinates:
    units = start.directions()
    return start.weights() if how.on_weights else (dict(start.rho), dict(units.V))


def _unpack(position: Coordinates, how: Rule, per: str) -> State:
    if not how.on_weights:
        return State(rho=position[0], V=position[1], per=per)

    return _split(position, per)


@eqx.filter_jit
def _split(position: dict[str, jax.Array], per: str) -> State:
    def one(weights: dict[str, jax.Array]) -> State:
        rho, V = split(jnp, weights, per)
        return State(rho=rho, V=V, per=per)

    return jax.vmap(one)(position)


def _gradient_columns(problem: Problem, states: State, data: Data, step_sq: jax.Array) -> Record:
    """`grad_sq` and `step_sq` as columns."""
    gradients = np.asarray(squares(problem, states, data))
    return {
        "grad_sq": (("step", "weight"), gradients, "squared norm of the gradient of each block"),
        "step_sq": (("step", "weight"), np.asarray(step_sq), "sum of squared step lengths of each block so far"),
    }
