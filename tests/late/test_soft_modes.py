"""Soft modes of networks with kinks: powers x^-σ, σ below 1, on the way to a limit; found, not mistaken, and no bar
misses.
"""

import numpy as np
import pytest

import flowlab as fl
from flowlab.late.richardson import richardson

X = np.geomspace(300.0, 3e5, 120)
LIMIT = 1.25


def approach(sigma: float, overtone: float = 0.3) -> np.ndarray:
    """What a margin with a soft mode does: the mode, its square, and the usual 1/x."""
    mode = 0.02 * (X / X[0]) ** -sigma
    return LIMIT - mode + overtone * mode**2 / 0.02 + 3.0 / X


@pytest.mark.parametrize("sigma", [0.1, 0.2, 0.35, 0.5, 0.7])
def test_a_soft_mode_is_found_and_covered(sigma):
    found = richardson(X, approach(sigma))
    assert found.soft == pytest.approx(sigma, rel=0.5)
    assert found.covers(LIMIT)
    # The slower the mode, the less its exponent is known.
    assert found.error < (0.1 if sigma > 0.3 else 2.0) * abs(approach(sigma)[-1] - LIMIT)


@pytest.mark.parametrize("sigma", [0.1, 0.2])
def test_without_the_third_family_the_bar_misses(sigma):
    """The control: powers and logarithms alone are certain of a wrong limit."""
    assert not richardson(X, approach(sigma), logs=False).covers(LIMIT)


SMOOTH = {
    "powers": LIMIT + 2.0 / X - 5.0 / X**2,
    "logarithms": LIMIT + np.log(X) / X - 3.0 * np.log(X) ** 2 / X**2,
    "constant": np.full_like(X, LIMIT),
    "rounded": LIMIT + 2.0 / X + 1e-12 * np.sin(np.arange(len(X)) ** 2),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_no_soft_mode_is_seen_where_there_is_none(name):
    found = richardson(X, SMOOTH[name])
    assert found.soft == 0.0
    assert found.covers(LIMIT)


def instances():
    """Forty flows whose limit is known: nets with and without kinks, separable and nearly not."""
    cross = fl.Data(np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]]), np.array([1.0, 1.0, -1.0, -1.0]))
    for seed in range(12):
        yield "W2 @ relu(W1 @ x)", cross, 8, seed
    nets = {
        "W2 @ relu(W1 @ x)": 4,
        "W2 @ leaky_relu(W1 @ x, 0.2)": 4,
        "W2 @ abs(W1 @ x)": 2,
        "W2 @ relu(W1 @ x)**2": 2,
        "W2 @ W1 @ x": 2,
    }
    for net, count in nets.items():
        for seed in range(40, 40 + count):
            rng = np.random.default_rng(seed)
            x, w = rng.normal(size=(10, 3)), rng.normal(size=3)
            y = np.sign(x @ w)
            yield net, fl.Data(x + 0.2 * np.outer(y, w) / np.linalg.norm(w), y), 6, seed
            yield net, fl.Data(rng.normal(size=(6, 4)), np.where(np.arange(6) % 2, 1.0, -1.0)), 6, seed


@pytest.mark.slow
def test_no_limit_of_forty_flows_is_wrong():
    known, wrong, converged = 0, [], 0
    for net, data, width, seed in instances():
        problem = fl.Problem(net, loss="exponential")
        start = fl.initial_state(problem.network, data, widths={"W1": width}, seed=seed)
        path = fl.integrate(
            fl.lower(fl.derive(problem)), start, data, until=fl.log_time(1e5), rtol=1e-6, atol=1e-9, max_steps=10_000
        )
        end = fl.limit(path) if path.outcome.kind == "done" else None
        if end is None or not end.decided:
            continue
        known += 1
        found = fl.asymptotics(path)["R / log_t"]
        converged += found.state == "converged"
        if found.state == "converged" and not found.late.covers(1.0 / end.margin):
            wrong.append((net, seed, str(found), 1.0 / end.margin))
    print(f"{known} limits known, {converged} converged, {len(wrong)} wrong")  # noqa: T201
    assert known >= 25
    assert wrong == []
    assert converged >= 0.7 * known


@pytest.mark.long
@pytest.mark.parametrize(("until", "state"), [(1e3, "not yet converged"), (1e5, "converged")])
def test_a_sample_that_is_yet_to_join_the_support_is_a_doubt(until, state):
    """The third sample starts far on its right side and is the closest one from log t of about 4,000 on."""
    data = fl.Data([[1.0, 1.0, 0.0], [1.0, -1.0, 0.0], [0.99, 0.0, 1.0]], np.ones(3), kind="binary")
    field = fl.lower(fl.derive(fl.Problem("W @ x", coordinates="weights")))
    path = fl.integrate(field, fl.State.from_weights({"W": [[1.0, 0.0, 30.0]]}), data, until=fl.log_time(until))
    found = fl.asymptotics(path)
    margin = fl.max_margin("W @ x", data).margin
    for name in ("min_margin", "R / log_t"):
        assert found[name].state == state, str(found[name])
    assert ("sample 3 is on its way" in found["min_margin"].reason) is (until < 1e4)
    assert found["min_margin"].late.covers(margin) is (until > 1e4)
    assert found["log(1/L) / log_t"].state == "converged"
