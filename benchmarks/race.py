"""The race to the margin: relative margin gap against seconds, side by side, after compilation.

    python benchmarks/race.py [--plot FILE.png]

Exponential loss, separable samples. Sides: flowlab in its late clocks; gradient descent with steps scaled by the loss
and, at degree K > 1, the norm, θ ← θ - η ∇L/(L ‖θ‖^{2K-2}), compiled (Lyu and Li 2020 choose steps so); and the same
flow in ordinary time by SciPy's Radau and LSODA and by stock diffrax (Kvaerno5, Tsit5), each sent to later and later
horizons until the seconds are used up or it gives up. The gap is 1 - γ(V)/γ*, with γ* the margin of the KKT point that
`fl.limit` polishes the flow to, which for the linear net is the hard-margin support vector machine. Descent may go to
another KKT point than the flow; then its gap does not close.
"""

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import diffrax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.integrate import solve_ivp

import flowlab as fl
from flowlab.core.provenance import versions

NETS = {
    "linear": ("W1 @ x", {}, 20, 5),
    "deep linear": ("W2 @ W1 @ x", {"W1": 5}, 30, 8),
    "squared ReLU": ("W2 @ relu(W1 @ x)**2", {"W1": 4}, 20, 5),
}
Points = list[tuple[float, float, float]]
"""Seconds, gap, log t."""


def samples(n: int, d: int, seed: int) -> fl.Data:
    """Separable Gaussian samples with labels ±1."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(n, d)), rng.normal(size=d)
    y = np.sign(x @ w)
    return fl.Data(x + 0.3 * np.outer(y, w) / np.linalg.norm(w), y)


class Course:
    """A net, its start, and how far a state is from the finish."""

    def __init__(self, name: str, seed: int) -> None:
        text, widths, n, d = NETS[name]
        self.data = samples(n, d, seed)
        self.problem = fl.Problem(text, loss="exponential", coordinates="weights")
        self.field = fl.lower(fl.derive(self.problem))
        self.start = fl.initial_state(text, self.data, widths=widths, seed=seed)
        self.y0, self.restore = ravel_pytree(self.field.pack(self.start))
        limit = fl.limit(fl.integrate(self.field, self.start, self.data, until=fl.log_time(1e6)))
        self.best, self.decided = float(limit.joint_margin), bool(limit.decided)
        self.rate = jax.jit(lambda v: ravel_pytree(self.field.rate(0.0, self.restore(v), self.data))[0])
        self.slope = jax.jit(jax.jacfwd(self.rate))

    def gap(self, v: Any) -> float:
        """1 - γ/γ* of flat weights, γ the least margin over the joint norm to the degree."""
        weights = jax.tree.map(np.asarray, self.restore(jnp.asarray(v)))
        degree = float(self.problem.network.symmetry.joint_degree or 1)
        margins = self.problem.loss.margins(
            np, self.problem.network.outputs(weights, np.asarray(self.data.x), np), np.asarray(self.data.y)
        )
        return 1.0 - float(margins.min()) / float(np.linalg.norm(np.asarray(v))) ** degree / self.best


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the second call, so that compilation is left out."""
    run()
    began = time.perf_counter()
    out = run()
    return time.perf_counter() - began, out


def flowlab(course: Course, budget: float) -> tuple[Points, str]:
    """Runs to later and later horizons."""
    points: Points = []
    for log_t in 10.0 ** np.arange(0.5, 9.01, 0.5):
        seconds, path = timed(
            lambda log_t=log_t: fl.integrate(course.field, course.start, course.data, until=fl.log_time(float(log_t)))
        )
        if not path.outcome.ok:
            return points, path.outcome.kind
        points.append((seconds, course.gap(ravel_pytree(course.field.pack(path.last))[0]), float(log_t)))
        if seconds > budget:
            break
    return points, "log t = 1e9"


