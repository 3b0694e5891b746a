"""A progress bar on stderr: log t, log-loss, margin, time elapsed and time to go."""

import math
from collections.abc import Mapping
from types import TracebackType

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from flowlab.core.typing import Scalar


class Progress:
    """Shows how far a run is; measured in log t once t is large, since runs spend their steps evenly there."""

    def __init__(self, on: bool, log_end: float, horizon: str) -> None:
        self.on, self.log_end = on, log_end
        self.bar: Bar | None = None
        self.horizon = horizon or "an event"

    def __enter__(self) -> "Progress":
        if self.on:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TimeElapsedColumn(),
                TextColumn("ETA"),
                TimeRemainingColumn(),
            )
            bar = self.bar = Bar(*columns, console=Console(stderr=True), transient=True)
            bar.start()
            self.task = bar.add_task(f"to {self.horizon}", total=1.0 if math.isfinite(self.log_end) else None)
        return self

    def show(self, log_t: float, seen: Mapping[str, Scalar] | None) -> None:
        """Update the bar with what is observed now."""
        if self.bar is None or seen is None:
            return
        part = np.logaddexp(0.0, log_t) / np.logaddexp(0.0, self.log_end) if math.isfinite(self.log_end) else 0.0
        told = f"log t {log_t:9.4g}  log loss {float(seen['log_loss']):9.4g}  margin {float(seen['min_margin']):9.3e}"
        self.bar.update(self.task, completed=part, description=told)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()
