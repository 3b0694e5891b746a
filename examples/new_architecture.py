"""A new architecture: read off its symmetries, its equations and what the flow conserves, then hold them against the
flow.

python examples/new_architecture.py
"""

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np

import flowlab as fl


def main(small: bool = False) -> dict[str, float]:
    """A gated net with a squared branch: f = a [(U x) * relu(W x)^2]; returns the drift of its conserved quantities."""
    net = fl.Network("a @ ((U @ x) * relu(W @ x)**2)")
    print(net.symmetry)
    problem = fl.Problem(net, loss="logistic")
    flow = fl.derive(problem)
    print(flow)

    data = fl.load("gaussian?n=30&d=4&margin=0.2", seed=1)
    start = fl.initial_state(net, data, widths={"U": 6}, seed=2)
    path = fl.integrate(fl.lower(flow), start, data, until=fl.log_time(2.0 if small else 8.0), rtol=1e-9, atol=1e-11)
    print(path)

    rho = path.dataset["rho"]
    quantity = {block: rho.sel(block=block).values ** 2 / float(net.degrees[block]) for block in net.weights}
    first = net.weights[0]
    drift = {block: float(np.ptp(quantity[block] - quantity[first])) for block in net.weights[1:]}
    for block, size in drift.items():
        first_norm, last_norm = rho.sel(block=block).values[[0, -1]]
        print(
            f"rho_{block}^2/kappa - rho_{first}^2/kappa drifts by {size:.1e} while rho_{block} grows from"
            f" {first_norm:.2f} to {last_norm:.2f}"
        )
    return drift


if __name__ == "__main__":
    main()