def descent(course: Course, budget: float) -> tuple[Points, str]:
    """Loss-scaled steps with the largest η of a few for which the loss falls throughout."""
    power = float(course.problem.network.symmetry.joint_degree or 1) - 1.0

    def loss(v: jax.Array) -> jax.Array:
        return course.problem.log_loss(course.restore(v), course.data, jnp)

    def going(rate: float) -> Callable[[jax.Array], tuple[jax.Array, jax.Array]]:
        @jax.jit
        def chunk(v: jax.Array) -> tuple[jax.Array, jax.Array]:
            def step(v: jax.Array, _: Any) -> tuple[jax.Array, jax.Array]:
                value, slope = jax.value_and_grad(loss)(v)  # of log L: the loss-scaled step
                return v - rate * slope / jnp.sum(v * v) ** power, value

            v, values = jax.lax.scan(step, v, None, length=2_000)
            return v, jnp.all(jnp.diff(values) <= 0)

        return chunk

    for rate in (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001):
        chunk, v, points, monotone, spent = going(rate), course.y0, [], True, 0.0
        chunk(v)
        while spent < budget and monotone:
            began = time.perf_counter()
            v, falls = jax.block_until_ready(chunk(v))
            spent += time.perf_counter() - began
            monotone = bool(falls)
            points.append((spent, course.gap(v), float("nan")))
        if monotone:
            return points, f"time is up, step {rate}"
    return [], "no step of those tried lets the loss fall"


def horizons() -> Iterator[float]:
    """Ends in log t for methods in ordinary time."""
    yield from (
        1.0,
        2.0,
        4.0,
        6.0,
        8.0,
        11.0,
        15.0,
        20.0,
        27.0,
        36.0,
        50.0,
        70.0,
        100.0,
        150.0,
        220.0,
        320.0,
        460.0,
        690.0,
    )


def ordinary(
    course: Course, budget: float, run: Callable[[float], tuple[np.ndarray | None, str]]
) -> tuple[Points, str]:
    """Runs in ordinary time to later and later ends."""
    points: Points = []
    for log_t in horizons():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run(log_t)
            began = time.perf_counter()
            end, why = run(log_t)
        seconds = time.perf_counter() - began
        if end is None:
            return points, f"{why} before log t = {log_t:g}"
        points.append((seconds, course.gap(end), log_t))
        if seconds > budget:
            return points, f"time is up at log t = {log_t:g}"
    return points, "log t = 690, where t leaves float64"


def scipy(course: Course, method: str, limit: float) -> Callable[[float], tuple[np.ndarray | None, str]]:
    """One run of SciPy, ended when its seconds are used up."""

    def run(log_t: float) -> tuple[np.ndarray | None, str]:
        began = time.perf_counter()

        def rate(_: float, v: np.ndarray) -> np.ndarray:
            if time.perf_counter() - began > limit:
                raise TimeoutError
            return np.asarray(course.rate(v))

        more: Any = {} if method == "LSODA" else {"jac": lambda _, v: np.asarray(course.slope(v))}
        try:
            out = solve_ivp(
                rate, (0.0, float(np.exp(log_t))), np.asarray(course.y0), method=method, rtol=1e-8, atol=1e-10, **more
            )
        except TimeoutError:
            return None, f"{limit:g} s are used up"
        except (ValueError, FloatingPointError) as error:
            return None, type(error).__name__
        return (out.y[:, -1], "") if out.success and np.isfinite(out.y[:, -1]).all() else (None, "gives up")

    return run


