"""How far a run is: a bar on stderr, or else a line now and then for whoever listens to the logger `flowlab`."""

import logging
import math
import time
from collections.abc import Mapping
from types import TracebackType

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from flowlab.core.typing import Scalar

EVERY = 10.0
"""Seconds between two lines of a log."""
_LOG = logging.getLogger(__name__)


class Progress:
    """Shows how far a run is; measured in log t once t is large, since runs spend their steps evenly there."""

    def __init__(self, on: bool, log_end: float, horizon: str) -> None:
        self.shown, self.log_end = on, log_end
        self.told = time.monotonic()
        self.bar: Bar | None = None
        self.horizon = horizon or "an event"

    def __enter__(self) -> "Progress":
        if self.shown:
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

    @property
    def on(self) -> bool:
        """Whether someone looks, or listens and it is time for another line."""
        if self.bar is not None:
            return True
        return time.monotonic() - self.told >= EVERY and _LOG.isEnabledFor(logging.INFO)

    def show(self, log_t: float, seen: Mapping[str, Scalar] | None) -> None:
        """Tell what is observed now."""
        if seen is None:
            return
        names = ("objective",) if "objective" in seen else ("log_loss", "min_margin")
        now = {"log_t": float(log_t)} | {name: float(seen[name]) for name in names}
        if self.bar is not None:
            self.bar.update(self.task, completed=self._behind(log_t), description=_words(now, 9))
        else:
            self.told = time.monotonic()
            _LOG.info("%s, %.0f %% of the way", _words(now, 0), 100.0 * self._behind(log_t), extra={"flowlab": now})

    def _behind(self, log_t: float) -> float:
        """Which part of the way lies behind; 0 where the end is an event."""
        if not math.isfinite(self.log_end):
            return 0.0
        return float(np.logaddexp(0.0, log_t) / np.logaddexp(0.0, self.log_end))

    def part(self, done: float, told: str) -> None:
        """Update the bar of a batch, of which a part is done."""
        if self.bar is not None:
            self.bar.update(self.task, total=1.0, completed=done, description=told)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()


def _words(now: Mapping[str, float], width: int) -> str:
    return "  ".join(f"{name.replace('min_', '').replace('_', ' ')} {value:{width}.4g}" for name, value in now.items())
