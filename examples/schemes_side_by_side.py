"""Gradient flow, Lagrange flow and exponential weight normalisation from one start: equal directions at first order,
unequal clocks.

python examples/schemes_side_by_side.py
"""

from pathlib import Path

import jax

jax.config.update("jax_enable_x64", True)

import flowlab as fl

SCHEMES = ("gradient_flow", "lagrange", "exponential_weight_normalization")


def main(small: bool = False, out: Path | None = None) -> dict[str, float]:
    """Breast cancer (a dozen points, if small), a two-layer ReLU net; returns the margin that each scheme has reached
    at the same time.
    """
    data = fl.load("gaussian?n=12&d=3&margin=0.2" if small else "breast_cancer", standardize=True)
    margins = {}
    for scheme in SCHEMES:
        problem = fl.Problem("W2 @ relu(W1 @ x)", loss="logistic", scheme=scheme, reduction="mean")
        start = fl.initial_state(problem.network, data, widths={"W1": 4 if small else 8}, seed=0)
        path = fl.integrate(
            fl.lower(fl.derive(problem)), start, data, until=fl.log_time(-1.0 if small else 3.0), rtol=1e-5, atol=1e-7
        )
        margins[scheme] = float(path.dataset["min_margin"][-1])
        end = path.dataset.isel(step=-1)
        print(
            f"{scheme:34s} {path.outcome.kind}: log loss {float(end.log_loss):8.4f}, margin {margins[scheme]:9.5f},"
            f" {path.stats['steps']} steps"
        )
        if out is not None:
            fl.draw("norms", path).save(out / f"norms_{scheme}.pdf")
    return margins


if __name__ == "__main__":
    main()
