"""At the edge of stability on real data: how far the flows are from averaged descent, where its sharpness hovers, and
what each costs.

python benchmarks/edge.py
"""

import time

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np

import flowlab as fl
from flowlab.discrete.descent.sharpness import Curvature
from flowlab.studies.descent_models import models

CASES = [
    # data, every which sample, width, time before, step in units of 2/sharpness there, steps
    ("iris:versicolor", 1, 8, 30.0, 0.95, 300),
    ("iris:versicolor", 1, 24, 30.0, 0.95, 300),
    ("digits:3v8", 4, 5, 10.0, 0.97, 1000),
]


def main(small: bool = False) -> list[dict]:
    print(
        "data              P   step   steps   sharpness·η/2 (second half)     distance from averaged descent (second"
        " half)   seconds"
    )
    print(
        "                                     descent        flow   central   flow      modified  central  "
        " flow/central"
    )
    rows = []
    for spec, every, width, warm, below, count in CASES[:1] if small else CASES:
        data = fl.load(spec, standardize=True)
        data = fl.Data(np.asarray(data.x)[::every], np.asarray(data.y)[::every])
        problem = fl.Problem("W2 @ tanh(W1 @ x)", loss="square", reduction="mean")
        start = fl.initial_state(problem.network, data, widths={"W1": width}, seed=0)
        start = fl.descend(problem, start, data, step=0.005, count=round(warm / 0.005), record_every=100_000).last
        curvature = Curvature(problem, data, start.weights())
        step = below * 2 / float(curvature.top(curvature.row(start.weights()))[0][0])
        count = count // 3 if small else count
        began = time.perf_counter()
        found = models(problem, start, data, step=step, time=count * step, rows=41, window=20)
        took = time.perf_counter() - began
        late = found.dataset.isel(time=slice(21, None))
        sharp, apart = late.sharpness * step / 2, late.distance_averaged.mean("time")
        away = {name: float(apart.sel(model=name)) for name in ("flow", "modified", "central")}
        descent = sharp.sel(model="discrete")
        rows.append({"data": spec, "weights": curvature.size, "mean": float(descent.mean()), "seconds": took} | away)
        others = "  ".join(f"{float(sharp.sel(model=name).mean()):5.3f}" for name in ("flow", "central"))
        told = f"{float(descent.mean()):.3f} ± {float(descent.std()):.3f}  {others}"
        gaps = "  ".join(f"{v:.5f} " for v in away.values())
        print(
            f"{spec:15} {curvature.size:4} {step:6.3f} {count:6}   {told}     {gaps} "
            f" {away['flow'] / away['central']:5.1f} {took:16.1f}"
        )
    return rows


if __name__ == "__main__":
    main()
