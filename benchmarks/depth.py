"""Derivation time over depth and width: linear in the one, flat in the other.

    python benchmarks/depth.py

Depth: a ReLU network of L layers; building it, deriving and printing it at structural and matrix depth, without and
with the check against autodiff. The same for transformers of so many blocks, in processor seconds. Width: the ReLU
network with declared shapes, 10 against 10,000 units, interleaved, ratio of medians.
"""

import argparse
import json
import statistics
import time
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import flowlab as fl
from flowlab.core.provenance import versions


def network(depth: int, width: int | None = None) -> fl.Network:
    """A ReLU network; with `width`, every shape is declared."""
    text = "W1 @ x"
    for i in range(2, depth + 1):
        text = f"W{i} @ relu({text})"
    if width is None:
        return fl.Network(text)
    shapes = {f"W{i}": (1 if i == depth else width, 8 if i == 1 else width) for i in range(1, depth + 1)}
    return fl.Network(text, shapes=shapes)


def derived(depth: int, width: int | None = None, *, verify: bool = False) -> tuple[float, int]:
    """Seconds from text to both printed depths, and lines of the program."""
    began = time.perf_counter()
    flow = fl.derive(fl.Problem(network(depth, width)), verify=verify)
    flow.text("structural")
    flow.text("matrix")
    return time.perf_counter() - began, len(flow.program.values)


def transformer(blocks: int) -> tuple[float, float, int]:
    """Processor seconds of a derivation without and with its check, and lines of the program."""
    h = fl.input("X")
    for i in range(1, blocks + 1):
        n = fl.layer_norm(h)
        q, k, v = (n @ fl.weight(f"{name}{i}") for name in "QKV")
        h = h + fl.softmax(q @ k.T) @ v @ fl.weight(f"O{i}")
        h = h + fl.relu(fl.layer_norm(h) @ fl.weight(f"A{i}")) @ fl.weight(f"B{i}")
    network = fl.Network(fl.weight("a") @ fl.mean(h, axis=0), inputs={"X": ("t", "d")})
    problem = fl.Problem(network, coordinates="weights")
    seconds = []
    for verify in (False, True):
        began = time.process_time()
        flow = fl.derive(problem, verify=verify)
        lines = len(flow.program.values)
        seconds.append(time.process_time() - began)
    return seconds[0], seconds[1], lines


def main(small: bool = False) -> dict[str, Any]:
    """Measure; `small` is a rehearsal."""
    derived(2, verify=True)
    depths = (2, 10, 20) if small else (2, 5, 10, 20, 50, 100)
    rows = []
    for depth in depths:
        plain = statistics.median(derived(depth)[0] for _ in range(3 if small else 7))
        checked, lines = derived(depth, verify=True)
        rows.append({"layers": depth, "seconds": plain, "checked_seconds": checked, "lines": lines})
    blocks = []
    for count in (1, 2) if small else (1, 6, 12, 24):
        plain, checked, lines = transformer(count)
        blocks.append({"blocks": count, "seconds": plain, "checked_seconds": checked, "lines": lines})
    times: dict[int, list[float]] = {10: [], 10_000: []}
    for i in range(5 if small else 61):
        for width in sorted(times, reverse=bool(i % 2)):
            times[width].append(derived(20, width)[0])
    medians = {width: statistics.median(t) for width, t in times.items()}
    return {
        "depth": rows,
        "transformers": blocks,
        "width_seconds": medians,
        "width_ratio": medians[10_000] / medians[10],
        "versions": versions(),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", action="store_true")
    result = main(parser.parse_args().small)
    print(f"{'layers':>6} {'derive s':>9} {'per layer ms':>12} {'with check s':>12} {'lines':>6}")
    for row in result["depth"]:
        print(
            f"{row['layers']:6d} {row['seconds']:9.4f} {1e3 * row['seconds'] / row['layers']:12.3f}"
            f" {row['checked_seconds']:12.3f} {row['lines']:6d}"
        )
    print(f"{'blocks':>6} {'derive s':>9} {'':12} {'with check s':>12} {'lines':>6}")
    for row in result["transformers"]:
        print(f"{row['blocks']:6d} {row['seconds']:9.4f} {'':12} {row['checked_seconds']:12.3f} {row['lines']:6d}")
    print(f"10,000 units / 10 units, 20 layers: {result['width_ratio']:.3f}")
    print(json.dumps(result))
