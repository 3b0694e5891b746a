"""What the three answers look like: a path that holds, the same path tampered with, and a claim that does not apply.

python examples/refuting_a_claim.py
"""

import dataclasses

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np

import flowlab as fl


def main(small: bool = False) -> list[fl.Verdict]:
    """An honest path, the same path with one norm tampered with, and a check that does not apply; returns the verdicts."""
    data = fl.load("iris:setosa", standardize=True)
    problem = fl.Problem("a @ relu(W @ x)**2")
    start = fl.initial_state(problem.network, data, widths={"W": 4}, seed=0, scale=0.5)
    path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(0.0 if small else 4.0), rtol=1e-8, atol=1e-10)

    broken = path.dataset.copy(deep=True)
    broken["rho"][:, 0] = broken["rho"][:, 0] * np.linspace(1.0, 1.001, broken.sizes["step"])
    biased = fl.Problem("W2 @ relu(W1 @ x + b)")
    verdicts = [*fl.check(["P4"], path), *fl.check(["P4"], dataclasses.replace(path, dataset=broken)), *fl.check(["P1"], biased)]
    for verdict in verdicts:
        print(verdict)
    return verdicts


if __name__ == "__main__":
    main()
