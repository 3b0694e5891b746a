"""Statements known to be true and known to be false: a claim with its evidence, or a claim of its own,
on networks and data no claim was made with.
"""

from collections.abc import Callable
from functools import cache

import jax.numpy as jnp
import numpy as np

import flowlab as fl

NETS = (
    "W2 @ leaky_relu(W1 @ x, 0.3)",
    "W2 @ abs(W1 @ x)",
    "a @ relu(W @ x)**3",
    "W3 @ relu(W2 @ W1 @ x)",
    "W4 @ W3 @ leaky_relu(W2 @ relu(W1 @ x), 0.2)",
    "v @ (W @ x)**2",
)
BROKEN = (
    "W2 @ relu(W1 @ x + b)",
    "W2 @ tanh(W1 @ x)",
    "W2 @ relu(W1 @ x) + W3 @ x",
    "softplus(w @ x)",
    "(w * w - u * u) @ x",
)


@cache
def samples(seed: int, n: int = 11, d: int = 4) -> fl.Data:
    rng = np.random.default_rng(900 + seed)
    x, w = rng.normal(size=(n, d)), rng.normal(size=d)
    y = np.where(x @ w > 0, 1.0, -1.0)
    return fl.Data(x + 0.4 * np.outer(y, w) / np.linalg.norm(w), y, kind="binary")


@cache
def stuck() -> fl.Data:
    x = np.array([[1.0, 0.2, 0.0, 0.1], [1.0, 0.2, 0.0, 0.1], [-0.3, 1.0, 0.4, 0.0], [0.2, -0.6, 1.0, 0.7]])
    return fl.Data(x, np.array([1.0, -1.0, 1.0, -1.0]))


@cache
def flow(
    text: str = "W3 @ W2 @ W1 @ x", scheme: str = "gradient_flow", seed: int = 0, decay: float = 0.0, end: float = 4.0
) -> fl.Trajectory:
    problem = fl.Problem(text, "logistic", scheme, decay=decay)
    start = fl.initial_state(problem.network, samples(seed), default_width=4, seed=seed)
    rho = {k: r * (1.0 + 0.4 * i) for i, (k, r) in enumerate(start.rho.items())}
    return fl.integrate(
        fl.lower(fl.derive(problem)),
        fl.State(rho=rho, V=start.V),
        samples(seed),
        until=fl.time(end),
        rtol=1e-9,
        atol=1e-11,
    )


@cache
def walk(text: str = "W2 @ abs(W1 @ x)", seed: int = 0) -> fl.Trajectory:
    problem = fl.Problem(text, "logistic")
    return fl.descend(
        problem,
        fl.initial_state(problem.network, samples(seed), default_width=4, seed=seed),
        samples(seed),
        step=2e-3,
        count=60,
    )


def changed(
    path: fl.Trajectory, name: str, by: Callable[[np.ndarray], np.ndarray], scheme: str | None = None
) -> fl.Trajectory:
    """A trajectory with one variable tampered with, or told to be of another scheme."""
    ds = path.dataset.copy(deep=True)
    ds[name] = (ds[name].dims, by(ds[name].values.copy()))
    problem = path.problem if scheme is None else fl.Problem(path.problem.network, path.problem.loss.name, scheme)
    return fl.Trajectory(ds, path.outcome, path.last, path.stats, problem, path.data)


def own(name: str, statement: str, mutants: tuple[str, ...] = ()) -> Callable:
    return fl.claim(f"statements.{name}", statement=statement, source="the tests", mutants=mutants)


@own("closed-form", "With one margin f a single layer has rho(t) = log(e^(f rho0) + f^2 t)/f.", ("f for f^2",))
def closed_form(case, mutant):
    f, start, end = 0.7, 0.5, 50.0
    data = fl.Data(np.array([[f]]), np.ones(1), kind="binary")
    field, begin = fl.lower(fl.derive(fl.Problem("W1 @ x"))), fl.State.from_weights({"W1": np.array([[start]])})
    path = fl.integrate(field, begin, data, until=fl.time(end), rtol=1e-10, atol=1e-12)
    rate = f if mutant else f * f
    return fl.Quantity("rho", float(path.last.rho["W1"]), np.log(np.exp(f * start) + rate * end) / f, 1e-7)


def scheme_drift(scheme: str, measure: Callable) -> float:
    ds = flow("W2 @ W1 @ x", scheme).dataset
    values = measure(ds["rho"].values, ds["V_W1"].values, ds["V_W2"].values)
    return float(np.abs(values - values[0]).max() / np.abs(values[0]).max())


def balance(rho, V1, V2):
    return rho[:, :1, None] ** 2 * V1 @ V1.transpose(0, 2, 1) - rho[:, 1:, None] ** 2 * V2.transpose(0, 2, 1) @ V2