def stock(course: Course, solver: diffrax.AbstractSolver) -> Callable[[float], tuple[np.ndarray | None, str]]:
    """One run of diffrax."""
    term, control = diffrax.ODETerm(lambda _, v, __: course.rate(v)), diffrax.PIDController(rtol=1e-8, atol=1e-10)

    @jax.jit
    def go(v: jax.Array, end: jax.Array) -> tuple[jax.Array, jax.Array]:
        out = diffrax.diffeqsolve(
            term, solver, 0.0, end, None, v, stepsize_controller=control, max_steps=20_000, throw=False
        )
        assert out.ys is not None
        return out.ys[-1], out.result == diffrax.RESULTS.successful

    def run(log_t: float) -> tuple[np.ndarray | None, str]:
        end, good = go(course.y0, jnp.asarray(np.exp(log_t)))
        return (np.asarray(end), "") if bool(good) else (None, "20,000 steps are used up")

    return run


def main(small: bool = False, seed: int = 5) -> dict[str, Any]:
    """Measure; `small` is a rehearsal: one net and half a second for each side."""
    budget = 0.5 if small else 10.0
    rows = []
    for name in ("linear",) if small else tuple(NETS):
        course = Course(name, seed)
        sides: dict[str, Callable[[], tuple[Points, str]]] = {
            "flowlab": lambda c=course: flowlab(c, budget),
            "loss-scaled descent": lambda c=course: descent(c, budget),
            "SciPy Radau": lambda c=course: ordinary(c, budget, scipy(c, "Radau", budget)),
            "SciPy LSODA": lambda c=course: ordinary(c, budget, scipy(c, "LSODA", budget)),
            "diffrax Kvaerno5": lambda c=course: ordinary(c, budget, stock(c, diffrax.Kvaerno5())),
            "diffrax Tsit5": lambda c=course: ordinary(c, budget, stock(c, diffrax.Tsit5())),
        }
        for side, race in sides.items():
            points, ended = race()
            rows.append(
                {
                    "net": name,
                    "side": side,
                    "points": points,
                    "ended": ended,
                    "margin": course.best,
                    "decided": course.decided,
                }
            )
    return {"rows": rows, "versions": versions(), "cores": os.cpu_count(), "seed": seed}


def gap_within(points: Points, seconds: float) -> float:
    """The smallest gap that was reached within some seconds; nan if none was."""
    reached = [gap for took, gap, _ in points if took <= seconds]
    return min(reached, default=float("nan"))


def plot(result: dict[str, Any], path: Path) -> None:
    """Gap over seconds, a panel for each net."""
    import matplotlib.pyplot as plt

    nets = list(dict.fromkeys(row["net"] for row in result["rows"]))
    figure, axes = plt.subplots(
        1, len(nets), figsize=(4.2 * len(nets), 3.6), sharey=True, layout="constrained", squeeze=False
    )
    for axis, net in zip(axes[0], nets, strict=True):
        for marker, row in zip("osv^Dx", [row for row in result["rows"] if row["net"] == net], strict=False):
            shown = sorted((took, max(gap, 1e-16)) for took, gap, _ in row["points"] if np.isfinite(gap))
            best = np.minimum.accumulate([gap for _, gap in shown]) if shown else []
            axis.loglog(
                [took for took, _ in shown],
                best,
                marker=marker,
                markevery=max(1, len(best) // 15),
                ms=3,
                lw=1,
                label=row["side"],
            )
        axis.set(title=net, xlabel="seconds, after compilation")
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("relative margin gap 1 - γ/γ*")
    axes[0][-1].legend(fontsize=7)
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--plot", type=Path)
    asked = parser.parse_args()
    result = main(asked.small)
    print(f"{'net':13} {'side':20} {'gap in 0.1 s':>12} {'in 1 s':>9} {'in 10 s':>9} {'log t':>9}  ended by")
    for row in result["rows"]:
        gaps = [gap_within(row["points"], seconds) for seconds in (0.1, 1.0, 10.0)]
        last = row["points"][-1][2] if row["points"] else float("nan")
        print(
            f"{row['net']:13} {row['side']:20} {gaps[0]:12.1e} {gaps[1]:9.1e} {gaps[2]:9.1e} {last:9.2g} "
            f" {row['ended']}"
        )
    if asked.plot:
        plot(result, asked.plot)
    print(json.dumps(result))
