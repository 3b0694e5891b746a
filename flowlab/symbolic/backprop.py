"""Forward and backward pass of a network on the tape, by the operations' own pull-backs."""

from collections.abc import Mapping
from typing import Any

from flowlab.language.network import Network
from flowlab.language.operations import operations
from flowlab.symbolic.program import Tape, Value


def forward(tape: Tape, network: Network, blocks: Mapping[str, Value], inputs: Value) -> dict[int, Value]:
    """The value of every node; pre-activations are named Z_i, activations A_i, the output F."""
    values: dict[int, Value] = {}
    layer = 0
    for node in network.nodes:
        if node.op == "input":
            values[id(node)] = inputs
        elif node.op == "weight":
            values[id(node)] = blocks[node.params[0]]
        else:
            args = tuple(values[id(a)] for a in node.args)
            if node.op == "activation" and args[0].type.sampled and args[0].name is None:
                layer += 1
                args = (tape.call_it(args[0], f"Z_{layer}"),)
            made = tape.put(node.op, args, node.params, network.type_of(node))
            if node.op == "activation" and args[0].type.sampled:
                below = args[0].name or ""
                made = tape.call_it(made, f"A_{below[2:]}" if below.startswith("Z_") else f"A_{made.index}")
            values[id(node)] = made
    values[id(network.expression)] = tape.call_it(values[id(network.expression)], "F")
    return values


def backward(tape: Tape, network: Network, values: Mapping[int, Value], seed: Value) -> dict[str, Value]:
    """The pull-back of `seed` (one cotangent per output and sample) to every weight block.

    Cotangents at pre-activations are named D_i, in print Δ_i. A block that the output does not depend on is missing.
    """
    cotangents: dict[int, Value] = {id(network.expression): seed}
    weights: dict[str, Value] = {}
    needed = _depends_on_weights(network)
    for node in reversed(network.nodes):
        cot = cotangents.get(id(node))
        if cot is None or id(node) not in needed:
            continue
        if node.op == "weight":
            name = node.params[0]
            weights[name] = tape("add", weights[name], cot) if name in weights else cot
            continue
        if node.op == "input":
            continue
        here = tape.values[values[id(node)].index]
        if (here.name or "").startswith("Z_") and cot.name is None:
            cot = tape.call_it(cot, f"D_{(here.name or '')[2:]}")
        args = [tape.values[values[id(a)].index] for a in node.args]
        pulled: list[Any] = operations[node.op]().pullback(tape, args, here, cot, node.params)
        for child, arg, back in zip(node.args, args, pulled, strict=True):
            if back is None or id(child) not in needed:
                continue
            fitted = tape.fit(back, arg.type)
            before = cotangents.get(id(child))
            cotangents[id(child)] = tape("add", before, fitted) if before is not None else fitted
    return weights


def _depends_on_weights(network: Network) -> set[int]:
    found: set[int] = set()
    for node in network.nodes:
        if node.op == "weight" or any(id(a) in found for a in node.args):
            found.add(id(node))
    return found


