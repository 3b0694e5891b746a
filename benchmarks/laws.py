"""Conservation laws and their count: seconds a net, beside the derivation itself and beside compiled programs, in one
run.

    python benchmarks/laws.py          # --small takes three nets

Timed is the processor time of `flow.laws` and of `flow.law_count` after `derive`, whose own time stands before them.
Rates and brackets at small sizes are worked out by numpy; the last columns have the same answers with every such
program compiled by jax, and how many times longer that takes. Weights are those at the sizes that are tried.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np

import flowlab as fl
from flowlab.core.host_programs import on_host
from flowlab.core.provenance import versions
from flowlab.symbolic.laws import directions, draws

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


def answers(problem: fl.Problem, by: Callable[..., Any]) -> tuple[float, float, float, Any]:
    """Seconds of derivation, laws and count, and the count itself."""
    with patch.object(draws, "on_host", by), patch.object(directions, "on_host", by):
        derived, flow = seconds(lambda: fl.derive(problem))
        laws, _ = seconds(lambda: flow.laws)
        counted, count = seconds(lambda: flow.law_count)
    return derived, laws, counted, count


def main(small: bool = False) -> list[dict[str, Any]]:
    """One row per net.

    Args:
        small: three nets only.
    """
    answers(fl.Problem("W @ x", "square"), on_host)
    rows = []
    print(f"{'net':20} {'weights':>7} {'derive':>7} {'laws':>6} {'count':>6} {'compiled':>8} {'times':>6}  answer")
    for name in SMALL if small else NETS:
        text, settings = NETS[name]
        problem = fl.Problem(fl.Network(text, **settings), "square", coordinates="weights")
        derived, laws, counted, count = answers(problem, on_host)
        _, slow_laws, slow_count, same = answers(problem, compiled)
        weights = sum(int(np.prod(shape)) for _, shape in count.shapes)
        ratio = (slow_laws + slow_count) / (laws + counted)
        assert (same.status, same.total) == (count.status, count.total), name
        rows.append(
            {
                "net": name,
                "weights": weights,
                "derive": derived,
                "laws": laws,
                "count": counted,
                "compiled": slow_laws + slow_count,
                "times": ratio,
                "status": count.status,
                "total": count.total,
            }
        )
        print(
            f"{name:20} {weights:7} {derived:7.2f} {laws:6.2f} {counted:6.2f} {slow_laws + slow_count:8.2f}"
            f" {ratio:6.1f}  {count.status}, {count.total}",
            flush=True,
        )
    print(json.dumps({"rows": rows, "versions": versions()}))
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="three nets")
    main(parser.parse_args().small)
