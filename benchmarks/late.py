"""Late times: steps, seconds and log(tL) on the way to log t = 1e6 and 1e9.

python benchmarks/late.py
"""

import time

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np

import flowlab as fl

CASES = [
    ("W1 @ x", {}, 20, 5, 1e9, {}),
    ("W1 @ x", {}, 100, 50, 1e9, {}),
    ("W2 @ W1 @ x", {"W1": 10}, 100, 50, 1e6, {}),
    ("W3 @ W2 @ W1 @ x", {"W1": 6, "W2": 6}, 100, 20, 1e6, {}),
    ("W4 @ W3 @ W2 @ W1 @ x", {"W1": 8, "W2": 8, "W3": 8}, 100, 50, 1e6, {}),
    ("W2 @ relu(W1 @ x)**2", {"W1": 6}, 40, 10, 1e6, {}),
    ("W2 @ relu(W1 @ x)**3", {"W1": 4}, 20, 5, 1e6, {}),
    ("W2 @ W1 @ x", {"W1": 5}, 30, 8, 1e6, {"loss": "logistic"}),
]


def separable(n, d, seed):
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(n, d)), rng.normal(size=d)
    y = np.sign(x @ w)
    return fl.Data(x + 0.3 * np.outer(y, w) / np.linalg.norm(w), y)


def main(seed: int = 0) -> None:
    print("network                     N   d  loss          log t   steps (rejected)  warm s   log(tL)      outcome")
    for text, widths, n, d, horizon, told in CASES:
        data = separable(n, d, seed)
        problem = fl.Problem(text, **({"loss": "exponential", "coordinates": "weights"} | told))
        field = fl.lower(fl.derive(problem))
        start = fl.initial_state(problem.network, data, widths=widths, seed=seed)
        for _ in range(2):
            began = time.perf_counter()
            path = fl.integrate(field, start, data, until=fl.log_time(horizon), max_steps=3000)
            took = time.perf_counter() - began
        q = float(path.dataset.log_t[-1] + path.dataset.log_loss[-1])
        steps = f"{path.stats['steps']} ({path.stats['rejected']})"
        print(
            f"{text:26} {n:4} {d:3}  {problem.loss.name:12} {float(path.dataset.log_t[-1]):8.1e} {steps:>14}"
            f" {took:10.2f} {q:14.8f}  {path.outcome.kind}"
        )


if __name__ == "__main__":
    main()
