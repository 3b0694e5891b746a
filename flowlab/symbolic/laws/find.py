"""Find the quadratic laws of a flow: by name where a formula holds at all sizes, entry by entry where none is known.

Names are tried first: combinations of bilinear terms of blocks whose rates vanish at random states, and at states of
other sizes. What the null space at small sizes has beyond them is given entry by entry, for the sizes it was found at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from flowlab.language.problem import Problem
from flowlab.symbolic.conserved import Conserved, rate_name
from flowlab.symbolic.laws.draws import Draws, Small, decay_rates, slope_along, usual
from flowlab.symbolic.laws.law import Entries, Law
from flowlab.symbolic.laws.naming import Style, entries_written, written
from flowlab.symbolic.laws.null_space import (
    NullSpace,
    Span,
    form_gradients,
    null_space,
    reduced,
)
from flowlab.symbolic.laws.relations import Relation, relations
from flowlab.symbolic.laws.terms import Term, family
from flowlab.symbolic.names import labels
from flowlab.symbolic.states import drawn_width, random_state

_BOUND = 1e-11
"""Rate of a law, relative to its summands, above which it is refused; that of equations."""
_NODES, _BLOCKS, _WEIGHTS = 200, 24, 400
"""Nodes, blocks, and weights at the sizes of tests, up to which laws are searched: pairs of blocks grow like squares.
"""
_STEP, _SLOPE = 1e-6, 1e-3
"""Step of a central difference, and how far from autodiff's slope it may be, where no kink is between."""
_LARGEST_AXIS = 4
"""Declared length of an axis that is left as it is where a network is too large."""
_PROBED = 2
"""States at which slopes are looked at."""
_SMALL = 60
"""Weights at small sizes up to which the null space is worked out; its unknowns grow like squares."""
_BEYOND = 6
"""Data sets whose rates are looked at, beyond one for each weight."""
_STATES, _FRESH = 24, 4
"""States that relations are found at, at least, and further ones that they are held against."""
_Sizes = tuple[tuple[int, int], tuple[int, int]]
_TRIED: tuple[_Sizes, ...] = (((3, 2), (2, 3)), ((2, 2), (2, 3)), ((2, 1), (1, 2)))
"""Small sizes to try, from distinct ones on: of the inputs, and of other dimensions in turn."""
_LARGER: tuple[_Sizes, ...] = (((3, 2), (4, 3)), ((3, 2), (3, 4)), ((2, 2), (3, 3)))
"""Sizes for networks that are degenerate at those: two entries without their mean and size are 1 and -1, and still."""


@dataclass(frozen=True)
class Search:
    """What was found.

    Attributes:
        laws: new laws, beside those that are known already.
        small: the problem at small sizes; None where it is too large to be searched.
        rank: independent laws at small sizes, known ones included.
        decided: whether the null space at small sizes was told from roundings.
        why: what stopped the search; empty where nothing did.
    """

    laws: tuple[Law, ...] = ()
    small: Small | None = field(default=None, repr=False, compare=False)
    rank: int = 0
    decided: bool = False
    why: str = ""


def search(problem: Problem, known: Sequence[Conserved], seed: int = 0) -> Search:
    """All quadratic laws of the flow of a problem that do not follow from known ones.

    Laws of a flow under weight decay are sought for gradient flow alone, where decay is linear in the weights.
    """
    network = problem.network
    if not problem.network.is_gradient:
        return Search(why="the flow follows a coarse gradient, and laws are those of gradients")
    if len(network.nodes) > _NODES or len(network.weights) > _BLOCKS:
        return Search(why=f"the network has more than {_NODES} operations or {_BLOCKS} blocks")
    if any(problem.decay.values()) and not problem.scheme.is_gradient_flow:
        return Search(why="weight decay is linear in the weights under gradient flow alone")
    if _weights(problem, seed) > _WEIGHTS:
        if network.is_opaque:
            return Search(why=f"an opaque network has one size, here with more than {_WEIGHTS} weights")
        problem = _shrunk(problem)
        network = problem.network
        if _weights(problem, seed) > _WEIGHTS:
            return Search(why=f"the network has more than {_WEIGHTS} weights at the sizes of tests")
    terms = family({w: network.shapes[w] for w in network.weights if w in network.moved})
    draws = usual(problem, _needed(terms), seed + 1000)
    if draws.count <= _FRESH:
        return Search(why="no random state moves every block by more than roundings")
    if not all(_is_gradient(problem, seed + i) for i in range(_PROBED)):
        return Search(why="slopes of the network are not those of its values")
    first, larger = _small(problem, seed, _TRIED), _small(problem, seed, _LARGER)
    found = _at_sizes(problem, terms, draws, known, first, seed)
    if found.decided or first.count >= larger.count or larger.count > _SMALL:
        return found
    again = _at_sizes(problem, terms, draws, known, larger, seed)
    return again if again.decided else found