@own("balance", "Gradient flow of deep linear nets conserves W1 W1^T - W2^T W2.", ("directions alone",))
def balanced(case, mutant):
    ones = lambda rho, V1, V2: balance(np.ones_like(rho), V1, V2)  # noqa: E731
    drift = scheme_drift("gradient_flow", ones if mutant else balance)
    return fl.Quantity("drift", drift, 0.0, 1e-7), fl.Quantity("1 + drift", 1.0 + drift, 1.0, 1e-7)


@own("loss-mean", "The mean loss is the loss summed over samples, over N.", ("N + 1",))
def loss_mean(case, mutant):
    data, net = samples(1), "W2 @ relu(W1 @ x)"
    w = fl.initial_state(net, data, default_width=3, seed=1).weights()
    both = [float(np.exp(fl.Problem(net, reduction=r).log_loss(w, data, np))) for r in ("sum", "mean")]
    return fl.Quantity("sum/mean", both[0] / both[1], data.n + (1 if mutant else 0), 1e-10 * data.n)


@own("product", "The output at W is R times the output at V.", ("norms not to their degrees",))
def product(case, mutant):
    net, data = fl.Network("a @ relu(W @ x)**3"), samples(2)
    state = fl.initial_state(net, data, default_width=3, seed=2)

    def f(weights):
        arrays = {name: np.asarray(block) for name, block in weights.items()}
        return np.asarray(net.outputs(arrays, np.asarray(data.x), np)).ravel()

    ratio = float(f(state.weights())[0] / f(state.V)[0])
    degrees = {"a": 1, "W": 1 if mutant else 3}
    R = float(np.prod([float(state.rho[k]) ** power for k, power in degrees.items()]))
    return fl.Quantity("f(W)/f(V)", ratio, R, 1e-10 * R)


# What follows is false, and often said.
@own("norms-grow-equally", "All norms grow by the same amount.")
def norms(case):
    rho = flow().dataset["rho"].values
    grown = rho[-1] - rho[0]
    return fl.Quantity("growth of W1 over that of W3", float(grown[0] / grown[-1]), 1.0, 1e-6)


@own("wn-keeps-balance", "The Lagrange flow conserves W1 W1^T - W2^T W2 as gradient flow does.")
def lagrange(case):
    return fl.Quantity("1 + drift", 1.0 + scheme_drift("lagrange", balance), 1.0, 1e-6)


@own("ewn-equalises", "Exponential weight normalisation makes norms equal.")
def ewn(case):
    rho = flow("W2 @ W1 @ x", "exponential_weight_normalization").dataset["rho"].values
    return fl.Quantity(
        "final over first ratio of norms", float(rho[-1, 0] / rho[-1, 1] / (rho[0, 0] / rho[0, 1])), 0.0, 1e-6
    )


@own("descent-balances", "Gradient descent conserves differences of squared norms exactly.")
def descent(case):
    rho = walk().dataset["rho"].values ** 2
    gap = rho[:, 0] - rho[:, 1]
    return fl.Quantity(
        "drift of the difference", float(np.abs(gap - gap[0]).max()), 0.0, 1e-12, altered=0.0
    ), fl.Quantity("one", 1.0, 1.0, 1e-6)


@own("same-rates", "Gradient flow and the Lagrange flow move directions at the same rate.")
def same(case):
    a, b = (flow("W2 @ W1 @ x", s).dataset["V_W1"].values for s in ("gradient_flow", "lagrange"))
    return fl.Quantity(
        "ratio of distances gone", float(np.linalg.norm(a[-1] - a[0]) / np.linalg.norm(b[-1] - b[0])), 1.0, 1e-3
    )


@own("gamma-to-one", "L t tends to 1/gamma.")
def first_power(case):
    path = late()
    gamma = fl.max_margin("W1 @ x", samples(0)).margin
    return fl.Quantity(
        "L t", float(np.exp(path.dataset.log_t[-1] + path.dataset.log_loss[-1])), 1.0 / gamma, 1e-3 / gamma
    )


@own("log-t-alone", "Late, rho is log t.")
def log_t_alone(case):
    path = late()
    return fl.Quantity("rho/log t", float(path.dataset.rho[-1, 0] / path.dataset.log_t[-1]), 1.0, 1e-3)


@own("tangent-keeps", "The raw tangent rule keeps unit norms exactly.")
def tangent(case):
    from flowlab.language.rules import rules

    u, g = jnp.array([0.6, 0.8]), jnp.array([1.0, 0.0])
    return fl.Quantity("norm after a step", float(jnp.linalg.norm(rules["tangent"]().update(u, g, 0.1))), 1.0, 1e-9)


