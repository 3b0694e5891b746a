"""What following kinks costs a run, so that one that is slow says why."""

import dataclasses

_SHARE = 0.1
"""Parts of the time below this one are not named."""


class OutOfTime(Exception):
    """The limit on wall-clock time was reached in the middle of a kink."""


@dataclasses.dataclass
class Effort:
    """Where the seconds of a run with kinks went.

    Attributes:
        looked: steps that were looked at again because they may have met a kink.
        met: kinks that were met.
        most: pairs that slid at once, at most.
        at_kinks: seconds at them, with the compilation of what is needed there.
        sliding: seconds of steps during which some pair slid.
        free: seconds of other steps.
    """

    looked: int = 0
    met: int = 0
    most: int = 0
    at_kinks: float = 0.0
    sliding: float = 0.0
    free: float = 0.0

    def stepped(self, seconds: float, pairs: int) -> None:
        """Count a chunk of steps during which some number of pairs slid."""
        self.most = max(self.most, pairs)
        if pairs:
            self.sliding += seconds
        else:
            self.free += seconds

    def told(self) -> dict[str, float]:
        """For the statistics of a run."""
        return {name: round(value, 3) for name, value in dataclasses.asdict(self).items()}

    def cause(self, compiling: float) -> str:
        """The largest parts of the time in words, and what to do about them.

        Args:
            compiling: seconds of compilation before the first step.
        """
        parts = [
            (self.at_kinks, f"{self.met} kinks met"), (self.sliding, f"steps with up to {self.most} pairs sliding"),
            (self.free, "steps between kinks"), (compiling, "compilation"),
        ]  # fmt: skip
        total = sum(seconds for seconds, _ in parts) or 1.0
        named = [f"{name} took {seconds / total:.0%} of the time" for seconds, name in sorted(parts, reverse=True) if seconds > _SHARE * total]
        remedy = '; use fewer samples or units, or `kinks="ignore"`' if self.at_kinks + self.sliding > 0.5 * total else ""
        return f" ({', '.join(named)}{remedy})" if named else ""
