"""How many laws a flow has, of any kind: the dimension of its weights less that of the Lie algebra of its fields.

Samples pull on the weights along fields. A flow can reach whatever these fields and their brackets span, so that what
is kept by all data sets is what is left over (Marcotte, Gribonval and Peyré 2023).
"""

from dataclasses import dataclass

from flowlab.core.display import displayed
from flowlab.symbolic.laws.directions import DEEPEST, deepened, space_of
from flowlab.symbolic.laws.draws import Small
from flowlab.symbolic.laws.find import Search


@dataclass(frozen=True)
@displayed
class LawCount:
    """What is known of how many independent laws there are; of a network with kinks, on all of its pieces.

    Attributes:
        status: `"complete"`, `"further"` (laws exist beside those found) or `"not decided"`.
        found: independent laws among those found.
        total: independent laws that exist; None where that is not decided.
        shapes: of the blocks it was counted at.
        reason: why nothing is decided; empty where it is.
    """

    status: str
    found: int
    total: int | None
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    reason: str = ""

    def __str__(self) -> str:
        sizes = ", ".join(f"{w} {'x'.join(map(str, shape)) or '1'}" for w, shape in self.shapes)
        if self.total is None:
            known = f"; independent laws that are known: {self.found}" if self.shapes else ""
            return f"not decided: {self.reason}{known}."
        if self.status == "complete":
            known = f"all independent laws are found, {self.found}" if self.found else "there is no law"
            return f"complete: {known} at {sizes}."
        further = self.total - self.found
        told = "1 further law exists" if further == 1 else f"{further} further laws exist"
        return f"{told}, not quadratic: {self.found} of {self.total} independent laws are found at {sizes}."


def law_count(found: Search, seed: int = 0) -> LawCount:
    """Count the laws of a search at its small sizes."""
    small = found.small
    if small is None or not found.decided:
        return LawCount("not decided", found.rank, None, (), found.why or "the null space is not known")
    counts = [_counted(found, small, True, seed)] if small.problem.network.slots else []
    if not counts or counts[0].total is None:
        counts.append(_counted(found, small, False, seed))
    return counts[-1]


def _counted(found: Search, small: Small, pieces: bool, seed: int) -> LawCount:
    """Count the laws of all pieces of a network with kinks, of which every state has some; or those about one state."""
    shapes = tuple(small.shapes.items())
    space = space_of(small, pieces, seed)
    # What no sample moves is kept, and nothing to be told as a law.
    room = space.moving + space.decayed - found.rank
    stagnant = deepened(space, room)
    if not space.clear or space.rank > room:
        return LawCount("not decided", found.rank, None, shapes, "singular values of brackets have no gap")
    if space.rank == room:
        return LawCount("complete", found.rank, found.rank, shapes)
    if not stagnant:
        return LawCount("not decided", found.rank, None, shapes, f"brackets of depth {DEEPEST} still add directions")
    return LawCount("further", found.rank, found.rank + room - space.rank, shapes)
