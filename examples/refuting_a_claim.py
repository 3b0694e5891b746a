"""What the three answers look like: a claim that a path supports, one that it refutes, and two that nothing decides.

python examples/refuting_a_claim.py
"""

import dataclasses
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np

import flowlab as fl


@fl.claim("example.frozen", statement="Gradient flow keeps the norms of the blocks.", source="nobody: it is false")
def frozen(case: Any) -> fl.Quantity:
    """The largest change of a norm along the flow, relative."""
    rho = case.flow.dataset["rho"].values
    return fl.Quantity("change of a norm", float(np.abs(rho / rho[0] - 1.0).max()), 0.0, 1e-3, relation="<=")


def main(small: bool = False) -> list[fl.Verdict]:
    """P4 on an honest path, a false statement on it, the path with one norm tampered with, and a network P1 is not
    about; returns the verdicts.
    """
    data = fl.load("iris:setosa", standardize=True)
    problem = fl.Problem("a @ relu(W @ x)**2")
    start = fl.initial_state(problem.network, data, widths={"W": 4}, seed=0, scale=0.5)
    path = fl.integrate(
        fl.lower(fl.derive(problem)), start, data, until=fl.log_time(0.0 if small else 4.0), rtol=1e-8, atol=1e-10
    )

    broken = path.dataset.copy(deep=True)
    broken["rho"][:, 0] = broken["rho"][:, 0] * np.linspace(1.0, 1.001, broken.sizes["step"])
    biased = fl.Problem("W2 @ relu(W1 @ x + b)")
    altered = dataclasses.replace(path, dataset=broken)
    verdicts = [*fl.check(["P4", "example.frozen"], path), *fl.check(["P4"], altered), *fl.check(["P1"], biased)]
    for verdict in verdicts:
        print(verdict)
    return verdicts


if __name__ == "__main__":
    main()
