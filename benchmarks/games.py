"""Optimistic multiplicative weights on a random game: `descend` against the same steps in numpy.

    python benchmarks/games.py

The game is 32 x 32 with entries from [-1, 1] and both players mix some half of their strategies; the step is 1/8.
The second of two calls is timed. The time of numpy is given as a ratio to it. Both must end at the same place.
"""

import time
from typing import Any

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import flowlab as fl

ETA = 0.125


def by_hand(payoff: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The last strategies."""
    n, m = payoff.shape
    x, y = np.zeros(n), np.zeros(m)

    def lift(z: np.ndarray) -> np.ndarray:
        e = np.exp(z - z.max())
        return e / e.sum()

    up, down = payoff @ lift(y), payoff.T @ lift(x)
    for _ in range(count):
        now = payoff @ lift(y), payoff.T @ lift(x)
        x, y = x + ETA * (2 * now[0] - up), y - ETA * (2 * now[1] - down)
        up, down = now
    return lift(x), lift(y)


def main(small: bool = False) -> dict[str, Any]:
    """Rows by number of steps: seconds, the ratio of numpy, gaps, and how far both ends are apart."""
    size, counts = (8, (500,)) if small else (32, (1_000, 10_000, 200_000))
    payoff = np.random.default_rng(22).uniform(-1, 1, size=(size, size))
    net = fl.Network("p @ (A @ q)", constants=("A",))
    game = fl.Problem(net, "value", ascend=["p"], geometry={"p": "simplex", "q": "simplex"})
    data, uniform = fl.Data(A=payoff), np.full(size, 1 / size)
    start = fl.State.from_weights({"p": uniform, "q": uniform})
    began = time.perf_counter()
    rest = fl.equilibrium(game, data)
    rows, solved = [], time.perf_counter() - began
    print(f"{rest}; solved in {solved:.2f} s")
    for count in counts:
        for _ in range(2):
            began = time.perf_counter()
            walk = fl.descend(game, start, data, rule="optimistic", step=ETA, count=count)
            seconds = time.perf_counter() - began
        began = time.perf_counter()
        p, q = by_hand(payoff, count)
        hand = time.perf_counter() - began
        last = walk.weights(-1)
        apart = max(float(np.abs(last["p"] - p).max()), float(np.abs(last["q"] - q).max()))
        rows.append(
            {"steps": count, "seconds": seconds, "numpy": hand / seconds, "gap": rest.gap(last), "apart": apart}
        )
        print(
            f"{count:8d} steps: {seconds:6.2f} s, numpy {hand / seconds:5.1f} times as long, gap {rows[-1]['gap']:.3g},"
            f" ends {apart:.1e} apart"
        )
    return {"support": {w: len(s) for w, s in rest.support.items()}, "unique": rest.unique, "rows": rows}


if __name__ == "__main__":
    main()
