"""A deep linear generator learns a covariance: equations, laws, flow, descent, critical points and claims.

python examples/bures_wasserstein.py
"""

from pathlib import Path

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np

import flowlab as fl


def main(small: bool = False, out: Path | None = None) -> dict[str, float]:
    """Derives, integrates and compares three layers; returns distances that are to be small."""
    W1, W2, W3 = map(fl.weight, ("W1", "W2", "W3"))
    P, S0 = W3 @ W2 @ W1, fl.constant("S0")
    problem = fl.Problem(fl.bures(P @ P.T + 0.3 * fl.eye, S0), "value")
    flow = fl.derive(problem)
    print(flow.text("matrix", steps=False))

    rng = np.random.default_rng(0)
    omega = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    target = (omega * np.array([5.0, 3.0, 1.5, 0.7])) @ omega.T
    data = fl.Data(S0=0.5 * (target + target.T))
    start = fl.balanced_state(problem, product=0.5 * rng.normal(size=(4, 4)))
    end = 1.0 if small else 4.0
    path = fl.integrate(fl.lower(flow), start, data, until=fl.time(end), rtol=1e-11, atol=1e-13)
    walk = fl.descend(problem, start, data, step=1e-3, count=round(end / 1e-3))
    print(path.outcome, walk.outcome, sep="\n", end="\n\n")

    # The covariance moves by itself, 16 unknowns in place of 48.
    alone = fl.end_to_end(problem, P @ P.T)
    print(alone, end="\n\n")
    first, last = (W["W3"] @ W["W2"] @ W["W1"] for W in (path.weights(0), path.weights(-1)))
    begin = fl.State.from_weights({"Sigma": first @ first.T})
    same = fl.integrate(fl.lower(alone), begin, data, until=fl.time(end), rtol=1e-11, atol=1e-13)

    points = fl.covariance_points(problem, data, rank=2)
    print(points, end="\n\n")
    for verdict in fl.check(["B2"] if small else ["B1", "B2", "B3", "B4", "B7", "B8", "B13"]):
        print(verdict)
    if out is not None:
        fl.draw("spectrum_in_time", path, walk).save(out / "spectrum_in_time.pdf")
    return {
        "layers from the covariance": float(np.abs(last @ last.T - same.weights(-1)["Sigma"]).max()),
        "drift of the balance": max(m["worst"] for name, m in path.monitors.items() if name.startswith("balance")),
        "gradient at critical points": max(point.residual for point in points.points),
    }


if __name__ == "__main__":
    print(main())
