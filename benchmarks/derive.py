"""From an architecture to a compiled gradient: flowlab beside CasADi, symengine, heyoka and component-wise SymPy, in
one run.

    pip install "flowlab[bench]" && python benchmarks/derive.py        # --slow lets SymPy and symengine try the larger
    sizes

The network is f = W2 (W1 x)^2 under the exponential loss, which every peer can write. Timed is everything from nothing
to the first value at one state: building, deriving (flowlab's includes its check against autodiff), lowering,
compiling, evaluating; imports are not.
A second table has the processor time over the length of sums and products, with the ratio of each to the one half as
long. Peers answer with the gradient of the loss; flowlab with the rates of norms and directions, which are compared
through it.
"""

import argparse
import json
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import equinox as eqx
import numpy as np

import flowlab as fl
from flowlab.core.provenance import versions

SIZES = ((6, 4), (44, 20), (144, 40), (352, 100), (352_000, 100))
"""(weights, points); weights = width (d + 1)."""
SHAPES = {6: (2, 2), 44: (4, 10), 144: (16, 8), 352: (32, 10), 352_000: (32_000, 10)}
"""(width, d)."""


def instance(weights: int, points: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """W1, W2, x, y of a size."""
    width, d = SHAPES[weights]
    rng = np.random.default_rng(weights)
    x = rng.normal(size=(points, d)) / np.sqrt(d)
    y = np.where(np.arange(points) % 2 == 0, 1.0, -1.0)
    return rng.normal(size=(width, d)) / np.sqrt(d), rng.normal(size=(1, width)) / width, x, y


def with_flowlab(W1: np.ndarray, W2: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The gradient put together from the rates of norms and directions."""
    field = fl.lower(fl.derive(fl.Problem("W2 @ (W1 @ x)**2")))
    state = fl.State.from_weights({"W1": W1, "W2": W2})
    rate = jax.block_until_ready(eqx.filter_jit(field)(0.0, state, fl.Data(x, y)))
    moved = [np.asarray(rate.rho[w] * state.V[w] + state.rho[w] * rate.V[w]) for w in ("W1", "W2")]
    return -np.concatenate([m.ravel() for m in moved])


def with_casadi(W1: np.ndarray, W2: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Matrix expressions, reverse mode, evaluated by its virtual machine."""
    import casadi as ca

    a, b = ca.MX.sym("W1", *W1.shape), ca.MX.sym("W2", *W2.shape)
    loss = ca.sum2(ca.exp(-ca.DM(y).T * (b @ (a @ ca.DM(x.T)) ** 2)))
    call = ca.Function("g", [a, b], [ca.gradient(loss, a), ca.gradient(loss, b)])
    return np.concatenate([np.array(g).ravel() for g in call(W1, W2)])


def scalars(make: Callable[[str], Any], W1: np.ndarray, W2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights as arrays of a library's scalar symbols."""
    a = np.array([make(f"a{i}") for i in range(W1.size)], dtype=object).reshape(W1.shape)
    b = np.array([make(f"b{i}") for i in range(W2.size)], dtype=object).reshape(W2.shape)
    return a, b


def scalar_loss(exp: Callable[[Any], Any], a: np.ndarray, b: np.ndarray, x: np.ndarray, y: np.ndarray) -> Any:
    """The loss written out in scalars."""
    outputs = (b @ (a @ x.T) ** 2)[0]
    return sum(exp(-float(t) * f) for f, t in zip(outputs, y, strict=True))


def with_symengine(W1: np.ndarray, W2: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Component-wise differentiation in C++, compiled by LLVM where the build has it."""
    import symengine as se

    a, b = scalars(se.Symbol, W1, W2)
    names = [*a.ravel(), *b.ravel()]
    loss = scalar_loss(se.exp, a, b, x, y)
    backend = "llvm" if se.have_llvm else "lambda"
    call = se.Lambdify(names, [loss.diff(n) for n in names], backend=backend, cse=True)
    return np.asarray(call(np.concatenate([W1.ravel(), W2.ravel()])))


def with_heyoka(W1: np.ndarray, W2: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Reverse-mode expressions compiled by LLVM."""
    import heyoka as hy

    a, b = scalars(lambda name: hy.make_vars(name), W1, W2)
    names = [*a.ravel(), *b.ravel()]
    loss = hy.sum([hy.exp(-float(t) * f) for f, t in zip((b @ (a @ x.T) ** 2)[0], y, strict=True)])
    gradient = hy.diff_tensors([loss], names, diff_order=1).gradient
    call = hy.cfunc(gradient, names)
    return np.asarray(call(np.concatenate([W1.ravel(), W2.ravel()])))


def with_sympy(W1: np.ndarray, W2: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Component-wise differentiation and lambdify to numpy."""
    import sympy as sp

    a, b = scalars(lambda name: sp.Symbol(name, real=True), W1, W2)
    names = [*a.ravel(), *b.ravel()]
    loss = scalar_loss(sp.exp, a, b, x, y)
    call = sp.lambdify(names, [sp.diff(loss, n) for n in names], "numpy", cse=True)
    return np.asarray(call(*W1.ravel(), *W2.ravel()))


TOOLS: dict[str, tuple[Callable, int, int]] = {
    "flowlab": (with_flowlab, 10**9, 10**9),
    "casadi": (with_casadi, 10**9, 10**9),
    "heyoka": (with_heyoka, 144, 352),
    "symengine": (with_symengine, 144, 352),
    "sympy": (with_sympy, 6, 44),
}
"""The tool, the largest number of weights it is asked for, and the largest with `--slow`."""


def present() -> list[str]:
    """The tools that are installed, imported so that no import is timed."""
    found = []
    for name in TOOLS:
        try:
            import_module("flowlab.lowering.vector_field" if name == "flowlab" else name)
        except ImportError as missing:
            print(f'{name} left out: {missing}; pip install "flowlab[bench]"')
            continue
        found.append(name)
    import_module("flowlab.symbolic.derive")
    return found


def main(small: bool = False, slow: bool = False) -> dict[str, Any]:
    """Run every tool at every size it is asked for; `small` is a rehearsal."""
    rows, tools = [], present()
    for weights, points in SIZES[:2] if small else SIZES:
        given = instance(weights, points)
        truth = None
        for name, (tool, most, most_slow) in TOOLS.items():
            if name not in tools or weights > (most_slow if slow else most):
                continue
            began = time.perf_counter()
            found = tool(*given)
            took = time.perf_counter() - began
            if truth is None:
                truth = found
            gap = float(np.linalg.norm(found - truth) / np.linalg.norm(truth))
            rows.append({"weights": weights, "points": points, "tool": name, "seconds": took, "disagreement": gap})
    return {"rows": rows, "versions": versions()}


LENGTHS = {
    "sum": (lambda n: " + ".join(f"W{k} @ x" for k in range(n)), 900),
    "chain": (lambda n: " @ ".join(f"W{k}" for k in range(n)) + " @ x", 120),
    "units": (lambda n: " + ".join(f"a{k} @ relu(W{k} @ x)" for k in range(n)), 200),
}
"""How a network of n parts is written, and how many parts of it are tried at most."""


def lengths(small: bool = False) -> list[dict[str, Any]]:
    """Processor time of a checked derivation over its length: doubling the length should at most double the time."""
    rows = []
    for name, (text, most) in LENGTHS.items():
        before = None
        fl.derive(fl.Problem(text(3)))
        for parts in (2, 4) if small else (most // 4, most // 2, most):
            began = time.process_time()
            fl.derive(fl.Problem(text(parts)))
            took = time.process_time() - began
            rows.append(
                {"network": name, "parts": parts, "seconds": took, "ratio": None if before is None else took / before}
            )
            before = took
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--slow", action="store_true")
    asked = parser.parse_args()
    result = main(asked.small, asked.slow)
    own = {row["weights"]: row["seconds"] for row in result["rows"] if row["tool"] == "flowlab"}
    print(f"{'weights':>8} {'points':>6} {'tool':>10} {'seconds':>9} {'/ flowlab':>9} {'disagreement':>12}")
    for row in result["rows"]:
        times = f"{row['seconds']:9.3f} {row['seconds'] / own[row['weights']]:9.2f}"
        print(f"{row['weights']:8d} {row['points']:6d} {row['tool']:>10} {times} {row['disagreement']:12.1e}")
    print(f"{'network':>8} {'parts':>6} {'processor s':>11} {'ratio':>6}")
    result["lengths"] = lengths(asked.small)
    for row in result["lengths"]:
        print(
            f"{row['network']:>8} {row['parts']:6d} {row['seconds']:11.2f} "
            + ("" if row["ratio"] is None else f"{row['ratio']:6.2f}")
        )
    print(json.dumps(result))
