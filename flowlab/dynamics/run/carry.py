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


class Chunk(NamedTuple):
    """What a chunk leaves: the carry, accepted rows, and the bracket of an event."""

    carry: Carry
    times: jax.Array
    rows: Any
    observations: dict[str, jax.Array]
    accepted: jax.Array
    before_t: Scalar
    before_y: PyTree
    before_state: PyTree
    fired: Array
