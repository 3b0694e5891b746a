"""R1, R3, R4: where norm and direction come to rest under the square loss, and how that depends on the start without decay."""

from typing import Any

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

NET = "W1 @ x"
SAMPLES, FEATURES = 4, 6
DECAY = 0.2
"""λ of L = mean (1 - ρ f)^2 + λ ρ^2; flowlab's objective is half of that."""


def folded(seed: int) -> np.ndarray:
    """Samples times labels, (N, d), fewer than features."""
    return np.random.default_rng(seed).normal(size=(SAMPLES, FEATURES))


def ridge(z: np.ndarray, decay: float) -> np.ndarray:
    """The minimiser of mean (1 - z w)^2 + λ |w|^2, (d,)."""
    n = len(z)
    return z.T @ np.linalg.solve(z @ z.T / n + decay * np.eye(n), np.ones(n)) / n


def rested(case: Case, rho: float, decay: float, until: float) -> Any:
    """The flow of one norm and one direction from norm `rho`; directions start the same."""
    from flowlab.dynamics import time
    from flowlab.language.data import Data
    from flowlab.language.problem import Problem
    from flowlab.language.state import State

    z = folded(case.seed)
    data = Data(z, np.ones(len(z)), name=f"folded seed={case.seed}", kind="binary")
    problem = Problem(NET, "square", "lagrange", reduction="mean", decay=decay / 2)
    start = State.from_weights({"W1": rho * direction(case.seed)[None, :]})
    return integrated(
        case, f"rho {rho:g} decay {decay:g}", problem, start, data, time(until), rtol=1e-10, atol=1e-12, solver="tsit5"
    )


def direction(seed: int) -> np.ndarray:
    """The unit vector that flows start along, (d,): half of it where no sample sees it."""
    z = folded(seed)
    v = np.random.default_rng(seed + 100).normal(size=FEATURES)
    inside = np.linalg.pinv(z) @ (z @ v)
    outside = v - inside
    inside *= np.sign((z @ inside).mean()) / np.linalg.norm(inside)
    return (inside + outside / np.linalg.norm(outside)) / np.sqrt(2.0)


@claim("R1")
class EquilibriumNorm(Claim):
    """The norm at rest is mean f/(λ + mean f²) of the margins at rest, and norm and direction are those of ridge regression."""

    title = "the norm at rest under the square loss"
    statement = "With one norm on top of a unit direction and L = mean (1 - rho f)^2 + lambda rho^2 the flow rests at rho = mean f/(lambda + mean f^2)."
    latex = r"\rho_{eq} = \frac{\overline{f}}{\lambda + \overline{f^2}}"
    source = "Poggio, Liao 2020-21; with averages for sums"
    hypotheses = (own_instances,)
    stated = Variant(decay=lambda _: DECAY)
    mutants = (
        stated.but("sums for averages", decay=lambda n: DECAY / n),
        stated.but("no decay", decay=lambda _: 0.0),
        stated.but("half of the decay", decay=lambda _: DECAY / 2),
    )
    counter_example = "sums for averages: right only if the loss is a sum as well"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        z = folded(case.seed)
        end = rested(case, 0.5, DECAY, 400.0).last
        rho, v = float(end.rho["W1"]), np.asarray(end.V["W1"]).ravel()
        f, w = z @ v, ridge(z, DECAY)
        decay = variant.decay(len(z))
        expected = float(f.mean() / (decay + (f * f).mean()))
        return Measurement.of(
            [
                Quantity(
                    "rho at rest",
                    rho,
                    expected,
                    1e-7 * expected,
                    route="flow",
                    second=float(np.linalg.norm(w)),
                    second_route="ridge regression in closed form",
                ),
                Quantity(
                    "1 - cosine of the direction with that of ridge regression",
                    1.0 - float(v @ w) / float(np.linalg.norm(w)),
                    0.0,
                    1e-9,
                    relation="<=",
                ),
            ],
            "the slowest rate is lambda rho^2, along what no sample sees; e^(-400 times that) is below 1e-9",
        )


