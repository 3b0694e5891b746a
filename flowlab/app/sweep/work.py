"""What other processes are sent: a function whose module loads nothing.

A worker of Dask reads what it is sent where it answers its scheduler, which must not wait for jax to be imported.
"""

from collections.abc import Mapping
from typing import Any


def run_batch(task: Mapping[str, Any]) -> int:
    """Run what is left of a batch of points; see `flowlab.app.sweep.point.run_batch`."""
    from flowlab.app.sweep.point import run_batch as run

    return run(task)
