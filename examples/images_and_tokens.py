"""A convolutional net on images, and a transformer block on their rows as tokens, from a random start to late times:
what the flow keeps, and where equal growth holds.

    python examples/images_and_tokens.py
"""

import tempfile
from pathlib import Path

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np

import flowlab as fl


def convolution() -> fl.Network:
    """One convolutional layer on images of 8 x 8."""
    K, X = fl.weight("K", (3, 1, 3, 3)), fl.input("X", (1, 8, 8))
    return fl.Network(fl.weight("a") @ fl.flatten(fl.relu(fl.conv(K, X, stride=2))))


def transformer() -> fl.Network:
    """One block on eight tokens of eight features: attention and a hidden layer, each beside what it reads.

    The activation is the squared ReLU of So et al. (2021): its slope is continuous, so that late times need no kinks.
    """
    X = fl.input("X", (8, 8))
    Q, K, V = fl.weight("Q", (8, 4)), fl.weight("K", (8, 4)), fl.weight("V", (8, 8))
    h = X + fl.softmax((X @ Q) @ (X @ K).T) @ (X @ V)
    hidden = fl.relu(h @ fl.weight("W1", (8, 8))) ** 2 @ fl.weight("W2", (8, 8))
    return fl.Network(fl.weight("a") @ fl.mean(h + hidden, axis=0))


NETWORKS = {"convolution": convolution, "transformer": transformer}


def images(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Threes and eights, (N, 8, 8), and their labels, in turn."""
    data = fl.load("digits:3v8")
    x, y = np.asarray(data.x).reshape(-1, 8, 8) / 16.0, np.asarray(data.y)
    chosen = np.stack([np.flatnonzero(y < 0)[: count // 2], np.flatnonzero(y > 0)[: count // 2]], axis=1).ravel()
    return x[chosen], y[chosen]


def flow(name: str, count: int, late: float) -> tuple[fl.Trajectory, fl.FlowEquations]:
    """A run from a random start through separation."""
    x, y = images(count)
    network = NETWORKS[name]()
    shape = (1, 8, 8) if name == "convolution" else (8, 8)
    data = fl.Data(x.reshape(len(x), -1), y, name="digits 3 and 8").as_input("X", shape)
    equations = fl.derive(fl.Problem(network, "exponential", coordinates="weights"))
    start = fl.initial_state(network, data, seed=0, scale=0.5)
    return fl.integrate(fl.lower(equations), start, data, until=fl.log_time(late)), equations


def drifts(path: fl.Trajectory, equations: fl.FlowEquations) -> dict[str, float]:
    """How far each law has moved at the end, over the size that its terms have there."""
    first, last = ({w: np.asarray(v) for w, v in path.state(i).weights().items()} for i in (0, len(path) - 1))
    shapes = {w: v.shape for w, v in first.items()}
    return {
        law.text: float(np.max(np.abs(law.value(last) - law.value(first)))) / law.scale(last)
        for law in equations.laws
        if law.fits(shapes)
    }


def growth(path: fl.Trajectory) -> dict[str, float]:
    """What each squared norm has gained from the start to the end, over what that of the head has.

    Equal growth has κ_k here, the degree of the block; a block that has none may gain anything.
    """
    rho = path.dataset["rho"].values
    gained = dict(zip(path.dataset["block"].values.tolist(), rho[-1] ** 2 - rho[0] ** 2, strict=True))
    return {block: float(gain / gained["a"]) for block, gain in gained.items()}


def main(small: bool = False) -> dict[str, tuple[fl.Trajectory, dict[str, float]]]:
    """Both runs, with what each kept; two figures of each are written. `small` is a rehearsal."""
    folder = Path(tempfile.mkdtemp(prefix="flowlab-"))
    found = {}
    for name in NETWORKS:
        path, equations = flow(name, 8 if small else 40, 3.0 if small else 30.0)
        found[name] = path, drifts(path, equations)
        print(f"{name}: {path.outcome}; degrees {equations.problem.network.symmetry.kind}")
        for text, drift in found[name][1].items():
            print(f"  {text} moved by {drift:.1e}")
        gains = ", ".join(f"{block} {gain:.6f}" for block, gain in growth(path).items())
        print(f"  squared norms gained, over that of a: {gains}")
        for figure in ("norms", "margin"):
            print("  ", fl.draw(figure, path).save(folder / f"{name}_{figure}.pdf"))
    return found


if __name__ == "__main__":
    main()