@claim("R3")
class EquilibriumLoss(Claim):
    """The loss at rest by the first two moments of the margins."""

    title = "the loss at rest under the square loss"
    statement = "At rest L = 1 - (mean f)^2/(mean f^2 + lambda)."
    latex = r"L_{eq} = 1 - \frac{\overline{f}^2}{\overline{f^2} + \lambda}"
    source = "follows from the norm at rest (R1)"
    hypotheses = (own_instances,)
    stated = Variant(decay=DECAY, penalty=DECAY, power=2)
    mutants = (
        stated.but("no decay", decay=0.0),
        stated.but("without the penalty", penalty=0.0),
        stated.but("first power of the mean", power=1),
    )
    counter_example = "without the penalty: the data term alone is smaller by lambda rho^2"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        z = folded(case.seed)
        path = rested(case, 0.5, DECAY, 400.0)
        rho, v = float(path.last.rho["W1"]), np.asarray(path.last.V["W1"]).ravel()
        f, w = z @ v, ridge(z, DECAY)
        mean = float(f.mean())
        expected = 1.0 - mean**variant.power / (float((f * f).mean()) + variant.decay)
        found = 2.0 * float(np.exp(path.dataset["log_loss"].values[-1])) + variant.penalty * rho**2
        again = float(((1 - z @ w) ** 2).mean() + DECAY * w @ w)
        return Measurement.of(
            [
                Quantity(
                    "loss at rest",
                    found,
                    expected,
                    1e-7,
                    route="flow",
                    second=again,
                    second_route="ridge regression in closed form",
                )
            ],
            "norm and direction rest to 1e-8 after t = 400",
        )


_OUTSIDE = 0.5
"""|V_perp|^2 at the start."""


def _of_gradient_flow(_: float, least: float, rho: float, __: list[float]) -> float:
    return float(np.sqrt(least**2 + _OUTSIDE * rho**2))


@claim("R4")
class StartDecides(Claim):
    """Without decay the norm at rest depends on the norm at the start; one layer obeys a scalar equation."""

    title = "without decay the norm at rest depends on the start"
    statement = (
        "Without decay, one norm on top of a unit direction keeps V_perp e^(rho^2/2), V_perp what no sample sees; it rests where "
        "rho^2 = |X^+ y|^2 + rho^2 |V_perp(0)|^2 e^(rho_0^2 - rho^2), above the least norm that fits, and the more so the larger rho_0."
    )
    latex = (
        r"\rho_\infty^2 = \lVert X^+y\rVert^2 + \rho_\infty^2 \lVert V_\perp(0)\rVert^2 e^{\rho_0^2 - \rho_\infty^2}"
    )
    source = "(1.12) of flowlab's derivations for one layer; the equation derived here. Statement corrected: Poggio, Liao 2020-21"
    hypotheses = (own_instances,)
    stated = Variant(rest=lambda rho, *_: rho)
    mutants = (
        stated.but(USUAL, rest=lambda _, least, *__: least),
        stated.but("plain gradient flow", rest=_of_gradient_flow),
        stated.but("the same norm at every start", rest=lambda rho, _, __, before: before[0] if before else rho),
    )
    counter_example = "plain gradient flow: w keeps w_perp itself, so that rho^2 = |X^+ y|^2 + rho_0^2 |V_perp(0)|^2"
    usual = "Gradient flow on the square loss with normalised directions reaches the absolute minimum of the norm among all that fit."
    decisive = "rho at rest for rho_0 = 0.05, 1 and 3 against the least norm that fits"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        from scipy.optimize import brentq

        z = folded(case.seed)
        least = float(np.linalg.norm(ridge(z, 0.0)))
        told = []
        for rho in (0.05, 1.0, 3.0):
            end = rested(case, rho, 0.0, 400.0).last
            found = float(end.rho["W1"])

            def lack(s: float, rho: float = rho) -> float:
                return s - least**2 - s * _OUTSIDE * float(np.exp(rho**2 - s))

            # Above the least norm the right side grows more slowly than the left: the largest root is where the flow rests.
            grid = np.linspace(least**2, 4 * (least**2 + rho**2) + 4, 4000)
            values = np.array([lack(float(s)) for s in grid])
            last = int(np.flatnonzero(values < 0)[-1])
            largest: Any = brentq(lack, float(grid[last]), float(grid[last + 1]), xtol=1e-14)
            expected = float(np.sqrt(largest))
            expected = variant.rest(expected, least, rho, [q.expected for q in told])
            told.append(Quantity(f"rho at rest from rho_0 = {rho:g}", found, expected, 1e-6 * expected, route="flow"))
        return Measurement.of(told, "local errors of 1e-10 over the flow; it has come to rest by t = 400", least=least)
