"""A batch from its setups to its trajectories."""

from collections.abc import Sequence
from functools import partial

from flowlab.core.typing import Record
from flowlab.dynamics.batch.lane import Lane
from flowlab.dynamics.batch.loop import Batch
from flowlab.dynamics.run.loop import totalled
from flowlab.dynamics.run.setup import Setup
from flowlab.language.observables import Observers
from flowlab.language.trajectories import Trajectories
from flowlab.language.trajectory import Trajectory


def run_batch(
    setups: Sequence[Setup], shared: tuple[bool, bool], settings: Record, observe: Observers, progress: bool
) -> Trajectories:
    """The trajectories of all lanes, whatever their outcomes.

    Args:
        setups: of the lanes.
        shared: whether all have the same field, and the same data.
        settings: as they are stored with every trajectory.
        observe: what is evaluated along every trajectory.
        progress: show a bar.
    """
    batch = Batch(setups, shared)
    batch.run(progress)
    return Trajectories([partial(_trajectory, lane, settings, observe) for lane in batch.lanes])


def _trajectory(lane: Lane, settings: Record, observe: Observers) -> Trajectory:
    assert lane.outcome is not None
    told = settings | {"equations_signature": lane.setup.field.signature}
    return lane.recorder.trajectory(totalled(lane.setup, lane.cursor), lane.outcome, told, observe)
