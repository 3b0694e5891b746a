"""The critical points that searches have found so far, each once modulo the symmetries of the network, with the count
that shows missing ones.
"""

from dataclasses import replace

import numpy as np

from flowlab.discrete.critical import euler_characteristic
from flowlab.discrete.critical.constrained_problem import Constrained
from flowlab.discrete.critical.critical_point import NULL, CriticalPoint, described
from flowlab.discrete.critical.lagrange_newton import Critical
from flowlab.discrete.critical.symmetries import Symmetries

_SAME, _VALUE, _NEAR = 1e-6, 1e-8, 1e-4
"""Ends closer than the first are one point, where their objectives agree to the second; ends that are not polished yet,
closer than the last.
"""


class Entry:
    """One critical point: its polished end, its objective, how many searches ended there, and once it is described, the
    point.
    """

    def __init__(self, end: Critical, value: float) -> None:
        self.end, self.value, self.found = end, value, 1
        self.point: CriticalPoint | None = None
        self.outputs = np.zeros(0)
        self.characteristic: int | None = None


class Catalogue:
    """Distinct critical points of a constrained problem.

    Attributes:
        entries: in the order in which they were found.
        euler: characteristic of the product of spheres.
    """

    def __init__(self, con: Constrained, symmetries: Symmetries) -> None:
        self.con, self.symmetries, self.entries = con, symmetries, list[Entry]()
        self.euler = euler_characteristic.of_spheres(con.spheres)

    def add(self, end: Critical) -> bool:
        """Take in a polished end; answers whether it is new."""
        value = self.con.value(end.theta)
        known = self._known(end.theta, value, _SAME)
        if known is None:
            self.entries.append(Entry(end, value))
            return True
        known.found += 1
        if end.residual < known.end.residual and known.point is None:
            known.end = end
        return False

    def _known(self, theta: np.ndarray, value: float, near: float) -> Entry | None:
        for entry in self.entries:
            if (
                abs(entry.value - value) <= _VALUE * max(1.0, abs(value))
                and self.symmetries.distance(entry.end.theta, theta) <= near
            ):
                return entry
        return None

    def recognises(self, theta: np.ndarray, value: float, eigenvalues: np.ndarray) -> bool:
        """Whether an end that is not polished yet is a point that is known, or of its family; counts it there."""
        null = np.abs(eigenvalues) <= NULL * np.abs(eigenvalues).max(initial=0.0)
        counts = int((eigenvalues[~null] < 0).sum()), int(null.sum())
        # Outputs cost less to compare than rows modulo rotations.
        alike = [
            e
            for e in self.entries
            if null.any() and e.point and not e.point.is_alone and _meet(counts, (e.point.index, e.point.nullity))
        ]
        outputs = self._outputs(theta) if alike else np.zeros(0)
        known = next(
            (e for e in alike if np.abs(e.outputs - outputs).max() <= _SAME * max(1.0, float(np.abs(outputs).max()))),
            None,
        )
        known = known if known is not None else self._known(theta, value, _NEAR)
        if known is None:
            return False
        known.found += 1
        return True

    def describe(self) -> None:
        """Describe what is new, and count points of one continuous family once: the same outputs, and zero modes that
        no symmetry makes.
        """
        for entry in sorted((e for e in self.entries if e.point is None), key=lambda e: e.end.residual):
            point = described(self.con, self.symmetries, entry.end, entry.found)
            entry.point, entry.outputs = point, self._outputs(entry.end.theta)
            homes = (
                []
                if point.is_alone
                else [other for other in self.entries if other is not entry and self._one_family(entry, other)]
            )
            if not homes:
                entry.characteristic = euler_characteristic.of_point(self.con, self.symmetries, point, entry.end)
                continue
            # Pieces that meet are one set, told by the point that most of it goes down from; its characteristic is
            # known where it is one piece alone.
            whole = [*homes, entry]
            kept = min(whole, key=lambda e: e.point.index if e.point else 0)
            kept.found = sum(e.found for e in whole)
            if len({e.point.nullity for e in whole if e.point}) > 1:
                kept.characteristic = None
            self.entries = [e for e in self.entries if e is kept or e not in whole]

    @staticmethod
    def _one_family(entry: Entry, other: Entry) -> bool:
        a, b = entry.point, other.point
        if (
            a is None
            or b is None
            or b.is_alone
            or a.kinks != b.kinks
            or not _meet((a.index, a.nullity), (b.index, b.nullity), bool(a.kinks))
        ):
            return False
        return bool(
            np.abs(entry.outputs - other.outputs).max() <= _VALUE * max(1.0, float(np.abs(entry.outputs).max()))
        )

    def _outputs(self, theta: np.ndarray) -> np.ndarray:
        weights = self.con.spheres.state(theta).weights()
        f = np.asarray(
            self.con.problem.network.outputs(
                {k: np.asarray(w) for k, w in weights.items()}, self.con.data.in_numpy[0], np
            )
        )
        # What all logits share is nothing to the loss.
        return f - f.mean(axis=1, keepdims=True) if self.con.problem.loss.compares_outputs else f

    @property
    def points(self) -> list[CriticalPoint]:
        """By growing loss."""
        return sorted((replace(e.point, found=e.found) for e in self.entries if e.point), key=lambda p: p.log_loss)

    @property
    def euler_sum(self) -> int | None:
        """Σ (-1)^index χ over all that was found and its images; None where that cannot be told."""
        if self.con.bends or any(e.characteristic is None for e in self.entries):
            return None
        return sum((-1) ** e.point.index * (e.characteristic or 0) for e in self.entries if e.point)


def _meet(a: tuple[int, int], b: tuple[int, int], kinks: bool = False) -> bool:
    """Whether sets with these (index, zero modes) may be one: smooth sets of one dimension have one index, others meet
    where they are singular.
    """
    return a == b or (not kinks and a[1] != b[1])