def _at_sizes(
    problem: Problem,
    terms: dict[tuple[int | str, ...], list[Term]],
    draws: Draws,
    known: Sequence[Conserved],
    small: Small,
    seed: int,
) -> Search:
    """The laws that states of one set of small sizes confirm, and what their null space has beside them."""
    other = small.draw(_STATES, seed)
    if other.count < _STATES:
        return Search(why="too few random states at small sizes move every block by more than roundings")
    laws = _named(problem, terms, draws, other, known)
    return _completed(problem, laws, known, small, other, seed)


def _weights(problem: Problem, seed: int) -> int:
    """How many weights a problem has at the sizes of tests."""
    state = random_state(problem, seed, width=drawn_width(problem.network))
    return sum(int(np.size(v)) for v in state.weights.values())


def _shrunk(problem: Problem) -> Problem:
    """The same problem with a name for every declared length that is large, so that small sizes can be tried; equal
    lengths stay equal.
    """
    told: Any = problem.describe()
    shapes = told["network"]["shapes"]
    small = {
        w: [f"n_{n}" if isinstance(n, int) and n > _LARGEST_AXIS else n for n in shape] for w, shape in shapes.items()
    }
    return Problem.from_description(told | {"network": told["network"] | {"shapes": small}})


def _is_gradient(problem: Problem, seed: int) -> bool:
    """Whether autodiff's slope of the outputs is that of their values: words may pull back by slopes of their own."""
    state = random_state(problem, seed, width=drawn_width(problem.network))
    W, x, rng = state.weights, state.samples.x, np.random.default_rng(seed)
    move = {w: rng.normal(size=np.shape(v)) for w, v in W.items()}
    pull = rng.normal(size=np.shape(problem.network.outputs(W, x, np)))

    def value(step: float) -> float:
        moved = {w: np.asarray(W[w] + step * move[w]) for w in W}
        return float(np.sum(pull * problem.network.outputs(moved, x, np)))

    slope = slope_along(problem.network, W, x, pull, move)
    gap = abs((value(_STEP) - value(-_STEP)) / (2 * _STEP) - slope)
    return bool(gap <= _SLOPE * max(abs(slope), abs(value(0.0))))


def _needed(terms: dict[tuple[int | str, ...], list[Term]]) -> int:
    """States that tell all terms of one signature apart, with some to hold relations against."""
    longest = max((len(some) for signature, some in terms.items() if not signature), default=0)
    return max(_STATES, longest + 8) + _FRESH


def _small(problem: Problem, seed: int, tried: Sequence[_Sizes]) -> Small:
    """The problem at the first sizes at which it has few weights, or at the last ones."""
    network = problem.network
    skipped = {network.input_dim, *network.output_shape}
    dims = dict.fromkeys(dim for shape in network.shapes.values() for dim in shape)
    named = [dim for dim in dims if isinstance(dim, str) and dim not in skipped and network.is_free(dim)]
    small = None
    for (d, _), others in tried:
        small = Small(problem, d, {name: others[i % 2] for i, name in enumerate(named)}, seed)
        if small.count <= _SMALL:
            break
    assert small is not None
    return small


