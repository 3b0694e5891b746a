"""Whether gradient fields of the entries of a node commute, and whether its flow closes: by autodiff at small sizes.

Entry i of β moves the weights along ∇β_i. Fields commute where all brackets [∇β_i, ∇β_j] vanish (Li, Wang, Lee and
Arora 2022). What data of any kind can reach from a start is tangent to the fields and their brackets. β' = -K ∇L closes
where K = J Jᵀ does not change along those of these directions that leave β as it is.
"""

from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from flowlab.core.runge_kutta import runge_kutta_step
from flowlab.core.typing import Array, Blocks
from flowlab.symbolic.induced.node import Node
from flowlab.symbolic.lie_brackets import NEW, Field, Span, nested

_POINTS = 2
"""States at which brackets and K are looked at."""
_SAME, _CHANGED = 1e-9, 1e-6
"""Relative size below which a bracket of two entries is roundings, and above which K changes."""
_DEEPEST = 5
"""Nested brackets at most."""
_MOVES, _TURNS = 4, 8
"""Moves to other states that a start reaches, and Runge-Kutta steps of each."""
_MORE = 4
"""Brackets drawn beyond the directions that there can be."""
_MOST = 40
"""Weights up to which the node is looked at in the shapes of the start; K and its brackets grow like squares."""


@dataclass(frozen=True)
class Answer:
    """Yes or no, with the reason; true or false as a condition.

    Attributes:
        holds: the answer.
        reason: why, as a sentence.
        pairs: entries whose fields do not commute, where that was the question.
    """

    holds: bool
    reason: str
    pairs: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return self.holds

    def __str__(self) -> str:
        return f"{'yes' if self.holds else 'no'}: {self.reason}"


class Entrywise:
    """A node at small sizes as a function of one long vector of weights.

    Args:
        node: what is looked at.
        start: weights and constants to look from; where they are many, or there are none, random ones of small sizes.
        seed: of the random ones.
    """

    def __init__(self, node: Node, start: Blocks | None, constants: Blocks | None, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        shapes = node.small_shapes()
        drawn = {name: rng.normal(size=shape) for name, shape in shapes.items()}
        few = start is not None and sum(np.size(v) for v in start.values()) <= _MOST
        self.given = few and set(node.constants) <= set(constants or {})
        W = {w: jnp.asarray(start[w] if self.given and start is not None else drawn[w]) for w in node.weights}
        fixed = {c: jnp.asarray((constants or {})[c] if self.given else drawn[c]) for c in node.constants}
        self.point, restore = ravel_pytree(W)

        def value(theta: jax.Array) -> jax.Array:
            return jnp.ravel(node.value(jnp, restore(theta), fixed))

        self.value = value
        self.shape = np.shape(node.value(np, {k: np.asarray(v) for k, v in W.items()}, fixed))
        self.count = int(np.prod(self.shape, dtype=int))
        self.jacobian = jax.jit(jax.jacrev(value))
        self.brackets = jax.jit(
            jax.vmap(lambda theta, along: nested([_sum_of(value, one) for one in along])(theta), in_axes=(None, 0))
        )
        self.rng = rng

    @property
    def names(self) -> list[str]:
        """The entries as they are named in print, counted from 1."""
        places = product(*(range(1, n + 1) for n in self.shape))
        return [f"beta[{','.join(map(str, place))}]" if place else "beta" for place in places]

    def random(self) -> Array:
        """Other weights, of ordinary size."""
        return jnp.asarray(self.rng.normal(size=self.point.shape))

    def moved(self) -> Array:
        """Weights that the start reaches: along random sums of the fields, one after another."""
        theta, h = np.asarray(self.point), 1.0 / _TURNS
        for _ in range(_MOVES):
            along = self.rng.normal(size=self.count)
            along = along / (1.0 + np.linalg.norm(np.asarray(self.jacobian(theta)).T @ along))

            def slope(at: np.ndarray, along: np.ndarray = along) -> np.ndarray:
                return np.asarray(self.jacobian(at)).T @ along

            for _ in range(_TURNS):
                theta = runge_kutta_step(slope, theta, h)
        return jnp.asarray(theta)


def _sum_of(value: Any, along: jax.Array) -> Field:
    """The field that is a sum of gradients of entries, by its coefficients (entries,)."""
    return lambda theta: jax.vjp(value, theta)[1](along)[0]


def commutes(entries: Entrywise) -> Answer:
    """Whether all pairs of fields commute; the pairs that do not are named."""
    names, count = entries.names, entries.count
    points = [entries.random() for _ in range(_POINTS)]
    hessian = jax.jit(jax.jacfwd(entries.jacobian))
    bad = set()
    for theta in points:
        J, H = np.asarray(entries.jacobian(theta)), np.asarray(hessian(theta))
        for i, j in combinations(range(count), 2):
            one, other = H[j] @ J[i], H[i] @ J[j]
            size = np.linalg.norm(one) + np.linalg.norm(other)
            if np.linalg.norm(one - other) > _SAME * size + 1e-300:
                bad.add((i, j))
    if not bad:
        pairs = count * (count - 1) // 2
        told = f"all {pairs} brackets of the gradient fields of its entries vanish" if pairs else "it has one entry"
        return Answer(True, told)
    named = tuple((names[i], names[j]) for i, j in sorted(bad))
    told = f"{len(named)} of {count * (count - 1) // 2} pairs of gradient fields do not commute"
    return Answer(False, f"{told}; the first is {named[0][0]} and {named[0][1]}", named)


def closes(entries: Entrywise, commuting: Answer) -> Answer:
    """Whether K depends on the weights through β and what the flow keeps alone."""
    if commuting:
        return Answer(True, "fields that commute keep all that beta does not tell, so weights are functions of beta")
    where = "from this start" if entries.given else "from a general start"

    def metric(theta: Array) -> Array:
        J = jax.jacrev(entries.value)(theta)
        return (J @ J.T).ravel()

    change = jax.jit(jax.jacfwd(metric))
    for _ in range(_POINTS):
        theta = entries.moved()
        J, turn = np.asarray(entries.jacobian(theta)), np.asarray(change(theta))
        reached = _reached(entries, theta)
        if reached is None:
            return Answer(False, f"not decided {where}: brackets of depth {_DEEPEST} still add directions")
        _, size, right = np.linalg.svd(J @ reached.T)
        still = right[int((size > NEW * size.max(initial=0.0)).sum()) :] @ reached
        if not len(still):
            continue
        moves = np.abs(turn @ still.T)
        if moves.max(initial=0.0) > _CHANGED * np.abs(turn).max(initial=0.0):
            place = int(np.unravel_index(moves.argmax(), moves.shape)[0])
            i, j = divmod(place, entries.count)
            told = f"K[{entries.names[i]}, {entries.names[j]}] changes along a direction that data reach {where}"
            return Answer(False, f"{told} and that leaves beta as it is")
    return Answer(True, f"K does not change along what data reach {where} and what leaves beta as it is")


def _reached(entries: Entrywise, theta: Array) -> np.ndarray | None:
    """An orthonormal basis of the span of fields and brackets at a point, as rows; None if it still grows."""
    size = int(theta.size)
    span = Span(size)
    span.take(np.asarray(entries.jacobian(theta)))
    for depth in range(2, _DEEPEST + 1):
        before = span.rank
        drawn = jnp.asarray(entries.rng.normal(size=(size + _MORE, depth, entries.count)))
        span.take(np.asarray(entries.brackets(theta, drawn)))
        if span.rank in (before, size):
            return span.basis
    return None
