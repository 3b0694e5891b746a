"""Seeded instances for claims without inputs of a user, and the autodiff quantities that claims share."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from flowlab.claims.case import Case
from flowlab.core.errors import ClaimError
from flowlab.core.typing import Array, Namespace, PyTree, Scalar
from flowlab.dynamics import integrate
from flowlab.dynamics.conditions import Condition
from flowlab.language.autodiff import velocity
from flowlab.language.data import Data
from flowlab.language.datasets import load
from flowlab.language.problem import Problem
from flowlab.language.state import State, initial_state
from flowlab.language.trajectory import Trajectory
from flowlab.lowering.lower import lower
from flowlab.symbolic.derive import derive

NETS = (
    "W2 @ relu(W1 @ x)",
    "W3 @ W2 @ W1 @ x",
    "W3 @ relu(W2 @ relu(W1 @ x))",
    "W2 @ relu(W1 @ x)**2",
    "W5 @ relu(W4 @ relu(W3 @ relu(W2 @ relu(W1 @ x))))",
)
"""Depths 2 to 5; linear, ReLU and ReLU², so that degrees other than 1 occur."""

ROWS = 3
"""Rows of a given run at which statements about single states are checked."""
_BESIDE = 1e-6
"""Relative distance from rows of networks with kinks at which their states are looked at: far above roundings, and
nothing for the statement.
"""
_LARGE = 20.0
"""Outputs beyond which exponentials of them leave few digits."""

SMALL = "gaussian?n=20&d=3&margin=0.3"


def small_data(seed: int) -> Data:
    """Twenty separable samples in three dimensions."""
    return load(SMALL, seed=seed)


def separable(n: int, d: int, seed: int) -> Data:
    """N Gaussian samples in d dimensions, pushed 0.3 away from a random hyperplane that separates them."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(n, d)), rng.normal(size=d)
    y = np.where(x @ w >= 0, 1.0, -1.0)
    return Data(
        x + 0.3 * np.outer(y, w) / np.linalg.norm(w), y, name=f"separable n={n} d={d} seed={seed}", kind="binary"
    )


def samples_of(path: Trajectory) -> Data:
    """The samples of a run.

    Raises:
        ClaimError: where the run does not hold them.
    """
    if path.data is None:
        raise ClaimError("the run must have its samples, got none; pass them with it.")
    return path.data


def samples_for(case: Case, otherwise: Data) -> Data:
    """The case's samples, or some with labels that its problem's loss takes; without a problem, `otherwise`."""
    if case.data is not None:
        return case.data
    if case.problem is None or case.problem.loss.has_one_output:
        return otherwise
    rng = np.random.default_rng(case.seed)
    x = rng.normal(size=(9, 3))
    if case.problem.loss.compares_outputs:
        # Three directions that a linear net tells apart.
        y = np.arange(9) % 3
        return Data(0.4 * x + 2.0 * np.eye(3)[y], y, name=f"three classes seed={case.seed}", kind="classes")
    return Data(x, rng.normal(size=9), name=f"targets seed={case.seed}", kind="targets")


def worst(values: Iterable[Scalar]) -> float:
    """The largest of some numbers; NaN where one of them is, which `max` may drop."""
    return float(np.max(np.array([0.0, *(float(v) for v in values)])))


def facing(problem: Problem, start: State, data: Data) -> State:
    """The start, or with its first block turned round where the sum of all y f is negative: normalised flows that look
    away may lose their norm on the way.
    """
    (x, labels) = data.in_numpy
    y = np.asarray(labels, dtype=float)
    along = float(np.sum(y * problem.network.outputs({k: np.asarray(v) for k, v in start.V.items()}, x, np).ravel()))
    first = problem.network.weights[0]
    return start if along >= 0 else State(rho=start.rho, V={**start.V, first: -start.V[first]}, per=start.per)


def integrated(
    case: Case,
    name: str,
    problem: Problem,
    start: State,
    data: Data,
    until: Condition | Sequence[Condition],
    **settings: Any,
) -> Trajectory:
    """A flow, integrated once under this name and kept as a record of the check.

    Raises:
        ClaimError: if it ended before where it was to end.
    """

    def run() -> Trajectory:
        # One derivation serves every start and every data set.
        field = case.once(f"field {problem.signature}", lambda: lower(derive(problem)))
        # The name of data is part of what is compiled; one name, and flows on other samples of the same shapes cost no
        # compilation.
        plain = data.called("samples")
        path = replace(integrate(field, start, plain, until=until, seed=case.seed, **settings), data=data)
        if not path.outcome.ok:
            raise ClaimError(
                f"the flow `{name}` ended early ({path.outcome}); try another seed, or give a flow of your own."
            )
        return path

    return case.once(name, run)


