"""The game of the paper as a problem, its runs, and their distance from the equilibrium."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.discrete.descent.descend import descend
from flowlab.language.data import Data
from flowlab.language.network import Network
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Trajectory
from flowlab.studies.equilibrium import Equilibrium, equilibrium

SOURCE = "Daskalakis, Panageas 2019"
GAME = np.array([[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-1.0, 3.0, 0.0]])
"""Payoffs of the row player; the equilibrium (.35, .45, .2), (.5, .25, .25) has the value 1/4."""
UNIFORM = np.full(3, 1 / 3)


def matrix_game(ascend: tuple[str, ...] = ("p",), **geometry: str) -> Problem:
    """The maximum over p, the minimum over q of p^T A q on two simplices, or a wrong variant of it."""
    spaces = {"p": "simplex", "q": "simplex"} | geometry
    return Problem(Network("p @ (A @ q)", constants=("A",)), "value", ascend=ascend, geometry=spaces)


def at(p: np.ndarray, q: np.ndarray) -> State:
    """The state of two strategies."""
    return State.from_weights({"p": p, "q": q})


def beside(rest: Equilibrium) -> State:
    """A state 1e-3 from an equilibrium that mixes three strategies of each player."""
    return at(rest.weights["p"] + np.array([1e-3, -1e-3, 0.0]), rest.weights["q"] + np.array([0.0, 1e-3, -1e-3]))


def rest_of(case: Case, payoff: np.ndarray = GAME, name: str = "the 3 x 3 game") -> Equilibrium:
    """The equilibrium of a game, solved once."""
    return case.once(f"equilibrium of {name}", lambda: equilibrium(matrix_game(), Data(A=payoff)))


def games(case: Case, count: int, size: int = 5) -> list[tuple[np.ndarray, Equilibrium]]:
    """Random games whose only equilibrium mixes several strategies, with it."""

    def made() -> list[tuple[np.ndarray, Equilibrium]]:
        rng, found = np.random.default_rng((22, case.seed)), []
        while len(found) < count:
            payoff = rng.uniform(-1, 1, size=(size, size))
            rest = equilibrium(matrix_game(), Data(A=payoff))
            # A pure equilibrium has no frequency.
            if rest.unique and rest.frequencies.size:
                found.append((payoff, rest))
        return found

    return case.once(f"{count} random games", made)


def walk(
    case: Case,
    count: int,
    *,
    step: float,
    rule: str = "optimistic",
    start: State | None = None,
    payoff: np.ndarray = GAME,
    every: int = 1,
    name: str = "",
    problem: Problem | None = None,
) -> Trajectory:
    """A descent of a game, made once under its settings and `name`; from the uniform strategies unless told."""
    start = start or at(np.full(len(payoff), 1 / len(payoff)), np.full(payoff.shape[1], 1 / payoff.shape[1]))
    return case.once(
        f"{rule} {step!r} {count} {every} {name}",
        lambda: descend(
            problem or matrix_game(), start, Data(A=payoff), rule=rule, step=step, count=count, record_every=every
        ),
    )


def strategies(run: Trajectory) -> tuple[np.ndarray, np.ndarray]:
    """The p and q of all rows, (rows, n) and (rows, m)."""
    p, q = (run.dataset[f"V_{w}"].values * run.dataset["rho"].sel(block=w).values[:, None] for w in "pq")
    return p, q


def divergences(rest: Equilibrium, run: Trajectory) -> np.ndarray:
    """KL(p*|p) + KL(q*|q) of all rows, (rows,)."""
    total = np.zeros(len(run))
    for star, now in zip((rest.weights["p"], rest.weights["q"]), strategies(run), strict=True):
        mixed = star > 0
        # A strategy that has died out is infinitely far.
        with np.errstate(divide="ignore"):
            total += (star[mixed] * np.log(star[mixed] / now[:, mixed])).sum(axis=1)
    return total


def gaps(payoff: np.ndarray, p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """What both players can gain by moving alone, together, (rows,)."""
    return (q @ payoff.T).max(axis=1) - (p @ payoff).min(axis=1)


def spread(payoff: np.ndarray, p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The variance of both players' payoffs over their own strategies, (rows,)."""
    up, down = q @ payoff.T, p @ payoff
    rows, columns = ((w * f**2).sum(axis=1) - (w * f).sum(axis=1) ** 2 for w, f in ((p, up), (q, down)))
    return rows + columns


def idle_fall(case: Case, step: float) -> float:
    """By how much log p of a strategy that is not mixed falls in a step next to the equilibrium, over step and slack:
    the mean over 200 steps of the one that is nearest to being mixed, in a random game.
    """
    payoff, rest = next((A, rest) for A, rest in games(case, 10) if rest.slack.get("p", 0.0) > 1e-3)
    gains = payoff @ rest.weights["q"]
    which = max(set(range(len(payoff))) - set(rest.support["p"]), key=lambda i: gains[i])
    first = {w: np.where(v > 0, v, 1e-9) for w, v in rest.weights.items()}
    start = at(*(first[w] / first[w].sum() for w in "pq"))
    p = strategies(walk(case, 2000, step=step, payoff=payoff, start=start, name="idle strategy"))[0][:, which]
    return float(-np.log(p[200] / p[0]) / 200) / (step * rest.slack["p"])
