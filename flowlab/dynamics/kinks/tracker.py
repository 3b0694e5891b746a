"""Sides of all pairs during a run: what happens at a kink, and the mode that follows."""

import copy
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flowlab.core.lanes import restored, row_of
from flowlab.core.typing import PyTree
from flowlab.dynamics.kinks import filippov
from flowlab.dynamics.kinks.first_meeting import LEFT, REPELS, RIGHT, SLIDING, Meeting, first_meeting
from flowlab.dynamics.kinks.hyperplanes import LANDING, Kink, parallel
from flowlab.dynamics.kinks.normal_rates import drifts
from flowlab.dynamics.kinks.pairs import Pairs, size_of
from flowlab.dynamics.kinks.sliders import Places, room
from flowlab.language.data import Data
from flowlab.lowering.kink_mode import Mode
from flowlab.lowering.vector_field import VectorField

_LANDED = 1e-12
"""Pre-activations that small, as a part of the largest, lie on their kink at the start."""
SIGNS = {LEFT: "-", SLIDING: "0", RIGHT: "+"}


@dataclasses.dataclass(frozen=True)
class Event:
    """A pair on its kink.

    Attributes:
        pair: its number.
        before, after: -1, 0 or 1 for left of the kink, along it and right of it.
        rate_left, rate_right: rates of the pre-activation with the slopes on the left and on the right, in units of the
            loss.
        multiplier: where between both sides the slope is from now on, in [0, 1].
    """

    pair: int
    before: int
    after: int
    rate_left: float
    rate_right: float
    multiplier: float


class NotUnique(Exception):
    """What follows is not determined; says why in words."""


class Unsettled(Exception):
    """What follows was not found; says why in words."""


