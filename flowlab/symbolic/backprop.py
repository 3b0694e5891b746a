"""Forward and backward pass of a network on the tape, by the operations' own pull-backs."""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from flowlab.language.expr import Expr, numbered
from flowlab.language.network import Network
from flowlab.language.operations import Operation, operations
from flowlab.language.traversal import fold
from flowlab.symbolic.program import Tape, Value


def forward(tape: Tape, network: Network, blocks: Mapping[str, Value], given: Mapping[str, Value]) -> dict[int, Value]:
    """The value of every node; pre-activations are named Z_i, activations A_i, the output F."""
    layer = count(1)

    def apply(word: Operation, parts: Sequence[Value], node: Expr) -> Value:
        args = tuple(parts)
        if word.own_slope:
            # What is evaluated is a value, and its own slope is that of the value: the declared one is for pull-backs.
            return args[0]
        unit = word.function(node.params) is not None and args[0].type.sampled
        if unit and args[0].name is None:
            args = (tape.call_it(args[0], f"Z_{next(layer)}"),)
        made = tape.put(node.op, args, node.params, network.type_of(node))
        if not unit:
            return made
        below = args[0].name or ""
        return tape.call_it(made, f"A_{below[2:]}" if below.startswith("Z_") else f"A_{made.index}")

    values = fold(network.nodes, lambda node: given[node.params[0]], blocks.__getitem__, apply)
    values[id(network.expression)] = tape.call_it(values[id(network.expression)], "F")
    return values


def backward(tape: Tape, network: Network, values: Mapping[int, Value], seed: Value) -> dict[str, Value]:
    """The pull-back of `seed` (one cotangent per output and sample) to every weight block.

    Cotangents at pre-activations are named D_i, in print Δ_i. A block that the output does not depend on is missing.
    """
    # What is written twice is one node: its cotangents are added up before they go further down. Values do not tell:
    # `stop(w)` and `w` have one value and two pull-backs.
    place = numbered(network.nodes)
    first: dict[int, Expr] = {}
    for node in network.nodes:
        first.setdefault(place[id(node)], node)
    cotangents: dict[int, Value] = {place[id(network.expression)]: seed}
    weights: dict[str, Value] = {}
    needed = fold(network.nodes, lambda _: False, lambda _: True, lambda _, parts, __: any(parts))
    for number, node in reversed(first.items()):
        cot = cotangents.get(number)
        if cot is None or not needed[id(node)]:
            continue
        if node.block is not None:
            weights[node.block] = cot
            continue
        here = tape.values[values[id(node)].index]
        if (here.name or "").startswith("Z_") and cot.name is None:
            cot = tape.call_it(cot, f"D_{(here.name or '')[2:]}")
        args = [tape.values[values[id(a)].index] for a in node.args]
        pulled: list[Any] = operations[node.op]().pullback(tape, args, here, cot, node.params)
        for child, arg, back in zip(node.args, args, pulled, strict=True):
            if back is None or not needed[id(child)]:
                continue
            fitted = tape.fit(back, arg.type)
            before = cotangents.get(place[id(child)])
            cotangents[place[id(child)]] = tape("add", before, fitted) if before is not None else fitted
    return weights
