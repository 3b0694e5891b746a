"""Deep linear nets under the Bures-Wasserstein distance at the size of Bréchet et al. (2023): a 20 × 20 target with a
Zipf spectrum, 1 to 100 layers, four noises; seconds of derivation and of flow, the time at which the loss is 1e-4 above
its minimum, and gradient descent with their step at three depths.

python benchmarks/bures.py [--plot FILE.png]
"""

import argparse
import json
import math
import time
from pathlib import Path

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np

import flowlab as fl
from flowlab.core.provenance import versions

DEPTHS = (1, 7, *range(10, 101, 5))
NOISES = (0.0, 0.1, 0.5, 1.0)
DESCENTS = (1, 7, 30)
STEP, GAP, LEAST = 1e-5, 1e-4, 2.0
"""The step of descent, the distance from the minimum at which a run ends, and the smallest eigenvalue of the target."""


def zipf(n: int, rng: np.random.Generator) -> np.ndarray:
    """Eigenvalues S_1/i with noise, shifted to the least one."""
    drawn = np.sort(10.0 * n / np.arange(1, n + 1) / 2 + rng.normal(size=n))[::-1]
    return drawn - drawn[-1] + LEAST + 1.0 / n


def instance(n: int, tau: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A target, and a covariance so near to its minimum that sqrt(λ_min) > sqrt(L)."""
    rng = np.random.default_rng(seed)
    values, omega = zipf(n, rng), np.linalg.qr(rng.normal(size=(n, n)))[0]
    target = (omega * values) @ omega.T
    basis, scale = np.linalg.qr(rng.normal(size=(n, n)))[0], 10.95
    root = (omega * np.sqrt(values)) @ omega.T
    while True:
        added = scale * values[-1] * (2 - np.arange(1, n + 1) / n)
        sigma = target - tau * np.eye(n) + (basis * added) @ basis.T
        noisy = sigma + tau * np.eye(n)
        roots = np.sqrt(np.linalg.eigvalsh(root @ noisy @ root))
        if np.trace(noisy) + values.sum() - 2 * roots.sum() < values[-1]:
            return 0.5 * (target + target.T), 0.5 * (sigma + sigma.T)
        scale *= 0.95


def problem(depth: int) -> tuple[fl.Problem, fl.Expr]:
    """With the noise as a constant of the data, so that one compiled program serves all of them."""
    P = fl.weight("W1")
    for i in range(2, depth + 1):
        P = fl.weight(f"W{i}") @ P
    noisy = P @ P.T + fl.constant("tau", ()) * fl.eye
    return fl.Problem(fl.bures(noisy, fl.constant("S0")), "value"), P


def one(depth: int, tau: float, n: int, rtol: float = 1e-8) -> dict:
    """One flow of the covariance, to the gap."""
    target, sigma = instance(n, tau, seed=0)
    began = time.perf_counter()
    told, P = problem(depth)
    flow = fl.end_to_end(told, P @ P.T)
    derived = time.perf_counter()
    start = fl.State.from_weights({"Sigma": sigma})
    until = [fl.value_below(GAP), fl.time(3.0)]
    path = fl.integrate(fl.lower(flow), start, fl.Data(S0=target, tau=tau), until=until, rtol=rtol, atol=1e-10)
    L = path.dataset["objective"].values
    return {
        "layers": depth,
        "tau": tau,
        "derive": derived - began,
        "flow": time.perf_counter() - derived,
        "time": float(np.exp(path.dataset["log_t"].values[-1])),
        "loss": float(L[-1]),
        "residual": flow.residual,
        "curve": [np.exp(path.dataset["log_t"].values).tolist(), L.tolist()],
    }


def descent(depth: int, tau: float, n: int, end: float, step: float) -> dict:
    """Gradient descent of all layers to the time at which the flow ended."""
    target, sigma = instance(n, tau, seed=0)
    told, _ = problem(depth)
    values, basis = np.linalg.eigh(sigma)
    start = fl.balanced_state(told, product=(basis * np.sqrt(values)) @ basis.T)
    count = math.ceil(end / step)
    began = time.perf_counter()
    walk = fl.descend(
        told, start, fl.Data(S0=target, tau=tau), step=step, count=count, record_every=max(1, count // 200)
    )
    curve = [np.exp(walk.dataset["log_t"].values).tolist(), walk.dataset["objective"].values.tolist()]
    return {"layers": depth, "tau": tau, "steps": count, "seconds": time.perf_counter() - began, "curve": curve}


def main(small: bool = False, plot: Path | None = None) -> dict:
    n, depths, noises, descents, step = 20, DEPTHS, NOISES, DESCENTS, STEP
    if small:
        n, depths, noises, descents, step = 5, (1, 7), (0.0, 0.5), (7,), 1e-3
    began, busy = time.perf_counter(), time.process_time()
    print("layers   tau   derive     flow   time to the gap        loss")
    rows = []
    for depth in depths:
        for tau in noises:
            rows.append(one(depth, tau, n))
            r = rows[-1]
            print(f"{depth:6} {tau:5} {r['derive']:7.2f}s {r['flow']:7.2f}s {r['time']:17.5f} {r['loss']:11.2e}")
    print("layers   tau     steps   seconds   loss at the end over that of the flow")
    walks = []
    for depth in descents:
        tau = noises[-1] if small else 0.5
        flow = next(r for r in rows if r["layers"] == depth and r["tau"] == tau)
        walks.append(descent(depth, tau, n, flow["time"], step))
        w = walks[-1]
        w["ratio"] = w["curve"][1][-1] / flow["loss"]
        print(f"{depth:6} {tau:5} {w['steps']:9} {w['seconds']:8.1f}s {w['ratio']:10.6f}")
    print(f"{time.perf_counter() - began:.0f} seconds in all, {time.process_time() - busy:.0f} of processor time")
    shown = [{k: v for k, v in row.items() if k != "curve"} for row in rows + walks]
    print(json.dumps({"rows": shown, "versions": versions()}))
    if plot is not None:
        draw(rows, walks, plot)
    return {"rows": rows, "descents": walks}


def draw(rows: list[dict], walks: list[dict], file: Path) -> None:
    """Losses of flows and descents over time, one panel for every noise."""
    from matplotlib.figure import Figure

    noises = sorted({r["tau"] for r in rows})
    canvas = Figure(figsize=(3.2 * len(noises), 3.0), layout="constrained")
    for ax, tau in zip(np.atleast_1d(canvas.subplots(1, len(noises), sharey=True)), noises, strict=True):
        for r in (r for r in rows if r["tau"] == tau and r["layers"] in (1, 7, 10, 30, 100)):
            ax.loglog(r["curve"][0][1:], r["curve"][1][1:], label=f"{r['layers']} layers")
        for w in (w for w in walks if w["tau"] == tau):
            ax.loglog(w["curve"][0][1:], w["curve"][1][1:], "k:", linewidth=1.0)
        ax.set_title(f"tau = {tau:g}")
        ax.set_xlabel("t")
        ax.legend(fontsize=6)
    canvas.axes[0].set_ylabel("loss")
    canvas.savefig(file, dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="rehearse in seconds")
    parser.add_argument("--plot", type=Path, help="file for the figure")
    told = parser.parse_args()
    main(told.small, told.plot)
