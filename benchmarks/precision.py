"""Work and precision on smooth flows at short horizons, and what one short run costs besides its steps.

    python benchmarks/precision.py [--plot FILE.png]

Work-precision: tanh network of 16 weights, 10 samples, exponential loss, to t = 20; error of the weights at the end
against SciPy's DOP853 at 3e-14, warm seconds, for flowlab's four solvers, SciPy's DOP853, heyoka (Taylor series
compiled by LLVM) and torchdiffeq, where these are installed.

Overhead: a squared ReLU net of 40 weights under the exponential loss to t = 1e12, flowlab's whole `integrate` with its
checks, rows and monitors beside diffrax's bare `diffeqsolve` of the gradient by autodiff, at equal tolerances.
"""

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
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

HORIZON, WIDTH, TOLERANCES = 20.0, 4, (1e-4, 1e-6, 1e-8, 1e-10, 1e-12)
Run = Callable[[], np.ndarray]


def instance(seed: int = 2) -> tuple[Any, fl.State, fl.Data]:
    """f = W2 tanh(W1 x), W1 (4, 3), W2 (1, 4)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(10, 3))
    data = fl.Data(x, np.sign(x @ rng.normal(size=3)))
    field = fl.lower(fl.derive(fl.Problem("W2 @ tanh(W1 @ x)", loss="exponential", coordinates="weights")))
    return field, fl.initial_state("W2 @ tanh(W1 @ x)", data, widths={"W1": WIDTH}, seed=seed), data


def sides(field: Any, start: fl.State, data: fl.Data) -> dict[str, Callable[[float], Run]]:
    """For every side, from a tolerance to a run that returns flat weights at the end."""
    y0, restore = ravel_pytree(field.pack(start))
    rate = jax.jit(lambda v: ravel_pytree(field.rate(0.0, restore(v), data))[0])
    begin, x, y = np.asarray(y0), np.asarray(data.x), np.asarray(data.y)

    def ours(solver: str) -> Callable[[float], Run]:
        def at(tolerance: float) -> Run:
            def run() -> np.ndarray:
                path = fl.integrate(
                    field, start, data, until=fl.time(HORIZON), solver=solver, rtol=tolerance, atol=tolerance
                )
                return np.asarray(ravel_pytree(field.pack(path.last))[0])

            return run

        return at

    def dop853(tolerance: float) -> Run:
        return lambda: solve_ivp(
            lambda _, v: np.asarray(rate(v)), (0.0, HORIZON), begin, method="DOP853", rtol=tolerance, atol=tolerance
        ).y[:, -1]

    found = {f"flowlab {solver}": ours(solver) for solver in ("tsit5", "dopri8", "kvaerno5", "rodas5p")} | {
        "SciPy DOP853": dop853
    }
    try:
        import heyoka as hy

        names = hy.make_vars(*[f"v{i}" for i in range(begin.size)])
        W1, W2 = (
            np.array([names[i] for i in part], dtype=object) for part in np.split(np.arange(begin.size), [WIDTH * 3])
        )
        hidden = np.vectorize(hy.tanh, otypes=[object])(W1.reshape(WIDTH, 3) @ x.T)
        loss = hy.sum([hy.exp(-float(t) * f) for f, t in zip(W2 @ hidden, y, strict=True)])
        pull = hy.diff_tensors([loss], names, diff_order=1).gradient
        system = [(name, -slope) for name, slope in zip(names, pull, strict=True)]

        def taylor(tolerance: float) -> Run:
            stepper = hy.taylor_adaptive(system, begin.tolist(), tol=max(tolerance, 2e-16))

            def run() -> np.ndarray:
                stepper.time, stepper.state[:] = 0.0, begin
                stepper.propagate_until(HORIZON)
                return stepper.state.copy()

            return run

        found["heyoka"] = taylor
    except ImportError:
        pass
    try:
        import torch
        from torchdiffeq import odeint

        xt, yt, start_t = torch.tensor(x), torch.tensor(y), torch.tensor(begin)

        def flow(_: Any, v: Any) -> Any:
            W1, W2 = v[: WIDTH * 3].reshape(WIDTH, 3), v[WIDTH * 3 :]
            a = torch.tanh(xt @ W1.T)
            w = yt * torch.exp(-yt * (a @ W2))
            return torch.cat([(((w[:, None] * W2) * (1 - a * a)).T @ xt).ravel(), a.T @ w])

        def torchdiffeq(method: str) -> Callable[[float], Run]:
            span = torch.tensor([0.0, HORIZON], dtype=torch.float64)
            return lambda tolerance: (
                lambda: odeint(flow, start_t, span, rtol=tolerance, atol=tolerance, method=method)[-1].numpy()
            )

        found |= {f"torchdiffeq {method}": torchdiffeq(method) for method in ("dopri5", "dopri8")}
    except ImportError:
        pass
    return found


def least(run: Callable[[], Any], repeats: int) -> float:
    """Least warm seconds."""
    run()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def overhead(repeats: int) -> dict[str, Any]:
    """One short run by flowlab and by diffrax alone, interleaved."""
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(20, 4)), rng.normal(size=4)
    x = x[np.abs(x @ w) > 0.3]
    data, v = fl.Data(x, np.sign(x @ w)), rng.normal(size=40) * 0.3
    field = fl.lower(fl.derive(fl.Problem("W2 @ relu(W1 @ x)**2", loss="exponential", coordinates="weights")))
    start = fl.State.from_weights({"W1": v[:32].reshape(8, 4), "W2": v[None, 32:]})
    settings: dict[str, Any] = {"solver": "tsit5", "rtol": 1e-6, "atol": 1e-8}

    def loss(p: dict[str, jax.Array], data: fl.Data) -> jax.Array:
        return jnp.sum(jnp.exp(-data.y * (jnp.maximum(data.x @ p["W1"].T, 0.0) ** 2 @ p["W2"][0])))

    term = diffrax.ODETerm(lambda _, p, data: jax.tree.map(jnp.negative, jax.grad(loss)(p, data)))
    control = diffrax.PIDController(rtol=1e-6, atol=1e-8, pcoeff=0.3, icoeff=0.4)

    @jax.jit
    def bare(p: Any, data: fl.Data) -> Any:
        return diffrax.diffeqsolve(
            term, diffrax.Tsit5(), 0.0, 1e12, None, p, args=data, stepsize_controller=control, max_steps=4096
        ).ys

    def whole() -> fl.State:
        return fl.integrate(field, start, data, until=fl.time(1e12), **settings).last

    p0 = field.pack(start)
    want = fl.integrate(field, start, data, until=fl.time(1e12), solver="dopri8", rtol=1e-13, atol=1e-13).last.weights()
    ends = {"flowlab": whole().weights(), "diffrax": jax.tree.map(lambda leaf: leaf[-1], bare(p0, data))}
    error = {side: max(float(jnp.abs(end[k] - want[k]).max()) for k in want) for side, end in ends.items()}
    seconds: dict[str, list[float]] = {"flowlab": [], "diffrax": []}
    for _ in range(repeats):
        for side, run in (("flowlab", whole), ("diffrax", lambda: jax.block_until_ready(bare(p0, data)))):
            began = time.perf_counter()
            run()
            seconds[side].append(time.perf_counter() - began)
    return {
        side: {"least_ms": 1e3 * min(t), "median_ms": 1e3 * float(np.median(t)), "error": error[side]}
        for side, t in seconds.items()
    }


def main(small: bool = False) -> dict[str, Any]:
    """Measure; `small` is a rehearsal at two tolerances."""
    field, start, data = instance()
    y0, restore = ravel_pytree(field.pack(start))
    rate = jax.jit(lambda v: ravel_pytree(field.rate(0.0, restore(v), data))[0])
    want = solve_ivp(
        lambda _, v: np.asarray(rate(v)), (0.0, HORIZON), np.asarray(y0), method="DOP853", rtol=3e-14, atol=1e-15
    ).y[:, -1]
    rows = []
    for side, at in sides(field, start, data).items():
        for tolerance in (1e-6, 1e-10) if small else TOLERANCES:
            run = at(tolerance)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                error = float(np.abs(run() - want).max())
                rows.append(
                    {"side": side, "tolerance": tolerance, "seconds": least(run, 1 if small else 7), "error": error}
                )
    return {"rows": rows, "overhead": overhead(3 if small else 100), "versions": versions(), "cores": os.cpu_count()}


def plot(result: dict[str, Any], path: Path) -> None:
    """Seconds over error."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6.6, 3.8), layout="constrained")
    for marker, side in zip("osv^DxP*", dict.fromkeys(row["side"] for row in result["rows"]), strict=False):
        points = [(row["error"], row["seconds"]) for row in result["rows"] if row["side"] == side]
        axis.loglog(*zip(*points, strict=True), marker=marker, ms=4, lw=1, label=side)
    axis.invert_xaxis()
    axis.set(xlabel="largest error of a weight at t = 20", ylabel="warm seconds")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--plot", type=Path)
    asked = parser.parse_args()
    result = main(asked.small)
    print(f"{'side':20} {'tolerance':>9} {'ms':>9} {'error':>9}")
    for row in result["rows"]:
        print(f"{row['side']:20} {row['tolerance']:9.0e} {1e3 * row['seconds']:9.3f} {row['error']:9.1e}")
    print("\none short run, 40 weights to t = 1e12")
    for side, told in result["overhead"].items():
        print(
            f"{side:20} least {told['least_ms']:7.2f} ms   median {told['median_ms']:7.2f} ms   error"
            f" {told['error']:.1e}"
        )
    if asked.plot:
        plot(result, asked.plot)
    print(json.dumps(result))
