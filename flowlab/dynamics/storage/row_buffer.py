"""The rows a run keeps: every accepted step, thinned evenly when there are too many."""

from typing import NamedTuple

import numpy as np


class Rows(NamedTuple):
    """Rows in order: their numbers among all accepted steps, and arrays with a leading axis over rows."""

    index: np.ndarray
    leaves: list[np.ndarray]

    def take(self, where: np.ndarray) -> "Rows":
        """Some of the rows, copied."""
        return Rows(self.index[where], [leaf[where] for leaf in self.leaves])


def joined(parts: list[Rows]) -> Rows:
    """All rows of the parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Rows(
        np.concatenate([p.index for p in parts]),
        [np.concatenate(leaves) for leaves in zip(*(p.leaves for p in parts), strict=True)],
    )


class Store:
    """Rows in order of time. The first and the last one offered are always kept.

    At `limit` rows, every other one is dropped and from then on only every second, fourth, … step is taken,
    so that the rows stay evenly spread over steps. What is kept depends on how many rows came, not on how they came.

    Args:
        limit: largest number of rows; at least 4.
        record: whether `fresh` hands out what was taken since it was last asked.
    """

    def __init__(self, limit: int, record: bool = False) -> None:
        self.limit, self.record = max(4, limit), record
        self.stride, self.offered, self.held = 1, 0, 0
        self._parts: list[Rows] = []
        self._fresh: list[Rows] = []
        self._last: Rows | None = None

    def offer(self, leaves: list[np.ndarray], index: np.ndarray | None = None) -> None:
        """Take a block of accepted steps.

        Args:
            leaves: arrays with a leading axis over rows.
            index: their numbers, for rows that were offered before and come back; else they are counted on.
        """
        index = self.offered + np.arange(len(leaves[0]), dtype=np.int64) if index is None else index
        if not len(index):
            return
        block, at = Rows(index, leaves), 0
        while at < len(index):
            wanted = at + np.flatnonzero(index[at:] % self.stride == 0)[: self.limit - self.held]
            at = len(index) if len(wanted) < self.limit - self.held else int(wanted[-1]) + 1
            if len(wanted):
                part = block.take(wanted)
                self._parts.append(part)
                self.held += len(wanted)
                if self.record:
                    self._fresh.append(part)
            if self.held >= self.limit:
                self._thin()
        self.offered = int(index[-1]) + 1
        self._last = block.take(np.array([len(index) - 1])) if int(index[-1]) % self.stride else None

    def land(self, leaves: list[np.ndarray]) -> None:
        """End on a row within a step, such as the place of an event; arrays with a leading axis of 1."""
        self._last = Rows(np.array([self.offered], dtype=np.int64), leaves)

    def fresh(self) -> Rows:
        """What was taken since this was last asked, and the latest row whatever the stride."""
        parts, self._fresh = self._fresh, []
        if self._last is not None:
            parts = [*parts, self._last]
        return joined(parts) if parts else self._parts[-1].take(np.array([], dtype=np.int64))

    def close(self) -> Rows:
        """All rows, and the latest one."""
        return joined(self._parts if self._last is None else [*self._parts, self._last])

    def _thin(self) -> None:
        self.stride *= 2
        rows = joined(self._parts)
        self._parts = [rows.take(np.flatnonzero(rows.index % self.stride == 0))]
        self.held = len(self._parts[0].index)
