"""The game of the paper, or one of a user, as a problem, its runs, and their distance from the equilibrium."""

import math

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.hypotheses import hypothesis
from flowlab.core.errors import ClaimError, FlowlabError
from flowlab.discrete.descent.descend import descend
from flowlab.discrete.matrix_game import matrix_game as read_game
from flowlab.dynamics import integrate, time
from flowlab.language.data import Data
from flowlab.language.network import Network
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Trajectory
from flowlab.lowering.lower import lower
from flowlab.studies.equilibrium import Equilibrium, equilibrium
from flowlab.studies.stability import stability
from flowlab.symbolic.derive import derive

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
    """A state 1e-3 from an equilibrium that mixes all strategies, along the first of one player, the last of another;
    nearer where there is no room for that.
    """
    p, q = rest.weights["p"].copy(), rest.weights["q"].copy()
    size = min(1e-3, 0.5 * p.min(), 0.5 * q.min())
    p[:2] += size * np.array([1.0, -1.0])
    q[-2:] += size * np.array([1.0, -1.0])
    return at(p, q)


def began(case: Case) -> State:
    """Where the given flow or descent starts, as p and q; beside the equilibrium for one that starts there, and from
    the uniform strategies where no run was given.
    """

    def made() -> State:
        run = next((run for run in (case.flow, case.descent) if run is not None), None)
        if run is None:
            n, m = payoff_of(case).shape
            return at(np.full(n, 1 / n), np.full(m, 1 / m))
        up, down = players(run.problem)
        first = at(run.weights(0)[up], run.weights(0)[down])
        return beside(rest_of(case)) if rest_of(case).divergence(first.weights()) < _NEAR else first

    return case.once("start", made)


_NEAR = 1e-8
"""Divergence below which its changes in a step are roundings of its terms."""


def players(problem: Problem) -> tuple[str, str]:
    """Who ascends and who descends; of a wrong variant the first and the second."""
    first, second = problem.network.weights
    return (second, first) if problem.ascend == (second,) else (first, second)


def finite(values: np.ndarray) -> np.ndarray:
    """The rows before a strategy has died out."""
    return values[: int(np.argmin(np.isfinite(values)))] if not np.isfinite(values).all() else values


def payoff_of(case: Case) -> np.ndarray:
    """Payoffs of the row player: of the game that was given, or of that of the paper."""

    def made() -> np.ndarray:
        problem, data = case.problem, case.data
        return GAME if problem is None or data is None else read_game(problem, data)[2]

    return case.once("payoffs", made)


def called(case: Case) -> str:
    """What the game of `payoff_of` is called."""
    return "the 3 x 3 game" if case.problem is None else "the given game"


def printed(case: Case, number: str) -> str:
    """A number that was printed of the game of the paper; empty for another game."""
    return number if case.problem is None else ""


def pace(case: Case) -> float:
    """How much slower the game of `payoff_of` turns than that of the paper: what steps and times are multiplied by."""
    return 1.0 if case.problem is None else _TOP / float(rest_of(case).frequencies[0])


_TOP = 0.7**0.5
"""Largest frequency of the game of the paper, .83666."""


@hypothesis("a matrix game whose only equilibrium mixes all strategies, or none")
def mixed_game(case: Case) -> str | None:
    """What can be held against statements on zero-sum games on simplices."""
    if case.problem is None:
        return None if case.data is None else "payoffs were given without their game; pass the problem as well"
    if case.data is None:
        return "a game was given without its payoffs; pass the data as well"
    try:
        rest = rest_of(case)
    except FlowlabError as error:
        return str(error)
    if not rest.unique:
        return "it is about games with one equilibrium, and the given one has several"
    if any(len(mixed) < len(rest.weights[w]) for w, mixed in rest.support.items()):
        return "it is about equilibria that mix all strategies, and that of the given game does not"
    return None


def rest_of(case: Case) -> Equilibrium:
    """The equilibrium of the game of `payoff_of`, solved once."""
    return case.once("equilibrium", lambda: equilibrium(matrix_game(), Data(A=payoff_of(case))))


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
    payoff: np.ndarray | None = None,
    every: int = 1,
    name: str = "",
    problem: Problem | None = None,
) -> Trajectory:
    """A descent of a game, made once under its settings and `name`; from the uniform strategies unless told."""
    payoff = payoff_of(case) if payoff is None else payoff
    start = start or at(np.full(len(payoff), 1 / len(payoff)), np.full(payoff.shape[1], 1 / payoff.shape[1]))
    return case.once(
        f"{rule} {step!r} {count} {every} {name}",
        lambda: descend(
            problem or matrix_game(), start, Data(A=payoff), rule=rule, step=step, count=count, record_every=every
        ),
    )


def strategies(run: Trajectory) -> tuple[np.ndarray, np.ndarray]:
    """Strategies of who ascends and who descends, of all rows, (rows, n) and (rows, m)."""
    p, q = (
        run.dataset[f"V_{w}"].values * run.dataset["rho"].sel(block=w).values[:, None] for w in players(run.problem)
    )
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


_COUNT, _MOST, _FOLDS = 6000, 200_000, 15.0
"""Steps of a run at least and at most, and wanted e-folds of the slowest mode: from 1e-3 to where roundings begin."""


def settling_steps(rest: Equilibrium) -> int:
    """Steps that a run needs below the threshold.

    Raises:
        ClaimError: where they are too many.
    """
    needed = -_FOLDS / math.log(stability(rest, "optimistic", step=0.57 / float(rest.frequencies[0])).radius)
    if needed > _MOST:
        raise ClaimError(
            f"the slowest mode of the game must settle within {_MOST} steps, got {needed:.2g}; the game turns at"
            " frequencies that are too far apart."
        )
    return max(_COUNT, 1000 * math.ceil(needed / 1000))


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


def replicator_flow(case: Case, problem: Problem, first: State, end: float) -> Trajectory:
    """A flow of the game; of a wrong variant as far as it goes, which may blow up."""
    told = Data(A=payoff_of(case))

    def made() -> Trajectory:
        field, settings = lower(derive(problem)), {"rtol": 1e-13, "atol": 1e-14, "max_steps": 20_000}
        path = integrate(field, first, told, until=time(end), solver="dopri8", **settings)
        if problem == matrix_game() and not path.outcome.ok:
            raise ClaimError(f"the replicator flow ended early ({path.outcome}); give a flow of your own.")
        return path

    return case.once(f"replicator {problem.signature}", made)


def modified_flow(case: Case, rule: str | None, eta: float, start: State, end: float, name: str) -> Trajectory:
    """The modified flow of a rule, or the flow itself."""

    def made() -> Trajectory:
        flow = case.once("O12 flow", lambda: derive(matrix_game()))
        field = lower(flow if rule is None else flow.modified(rule, step=eta))
        return integrate(
            field, start, Data(A=payoff_of(case)), until=time(end), rtol=1e-12, atol=1e-14, solver="dopri8"
        )

    return case.once(f"O12 {rule} {eta if rule else ''} {name} {end}", made)
