"""Descent by batches, with momentum, and on spheres: against loops as one would write them by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)

from flowlab.core.errors import LanguageError
from flowlab.discrete import descend
from flowlab.discrete.descent import gradient_walk
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State, initial_state


@pytest.fixture(scope="module")
def cloud() -> Data:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 3))
    return Data(x, np.where(x[:, 0] > 0, 1.0, -1.0))


@pytest.fixture(scope="module")
def line() -> tuple[Problem, State, Data]:
    """A linear network under the square loss, whose gradient is written down below."""
    rng = np.random.default_rng(1)
    return (
        Problem("w @ x", loss="square", decay=0.05),
        State.from_weights({"w": rng.normal(size=3)}),
        Data(rng.normal(size=(10, 3)), rng.normal(size=10)),
    )


def _by_hand(w: np.ndarray, x: np.ndarray, y: np.ndarray, n: int, decay: float = 0.05) -> np.ndarray:
    """The gradient of n/B Σ (w·x - y)²/2 + decay ‖w‖² on B samples."""
    return n / len(x) * x.T @ (x @ w - y) + 2 * decay * w


def _net(cloud: Data, **given: object) -> tuple[Problem, State]:
    problem = Problem("W2 @ relu(W1 @ x)", **given)
    return problem, initial_state(problem.network, cloud, widths={"W1": 4}, seed=0)


def _same(a: State, b: State) -> bool:
    return all(
        (np.asarray(p) == np.asarray(q)).all() for p, q in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def _orders(problem: Problem, data: Data, start: State, batch: int, seed: int, count: int) -> list[np.ndarray]:
    """Which samples every step used."""
    memory, used = gradient_walk.Memory.fresh(start.weights(), data, None, batch, seed), []
    labelled = Data(np.c_[np.arange(data.n, dtype=float), np.zeros(data.n)], np.arange(data.n) % 2 * 2.0 - 1.0)
    step = jax.jit(lambda m: m.next_samples(labelled, batch))
    for _ in range(count):
        memory, samples = step(memory)
        used.append(np.asarray(samples.inputs[:, 0]).astype(int))
    return used


def test_epochs_draw_without_replacement_and_anew(line):
    problem, start, data = line
    used = _orders(problem, data, start, 3, 5, 12)
    epochs = [np.concatenate(used[i : i + 3]) for i in range(0, 12, 3)]
    assert all(len(set(e.tolist())) == 9 for e in epochs)
    assert len({tuple(e) for e in epochs}) == 4
    # Nobody is left out for good: each of the four epochs misses one sample, and not always the same.
    assert len({(set(range(10)) - set(e.tolist())).pop() for e in epochs}) > 1
    assert any((a != b).any() for a, b in zip(used, _orders(problem, data, start, 3, 6, 12), strict=True))


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_a_step_on_a_batch_is_the_one_written_by_hand(line, reduction):
    problem, start, data = line
    problem = Problem(problem.network, "square", decay=0.05, reduction=reduction)
    w, x, y = np.asarray(start.weights()["w"]), np.asarray(data.x), np.asarray(data.y)
    walk = descend(problem, start, data, step=0.01, count=7, batch=4, seed=3)
    for chosen in _orders(problem, data, start, 4, 3, 7):
        w = w - 0.01 * _by_hand(w, x[chosen], y[chosen], 10 if reduction == "sum" else 1)
    assert np.allclose(walk.last.weights()["w"], w, rtol=1e-13, atol=1e-14)
    # Another order of the same samples is another walk.
    assert not np.allclose(
        descend(problem, start, data, step=0.01, count=7, batch=4, seed=4).last.weights()["w"], w, rtol=1e-6
    )


def test_one_seed_gives_the_same_bits_whatever_is_recorded(cloud):
    problem, start = _net(cloud)
    first = descend(problem, start, cloud, step=1e-3, count=90, batch=5, seed=2)
    for every in (7, 90):
        again = descend(problem, start, cloud, step=1e-3, count=90, batch=5, seed=2, record_every=every)
        assert _same(first.last, again.last)
    assert not _same(first.last, descend(problem, start, cloud, step=1e-3, count=90, batch=5, seed=3).last)
    settings = first.provenance["settings"]
    assert (settings["batch"], settings["seed"], settings["momentum"]) == (5, 2, 0.0)


@pytest.mark.long
def test_whole_batches_and_no_momentum_are_gradient_descent_to_the_bit(cloud):
    problem, start = _net(cloud, loss="logistic")
    plain = descend(problem, start, cloud, step=1e-3, count=50)
    assert _same(plain.last, descend(problem, start, cloud, step=1e-3, count=50, batch=12, seed=9).last)
    assert _same(plain.last, descend(problem, start, cloud, step=1e-3, count=50, momentum=0.0).last)
    assert not _same(plain.last, descend(problem, start, cloud, step=1e-3, count=50, batch=11, seed=9).last)
    # The program for momentum, at a momentum that is none, rather than the same program again.
    for nesterov in (False, True):
        faint = descend(problem, start, cloud, step=1e-3, count=50, momentum=1e-300, nesterov=nesterov)
        assert all(
            np.allclose(faint.last.weights()[k], w, rtol=1e-14, atol=1e-15) for k, w in plain.last.weights().items()
        )


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_is_the_loop_written_by_hand(line, nesterov):
    problem, start, data = line
    x, y, beta, eta = np.asarray(data.x), np.asarray(data.y), 0.8, 0.01
    w = np.asarray(start.weights()["w"])
    v = np.zeros(3)
    for _ in range(40):
        # Nesterov's gradient is taken ahead, at w + β v; what is carried by `descend` is that point.
        v = beta * v - eta * _by_hand(w + beta * v if nesterov else w, x, y, 10)
        w = w + v
    end = w + beta * v if nesterov else w
    walk = descend(problem, start, data, step=eta, count=40, momentum=beta, nesterov=nesterov)
    assert np.allclose(walk.last.weights()["w"], end, rtol=1e-12)
    other = descend(problem, start, data, step=eta, count=40, momentum=beta, nesterov=not nesterov)
    assert not np.allclose(other.last.weights()["w"], end, rtol=1e-4)
    assert float(np.exp(walk.dataset.log_t[-1])) == pytest.approx(40 * eta / (1 - beta))
    if not nesterov:
        squares = np.diff(walk.dataset["step_sq"].values[:, 0])
        positions = walk.dataset["rho"].values * walk.dataset["V_w"].values
        assert np.allclose(squares, (np.diff(positions, axis=0) ** 2).sum(axis=1), rtol=1e-6)
        assert squares.sum() > 0


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_tends_to_the_flow_in_rescaled_time(line, nesterov):
    """In the time η k/(1 - β) at first order; in the time η k not at all."""
    problem, start, data = line
    x, y, w0 = np.asarray(data.x), np.asarray(data.y), np.asarray(start.weights()["w"])
    values, vectors = np.linalg.eigh(x.T @ x + 0.1 * np.eye(3))
    least = np.linalg.solve(x.T @ x + 0.1 * np.eye(3), x.T @ y)

    def flow(t: float) -> np.ndarray:
        return least + vectors @ (np.exp(-values * t) * (vectors.T @ (w0 - least)))

    errors, wrong, beta = [], [], 0.6
    for step in (4e-4, 2e-4, 1e-4, 5e-5):
        end = descend(
            problem, start, data, step=step, count=round(0.2 * (1 - beta) / step), momentum=beta, nesterov=nesterov
        ).last.weights()["w"]
        errors.append(float(np.linalg.norm(end - flow(0.2))))
        wrong.append(float(np.linalg.norm(end - flow(0.2 * (1 - beta)))))
    assert np.polyfit(np.log(errors), np.log([8, 4, 2, 1]), 1)[0] == pytest.approx(1.0, abs=0.05)
    assert errors[-1] < 5e-3
    assert min(wrong) > 0.1


@pytest.mark.parametrize(("rule", "seed"), [("coefficient", 0), ("lagrange", 1), ("tangent", 2), ("geodesic", 3)])
def test_the_rules_are_those_written_by_hand(cloud, rule, seed):
    """Eq. (1.14) at fixed R = Π ρ_k, layer by layer, in numpy; "coefficient" is projected gradient descent."""
    problem = Problem("W2 @ relu(W1 @ x)")
    start = initial_state(problem.network, cloud, widths={"W1": 4}, seed=seed)
    rho = {k: float(r) for k, r in start.rho.items()}
    V, eta = {k: np.asarray(v) for k, v in start.V.items()}, 0.01
    slope = jax.jit(jax.grad(lambda V: problem.objective({k: rho[k] * V[k] for k in V}, cloud, jnp)))
    for _ in range(30):
        for k, gradient in slope(V).items():
            u, g = V[k], -np.asarray(gradient)
            tangent = g - (u * g).sum() * u
            if rule == "coefficient":
                V[k] = (u + eta * g) / np.linalg.norm(u + eta * g)
            elif rule == "lagrange":
                V[k] = u + eta * tangent
            elif rule == "tangent":
                V[k] = u + eta * (g - (u * g).sum() / (u * u).sum() * u)
            else:
                h = eta * tangent
                theta = np.linalg.norm(h)
                V[k] = u * np.cos(theta) + h / theta * np.sin(theta)
    walk = descend(problem, start, cloud, step=eta, count=30, rule=rule, freeze_norm=True)
    others = {
        r: descend(problem, start, cloud, step=eta, count=30, rule=r, freeze_norm=True)
        for r in ("coefficient", "geodesic")
        if r != rule
    }
    for k in V:
        assert np.allclose(walk.last.V[k], V[k], rtol=1e-12, atol=1e-13)
        assert not any(np.allclose(other.last.V[k], V[k], rtol=1e-12, atol=1e-13) for other in others.values())


def test_projected_descent_by_batches_stays_on_the_spheres(cloud):
    problem, start = _net(cloud)
    walk = descend(problem, start, cloud, step=0.01, count=60, rule="coefficient", freeze_norm=True, batch=4, seed=0)
    assert all(abs(float(np.linalg.norm(v)) - 1) < 1e-13 for v in walk.last.V.values())
    assert float(walk.dataset.log_loss[-1]) < float(walk.dataset.log_loss[0])


def test_one_compilation_serves_all_counts_steps_seeds_and_momenta(cloud, monkeypatch):
    problem, start = _net(cloud, loss="logistic", reduction="mean")
    traced, real = [], gradient_walk._stochastic
    monkeypatch.setattr(gradient_walk, "_stochastic", lambda *args: traced.append(1) or real(*args))
    descend(problem, start, cloud, step=1e-3, count=100, batch=4, seed=0, momentum=0.9)
    seen = len(traced)
    assert seen > 0
    for count, step, seed, beta in ((3, 1e-2, 1, 0.5), (64, 0.1, 2, 0.1), (201, 1e-4, 3, 0.99)):
        descend(problem, start, cloud, step=step, count=count, record_every=2, batch=4, seed=seed, momentum=beta)
    assert len(traced) == seen


@pytest.mark.parametrize(
    ("told", "given"),
    [
        ("batch.* got 13", {"batch": 13, "seed": 0}),
        ("batch.* got 0", {"batch": 0, "seed": 0}),
        ("batch.*2.5", {"batch": 2.5, "seed": 0}),
        ("batch.*True", {"batch": True, "seed": 0}),
        ("`seed` must be", {"batch": 3}),
        ("`seed` must be an integer from 0 on, got -1", {"batch": 3, "seed": -1}),
        ("seed=0.5", {"batch": 3, "seed": 0.5}),
        ("momentum.* got 1.0", {"momentum": 1.0}),
        ("momentum.* got -0.1", {"momentum": -0.1}),
        ("momentum.*nan", {"momentum": float("nan")}),
        ("momentum.*'0.9'", {"momentum": "0.9"}),
        ("`nesterov` must be .*True", {"nesterov": True}),
        ("nesterov.*1", {"momentum": 0.5, "nesterov": 1}),
        ("loss_scaled", {"loss_scaled": True, "momentum": 0.5}),
        ("loss_scaled", {"loss_scaled": True, "batch": 3, "seed": 0}),
        ('rule "geodesic"', {"rule": "geodesic", "momentum": 0.5}),
    ],
)
def test_bad_input_is_refused(cloud, told, given):
    problem, start = _net(cloud)
    with pytest.raises(LanguageError, match=told):
        descend(problem, start, cloud, **({"step": 0.1, "count": 3} | given))
