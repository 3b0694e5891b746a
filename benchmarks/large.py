"""Size: what a step costs beside bare diffrax, and late times, from 10^2 to 10^6 weights; seconds and memory.

    python benchmarks/large.py [--small] [--whole] [--plot FILE.png]

Each case runs in a process of its own, whose peak memory is its own too. `early` is the first accepted steps of
`W2 @ relu(W1 @ x)**2` under the exponential loss, beside `diffeqsolve` with the same method and tolerances on the same
loss by `jax.grad`; `late` is the whole flow to log t = 100. `--whole` adds 10^6 weights with 60,000 samples; that takes
half an hour. Seconds are of the processor, the second time each program runs.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import diffrax
import jax.numpy as jnp
import numpy as np

import flowlab as fl

TEXT = "W2 @ relu(W1 @ x)**2"
RTOL, ATOL = 1e-6, 1e-8
# Width, inputs, samples.
EARLY = [(10, 9, 20), (30, 33, 100), (100, 99, 1_000), (300, 333, 1_000), (510, 784, 1_000)]
LATE = [(30, 33, 100), (60, 50, 300), (300, 166, 1_000), (510, 784, 1_000)]
WHOLE = (1_274, 784, 60_000)
SMALL = (10, 9, 20)


def made(width: int, d: int, n: int) -> tuple[fl.Problem, fl.Data, fl.State]:
    """A problem whose labels a linear function tells."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, d)) / np.sqrt(d)
    data = fl.Data(x, np.sign(x @ rng.normal(size=d)))
    problem = fl.Problem(TEXT, "exponential", reduction="mean", coordinates="weights")
    return problem, data, fl.initial_state(problem.network, data, widths={"W1": width}, seed=0)


def early(width: int, d: int, n: int, steps: int) -> dict[str, Any]:
    """Seconds a step of flowlab and of bare diffrax."""
    problem, data, start = made(width, d, n)
    field = fl.lower(fl.derive(problem))
    solution, side = {}, {}
    for _ in range(2):
        began = time.process_time()
        path = fl.integrate(field, start, data, until=fl.time(1e9), max_steps=steps, rtol=RTOL, atol=ATOL)
        side["flowlab"] = (time.process_time() - began) / path.stats["steps"]
    x, y = jnp.asarray(data.x), jnp.asarray(data.y)

    def loss(w: Any) -> Any:
        return jnp.mean(jnp.exp(-y * jnp.ravel(jax.nn.relu(x @ w["W1"].T) ** 2 @ w["W2"].T)))

    descent = diffrax.ODETerm(lambda t, w, args: jax.tree.map(jnp.negative, jax.grad(loss)(w)))  # noqa: ARG005
    control = diffrax.PIDController(rtol=RTOL, atol=ATOL)
    run = jax.jit(
        lambda w: diffrax.diffeqsolve(
            descent, diffrax.Tsit5(), 0.0, 1e9, None, w, stepsize_controller=control, max_steps=steps, throw=False
        )
    )
    weights = {k: jnp.asarray(v) for k, v in start.weights().items()}
    for _ in range(2):
        began = time.process_time()
        solution = jax.block_until_ready(run(weights)).stats
        side["diffrax"] = (time.process_time() - began) / int(solution["num_accepted_steps"])
    return {"ratio": side["flowlab"] / side["diffrax"], "seconds_a_step": side["flowlab"], **memory()}


def late(width: int, d: int, n: int, log_t: float) -> dict[str, Any]:
    """A flow to late times."""
    problem, data, start = made(width, d, n)
    field, began = fl.lower(fl.derive(problem)), time.process_time()
    path = fl.integrate(field, start, data, until=fl.log_time(log_t), rtol=RTOL, atol=ATOL)
    told = {"outcome": path.outcome.kind, "log_t": float(path.dataset.log_t[-1]), "steps": path.stats["steps"]}
    return {**told, "seconds": time.process_time() - began, **memory()}


def memory() -> dict[str, float]:
    """Peak of this process in GB."""
    return {"gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


def apart(kind: str, case: tuple[int, int, int], end: float) -> dict[str, Any]:
    """A case in a process of its own."""
    words = [sys.executable, __file__, "--case", kind, *map(str, case), str(end)]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ, check=True)
    row = json.loads(done.stdout.splitlines()[-1])
    width, d, n = case
    return {"kind": kind, "weights": width * (d + 1), "n": n, **row}


def main(small: bool = False, whole: bool = False, plot: str | None = None) -> dict[str, Any]:
    """Print the table; returns its rows."""
    steps, end = (5, 30.0) if small else (20, 100.0)
    cases = [("early", case, steps) for case in ([SMALL] if small else EARLY)]
    cases += [("late", case, end) for case in ([SMALL] if small else LATE)]
    if whole:
        cases.append(("early", WHOLE, steps))
    rows = []
    print("kind    weights       N  beside diffrax   seconds      GB")
    for kind, case, last in cases:
        row = apart(kind, case, last)
        rows.append(row)
        beside = f"{row['ratio']:14.2f}" if kind == "early" else f"{row['outcome']:>14}"
        seconds = row["seconds_a_step"] if kind == "early" else row["seconds"]
        print(f"{kind:6} {row['weights']:8} {row['n']:7}  {beside} {seconds:9.3g} {row['gb']:7.2f}", flush=True)
    if plot:
        _plotted(rows, plot)
    print(json.dumps({"jax": jax.__version__, "diffrax": diffrax.__version__, "rows": rows}))
    return {"rows": rows}


def _plotted(rows: list[dict[str, Any]], file: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, kind, name, label in (
        (left, "early", "ratio", "step beside bare diffrax"),
        (right, "late", "gb", "peak memory to log t = 100 (GB)"),
    ):
        seen = [row for row in rows if row["kind"] == kind]
        axes.loglog([row["weights"] for row in seen], [row[name] for row in seen], "o-")
        axes.set(xlabel="weights", ylabel=label)
    figure.savefig(file, dpi=200)


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--small", action="store_true")
    words.add_argument("--whole", action="store_true")
    words.add_argument("--plot")
    words.add_argument("--case", nargs=5)
    asked = words.parse_args()
    if asked.case:
        kind, *sizes, last = asked.case
        width, d, n = map(int, sizes)
        print(json.dumps(early(width, d, n, int(float(last))) if kind == "early" else late(width, d, n, float(last))))
    else:
        main(asked.small, asked.whole, asked.plot)
