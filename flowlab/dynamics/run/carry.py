"""What a run carries from chunk to chunk, and what a chunk leaves."""

from typing import Any, NamedTuple

import jax

from flowlab.core.typing import Array, PyTree, Scalar
from flowlab.dynamics.run.observations import Watch

RUNNING, FIRED, NONFINITE, STALLED, STIFF, BENT = range(6)


class Stiffness(NamedTuple):
    """How many accepted steps in favour of an implicit method, net of those against; and the latest estimate of h λ."""

    votes: jax.Array
    h_lambda: jax.Array


class Carry(NamedTuple):
    """Everything a run needs to go on."""

    t: Scalar
    t_next: jax.Array
    y: PyTree
    solver_state: PyTree
    control_state: PyTree
    steps: jax.Array
    rejected: jax.Array
    in_a_row: jax.Array
    status: jax.Array
    watch: Watch
    stiffness: Stiffness


class Target(NamedTuple):
    """A kink that is looked for.

    Attributes:
        active: whether there is one.
        pair: that is on it.
        guess, part: of the step that met it, at which the dense output has it, and where to look next.
        tries: steps that looking took.
    """

    active: jax.Array
    pair: jax.Array
    guess: jax.Array
    part: jax.Array
    tries: jax.Array


class Crossings(NamedTuple):
    """Kinks that were crossed, as columns: the pair, its side before, its rates with the slopes on the left and on the
    right, and when that was, on the clock and as log t.
    """

    pair: Array
    before: Array
    left: Array
    right: Array
    s: Scalar
    log_t: Array


class Passage(NamedTuple):
    """What a chunk knows of kinks.

    Attributes:
        side, slopes: (P,) of the mode that it has come to.
        target: the kink that is looked for.
        looks: steps that looking took.
        count: kinks that were crossed, so many of the first of `crossings`.
    """

    side: Array
    slopes: Array
    target: Target
    looks: jax.Array
    count: jax.Array
    crossings: Crossings


class Chunk(NamedTuple):
    """What a chunk leaves: the carry, accepted rows, the bracket of an event, and kinks, if the run follows them."""

    carry: Carry
    times: jax.Array
    rows: Any
    observations: dict[str, jax.Array]
    accepted: jax.Array
    before_t: Scalar
    before_y: PyTree
    before_state: PyTree
    fired: Array
    passage: Passage | None = None