def _part(draws: Draws, some: slice) -> Draws:
    return Draws({w: v[some] for w, v in draws.W.items()}, {w: v[some] for w, v in draws.pull.items()})


def _named(
    problem: Problem,
    terms: dict[tuple[int | str, ...], list[Term]],
    draws: Draws,
    other: Draws,
    known: Sequence[Conserved],
) -> list[Law]:
    """The laws that have a name, each of which adds to those before it."""
    at = {w: np.asarray(v[0]) for w, v in draws.W.items()}
    span = Span(sum(v.size for v in at.values()))
    for law in known:
        span.add(known_gradients(law, at))
    laws = []
    fresh, draws = _part(draws, slice(-_FRESH, None)), _part(draws, slice(0, -_FRESH))
    for relation, shrinks in _relations(problem, terms, draws):
        law = _law(problem, relation, shrinks)
        if holds(law, fresh) and holds(law, _part(other, slice(-_FRESH, None))) and span.add(law.gradients(at)):
            laws.append(law)
    return laws


def _relations(
    problem: Problem, terms: dict[tuple[int | str, ...], list[Term]], draws: Draws
) -> Iterator[tuple[Relation[Term], float]]:
    shrink = decay_rates(problem)
    for some in terms.values():
        groups: dict[float, list[Term]] = {}
        for term in some:
            groups.setdefault(round(sum(shrink[w] for w in term.blocks), 12), []).append(term)
        for rate, group in groups.items():
            for relation in relations(group, [_share(problem, term) for term in group], draws):
                yield relation, rate


def _share(problem: Problem, term: Term) -> float:
    """What a term is divided by under learning rates, as a factor: in weights over the root of their rates the flow is
    plain gradient flow.
    """
    first, last = problem.rates[term.blocks[0]], problem.rates[term.blocks[-1]]
    return 1.0 / (first if first == last else float(np.sqrt(first * last)))


def holds(law: Law, draws: Draws) -> bool:
    """Whether the samples leave a law alone at all states."""
    if not law.fits({w: v.shape[1:] for w, v in draws.W.items()}):
        return False
    flat = [np.abs(f(draws.W, draws.pull)).reshape(draws.count, -1) for f in (law.rate, law.size)]
    rate, size = (np.linalg.norm(values, axis=1) for values in flat)
    return bool((rate <= _BOUND * size).all())


def _where(problem: Problem) -> tuple[str, str]:
    if problem.scheme.is_gradient_flow or problem.scheme.unit:
        return "", ""
    return " where every |v_k| = 1", r" \quad\text{where every } \lVert v_k\rVert = 1"


def _styles(problem: Problem) -> tuple[Style, Style]:
    names = labels(problem)
    text, tex = (
        {w: rate_name(problem, w, tex) for w in problem.network.weights} if problem.is_rated else None
        for tex in (False, True)
    )
    return Style(names, False, text), Style(names, True, tex)


def _factored(text: str, latex: str, shrinks: float) -> tuple[str, str]:
    if not shrinks:
        return text, latex
    speed = f"{shrinks:.12g}"
    return f"({text}) exp({speed} t)", rf"\bigl({latex}\bigr)\, e^{{{speed}\, t}}"


def _law(problem: Problem, relation: Relation[Term], shrinks: float) -> Law:
    parts = tuple((float(c) * _share(problem, term), term) for c, term in relation)
    if len(relation) == 1:
        # Any multiple of a term that stands alone will do.
        parts, styles = ((1.0, relation[0][1]),), [style._replace(rates=None) for style in _styles(problem)]
    else:
        styles = list(_styles(problem))
    text, latex = (written(relation, style) for style in styles)
    return Law(parts, *_factored(text, latex, shrinks), _where(problem), shrinks)


