"""One lane of a batch: a run as any other, whose compiled steps are taken together with those of other lanes."""

from dataclasses import dataclass, replace
from enum import IntEnum

import jax
import numpy as np

from flowlab.core.typing import PyTree, Record, Scalar
from flowlab.dynamics.batch.programs import Place
from flowlab.dynamics.conditions import Event
from flowlab.dynamics.run.carry import BENT, FIRED, Chunk
from flowlab.dynamics.run.clock_switch import Separation
from flowlab.dynamics.run.cursor import Cursor
from flowlab.dynamics.run.recorder import Recorder
from flowlab.dynamics.run.segment import Segment
from flowlab.dynamics.run.setup import Setup
from flowlab.language.state import State
from flowlab.language.trajectory import Outcome


class Stage(IntEnum):
    """What is to be done next with a lane, in the order in which lanes of one clock and solver do it: all take steps
    before what follows is found for any, so that blocks are full.
    """

    STEPPING = 0
    HANDING_OVER = 1
    """Samples are separated: the late clock takes over."""
    LOCATING = 2
    """The place of an event is looked for."""
    TURNING = 3
    """What else follows a chunk is found, on the host."""
    AT_KINK = 4
    """A kink is crossed, on the host."""
    BEGINNING = 5
    """A segment begins."""


@dataclass(frozen=True)
class Known(Segment):
    """A segment at a place of which everything is known, because it was computed for many lanes at once.

    Attributes:
        z: what is integrated, there.
        place: all that is known.
    """

    z: PyTree = None
    place: Place | None = None

    @classmethod
    def at(cls, segment: Segment, z: PyTree, place: Place) -> "Known":
        """A segment at a place."""
        return cls(**{name: getattr(segment, name) for name in Segment.__dataclass_fields__}, z=z, place=place)

    def observed(self, s: Scalar, z: PyTree, events: tuple[Event, ...] = ()) -> tuple[Record, np.ndarray]:
        if self.place is None or z is not self.z or events:
            return super().observed(s, z, events)
        return self.place.observations, np.asarray(self.place.values)[:0]

    def state(self, z: PyTree) -> State:
        return super().state(z) if self.place is None or z is not self.z else self.place.state


@dataclass
class Lane:
    """A run of a batch, and where it stands.

    Attributes:
        number: its place in the batch.
        setup, recorder: as of a single run.
        cursor: where it stands.
        segment: that it is in, or that begins.
        program: what compiled programs of the segment depend on; lanes with the same one go together.
        chunk: its last one, as long as what follows is not found.
        outcome: how it ended; None as long as it runs.
    """

    number: int
    setup: Setup
    recorder: Recorder
    cursor: Cursor
    segment: Segment | None = None
    program: tuple[object, ...] = ()
    chunk: Chunk | None = None
    outcome: Outcome | None = None

    @property
    def stage(self) -> Stage:
        """What is to be done next."""
        if self.cursor.carry is None:
            return Stage.BEGINNING
        if self.chunk is None or self.segment is None:
            return Stage.STEPPING
        status = int(self.chunk.carry.status)
        if status != FIRED:
            return Stage.AT_KINK if status == BENT else Stage.TURNING
        watched = self.segment.watched
        leaves = all(isinstance(e, Separation) for e, over in zip(watched, self.chunk.fired, strict=True) if over)
        return Stage.HANDING_OVER if leaves else Stage.LOCATING

    def enter(self, known: dict[object, Segment], shared_field: bool) -> None:
        """Enter the segment at the cursor; what it shares with others is made once."""
        cursor = self.cursor
        key = cursor.clock.name, cursor.stiff, cursor.handed_over
        like = known.get(key)
        if like is not None and shared_field and like.clock is cursor.clock and like.setup.plan is self.setup.plan:
            self.segment = replace(like, setup=self.setup)
        else:
            self.segment = known[key] = Segment.of(self.setup, cursor, like and like.watched)
        # Ordinary time comes first, and explicit steps in it.
        self.program = (
            cursor.clock.scales_loss,
            cursor.stiff,
            cursor.handed_over,
            jax.tree.structure(cursor.clock),
            self.segment.solver_name,
            () if shared_field else tuple(np.shape(leaf) for leaf in jax.tree.leaves(self.segment.field)),
        )