@own("euler-with-bias", "Euler's identity holds block by block in networks with ordinary biases.")
def biases(case):
    net, data = fl.Network("W2 @ relu(W1 @ x + b)"), samples(3)
    w = {k: np.asarray(v) for k, v in fl.initial_state(net, data, default_width=3, seed=3).weights().items()}
    w["b"] = w["b"] + 0.5
    f = lambda s: float(net.outputs(w | {"W1": s * w["W1"]}, np.asarray(data.x), np)[0, 0])  # noqa: E731
    return fl.Quantity("d log f/d log |W1|", (f(1 + 1e-6) - f(1 - 1e-6)) / 2e-6 / f(1.0), 1.0, 1e-6)


@cache
def late() -> fl.Trajectory:
    problem = fl.Problem("W1 @ x", coordinates="weights")
    return fl.integrate(
        fl.lower(fl.derive(problem)),
        fl.initial_state(problem.network, samples(0), seed=0),
        samples(0),
        until=fl.log_time(1e4),
    )


Statement = tuple[str, Callable[[], tuple]]

TRUE: list[Statement] = [
    *(
        (name, lambda net=net, loss=loss, i=i: (fl.Problem(net, loss), samples(i)))
        for name in ("P1", "P2", "P3", "E1.8")
        for i, (net, loss) in enumerate(zip(NETS, ("exponential", "logistic", "square") * 2, strict=True))
    ),
    ("P4", lambda: (flow(),)),
    ("P4", lambda: (flow("W2 @ W1 @ x", "lagrange"),)),
    ("P4", lambda: (flow("W2 @ W1 @ x", "exponential_weight_normalization"),)),
    ("P4", lambda: (flow("a @ relu(W @ x)**3", seed=1, end=1.0),)),
    ("P20", lambda: (walk(),)),
    ("P20", lambda: (walk("W3 @ W2 @ W1 @ x", 1),)),
    ("P20", lambda: (fl.Problem("W2 @ leaky_relu(W1 @ x, 0.3)"), samples(4))),
    ("P5", lambda: (fl.Problem("W3 @ W2 @ W1 @ x"), samples(5))),
    ("P7", lambda: (fl.Problem("W2 @ W1 @ x"), samples(6))),
    ("P8", lambda: (samples(7),)),
    ("P8", lambda: (samples(8, 9, 2),)),
    ("L3", lambda: (samples(9),)),
    *((f"statements.{name}", tuple) for name in ("closed-form", "balance", "loss-mean", "product")),
]


def mutated(net: str, loss: str, i: int) -> tuple:
    found = fl.mutants(fl.derive(fl.Problem(net, loss), verify=False))
    return (found[i * 5 % len(found)].flow,)


FALSE: list[Statement] = [
    *(("P2", lambda i=i: mutated(NETS[i % len(NETS)], "logistic" if i % 2 else "exponential", i)) for i in range(10)),
    *(("P1", lambda net=net: (fl.Problem(net), samples(0))) for net in BROKEN),
    *(("E1.8", lambda net=net: (fl.Problem(net), samples(0))) for net in BROKEN[:3]),
    (
        "P4",
        lambda: (
            changed(
                flow(), "rho", lambda r: r * np.linspace(1.0, 1.0 + 1e-4, len(r))[:, None] ** np.array([0.0, 0.0, 1.0])
            ),
        ),
    ),
    ("P4", lambda: (changed(flow(), "rho", lambda r: r[:, ::-1] * np.array([1.0, 1.0, 1.001])),)),
    (
        "P4",
        lambda: (
            changed(flow("W2 @ W1 @ x", "exponential_weight_normalization"), "rho", lambda r: r, "gradient_flow"),
        ),
    ),
    ("P4", lambda: (changed(flow(), "rho", lambda r: r, "exponential_weight_normalization"),)),
    ("P4", lambda: (flow("W2 @ W1 @ x", decay=0.1),)),
    ("P4", lambda: (changed(flow(), "rho", lambda r: np.full_like(r, np.nan)),)),
    ("P20", lambda: (fl.Problem("W2 @ W1 @ x", decay=0.1), samples(0))),
    ("P20", lambda: (fl.Problem("W1 @ x"), samples(0))),
    ("P3", lambda: (fl.Problem("W2 @ relu(W1 @ x)", per="neuron"), samples(0))),
    ("P8", lambda: (stuck(),)),
    ("P8", lambda: (fl.Problem("W2 @ W1 @ x"), samples(0))),
    ("P8", lambda: (fl.load("iris"),)),
    ("L1", lambda: (stuck(),)),
    ("L6", lambda: (stuck(),)),
    ("J3", lambda: (stuck(),)),
    *(
        (f"statements.{name}", tuple)
        for name in (
            "norms-grow-equally",
            "wn-keeps-balance",
            "ewn-equalises",
            "descent-balances",
            "same-rates",
            "gamma-to-one",
            "log-t-alone",
            "tangent-keeps",
            "euler-with-bias",
        )
    ),
]