def known_gradients(law: Conserved, W: dict[str, np.ndarray]) -> np.ndarray:
    """The gradients of a matched law's entries at weights, (entries, P), by complex steps."""
    sizes = {w: v.size for w, v in W.items()}
    out, step = [], 1e-100
    for w in W:
        for i in range(sizes[w]):
            moved = {k: v.astype(complex) for k, v in W.items()}
            moved[w].reshape(-1)[i] += 1j * step
            rho = {k: np.sqrt((v * v).sum()) for k, v in moved.items()}
            first, second = law.terms(rho, {k: v / rho[k] for k, v in moved.items()}, moved)
            c, p = (float(f) for f in law.growth)
            # Log of the factor: the integral of c rho^p.
            r = rho[law.blocks[0]]
            factor = np.exp((c * np.log(r) if p == -1 else c * r ** (p + 1) / (p + 1)) if c else 0.0 * r)
            out.append(np.imag((first - second) * factor).ravel() / step)
    return np.stack(out, axis=1)


def _completed(
    problem: Problem, laws: list[Law], known: Sequence[Conserved], small: Small, draws: Draws, seed: int
) -> Search:
    """Named laws with what the null space at small sizes has beside them."""
    if small.count > _SMALL:
        why = f"the network has more than {_SMALL} weights at the smallest sizes"
        return Search(tuple(laws), small, 0, False, why)
    at = {w: np.asarray(v[0]) for w, v in draws.W.items()}
    span = Span(small.count)
    for law in known:
        span.add(known_gradients(law, at))
    for law in laws:
        span.add(law.gradients(at))
    shrink = decay_rates(problem)
    each = np.concatenate([np.full(v.size, shrink[w]) for w, v in at.items()])
    decided, rest = True, []
    tangents = small.tangents(at, small.count + _BEYOND, seed + 1)
    for rate, found in null_space(tangents, draws, lambda count: small.draw(count, seed + 50), each):
        decided &= found.decided
        if found.decided:
            rest += _entrywise(problem, found, rate, small, at, span)
    kept = [law for law in rest if holds(law, _part(draws, slice(-_FRESH, None)))]
    why = "" if decided else "singular values at small sizes have no gap"
    return Search((*laws, *kept), small, span.rank, decided and len(kept) == len(rest), why)


def _entrywise(
    problem: Problem, found: NullSpace, rate: float, small: Small, at: dict[str, np.ndarray], span: Span
) -> list[Law]:
    """Laws beyond those of the span, for the sizes at hand."""
    point = np.concatenate([v.ravel() for v in at.values()])
    probe = Span(small.count)
    probe.basis = span.basis
    if not len(found.forms) or not probe.add(form_gradients(found.pairs, found.forms, point)):
        return []
    places = [(w, place) for w, shape in small.shapes.items() for place in np.ndindex(*shape)]
    laws = []
    for form in reduced(found.forms):
        row = np.zeros((1, len(found.pairs)))
        parts: list[tuple[Fraction | float, Entries]] = []
        for i, c in form:
            row[0, i] = float(c)
            some = [places[k] for k in found.pairs[i] if k >= 0]
            parts.append((c, Entries(tuple(w for w, _ in some), tuple(p for _, p in some))))
        if span.add(form_gradients(found.pairs, row, point)):
            laws.append(_entry_law(problem, parts, rate, small))
    return laws


def _entry_law(problem: Problem, parts: list[tuple[Fraction | float, Entries]], rate: float, small: Small) -> Law:
    blocks = dict.fromkeys(w for _, part in parts for w in part.blocks)
    shapes = tuple((w, small.shapes[w]) for w in blocks)
    sizes = ", ".join(f"{w} of shape {'x'.join(map(str, shape)) or '1'}" for w, shape in shapes)
    text, latex = (entries_written(parts, style) for style in _styles(problem))
    tail = _where(problem)
    told = (f"  (for {sizes}{tail[0]})", rf" \quad\text{{for {sizes}}}{tail[1]}".replace("_", r"\_"))
    return Law(tuple((float(c), part) for c, part in parts), *_factored(text, latex, rate), told, rate, shapes)


__all__ = ["Search", "holds", "known_gradients", "search"]
