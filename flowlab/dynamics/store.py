"""The rows a run keeps: every accepted step, thinned evenly when there are too many."""

from collections.abc import Callable
from typing import Any


class Store:
    """Rows in order of time. The first and the last one offered are always kept.

    When `limit` rows are held, every other one is dropped and from then on only every second, fourth, … step is taken, so
    that the rows stay evenly spread over steps.

    Args:
        limit: largest number of rows; at least 4.
    """

    def __init__(self, limit: int) -> None:
        self.limit = max(4, limit)
        self.times: list[float] = []
        self.rows: list[Any] = []
        self.stride, self.offered = 1, 0
        self._last: tuple[float, Callable[[], Any]] | None = None

    @property
    def now(self) -> float:
        """Time of the latest row offered."""
        return self._last[0] if self._last is not None else self.times[-1]

    def offer(self, t: float, row: Callable[[], Any]) -> None:
        """Take an accepted step; `row` is only called if the step is kept."""
        if self.offered % self.stride:
            self._last = (t, row)
        else:
            self.times.append(t)
            self.rows.append(row())
            self._last = None
            if len(self.times) >= self.limit:
                self._thin()
        self.offered += 1

    def land(self, t: float, row: Any) -> None:
        """End on a row that is no full step, such as the place of an event."""
        if t > self.times[-1]:
            self._last = (t, lambda: row)

    def flush(self) -> None:
        """Fetch the row in waiting, so that nothing but the store holds it."""
        if self._last is not None:
            t, row = self._last
            value = row()
            self._last = (t, lambda: value)

    def close(self) -> None:
        """Keep the latest row, whatever the stride."""
        if self._last is not None:
            self.times.append(self._last[0])
            self.rows.append(self._last[1]())
            self._last = None

    def _thin(self) -> None:
        if len(self.times) % 2 == 0:
            t, row = self.times[-1], self.rows[-1]
            self._last = (t, lambda: row)
        del self.times[1::2], self.rows[1::2]
        self.stride *= 2
