"""Conservation laws and their count: seconds a net, beside the derivation itself and beside compiled programs, in one
run.

    python benchmarks/laws.py          # --small takes three nets

Timed is the processor time of `flow.laws` and of `flow.law_count` after `derive`, whose own time stands before them.
`lift` is the part of `flow.laws` in which laws get names that hold at symbolic sizes, `lifted` how many of them have
one. Rates and brackets at small sizes are worked out by numpy; the last columns have the same answers with every such
program compiled by jax, and how many times longer that takes. Weights are those at the sizes that are tried.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from unittest.mock import patch

# Threads that wait for a processor count as processor time, and matrices here are small.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np

import flowlab as fl
from flowlab.core.host_programs import on_host
from flowlab.core.provenance import versions
from flowlab.symbolic.laws import directions, draws, find

TOKENS: dict[str, Any] = {"inputs": {"X": ("t", "d")}}
HEADS = (
    "sum(einsum('hov,htv->to', O, einsum('htk,hkv->htv', softmax(einsum('htd,hsd->hts',"
    " einsum('td,hde->hte', X, Q), einsum('td,hde->hte', X, K))), einsum('td,hde->hte', X, V))))"
)
NETS: dict[str, tuple[str, dict[str, Any]]] = {
    "two ReLU layers": ("W2 @ relu(W1 @ x)", {}),
    "softmax attention": ("o @ V @ X @ softmax(X.T @ K.T @ Q @ x)", {"inputs": {"X": ("d", "t"), "x": ("d",)}}),
    "deep linear": ("W3 @ W2 @ W1 @ x", {"shapes": {"W1": (4, 4), "W2": (4, 4), "W3": (4, 4)}}),
    "four ReLU layers": ("a @ relu(W3 @ relu(W2 @ relu(W1 @ x)))", {}),
    "layer norm": ("a @ relu(layer_norm(W @ x + b))", {}),
    "mixture of experts": ("einsum('e,eh,eh->', softmax(G @ x), A, relu(einsum('ehd,d->eh', W, x)))", {}),
    "2-D convolution": (
        "a @ flatten(max_pool(relu(conv(K, X, padding='same')), 2, axes=2))",
        {"inputs": {"X": (1, 4, 4)}, "shapes": {"K": (2, 1, 3, 3)}},
    ),
    "transformer block": (
        "a @ mean(X + relu(layer_norm(X + softmax(X @ Q @ K.T @ X.T) @ X @ V) @ W1) @ W2, axis=0)",
        TOKENS,
    ),
    "two heads": (HEADS, TOKENS | {"shapes": {"Q": (2, 3, 2)}}),
    "60 weights, ReLU": ("W2 @ relu(W1 @ x)", {"shapes": {"W1": (6, 5), "W2": (5, 6)}}),
}
SMALL = ("two ReLU layers", "softmax attention", "deep linear")


def compiled(function: Callable[..., Any], *args: Any) -> Any:
    """What takes the place of `on_host` in the second run."""
    return jax.tree.map(np.asarray, jax.jit(function)(*args))


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    """Processor time of a call, and what it gives."""
    start = time.process_time()
    made = call()
    return time.process_time() - start, made


class Answers(NamedTuple):
    """Seconds of derivation, laws, their names and their count, with both answers."""

    derive: float
    laws: float
    lift: float
    count: float
    found: tuple[Any, ...]
    counted: Any


def answers(problem: fl.Problem, by: Callable[..., Any]) -> Answers:
    """Everything about one problem."""
    named: list[float] = []

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            taken, made = seconds(lambda: function(*args))
            named.append(taken)
            return made

        return call

    with (
        patch.object(draws, "on_host", by),
        patch.object(directions, "on_host", by),
        patch.object(find, "usual", timed(find.usual)),
        patch.object(find, "_named", timed(find._named)),
    ):
        derived, flow = seconds(lambda: fl.derive(problem))
        laws, found = seconds(lambda: flow.laws)
        counting, counted = seconds(lambda: flow.law_count)
    return Answers(derived, laws, sum(named), counting, found, counted)


def main(small: bool = False) -> list[dict[str, Any]]:
    """One row per net.

    Args:
        small: three nets only.
    """
    answers(fl.Problem("W @ x", "square"), on_host)
    rows = []
    print(
        f"{'net':20} {'weights':>7} {'derive':>7} {'laws':>6} {'lift':>6} {'count':>6} {'compiled':>8} {'times':>6}"
        f" {'lifted':>7}  answer"
    )
    for name in SMALL if small else NETS:
        text, settings = NETS[name]
        problem = fl.Problem(fl.Network(text, **settings), "square", coordinates="weights")
        ours, other = answers(problem, on_host), answers(problem, compiled)
        counted = ours.counted
        assert (other.counted.status, other.counted.total) == (counted.status, counted.total), name
        slow = other.laws + other.count
        row = {
            "net": name,
            "weights": sum(int(np.prod(shape)) for _, shape in counted.shapes),
            "derive": ours.derive,
            "laws": ours.laws,
            "lift": ours.lift,
            "count": ours.count,
            "compiled": slow,
            "times": slow / (ours.laws + ours.count),
            # Matched laws hold at all sizes by their form.
            "lifted": sum(getattr(law, "lifted", True) for law in ours.found),
            "of": len(ours.found),
            "status": counted.status,
            "total": counted.total,
        }
        rows.append(row)
        print(
            "{net:20} {weights:7} {derive:7.2f} {laws:6.2f} {lift:6.2f} {count:6.2f} {compiled:8.2f} {times:6.1f}"
            " {lifted:3}/{of:3}  {status}, {total}".format(**row),
            flush=True,
        )
    print(json.dumps({"rows": rows, "versions": versions()}))
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="three nets")
    main(parser.parse_args().small)