def problem_like(case: Case, net: str, **settings: Any) -> Problem:
    """The case's network, loss and weight decay, or default ones, under another scheme."""
    if case.problem is None:
        return Problem(net, "exponential", **settings)
    p = case.problem
    return Problem(p.network, p.loss.name, reduction=p.reduction, **({"decay": p.decay} | settings))


def states(problem: Problem, data: Data, seed: int, count: int, widths: int = 5) -> Iterator[State]:
    """Random states with norms that differ from one another, as Gaussian weights do not give."""
    for i in range(count):
        start = initial_state(problem.network, data, seed=seed + i, default_width=widths, per=problem.per)
        rng = np.random.default_rng(1000 + seed + i)
        rho = {k: jnp.asarray(np.asarray(r) * np.exp(rng.uniform(-0.6, 0.6))) for k, r in start.rho.items()}
        yield State(rho=rho, V=start.V, per=start.per)


def visited(case: Case, problem: Problem, data: Data, count: int, widths: int = 5) -> Iterator[State]:
    """States of the run given, from its end to its start, and `count` random ones besides.

    They are those of rows, or right beside them where the network has kinks. Where outputs are so large that a loss
    leaves float64 the norms are smaller than in the run; directions are its own.
    """
    flow: Trajectory | None = case.flow
    descent: Trajectory | None = case.descent if flow is None else None
    runs: list[Trajectory] = [run for run in (flow, descent) if run is not None]
    bent, rng = any(slot.tracked for slot in problem.network.slots), np.random.default_rng(case.seed)
    for run, i in (
        (one, i) for one in runs for i in np.unique(np.linspace(len(one) - 1, 0, min(len(one), ROWS)).astype(int))[::-1]
    ):
        weights = {
            k: np.asarray(w)
            for k, w in run.problem.scheme.weights(np, *_plain(run.state(int(i))), run.problem.per).items()
        }
        outputs, degree = (
            np.abs(problem.network.outputs(weights, data.in_numpy[0], np)).max(),
            problem.network.symmetry.joint_degree,
        )
        if outputs > _LARGE and degree:
            weights = {k: w * (_LARGE / outputs) ** (1.0 / float(degree)) for k, w in weights.items()}
        if bent:
            # On a kink itself roundings choose the slope.
            weights = {k: w + _BESIDE * np.sqrt(np.mean(w * w)) * rng.normal(size=w.shape) for k, w in weights.items()}
        yield State.from_weights({k: jnp.asarray(w) for k, w in weights.items()}, per=problem.per)
    yield from states(problem, data, case.seed, count, widths)


def _plain(state: State) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rho, V = ({k: np.asarray(v) for k, v in part.items()} for part in (state.rho, state.V))
    return rho, V


def rates(problem: Problem, state: State, data: Data) -> tuple[dict[str, Array], dict[str, Array]]:
    """(ρ̇, V̇) of the problem's scheme by autodiff."""
    traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(state))
    xp: Namespace = jnp if traced else np
    rho, V = jax.tree.map(xp.asarray, (state.rho, state.V))
    g = jax.tree.map(xp.asarray, velocity(problem, problem.scheme.weights(xp, rho, V, problem.per), data))
    return problem.scheme.numeric(xp, rho, V, g, problem.per)


def angle(a: Array, b: Array) -> float:
    """The angle between two vectors, in radians, without the loss of digits that arccos has near 0."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return float(2.0 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b)))


def gap(a: PyTree, b: PyTree) -> float:
    """‖a - b‖/‖b‖ over all leaves."""
    pairs = [(np.asarray(p), np.asarray(q)) for p, q in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)]
    top = sum(float(((p - q) ** 2).sum()) for p, q in pairs)
    size = sum(float((q**2).sum()) for _, q in pairs)
    return float(np.sqrt(top / size)) if size > 0 else float(np.sqrt(top))
