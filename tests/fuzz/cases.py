"""What a fuzzed input is: a surface, what it is called, how flowlab answers it, and within what time it has to be
refused.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes:
        surface: which of the five.
        told: what it is, in a line.
        answer: hands it to flowlab; an empty text if it was accepted as it is meant, else what was changed silently.
        limit: seconds of the processor within which a refusal comes.
        strict: whether not even a file may be opened on the way.
        writes: whether it may write into the folder of the run.
        work: seconds after which it counts as accepted, where it may ask for endless work; else 0.
    """

    surface: str
    told: str
    answer: Callable[[], str]
    limit: float = 2.0
    strict: bool = False
    writes: bool = False
    work: int = 0
