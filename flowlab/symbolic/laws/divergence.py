"""Laws of games: a sum of divergences from an equilibrium, one for every player, that flows in dual charts keep.

In a dual chart the divergence D(θ*, θ) of a metric's potential has the rate <θ - θ*, F>. Where θ* is at rest and what
one player gains by being elsewhere the others lose, a sum of these rates is zero at all places: on simplices the
replicator flow keeps KL(p*|p) + KL(q*|q) of a zero-sum game. Which sum it is, if any, is found like all laws are, from
rates at random places of random games.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from flowlab.core.typing import Blocks
from flowlab.language.autodiff import velocity
from flowlab.language.geometries import Euclid, Geometry, geometries
from flowlab.language.problem import Problem
from flowlab.symbolic.conserved import rate_name
from flowlab.symbolic.laws.draws import Draws
from flowlab.symbolic.laws.law import Law
from flowlab.symbolic.laws.naming import Style, summed
from flowlab.symbolic.laws.relations import Relation, relations
from flowlab.symbolic.names import labels
from flowlab.symbolic.states import random_state

REST = "*"
"""What the name of a block is followed by where it rests."""
_GAMES, _PLACES, _FRESH = 5, 3, 4
"""Random games that sums are looked for on, places in each, and the last of all places, which the sums found are held
against.
"""
_DRAWN = 8
"""Games drawn at most: of those of sizes at which forces can vanish, nearly all have a place where they do."""
_SIZES = ((3, 3), (3, 2), (2, 3))
"""Lengths of dimensions in turn that are tried: of players whose numbers of strategies must agree, and of others."""
_ROUNDS = 3
"""Steps to a rest: forces with such a law are affine, and the first one finds it but for roundings."""
_REST, _BOUND, _STEP = 1e-12, 1e-11, 1e-100
"""Size of forces at rest and rate of a law, relative to their summands; and the imaginary step of a derivative."""
_RANK = 1e-12
"""Part of the largest singular value below which a change moves no force."""


@dataclass(frozen=True)
class Divergence:
    """The divergence of a block from where it rests: a part of a law, of weights that have the rest of `p` as `p*`.

    Attributes:
        block: the block.
        space: its geometry, which says what a divergence is.
        rank: of its array; further axes in front are those of several states.
    """

    block: str
    space: Geometry
    rank: int

    @property
    def blocks(self) -> tuple[str, ...]:
        return self.block, self.block + REST

    def value(self, W: Blocks) -> np.ndarray:
        """The divergence, for all leading axes."""
        return self._each(lambda star, at: self.space.divergence(star, at), W[self.blocks[1]], W[self.block])

    def rate(self, W: Blocks, moved: Blocks) -> np.ndarray:
        """Its derivative along a change of the block, by complex steps."""
        return self._along(W, moved, np.sum)

    def size(self, W: Blocks, moved: Blocks) -> np.ndarray:
        """What the summands of `rate` add up to without their signs."""
        return self._along(W, moved, lambda parts: np.abs(parts).sum())

    def seen(self, W: Blocks, probes: Callable[[int], np.ndarray]) -> np.ndarray:
        """The value at one state, a number."""
        del probes
        return self.value(W)

    def to_json(self) -> list[Any]:
        return [self.block, self.space.name, self.rank]

    def _along(self, W: Blocks, moved: Blocks, of: Callable[[np.ndarray], Any]) -> np.ndarray:
        def one(star: np.ndarray, at: np.ndarray, rate: np.ndarray) -> Any:
            steps = 1j * _STEP * np.eye(at.size).reshape(at.size, *at.shape) * rate
            return of(np.array([np.imag(self.space.divergence(star, at + step)) / _STEP for step in steps]))

        return self._each(one, W[self.blocks[1]], W[self.block], moved[self.block])

    def _each(self, what: Callable[..., Any], *arrays: Any) -> np.ndarray:
        some = [np.asarray(a) for a in arrays]
        lead = some[0].shape[: some[0].ndim - self.rank]
        return np.array([what(*(a[i] for a in some)) for i in np.ndindex(*lead)], dtype=np.float64).reshape(lead)


@dataclass(frozen=True)
class DivergenceLaw(Law):
    """A law that is a sum of divergences; its weights hold the equilibrium too, that of a block `p` as `p*`."""

    kind: ClassVar[str] = "divergence"

    def around(self, problem: Problem, data: Any) -> dict[str, np.ndarray] | None:
        """The equilibrium of a game, by `p*` for a block `p`; None without data, or where there is none inside of the
        spaces.
        """
        if data is None:
            return None
        first = [part for _, part in self.parts if isinstance(part, Divergence)]
        shapes = problem.network.resolve(data.shapes, 1, default_width=_SIZES[0][0])
        found = rest(problem, {part.block: shapes[part.block] for part in first}, data)
        if found is None or not all(part.space.holds(found[part.block + REST]) for part in first):
            return None
        return found

    @staticmethod
    def _sum(values: Iterator[np.ndarray]) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            total = Law._sum(values)
        # A difference of two that are infinite: on the boundary of both.
        return np.where(np.isnan(total), np.inf, total)

    def scale(self, W: Blocks) -> float:
        """One, or the divergence where it is larger: it is a sum of logarithms, which have no scale of their own."""
        return max(1.0, float(np.abs(self.value(W))))

    @classmethod
    def read_part(cls, stored: Any) -> Divergence:
        block, word, rank = stored
        return Divergence(str(block), geometries[word](), int(rank))


def _spaces(problem: Problem) -> dict[str, Geometry]:
    """The geometry of every block, plain arrays included."""
    plain: Geometry = Euclid()
    return {w: problem.geometry.get(w, plain) for w in problem.network.weights}


def rest(
    problem: Problem, shapes: Mapping[str, tuple[int, ...]], data: Any, start: Blocks | None = None
) -> dict[str, np.ndarray] | None:
    """A place where no block is moved, by `p*` for a block `p`; None where forces are not affine, or vanish nowhere.

    Args:
        problem: a game without samples.
        shapes: of all blocks.
        data: inputs and labels, as a network takes them.
        start: where to look from.
    """
    names, spaces = list(shapes), _spaces(problem)
    ends = np.cumsum([int(np.prod(shapes[w])) for w in names])

    def blocks(flat: np.ndarray) -> dict[str, np.ndarray]:
        return {w: part.reshape(shapes[w]) for w, part in zip(names, np.split(flat, ends[:-1]), strict=True)}

    def flat(W: Blocks) -> np.ndarray:
        return np.concatenate([np.ravel(W[w]) for w in names])

    def across(values: np.ndarray) -> np.ndarray:
        return flat({w: spaces[w].tangent(v) for w, v in blocks(values).items()})

    def forces(values: np.ndarray) -> np.ndarray:
        return across(flat(velocity(problem, blocks(values), data)))

    point = flat(start if start is not None else {w: spaces[w].drawn(np, np.zeros(shapes[w])) for w in names})
    here, size = forces(point), float(np.linalg.norm(point))
    # Differences of affine forces are derivatives, whatever the step.
    bend = np.stack([forces(point + across(e)) - here for e in np.eye(point.size)], axis=1)
    for _ in range(_ROUNDS):
        found, *_ = np.linalg.lstsq(bend, -here, rcond=_RANK)
        point = point + across(found)
        if not np.isfinite(point).all():
            return None
        here = forces(point)
    scale = np.linalg.norm(bend) * (size + float(np.linalg.norm(point)))
    return {w + REST: v for w, v in blocks(point).items()} if np.linalg.norm(here) <= _REST * scale else None


def divergence_laws(problem: Problem, seed: int = 0) -> tuple[DivergenceLaw, ...]:
    """The sums of divergences from an equilibrium that the flow of a game keeps; none where its metrics have none."""
    blocks = problem.network.weights
    spaces, moved = _spaces(problem), problem.network.moved
    parts = [Divergence(w, spaces[w], len(problem.network.shapes[w])) for w in blocks if w in moved]
    if not problem.loss.is_value or len(parts) < len(blocks) or not all(part.space.has_divergence for part in parts):
        return ()
    draws = _draws(problem, seed)
    if draws is None:
        return ()
    old, fresh = (
        Draws(*({w: v[some] for w, v in kind.items()} for kind in draws))
        for some in (slice(-_FRESH), slice(-_FRESH, None))
    )
    # A player that moves eta times as fast counts for as much less.
    shares = [1.0 / problem.rates[part.block] for part in parts]
    found = (_law(problem, relation) for relation in relations(parts, shares, old))
    return tuple(law for law in found if _holds(law, fresh))


def _holds(law: Law, draws: Draws) -> bool:
    return bool((np.abs(law.rate(draws.W, draws.pull)) <= _BOUND * law.size(draws.W, draws.pull)).all())


def _draws(problem: Problem, seed: int) -> Draws | None:
    """Places of random games with a rest, and the rates there; None for too few.

    Rates of divergences are linear in the rest. They show a law at any zero of the forces, inside of the spaces or not.
    """
    network = problem.network
    named = [
        dim for dim in dict.fromkeys(d for w in network.weights for d in network.shapes[w]) if isinstance(dim, str)
    ]
    for sizes in _SIZES:
        rows: list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]] = []
        widths = {dim: sizes[i % 2] for i, dim in enumerate(named)}
        for attempt in range(_DRAWN):
            state = random_state(problem, seed + attempt, width=sizes[0], widths=widths)
            shapes = {w: np.shape(v) for w, v in state.weights.items()}
            found = rest(problem, shapes, state.samples, state.weights)
            if found is not None:
                rng = np.random.default_rng([seed, attempt])
                rows += [_place(problem, shapes, state.samples, found, rng) for _ in range(_PLACES)]
            if len(rows) >= _GAMES * _PLACES:
                return Draws(*({w: np.stack([row[i][w] for row in rows]) for w in rows[0][i]} for i in (0, 1)))
    return None


def _place(
    problem: Problem, shapes: Mapping[str, tuple[int, ...]], data: Any, star: Blocks, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A random place of a game, with its equilibrium, and the rates there."""
    spaces = _spaces(problem)
    at = {w: np.asarray(spaces[w].drawn(np, rng.normal(size=shape))) for w, shape in shapes.items()}
    force = {w: np.asarray(v) for w, v in velocity(problem, at, data).items()}
    return {**at, **{k: np.asarray(v) for k, v in star.items()}}, {
        w: np.asarray(spaces[w].inverse_metric(np, at[w], force[w])) for w in at
    }