class Tracker:
    """Sides of all pairs during a run.

    Args:
        field: of the problem, without a mode.
        data: samples.
        y: integrated coordinates at the start.

    Attributes:
        side: (P,) -1, 0 or 1.
        sliding: multipliers by pair, of the latest change of mode.
        places: room in the mode for pairs that slide.
        field: the field in the present mode.
        terms: what round-off of pre-activations is measured by, where the latest step that was looked at began.
        tick: called before whatever takes a while; may raise to stop there.
    """

    def __init__(self, field: VectorField, data: Data, y: PyTree) -> None:
        self.pairs = Pairs.of(field, data, y)
        self.data = data
        self.side = np.ones(self.pairs.count, dtype=int)
        self.sliding: dict[int, float] = {}
        self.terms = 0.0
        self.places = self.pairs.reserved(y)
        self.tick: Callable[[], None] = lambda: None

    def copy(self, tick: Callable[[], None]) -> "Tracker":
        """Another tracker in the same mode, whose changes leave this one as it is."""
        other = copy.copy(self)
        other.side, other.sliding, other.tick = self.side.copy(), dict(self.sliding), tick
        return other

    def signs(self) -> str:
        """Sides of all pairs, a character each."""
        return "".join(SIGNS[int(side)] for side in self.side)

    def begin(self, y: PyTree) -> tuple[PyTree, list[Event]]:
        """Sides at the start; pairs that start on their kink are decided on.

        Raises:
            NotUnique: if more than one flow leaves the start.
        """
        z, terms = self.pairs.current(y), self.pairs.terms(y)
        self.side = np.where(z > 0, RIGHT, LEFT)
        close = np.flatnonzero(np.abs(z) <= _LANDED * max(float(np.abs(z).max()), terms, 1e-300))
        # A pair without a normal (a sample of zeros, or one that nothing below passes on) has no side to choose.
        lengths = np.linalg.norm(self.pairs.compact(y, close.tolist(), self.pairs.slopes(self.side, {}))[1], axis=1)
        events = self.decide(y, [int(p) for p in close[lengths > 0]], [])
        return self.settle(self.landed(y, sorted(self.sliding))), events

    def restore(
        self, y: PyTree, side: list[int], sliding: list[tuple[int, float]], places: Sequence[int], at: list[float]
    ) -> None:
        """The mode as it was written down; `at` is the state it was made at, in the form of y, where that matters."""
        self.places = Places(*places)
        y = restored(y, np.asarray(at)) if at else y
        self.side, self.sliding = np.asarray(side, dtype=int), {int(p): float(m) for p, m in sliding}
        self.settle(y)

    def settle(self, y: PyTree) -> PyTree:
        """Make the mode of `side` and `sliding` at a state on the kinks that pairs slide on; answers with the state."""
        # In weights the normals of a first layer are the samples; elsewhere they depend on the state, and so do the
        # last digits of the mode.
        self.at = [] if self.pairs.fixed else row_of(y).tolist()
        mode, self.sliders = self.pairs.mode(self.side, self.sliding, y, self.places)
        self.field = self.pairs.within(mode)
        # Room once made stays: a mode of another size is another compilation.
        self.places = Places(len(mode.normal), len(mode.deep), mode.basis.shape[1])
        return y

    def cross(self, mode: Mode) -> None:
        """Go on in a mode in which pairs that do not slide have changed sides."""
        self.side, self.field = np.rint(np.asarray(mode.side)).astype(int), self.pairs.within(mode)

    def landed(self, y: PyTree, pairs: list[int]) -> PyTree:
        """The nearest state at which pre-activations of `pairs` are zero."""
        if not pairs:
            return y
        if self.pairs.fixed:
            z, by = self.pairs.current(y), np.zeros(size_of(y))
            for block in self.pairs.blocks(y, pairs):
                by[block.span.coordinates] -= block.onto @ z[list(block.names)]
            return moved(y, by)
        slopes = self.pairs.slopes(self.side, self.sliding)
        for _ in range(1 if self.pairs.straight[pairs].all() else 3):
            z = self.pairs.current(y)[pairs]
            at, normals = self.pairs.compact(y, pairs, slopes)
            by = np.zeros(size_of(y))
            by[at] = -np.linalg.lstsq(normals, z, rcond=LANDING)[0]
            y = moved(y, by)
        return y

    def measured(
        self, y: PyTree, slopes: np.ndarray, pairs: list[int], multipliers: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """As `drifts`, of `pairs`; `slopes` has those of `pairs` on their left.

        Raises:
            Unsettled: if what they give is not finite.
        """
        self.tick()
        count, places = len(pairs), room(len(pairs))
        padded = np.zeros(places, dtype=np.int64)
        padded[:count] = pairs
        lam, jump = np.zeros(places), np.zeros(places)
        if multipliers is not None:
            lam[:count] = multipliers
            jump[:count] = (self.pairs.right - self.pairs.left)[pairs]
        found = drifts(self.pairs.bare, self.data, y, slopes, padded, np.arange(places) < count, jump, lam)
        z, rates, answer, moved = (np.asarray(each) for each in found)
        if not (np.isfinite(rates[pairs]).all() and np.isfinite(answer).all()):
            raise Unsettled(f"the rates of {count} pairs of units and samples on their kinks are not finite")
        return z, rates, answer[:count, :count], moved

    def stand(self, y: PyTree) -> None:
        """A step begins at a state."""
        self.terms = self.pairs.terms(y)

    def meeting(self, look: Any) -> Meeting | None:
        """The first kink in the step, or None if there is none after all; as `first_meeting`."""
        return first_meeting(self.side, self.terms, self.sliders, look)

    def decide(self, y: PyTree, candidates: list[int], gone: list[int]) -> list[Event]:
        """Give pairs on their kinks a side, or let them slide; those that slide already are asked again if it concerns
        them.

        Args:
            y: the state.
            candidates: pairs that have reached their kink.
            gone: pairs that have left theirs.

        Raises:
            NotUnique: if that is not determined.
            Unsettled: if it was not found out.
        """
        asked = sorted({*candidates, *self.sliding})
        if self.pairs.fixed:
            # Whoever shares no coordinate with what is new goes on as before.
            groups = self.pairs.together(y, sorted({*asked, *gone}))
            asked = sorted(
                p for group in groups if not {*candidates, *gone}.isdisjoint(group) for p in group if p not in gone
            )
        if not self.pairs.straight.all():
            asked = self.reached(y, asked)
        if not asked:
            return []
        before = {p: int(self.side[p]) if p not in self.sliding else SLIDING for p in asked}
        for pair in candidates:
            if before.get(pair) == LEFT and not self.pairs.straight.all():
                self.waken(y, pair, asked)
        slopes = self.pairs.slopes(self.side, self.sliding)
        at, normals = self.pairs.compact(y, asked, slopes)
        kinks = [Kink(tuple(asked[i] for i in rows), turned) for rows, turned in parallel(normals)]
        slopes[asked] = self.pairs.left[asked]
        turn, base, heads = _by_kink(asked, kinks)

        def about(lam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            _, rates, answer, _ = self.measured(y, slopes, asked, base + turn @ lam)
            A = answer[heads] @ turn
            return rates[asked][heads] - A @ lam, A

        still = self.measured(y, slopes, asked, base)
        gross = np.abs(normals[heads]) @ np.abs(still[3][at])
        try:
            if self.pairs.straight[asked].all():
                # Linear, so it is known best where no large term has to be taken off again.
                chosen = filippov.choose(still[1][asked][heads], still[2][heads] @ turn, gross)
            else:
                chosen = filippov.settle(about, np.array([self.sliding.get(kink.first, 0.5) for kink in kinks]), gross)
        except filippov.Unsettled:
            raise Unsettled(
                f"the multipliers of {len(asked)} pairs of units and samples in several layers do not settle"
            ) from None
        lam, solutions, w, A, _ = chosen
        if solutions != 1:
            self.give_up([kink.first for kink in kinks], w, A, solutions)
        rates = self.measured(y, slopes, asked, base + turn @ lam)[1][asked][heads]
        events = []
        self.sliding = {pair: multiplier for pair, multiplier in self.sliding.items() if pair not in before}
        for j, kink in enumerate(kinks):
            # At a bound and at rest it slides still: orthogonal samples leave a unit on the kink that it has been
            # pushed to.
            rests = abs(rates[j]) <= chosen.zero[j] and chosen.attracts[j]
            after = SLIDING if 0.0 < lam[j] < 1.0 or rests else LEFT if lam[j] <= 0 else RIGHT
            left, right = float(rates[j] - A[j, j] * lam[j]), float(rates[j] + A[j, j] * (1 - lam[j]))
            multipliers = kink.multipliers(float(lam[j]))
            for pair, sign in zip(kink.pairs, kink.turned, strict=True):
                self.side[pair] = sign * after
                if after == SLIDING:
                    self.sliding[pair] = multipliers[pair]
                if sign * after != before[pair] or pair in candidates:
                    sides = (left, right) if sign > 0 else (-right, -left)
                    events.append(Event(pair, before[pair], sign * after, *sides, multipliers[pair]))
        return events

    def reached(self, y: PyTree, asked: list[int]) -> list[int]:
        """Those of the pairs that a sample comes through to with the others on their left; the rest moves only with
        what is below it, and keeps its side.
        """
        deep = [p for p in asked if not self.pairs.straight[p]]
        if not deep or len(deep) == len(asked):
            return asked
        slopes = self.pairs.slopes(self.side, self.sliding)
        most = np.linalg.norm(self.pairs.compact(y, deep, slopes)[1], axis=1).max()
        slopes[asked] = self.pairs.left[asked]
        cut = {
            p
            for p, row in zip(deep, self.pairs.compact(y, deep, slopes)[1], strict=True)
            if np.linalg.norm(row) <= _LANDED * most
        }
        for pair in cut & self.sliding.keys():
            self.side[pair] = LEFT
            del self.sliding[pair]
        return [p for p in asked if p not in cut]

    def waken(self, y: PyTree, pair: int, asked: list[int]) -> None:
        """Sides of pairs above that were zero because nothing below passed their sample on, once `pair` may: those its
        output leads to.
        """
        slopes = self.pairs.slopes(self.side, self.sliding)
        slopes[pair] = self.pairs.right[pair]
        z, rates, *_ = self.measured(y, slopes, [pair])
        asleep = (np.abs(z) <= _LANDED * max(float(np.abs(z).max()), 1e-300)) & (rates != 0)
        asleep[asked] = False
        if rates[pair] != 0:
            self.side[asleep] = np.sign(rates[asleep] * rates[pair]).astype(int)

    def give_up(self, heads: list[int], w: np.ndarray, A: np.ndarray, solutions: int) -> None:
        """Say why nothing is determined.

        Raises:
            NotUnique: with the kink that repels most.
            Unsettled: where too many repel at once to look at every combination of sides, or none of them was found to
                be a flow, though one is.
        """
        if not solutions:
            raise Unsettled(
                f"of {len(heads)} kinks met at once no sides and slopes were found at which all of them stay as"
                " they are"
            )
        if solutions < 0:
            raise Unsettled(
                f"{int((np.diag(A) > 0).sum())} kinks that repel are met at once, which is more than all combinations"
                " of sides can be tried for"
            )
        worst = int(np.argmax(np.diag(A)))
        where = self.pairs.where(heads[worst])
        sides = (
            f"it moves at {w[worst]:.3g} with the slope on its left and at {w[worst] + A[worst, worst]:.3g} with that"
            " on its right"
        )
        raise NotUnique(f"{where.words}, which repels: {sides}, so {solutions} different flows leave it")

    def follow(self, meeting: Meeting, y: PyTree) -> tuple[PyTree, list[Event]]:
        """Change the mode at a kink.

        Returns:
            The state on all kinks concerned, and what happened.

        Raises:
            NotUnique: if what follows is not determined.
        """
        events, left, asked = [], [], list(meeting.hits)
        for first, multiplier in meeting.sliding.items():
            self.sliding |= self.sliders.kinks[first].multipliers(multiplier)
        for pair, side in meeting.leaves.items():
            if side == REPELS:
                where = self.pairs.where(pair)
                raise NotUnique(f"{where.words}, which ceases to attract and begins to repel")
            kink = self.sliders.kinks[pair]
            if self.sliders.held:
                # Others may hold what it releases: it is decided with them.
                asked += kink.pairs
                continue
            for one, sign in zip(kink.pairs, kink.turned, strict=True):
                self.side[one] = sign * side
                del self.sliding[one]
                events.append(Event(one, SLIDING, sign * side, 0.0, 0.0, 0.0 if sign * side == LEFT else 1.0))
                left.append(one)
        y = self.landed(y, sorted({*meeting.hits, *self.sliding, *left}))
        if asked:
            decided = self.decide(y, asked, left)
            events += [event for event in decided if event.pair in meeting.hits or event.before != event.after]
        return self.settle(y), events


def _by_kink(asked: list[int], kinks: list[Kink]) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Multipliers of pairs (P,) as base + turn λ of those of kinks (K,): λ, or 1 - λ where a pair is turned round; and
    the place of each kink's first.
    """
    place = {pair: i for i, pair in enumerate(asked)}
    turn, base = np.zeros((len(asked), len(kinks))), np.zeros(len(asked))
    for j, kink in enumerate(kinks):
        for pair, sign in zip(kink.pairs, kink.turned, strict=True):
            turn[place[pair], j], base[place[pair]] = sign, 0.0 if sign > 0 else 1.0
    return turn, base, [place[kink.first] for kink in kinks]


def moved(y: PyTree, by: np.ndarray) -> PyTree:
    """Integrated coordinates, moved."""
    return restored(y, row_of(y) + by)
