"""What following kinks costs beside the same without: one rate while nothing slides, by the number of weights, and a
whole flow on Iris with its plain crossings.

    python benchmarks/kink_costs.py

Figures are ratios of processor time, medians of pairs taken in turn in one run, after compilation. A crossing is
counted in steps: what the run took beyond its steps, by what a step of a run that meets no kink takes.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import equinox as eqx

import flowlab as fl
from flowlab.dynamics.kinks.tracker import Tracker

NET = fl.Network("W2 @ relu(W1 @ x)")
SIZES, SAMPLES = (10_000, 100_000, 400_000), 20


def busy(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the processor, and what came of them."""
    began = time.process_time()
    found = jax.block_until_ready(work())
    return time.process_time() - began, found


def pairs_of(first: Callable[[], Any], second: Callable[[], Any], count: int) -> np.ndarray:
    """Seconds of both in turn, (count, 2)."""
    for work in (first, second):
        work()
    return np.array([[busy(first)[0], busy(second)[0]] for _ in range(count)])


def rate(weights: int, repeats: int) -> dict[str, float]:
    """One compiled rate with kinks followed and nothing sliding against the plain one, of so many weights."""
    width = round(weights**0.5)
    rng, features = np.random.default_rng(0), weights // width - 1
    x = rng.normal(size=(SAMPLES, features))
    data, blocks = fl.Data(x, np.sign(x[:, 0] * x[:, 1])), {"W1": (width, features), "W2": (1, width)}
    start = fl.State.from_weights({w: rng.normal(size=s) / np.sqrt(s[-1]) for w, s in blocks.items()})
    field = fl.lower(fl.derive(fl.Problem(NET, coordinates="weights")))
    tracker = Tracker(field, data, field.pack(start))
    y, _ = tracker.begin(field.pack(start))
    compiled = eqx.filter_jit(lambda field, y, data: field.rate(0.0, y, data))
    taken = pairs_of(lambda: compiled(field, y, data), lambda: compiled(tracker.field, y, data), repeats)
    one, other = compiled(field, y, data), compiled(tracker.field, y, data)
    off = max(float(np.abs(np.asarray(one[w]) - np.asarray(other[w])).max()) for w in one)
    return {
        "weights": width * (features + 1),
        "pairs": tracker.pairs.count,
        "plain_ms": 1e3 * float(np.median(taken[:, 0])),
        "ratio": float(np.median(taken[:, 1] / taken[:, 0])),
        "disagreement": off,
    }


def iris(log_t: float, repeats: int) -> dict[str, float]:
    """The flow of `examples/iris.toml` with its kinks followed and ignored."""
    data = fl.load("iris:setosa", standardize=True)
    field = fl.lower(fl.derive(fl.Problem(NET, "exponential")))
    start = fl.initial_state(NET, data, widths={"W1": 16}, seed=0)

    def flow(kinks: str, log_t: float) -> fl.Trajectory:
        return fl.integrate(
            field, start, data, until=fl.log_time(log_t), solver="tsit5", rtol=1e-6, atol=1e-8, kinks=kinks
        )

    def compared(log_t: float) -> tuple[np.ndarray, float, fl.Trajectory]:
        """Seconds of both in turn; what a kink costs in steps of the run that ignores them; the run that follows."""
        followed, ignored = flow("events", log_t), flow("ignore", log_t)
        ways = "events", "ignore"
        taken = np.array([[busy(lambda k=k: flow(k, log_t).stats)[0] for k in ways] for _ in range(repeats)])
        step = np.median(taken[:, 1]) / _attempts(ignored)
        met = followed.stats["kinks"]["met"]
        return taken, float((np.median(taken[:, 0]) / step - _attempts(followed)) / max(met, 1)), followed

    taken, cost, followed = compared(log_t)
    rows = followed.dataset
    slides = rows["kink_log_t"].values[rows["kink_after"].values == 0]
    # Before anything slides all kinks are plain crossings.
    _, plain, before = compared(float(slides[0]) - 1e-3) if len(slides) else (taken, cost, followed)
    return {
        "kinks": followed.stats["kinks"]["met"],
        "followed_s": float(np.median(taken[:, 0])),
        "ratio": float(np.median(taken[:, 0] / taken[:, 1])),
        "steps_per_kink": cost,
        "plain": before.stats["kinks"]["met"],
        "steps_per_crossing": plain,
    }


def _attempts(path: fl.Trajectory) -> int:
    return path.stats["steps"] + path.stats["rejected"]


def main(small: bool = False) -> dict[str, Any]:
    """Print both tables, and return them."""
    rows = [rate(weights, 3 if small else 50) for weights in (SIZES[:1] if small else SIZES)]
    for row in rows:
        print(
            f"{row['weights']:7d} weights, {row['pairs']:6d} pairs: plain {row['plain_ms']:8.3f} ms, followed"
            f" {row['ratio']:.2f} x plain",
            flush=True,
        )
    flow = iris(1.0 if small else 6.0, 1 if small else 5)
    print(
        f"Iris, width 16, {flow['kinks']} kinks: followed {flow['followed_s']:.2f} s of the processor,"
        f" {flow['ratio']:.2f} x ignored; a kink costs {flow['steps_per_kink']:.1f} of the steps that ignore them, one"
        f" of the {flow['plain']} before any slide {flow['steps_per_crossing']:.1f}"
    )
    return {"rates": rows, "flow": flow}


if __name__ == "__main__":
    main()