def _law(problem: Problem, relation: Relation[Divergence]) -> DivergenceLaw:
    known, order = labels(problem), problem.network.weights
    relation = sorted(relation, key=lambda part: (part[0] < 0, order.index(part[1].blocks[0])))

    def written(tex: bool) -> str:
        told = []
        for c, part in relation:
            name = (known.tex if tex else known.text)[part.block]
            star = f"{{{name}}}^{{*}}" if tex else f"{name}{REST}"
            text = part.space.divergence_told[tex].format(p=name, s=star)
            rate = rate_name(problem, part.block, tex)
            told.append((c, f"{text}/{rate}" if rate else text, None))
        return summed(told, Style(known, tex))

    stars = [known.text[part.block] + REST for _, part in relation]
    tex = [f"{{{known.tex[part.block]}}}^{{*}}" for _, part in relation]
    what = "is an equilibrium inside of its spaces"
    where = (
        f" where ({', '.join(stars)}) {what}",
        rf" \quad\text{{where }} ({', '.join(tex)}) \text{{ {what}}}",
    )
    parts = tuple((float(c) / problem.rates[part.block], part) for c, part in relation)
    return DivergenceLaw(parts, written(False), written(True), where)


__all__ = ["REST", "Divergence", "DivergenceLaw", "divergence_laws", "rest"]
