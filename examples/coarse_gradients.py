"""Learning through a step: a coarse gradient, its expected flow in closed form, its curl, and where it rests.

python examples/coarse_gradients.py
"""

from pathlib import Path

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np

import flowlab as fl


def main(small: bool = False, out: Path | None = None) -> dict[str, float]:
    """Derive, integrate and draw; returns the share of the curl, the final loss, and where the loss may rest."""
    v, w, X = fl.weight("v"), fl.weight("w"), fl.input("X", ("m", "n"))
    net = v @ fl.coarse(fl.step, fl.relu)(X @ w)

    # Closed forms of the weights: nothing is sampled from here on.
    pop = fl.population(net, "square", teacher={"v": [0.8, 0.3], "w": [1.0, 0.0]}, inputs="gaussian")
    flow, true = fl.derive(pop), fl.derive(pop.exact)
    print(flow.text("matrix", steps=False), flow.curl(), true.curl(), sep="\n\n", end="\n\n")

    start = fl.State.from_weights({"v": [1.0, -0.5], "w": [-0.6, 0.8]})
    path = fl.integrate(fl.lower(flow), start, until=fl.time(50.0 if small else 500.0))
    points = fl.rest_points(flow, starts=12 if small else 60)
    print(path.outcome, points, sep="\n\n")
    if out is not None:
        fl.draw("field_angle", fl.field_angle(path, flow, true)).save(out / "field_angle.pdf")
    values = {f"rest point {i}": point.value for i, point in enumerate(points)}
    return {"curl": flow.curl().share(start, pop.data), "loss": float(path.dataset.objective[-1])} | values


def sampled(samples: int = 500, seed: int = 0) -> float:
    """The same field from samples, certified by a jvp of its own: its angle with the expected one, in radians."""
    net = fl.Network("v @ coarse(step, relu)(X @ w)", inputs={"X": ("m", "n")})
    vs, ws = np.array([0.8, 0.3]), np.array([1.0, 0.0])
    X = np.random.default_rng(seed).normal(size=(samples, 2, 2))
    data = fl.Data(X=X, y=(X @ ws > 0) @ vs, kind="targets")
    pop = fl.population(net, teacher={"v": vs, "w": ws})
    start = {"v": jax.numpy.array([1.0, -0.5]), "w": jax.numpy.array([0.6, 0.8])}
    problem = fl.Problem(net, "square", reduction="mean", coordinates="weights")
    of_samples = fl.lower(fl.derive(problem)).rate(0.0, start, data)["w"]
    expected = fl.lower(fl.derive(pop)).rate(0.0, start, pop.data)["w"]
    u, z = (np.asarray(g) / np.linalg.norm(g) for g in (of_samples, expected))
    return float(2 * np.arctan2(np.linalg.norm(u - z), np.linalg.norm(u + z)))


if __name__ == "__main__":
    main(out=Path())
    print(f"\nangle of the sampled and the expected coarse gradient: {sampled():.3f} rad")
