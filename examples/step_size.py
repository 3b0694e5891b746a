"""What a finite step does to gradient descent: Iris, a tanh net, square loss, at the edge of stability and below it.

python examples/step_size.py
"""

from pathlib import Path

import jax

jax.config.update("jax_enable_x64", True)

import flowlab as fl


def main(small: bool = False, out: Path | None = None) -> dict[str, float]:
    """Orders of two flows, then four models at the edge; returns the orders, and distances from averaged
    descent there.
    """
    data = fl.load("iris:versicolor", standardize=True)
    problem = fl.Problem("W2 @ tanh(W1 @ x)", loss="square", reduction="mean")
    start = fl.initial_state(problem.network, data, widths={"W1": 8}, seed=0)
    orders = fl.step_order(problem, start, data, time=2.0, steps=(0.1, 0.05, 0.025, 0.0125)[: 3 if small else 4])
    print(orders, fl.one_step(problem, start, data, 0.1), sep="\n\n", end="\n\n")

    # Past the first, fast phase: there every step size differs from every flow.
    later = fl.descend(problem, start, data, step=0.01, count=3000)
    step = 0.95 * 2.0 / float(fl.sharpness(later, rows=2).eigenvalue[-1, 0])
    found = fl.models(
        problem, later.last, data, step=step, time=(80 if small else 300) * step, rows=17 if small else 61, window=20
    )
    print(found)
    if out is not None:
        for name in ("models", "models_sharpness", "models_distance"):
            fl.draw(name, found).save(out / f"{name}.pdf")
    away = found.dataset["distance_averaged"].isel(time=slice(-5, None)).mean("time")
    return {f"order of {k}": v for k, v in orders.orders.items()} | {
        k: float(away.sel(model=k)) for k in ("flow", "modified", "central")
    }


if __name__ == "__main__":
    main()
