"""The lowered field against the same equations written by hand in JAX: one process, interleaved, ratios of medians.

    python benchmarks/field.py

The hand-written side is what a careful JAX programmer writes from eq. (1.2) for a ReLU network under the exponential
loss: one forward pass at the directions, one backward pass, no autodiff. Both sides are called with the same arguments,
a pair of dictionaries and a `Data`: at the smallest size a call is mostly the passing of arguments. `loop` is the same
inside one compiled loop of a thousand evaluations, as an integrator uses a field.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np

import flowlab as fl
from flowlab.core.provenance import versions

SIZES = ((20, 5, 16, 2), (1000, 64, 256, 3), (5000, 784, 512, 4))
"""(N, d, width, depth)."""


def by_hand(rho: list[Any], V: list[Any], x: Any, y: Any) -> tuple[list[Any], list[Any]]:
    """d rho/dt and dV/dt of gradient flow, exponential loss, ReLU layers, a linear last one."""
    a, before, active = x, [], []
    for W in V[:-1]:
        before.append(a)
        z = a @ W.T
        on = z > 0
        a = jnp.where(on, z, 0.0)
        active.append(on)
    before.append(a)
    f = y * (a @ V[-1].T)[:, 0]
    R = 1.0
    for r in rho:
        R = R * r
    psi = jnp.exp(-R * f)
    s = psi @ f
    back = (y * psi)[:, None]
    pulls: list[Any] = [None] * len(V)
    for k in range(len(V) - 1, -1, -1):
        pulls[k] = back.T @ before[k]
        if k:
            back = jnp.where(active[k - 1], back @ V[k], 0.0)
    return [R * s / r for r in rho], [R / r**2 * (G - s * W) for r, G, W in zip(rho, pulls, V, strict=True)]


def case(n: int, d: int, width: int, depth: int, seed: int = 0) -> tuple[Callable, Callable, tuple]:
    """Both compiled fields and their arguments."""
    text = "W1 @ x"
    for i in range(2, depth + 1):
        text = f"W{i} @ relu({text})"
    rng = np.random.default_rng(seed)
    data = fl.Data(rng.normal(size=(n, d)) / np.sqrt(d), np.where(np.arange(n) % 2 == 0, 1.0, -1.0))
    problem = fl.Problem(text)
    field = fl.lower(fl.derive(problem))
    state = fl.initial_state(problem.network, data, widths={f"W{i}": width for i in range(1, depth)}, seed=seed)
    names = problem.network.weights

    def hand(y: Any, data: Any) -> Any:
        rho, V = y
        rho_rate, V_rate = by_hand([rho[k] for k in names], [V[k] for k in names], data.x, data.y)
        return dict(zip(names, rho_rate, strict=True)), dict(zip(names, V_rate, strict=True))

    return jax.jit(lambda y, data: field.rate(0.0, y, data)), jax.jit(hand), (field.pack(state), data)


def agreement(ours: Any, theirs: Any) -> float:
    """Largest relative difference of any rate."""
    pairs = zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)
    return float(max(jnp.linalg.norm(a - b) / jnp.linalg.norm(b) for a, b in pairs))


def looped(rate: Callable, count: int) -> Callable:
    """Many evaluations in one compiled loop, each at a slightly moved state."""

    @jax.jit
    def run(y: Any, data: Any) -> Any:
        return jax.lax.fori_loop(0, count, lambda _, y: jax.tree.map(lambda p, q: p + 1e-9 * q, y, rate(y, data)), y)

    return run


def seconds(call: Callable, args: tuple, repeats: int) -> float:
    """Processor seconds of one call, over several: what else the machine does is not counted."""
    began = time.process_time()
    for _ in range(repeats):
        out = call(*args)
    jax.block_until_ready(out)
    return (time.process_time() - began) / repeats


def interleaved(ours: Callable, theirs: Callable, args: tuple, budget: float) -> dict[str, Any]:
    """Medians of alternating rounds and their ratio."""
    jax.block_until_ready((ours(*args), theirs(*args)))
    one = max(seconds(ours, args, 1), 1e-7)
    repeats = max(1, int(0.05 / one))
    rounds = int(np.clip(budget / (2 * one * repeats), 7, 201))
    mine: list[float] = []
    other: list[float] = []
    for i in range(rounds):
        # Who goes first alternates, so that neither always finds warmer caches.
        pair = [(ours, mine), (theirs, other)]
        for call, times in pair if i % 2 else pair[::-1]:
            times.append(seconds(call, args, repeats))
    ours_s, theirs_s = statistics.median(mine), statistics.median(other)
    return {"flowlab_s": ours_s, "by_hand_s": theirs_s, "ratio": ours_s / theirs_s, "rounds": rounds}


def compare(size: tuple[int, int, int, int], budget: float) -> dict[str, Any]:
    """One size: agreement, calls, and the compiled loop at small sizes."""
    ours, theirs, args = case(*size)
    row = {
        "size": list(size),
        "agreement": agreement(ours(*args), theirs(*args)),
        **interleaved(ours, theirs, args, budget),
    }
    if size[0] <= 1000:
        count = 1000 if size[0] <= 100 else 10
        row["loop_ratio"] = interleaved(looped(ours, count), looped(theirs, count), args, budget)["ratio"]
    return row


def program_lines(size: tuple[int, int, int, int]) -> int:
    """Lines of the lowered module."""
    ours, _, args = case(*size)
    return len(ours.lower(*args).as_text().splitlines())


def main(small: bool = False) -> dict[str, Any]:
    """Run the comparison; `small` is a rehearsal."""
    sizes = ((20, 5, 16, 2), (50, 8, 16, 3)) if small else SIZES
    rows = [compare(size, 0.2 if small else 20.0) for size in sizes]
    grown = {
        str(size): program_lines(size) for size in ((20, 5, 16, 3), (2000, 5, 16, 3), (20, 5, 300, 3), (20, 200, 16, 3))
    }
    return {"rows": rows, "program_lines": grown, "versions": versions()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", action="store_true")
    result = main(parser.parse_args().small)
    print(f"{'N, d, width, depth':>22} {'flowlab':>11} {'by hand':>11} {'ratio':>7} {'loop':>7} {'agree':>8}")
    for row in result["rows"]:
        loop = f"{row['loop_ratio']:7.3f}" if "loop_ratio" in row else "      -"
        print(
            f"{row['size']!s:>22} {row['flowlab_s']:10.3e}s {row['by_hand_s']:10.3e}s {row['ratio']:7.3f} {loop}"
            f" {row['agreement']:8.1e}"
        )
    print("lines of the lowered module by N, d, width, depth:", result["program_lines"])
    print(json.dumps(result))
