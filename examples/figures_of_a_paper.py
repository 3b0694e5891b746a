"""All figures of a paper on flows of norms and directions: results are computed and stored first, then drawn from what
is stored.

python examples/figures_of_a_paper.py
"""

import tempfile
from pathlib import Path

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np

import flowlab as fl

SCHEMES = {"gf": "gradient_flow", "lm": "lagrange", "wn": "weight_normalization"}
TRAP = fl.Data(np.array([[1.0, 0.25], [-1.0, 0.25]]), np.array([1.0, 1.0]), name="trap", kind="binary")
FIGURES = {
    "norms": ["deep"],
    "balance": ["deep"],
    "margins": ["deep"],
    "alignment": ["deep"],
    "direction_constant": ["linear_constants", "deep_constants"],
    "loss_constant": ["linear_constants", "deep_constants"],
    "schemes": list(SCHEMES),
    "portrait": ["portrait"],
    "spectrum": ["critical"],
    "path_and_flow": ["path_and_flow"],
    "neurons": ["neurons"],
    "events": ["relu"],
}


def compute(folder: Path, small: bool) -> None:
    """Everything that takes time, written to a folder."""
    late = 8.0 if small else 1e6
    line, plane = fl.load("gaussian?n=8&d=3&margin=0.2", seed=1), fl.load("gaussian?n=10&d=2&margin=0.2", seed=3)

    def flow(
        text: str, data: fl.Data, name: str, start: fl.State | None = None, widths: dict[str, int] | None = None
    ) -> fl.Trajectory:
        problem = fl.Problem(text, coordinates="weights")
        start = start or fl.initial_state(problem.network, data, widths=widths, seed=0)
        path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(late))
        fl.save(path, folder / f"{name}.nc")
        return path

    linear = flow("W1 @ x", line, "linear")
    deep = flow("W3 @ W2 @ W1 @ x", line, "deep", widths={"W1": 4, "W2": 4})
    for name, path in (("linear", linear), ("deep", deep)):
        fl.save(fl.convergence(path), folder / f"{name}_constants.nc")
    tree = fl.norm_path(linear.problem, line, norms=(0.3, 20.0 if small else 1e4))
    fl.save(fl.path_and_flow(tree, linear, rows=40 if small else 200), folder / "path_and_flow.nc")
    flow("W2 @ relu(W1 @ x)", plane, "relu", widths={"W1": 6})

    # One unit is off on both samples from the start, so that the flow ends below the largest margin.
    start = fl.State.from_weights({"W": np.array([[0.05, 1.0], [0.1, -1.0]]), "a": np.array([1.0, 1.0])})
    trapped = flow("a @ relu(W @ x)", TRAP, "trap", start)
    fl.save(fl.neurons(trapped, best=fl.max_margin("a @ relu(W @ x)", TRAP, widths={"W": 2})), folder / "neurons.nc")

    for name, scheme in SCHEMES.items():
        problem = fl.Problem("W2 @ W1 @ x", scheme=scheme)
        start = fl.initial_state(problem.network, line, widths={"W1": 3}, seed=0)
        until = [fl.log_norm(np.log(3.0 if small else 80.0)), fl.log_time(100.0)]
        fl.save(fl.integrate(fl.lower(fl.derive(problem)), start, line, until=until), folder / f"{name}.nc")

    product = fl.Problem("(W1 @ x) * (W2 @ x)")
    fl.save(
        fl.portrait(
            product,
            fl.load("gaussian?n=8&d=2&margin=0.2", seed=1),
            norm=6.0,
            grid=12 if small else 96,
            starts=8 if small else 24,
        ),
        folder / "portrait.nc",
    )
    fl.save(
        fl.critical_points(fl.Problem("W2 @ W1 @ x"), line, norm=20.0, widths={"W1": 3}, starts=4 if small else 24),
        folder / "critical.json",
    )


def main(small: bool = False, out: Path | None = None) -> dict[str, float]:
    """Compute, store, draw; returns how near constants came to their limits, and how far the trapped flow stayed below
    the largest margin.
    """
    out = out or Path(tempfile.mkdtemp(prefix="figures-"))
    stored = out / "results"
    stored.mkdir(parents=True, exist_ok=True)
    compute(stored, small)
    for figure, names in FIGURES.items():
        files = [stored / f"{name}.{'json' if name == 'critical' else 'nc'}" for name in names]
        drawn = fl.draw(figure, *fl.results(files))
        for kind in ("pdf",) if small else ("pdf", "svg", "png"):
            print(f"{figure:20s} {drawn.save(out / f'{figure}.{kind}')}")
    found = {}
    for name in ("linear", "deep"):
        (constants,) = (r.dataset for r in fl.results(stored / f"{name}_constants.nc"))
        found[f"{name} direction"] = float(constants["scaled"][-1] / constants["constant"] - 1.0)
        found[f"{name} loss"] = float(constants["rate"][-1] / constants["rate_limit"] - 1.0)
    (trap,) = (r.dataset for r in fl.results(stored / "neurons.nc"))
    found["trapped margin"], found["largest margin"] = float(trap["margin"][-1]), float(trap["best_margin"])
    for name, value in found.items():
        print(f"{name:18s} {value: .6g}")
    return found


if __name__ == "__main__":
    main()
