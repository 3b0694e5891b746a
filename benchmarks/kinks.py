"""ReLU nets from initialisation through separation to late times: seconds, kinks, slides, drift of the balance of
units.

    python benchmarks/kinks.py [log t ...]

Ten seeds of two layers, N = 20, d = 5, width 16, exponential loss, labels of the kind of XOR, weights balanced to begin
with; one compilation before. Then the same with three layers, and with N = 100 and width 64, to log t = 1e3, and how
far descent is from the flow.

Seconds are of the processor too, which is what a run costs on a machine that has more to do.
"""

import sys
import time
from typing import Any

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import flowlab as fl

_WALL, _RTOL = 600, 1e-8
TWO, THREE = "W2 @ relu(W1 @ x)", "W3 @ relu(W2 @ relu(W1 @ x))"


def made(text: str, seed: int, n: int, width: int, scale: float = 1.0, reduction: str = "sum") -> tuple[Any, Any, Any]:
    """Field, start and data."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5))
    data, net = fl.Data(x, np.sign(x[:, 0] * x[:, 1])), fl.Network(text)
    blocks = net.resolve(5, 1, dict.fromkeys(net.weights[:-1], width))
    weights = {w: scale * rng.normal(size=shape) / np.sqrt(shape[-1]) for w, shape in blocks.items()}
    if text == TWO:
        weights["W2"] = np.sign(weights["W2"]) * np.linalg.norm(weights["W1"], axis=1)[None]
    return (
        fl.lower(fl.derive(fl.Problem(net, coordinates="weights", reduction=reduction))),
        fl.State.from_weights(weights),
        data,
    )


def report(text: str, seed: int, n: int, width: int, log_t: float) -> str:
    """One run as a line."""
    field, start, data = made(text, seed, n, width)
    began, busy = time.perf_counter(), time.process_time()
    path = fl.integrate(field, start, data, until=fl.log_time(log_t), wall_seconds=_WALL, rtol=_RTOL, atol=1e-2 * _RTOL)
    seconds, busy, ds = time.perf_counter() - began, time.process_time() - busy, path.dataset
    into = int(((ds["kink_after"] == 0) & (ds["kink_before"] != 0)).sum())
    w, w0 = path.last.weights(), start.weights()
    first, last = path.problem.network.weights[:2]

    def balance(v: Any) -> np.ndarray:
        return (np.asarray(v[last]) ** 2).sum(axis=0) - (np.asarray(v[first]) ** 2).sum(axis=1)

    drift, size = np.abs(balance(w) - balance(w0)).max(), sum(float((np.asarray(v) ** 2).sum()) for v in w.values())
    fine = all(monitor["holds"] for monitor in path.monitors.values())
    reached = (
        f"{seed:4d}  {path.outcome.kind:9s} log t {float(ds['log_t'][-1]):9.4g}  {seconds:6.1f} s ({busy:6.1f} busy) "
        f" steps {path.stats['steps']:5d}"
    )
    met = f"kinks {len(ds['kink_log_t']):4d}  into slides {into:3d}  sliding {int((ds['pair_last'] == 0).sum()):3d}"
    return (
        f"{reached}  {met}  drift {drift:.1e} ({drift / size:.1e} of |theta|^2)  monitors {'hold' if fine else 'FAIL'}"
    )


def descents(text: str, seed: int, n: int, width: int) -> str:
    """How far descent on the mean loss, from half the weights, is from the flow at t = 5, in any weight, by its step.

    On the sum over a hundred samples, or from whole weights, whose outputs are about ten, steps of 1e-3 are beyond what
    is stable.
    """
    field, start, data = made(text, seed, n, width, 0.5, "mean")
    path, off = fl.integrate(field, start, data, until=fl.time(5.0)), []
    for step in (1e-3, 5e-4, 2.5e-4):
        walk = fl.descend(field.problem, start, data, step=step, count=round(5.0 / step)).last.weights()
        off.append(
            max(float(np.abs(np.asarray(w) - np.asarray(walk[k])).max()) for k, w in path.last.weights().items())
        )
    told = ", ".join(f"{v:.3g}" for v in off)
    return (
        f"{seed:4d}  mean loss: descent at steps 1e-3, 5e-4, 2.5e-4 is off by {told} at t = 5, after"
        f" {len(path.dataset['kink_log_t'])} kinks"
    )


def main() -> None:
    """Print the tables."""
    ends = [float(v) for v in sys.argv[1:]] or [1e4, 1e6]
    for log_t in ends:
        print(f"two layers, N = 20, width 16, to log t = {log_t:g}")
        report(TWO, 99, 20, 16, log_t)
        for seed in range(10):
            print(report(TWO, seed, 20, 16, log_t), flush=True)
    for text, n, width in ((THREE, 20, 16), (TWO, 100, 64)):
        print(f"{text}, N = {n}, width {width}, to log t = 1000")
        for seed in range(3):
            print(report(text, seed, n, width, 1e3), flush=True)
            print(descents(text, seed, n, width), flush=True)


if __name__ == "__main__":
    main()
