"""The push-forward of a gradient flow to a node of its network: checks, and what is found out about it."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import sympy as sp

from flowlab.core.arguments import shown
from flowlab.core.errors import LanguageError, MissingRule, ShapeMismatch
from flowlab.core.precision import require_x64
from flowlab.core.typing import Array, ArrayLike, Blocks
from flowlab.language.expr import Expr
from flowlab.language.problem import Problem
from flowlab.language.state import State, names_match
from flowlab.symbolic.induced.brackets import Answer, Entrywise, closes, commutes
from flowlab.symbolic.induced.closed_forms import numbers
from flowlab.symbolic.induced.flow import InducedFlow
from flowlab.symbolic.induced.mirror import Mirror, Z, mirror
from flowlab.symbolic.induced.node import Node, fitting, node_of, numbers_of_constants

_ALIKE = 1e-12
"""Relative difference of a closed form from what it stands for above which it is refused."""
_RANK = 1e-10
"""Part of the largest singular value of J below which an entry cannot move."""


def induced(
    problem: Problem,
    node: str | Expr,
    start: State | Mapping[str, ArrayLike] | None = None,
    constants: Mapping[str, ArrayLike] | None = None,
) -> InducedFlow:
    """The flow that a node inherits from the gradient flow of a problem in weight coordinates.

    Args:
        problem: gradient flow in weight coordinates, without weight decay, with one learning rate.
        node: a part of the network that is made of weights and constants, and through which all weights act.
        start: a state of the problem.
        constants: numbers of the node's constants, by name; with a start they are needed.

    Raises:
        LanguageError: for another scheme or coordinates, or a node that is none; ShapeMismatch: for a start that does
            not fit, or at which entries of β cannot move; UnknownName: for unknown names in the node.
    """
    require_x64("induced")
    if problem.coordinates != "weights":
        raise LanguageError(
            f'an induced flow needs `coordinates="weights"`, got {problem.coordinates!r}; derive the problem with them.'
        )
    if any(problem.decay.values()):
        raise LanguageError(
            "an induced flow must be without weight decay, which sees more than the node; drop `decay`."
        )
    problem.require_plain("an induced flow")
    found = node_of(problem, node)
    weights = None if start is None else _start(found, start)
    fixed = {} if weights is None else numbers_of_constants(found, constants or {}, weights)
    look = Entrywise(found, weights, fixed)
    entry = _entry(found)
    commuting = commutes(look) if entry is None else Answer(True, "entries share no weights, so all brackets vanish")
    closing = closes(look, commuting)
    begin = () if entry is None else tuple(_begin(found, weights).items())
    if weights is not None:
        _movable(found, weights, fixed, look)
    chart = None
    if entry is not None:
        chart = mirror(entry, {sp.Symbol(w, real=True): value for w, value in begin})
        if chart is not None:
            _confirm(chart, entry, dict(begin))
    return InducedFlow(found, weights, fixed, closing, commuting, chart, entry, begin)


def _start(node: Node, start: State | Mapping[str, ArrayLike]) -> dict[str, np.ndarray]:
    state = start if isinstance(start, State) else State.from_weights(start)
    names_match(state, node.problem.network)
    weights = {w: np.asarray(v) for w, v in state.weights().items()}
    fitting(node, {w: weights[w] for w in node.weights})
    return weights


def _entry(node: Node) -> sp.Expr | None:
    """One entry in symbols called like the blocks, if every entry is the same function of its own weights."""
    try:
        entries, places = node.entries()
    except MissingRule:
        return None
    found: set[sp.Expr] = set()
    for place in np.ndindex(entries.shape):
        value = entries[place] + sp.Integer(0)
        own = {s: sp.Symbol(places[s][0], real=True) for s in value.free_symbols if places[s][1] == place}
        if len(own) < len(value.free_symbols):
            return None
        found.add(value.subs(own))
    return found.pop() if len(found) == 1 else None


def _begin(node: Node, weights: Blocks | None) -> dict[str, sp.Expr]:
    """What stands for the start of every block: 0, one symbol for blocks that start alike, or symbols of their own."""
    if weights is None:
        return {w: sp.Symbol(f"{w}_0", real=True) for w in node.weights}
    kinds: list[tuple[np.ndarray, list[str]]] = []
    for w in node.weights:
        values = np.asarray(weights[w])
        alike = next((names for known, names in kinds if np.array_equal(known, values)), None)
        if alike is None:
            kinds.append((values, [w]))
        else:
            alike.append(w)
    moving = [names for values, names in kinds if values.any()]
    out: dict[str, sp.Expr] = {}
    for values, names in kinds:
        called = "alpha" if len(moving) == 1 and "alpha" not in node.problem.network.roles else f"{names[0]}_0"
        symbol = sp.Symbol(called, positive=True) if (values > 0).all() else sp.Symbol(called, real=True)
        out |= dict.fromkeys(names, symbol if values.any() else sp.Integer(0))
    return {w: out[w] for w in node.weights}


def _movable(node: Node, weights: Blocks, fixed: Blocks, look: Entrywise) -> None:
    """Refuse a start at which K has a lower rank than elsewhere.

    Raises:
        ShapeMismatch: naming what cannot move.
    """
    if not look.given:
        J = np.asarray(_squares(node, weights, fixed))
        if (J == 0).any():
            place = [int(i) + 1 for i in np.argwhere(J == 0)[0]]
            raise ShapeMismatch(
                f"`start` must let every entry of beta move, got K = 0 at beta{place}; start from weights other than 0."
            )
        return
    here, there = (np.linalg.svd(np.asarray(look.jacobian(p)), compute_uv=False) for p in (look.point, look.random()))
    ranks = [int((s > _RANK * s.max(initial=0.0)).sum()) for s in (here, there)]
    if ranks[0] < ranks[1]:
        raise ShapeMismatch(
            f"`start` must let every entry of beta move, got K of rank {ranks[0]} where it has {ranks[1]} elsewhere;"
            " start from weights other than 0."
        )


def _squares(node: Node, weights: Blocks, fixed: Blocks) -> Array:
    """Squares of the slopes of every entry, summed over its weights: K of nodes whose entries share none."""
    W = {w: jnp.asarray(weights[w]) for w in node.weights}
    _, back = jax.vjp(lambda v: node.value(jnp, v, fixed), W)
    (slopes,) = back(jnp.ones(np.shape(node.value(np, weights, fixed))))
    return sum((v * v for v in slopes.values()), jnp.zeros(()))


def _confirm(chart: Mirror, entry: sp.Expr, begin: Mapping[str, sp.Expr]) -> None:
    """Hold dθ/dz against ∇g and K against dβ/dz, in numbers, near the start.

    Raises:
        LanguageError: where they differ.
    """
    symbols = {w: sp.Symbol(w, real=True) for w in begin}
    free: list[Any] = sorted((chart.beta.free_symbols | entry.free_symbols) - {Z, *symbols.values()}, key=str)
    drawn = {s.name: np.asarray(0.3 + 0.1 * i) for i, s in enumerate(free)} | {Z.name: np.asarray(0.05)}
    at = drawn | {w: numbers(np, value, drawn) for w, value in chart.theta}
    pairs = [(sp.diff(value, Z), sp.diff(entry, symbols[w])) for w, value in chart.theta]
    pairs += [
        (chart.beta, entry),
        (chart.metric, sp.Add(*[h**2 for _, h in pairs])),
        (sp.diff(chart.conjugate, Z), chart.beta),
    ]
    for one, other in pairs:
        a, b = float(numbers(np, one, at)), float(numbers(np, other, at))
        if not abs(a - b) <= _ALIKE * (1.0 + abs(a)):
            raise LanguageError(f"the closed form `{shown(str(one), 80)}` is off by {abs(a - b):.1e}; report the node.")
