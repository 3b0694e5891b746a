"""One small instance of all that the package returns, made by the calls that users make."""

from functools import cache, cached_property
from typing import Any

import numpy as np

import flowlab as fl
from tests.figures import instances
from tests.fuzz.valid_calls import table

CALLED = (
    *("norm_path", "critical_points", "flow_limits", "one_step", "wide_margin", "max_margin", "rounded", "models"),
    *("linearise", "step_order", "certify", "check"),
)
"""Public functions whose valid calls are made."""


def squares(weights, x):
    """A network as a function of jax, which other processes find by its name."""
    return (x @ weights["W"].T)[:, 0] ** 2


GAME = {"loss": "value", "ascend": ["p"], "geometry": {"p": "simplex", "q": "simplex"}}


@cache
def every() -> dict[str, Any]:
    """Results by name."""
    have, calls = table(True)
    made = {name: function(**arguments) for name, (function, arguments, _) in calls.items() if name in CALLED}
    return made | _own(have) | _late() | _derived() | _of_games_and_others()


def _own(have: dict[str, Any]) -> dict[str, Any]:
    """What the valid calls start from, batches, and results of every kind that figures draw."""
    path, problem, data = instances.trajectory(), fl.Problem("W1 @ x"), have["data"]
    two = [fl.initial_state("W1 @ x", data, seed=seed) for seed in (0, 1)]
    own = {name: have[name] for name in ("network", "problem", "data", "flow", "field", "points")}
    return own | {
        "state": have["start"],
        "trajectory": path,
        "outcome": path.outcome,
        "descents": fl.descend(problem, two, data, step=0.1, count=3),
        "runs": fl.integrate(have["field"], two, data, until=fl.time(0.01)),
        "drawn": fl.draw("norms", path),
        "film": fl.animate("norms", path, frames=2),
        "smoothed": fl.smoothed(fl.Problem("W2 @ relu(W1 @ x)"), epsilon=0.1),
        "equation": have["flow"].equations[0],
        "component": have["flow"].component(2, 2),
        "mutants": fl.mutants(have["flow"]),
        "quantity": fl.Quantity("a", 1.0, 1.0, 0.1),
        "measurement": fl.Measurement(0.5, 1.0, "it is"),
        **{f"{kind} {i}": result for kind, some in instances.MADE.items() for i, result in enumerate(some)},
    }


def _late() -> dict[str, Any]:
    """What is told of a run that has come far."""
    problem, data = fl.Problem("w @ x"), fl.Data([[1.0, 0.5], [-1.0, 0.2]], [1.0, -1.0])
    start = fl.initial_state("w @ x", data, seed=1)
    path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(1000.0))
    points = fl.critical_points(problem, data, norm=2.0, starts=2)
    return {
        "late run": path,
        "asymptotics": fl.asymptotics(path),
        "limit": fl.limit(path),
        "approach": fl.approach(path, points),
        "lyu_li": fl.lyu_li("w @ x", path.last, data),
    }


def _derived() -> dict[str, Any]:
    """Laws, and flows that are made of other flows."""
    linear = fl.derive(fl.Problem("W2 @ W1 @ x", "square", coordinates="weights"))
    diagonal = fl.derive(fl.Problem("(w * w) @ x", "square", coordinates="weights"))
    induced = diagonal.induced("w * w", fl.State.from_weights({"w": np.array([0.5, 0.4])}))
    opaque = fl.opaque(squares, {"W": np.ones((1, 2))})
    return {
        "law": linear.matched[0],
        "laws": linear.laws,
        "other laws": fl.derive(fl.Problem("(u * v) @ x", "square", coordinates="weights")).laws,
        "law count": linear.law_count,
        "modified": linear.modified(step=0.1),
        "modified field": fl.lower(linear.modified(step=0.1)),
        "induced": induced,
        "induced field": fl.lower(induced),
        "minimiser": induced.minimiser(fl.Data([[1.0, 0.5], [0.3, 1.0]], [1.5, 0.2])),
        "opaque": opaque,
        "opaque flow": fl.derive(fl.Problem(opaque, "square"), verify=False),
    }


def _of_games_and_others() -> dict[str, Any]:
    """Equilibria, closed forms over Gaussian inputs, and covariances."""
    game = fl.Problem(fl.Network("p @ (A @ q)", constants=["A"]), **GAME)
    rest = fl.equilibrium(game, fl.Data(A=np.array([[1.0, -1.0], [-1.0, 1.0]])))
    step = fl.Network("sum(coarse(step, relu)(W @ x))")
    population = fl.population(step, teacher={"W": np.array([[1.0, 0.0]])})
    W1 = fl.weight("W1")
    covariance = fl.Problem(fl.bures(W1 @ W1.T, fl.constant("S0")), "value")
    points = fl.covariance_points(covariance, fl.Data(S0=np.diag([3.0, 1.0])), rank=1)
    resting = fl.rest_points(fl.derive(population, verify=False), starts=4, widths={"W": 1}, seed=0)
    return {
        "equilibrium": rest,
        "stability": fl.stability(rest, step=0.1),
        "population": population,
        "curl": fl.derive(population, verify=False).curl(),
        "rest points": resting,
        "covariance points": points,
    }


def parts(value: Any) -> list[Any]:
    """A result, and those that a list of results holds."""
    several = isinstance(value, list | tuple) or type(value).__name__ in (
        "Trajectories",
        "RestPoints",
        "CovariancePoints",
    )
    return [value, *value] if several else [value]


def used(value: Any) -> None:
    """Fill every cached property of a result, as printing it or calling its methods may."""
    for part in parts(value):
        for kind in type(part).__mro__:
            for name, member in vars(kind).items():
                if isinstance(member, cached_property):
                    getattr(part, name)
