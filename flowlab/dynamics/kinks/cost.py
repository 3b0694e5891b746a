"""What following kinks costs a run: in memory, before it begins, and in time, so that one that is slow says why."""

import dataclasses

_PER_NODE, _PER_PAIR = 3, 16
"""Numbers that a pair takes at every place of a step where it is looked at, and those of modes and of the host."""
_SHARE = 0.1
"""Parts of the time below this one are not named."""


def needed(pairs: int, degree: int) -> int:
    """Bytes that following pairs takes beside the run itself, before any of them slides.

    Args:
        pairs: how many.
        degree: of the polynomials that they are looked at as.
    """
    return 8 * pairs * (_PER_NODE * (degree + 1) + _PER_PAIR)


class OutOfTime(Exception):
    """The limit on wall-clock time was reached in the middle of a kink."""


@dataclasses.dataclass
class Effort:
    """Where the seconds of a run with kinks went.

    Attributes:
        looked: steps that were looked at again because they may have met a kink.
        met: kinks that were met.
        most: pairs that slid at once, at most.
        at_kinks: seconds at them.
        compiling: seconds of compilation there.
        sliding: seconds of steps during which some pair slid.
        free: seconds of other steps.
    """

    looked: int = 0
    met: int = 0
    most: int = 0
    at_kinks: float = 0.0
    compiling: float = 0.0
    sliding: float = 0.0
    free: float = 0.0

    def stepped(self, seconds: float, pairs: int, crossed: int = 0) -> None:
        """Count a chunk of steps during which some number of pairs slid, and others crossed their kinks."""
        self.looked, self.met = self.looked + crossed, self.met + crossed
        self.most = max(self.most, pairs)
        if pairs:
            self.sliding += seconds
        else:
            self.free += seconds

    def summary(self) -> dict[str, float]:
        """For the statistics of a run."""
        return {name: round(value, 3) for name, value in dataclasses.asdict(self).items()}

    def looked_at(self, seconds: float, compiling: float) -> None:
        """Count a second look at a step, and how much of its time went into compilation."""
        self.looked += 1
        self.at_kinks += max(seconds - compiling, 0.0)
        self.compiling += min(compiling, seconds)

    def cause(self, before: float) -> str:
        """The largest parts of the time in words, and what to do about them.

        Args:
            before: seconds of compilation elsewhere.
        """
        parts = [
            (self.at_kinks, f"{self.met} kinks met"),
            (self.sliding, f"steps with up to {self.most} pairs sliding"),
            (self.free, "steps between kinks"),
            (before + self.compiling, "compilation"),
        ]
        total = sum(seconds for seconds, _ in parts) or 1.0
        named = [
            f"{name} took {seconds / total:.0%} of the time"
            for seconds, name in sorted(parts, reverse=True)
            if seconds > _SHARE * total
        ]
        remedy = (
            '; use fewer samples or units, or `kinks="ignore"`' if self.at_kinks + self.sliding > 0.5 * total else ""
        )
        return f" ({', '.join(named)}{remedy})" if named else ""
