"""Every derivation is held against autodiff before it is returned.

The program is evaluated in numpy at random float64 states; the reference is the scheme's numeric meaning applied to
-∂L/∂W by `jax.vjp`. States are drawn so that a wrong equation cannot hide: norms differ from one another and from 1, every
unit with a kink is seen on both sides of it, and no sample is dead.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from flowlab.core.errors import DerivationMismatch
from flowlab.core.precision import require_x64
from flowlab.core.seeds import checked_seed
from flowlab.language.activations import activations
from flowlab.language.groups import inner, scaled
from flowlab.language.network import Network
from flowlab.language.problem import Problem
from flowlab.symbolic.equations import FlowEquations

BOUND = 1e-11
"""Relative residual above which equations are refused: about 1e3 roundings; a wrong coefficient of 1 % shows at 1e-5 or more."""

_TRIES, _EXTRA = 60, 4
_LARGEST_OUTPUT = 20.0
_VANISHED = 1e-13
"""Size of a rate, relative to the largest, below which it is zero but for roundings."""


class Samples(NamedTuple):
    """Inputs (N, d) and labels, as the witness needs them."""

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Certificate:
    """The outcome of a check: the largest relative residual (dimensionless), where it was, and what was covered."""

    residual: float
    equation: str
    states: int
    seed: int
    units_seen_both: bool


@dataclass(frozen=True)
class TestState:
    """A random state with its data."""

    rho: dict[str, np.ndarray]
    V: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    samples: Samples


def random_state(problem: Problem, seed: int, *, d: int = 3, width: int = 4, n: int = 9, lengths: bool = False) -> TestState:
    """A random float64 state and data set for a problem.

    Args:
        problem: gives shapes and labels.
        seed: of the draw.
        d: input dimension to try for; declared integers win.
        width: hidden width to try for.
        n: number of samples.
        lengths: draw directions of length other than 1 too (only where the scheme allows them).
    """
    rng = np.random.default_rng(seed)
    network = problem.network
    if isinstance(network.input_dim, int):
        d = network.input_dim
    elif problem.loss.labels == "binary" and network.output_shape == (network.input_dim,):
        # One output per input feature: a binary loss has one output, so the input is one number.
        d = 1
    outputs = _output_count(problem, d)
    shapes = network.resolve(d, outputs, None, default_width=width)
    weights = {}
    for w, shape in shapes.items():
        weights[w] = rng.normal(size=shape) * np.sqrt(2.0 / (shape[-1] if shape else 1))
        # Factors that differ between blocks: at equal norms many wrong equations are right.
        weights[w] = weights[w] * np.exp(rng.uniform(-0.5, 0.5))
    x = rng.normal(size=(n, d)) / np.sqrt(d) * np.exp(rng.uniform(-0.3, 0.3, size=(n, 1)))
    weights = _tamed(network, weights, x)
    labels = problem.loss.labels
    if labels == "classes":
        y = np.concatenate([np.arange(outputs), rng.integers(0, outputs, size=n - min(n, outputs))])[:n]
    elif labels == "binary":
        y = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    else:
        y = rng.normal(size=(n,) if outputs == 1 else (n, outputs))
    lengths_of = {k: np.sqrt(v) for k, v in inner(weights, weights, problem.per).items()}
    V = scaled({k: 1.0 / v for k, v in lengths_of.items()}, weights, problem.per)
    if lengths and (problem.scheme.normalises or problem.scheme.name == "tangent"):
        V = scaled({k: np.exp(rng.uniform(-0.4, 0.4, size=v.shape)) for k, v in lengths_of.items()}, V, problem.per)
    seen = problem.scheme.weights(np, lengths_of, V, problem.per)
    return TestState(lengths_of, V, seen, Samples(x, y))


def _tamed(network: Network, weights: dict[str, np.ndarray], x: np.ndarray) -> dict[str, np.ndarray]:
    """Weights shrunk together until no output is large: a high degree makes numbers whose exponential is none."""
    for _ in range(200):
        with np.errstate(all="ignore"):
            size = np.abs(network.outputs(weights, x, np)).max()
        if size <= _LARGEST_OUTPUT:
            break
        weights = {w: 0.7 * v for w, v in weights.items()}
    return weights


def _output_count(problem: Problem, d: int) -> int:
    shape = problem.network.output_shape
    if not shape or problem.loss.labels == "binary":
        return 1
    if isinstance(shape[0], int):
        return shape[0]
    return d if shape[0] == problem.network.input_dim else 3


def inputs_of(problem: Problem, state: TestState) -> dict[tuple[str, str], Any]:
    """What the program is given at a state."""
    given: dict[tuple[str, str], Any] = {("x", ""): state.samples.x, ("y", ""): state.samples.y}
    given |= {("norm", k): v for k, v in state.rho.items()}
    given |= {("direction", w): v for w, v in state.V.items()}
    given |= {("weight", w): v for w, v in state.weights.items()}
    given |= {("decay", w): np.float64(c) for w, c in problem.decay.items()}
    return given


def reference(problem: Problem, state: TestState) -> dict[tuple[str, str], np.ndarray]:
    """The rates by autodiff and the scheme's numeric meaning."""
    return _rates(problem, state, _velocity(problem, state))


def _velocity(problem: Problem, state: TestState) -> dict[str, np.ndarray]:
    from flowlab.language.autodiff import velocity

    return {w: np.asarray(v) for w, v in velocity(problem, state.weights, state.samples).items()}


def _rates(problem: Problem, state: TestState, g: dict[str, np.ndarray]) -> dict[tuple[str, str], np.ndarray]:
    if problem.coordinates == "weights":
        return {("W", w): v for w, v in g.items()}
    rho_rate, V_rate = problem.scheme.numeric(np, state.rho, state.V, g, problem.per)
    return {("rho", k): v for k, v in rho_rate.items()} | {("V", w): v for w, v in V_rate.items()}


def residuals(flow: FlowEquations, state: TestState) -> dict[tuple[str, str], float] | None:
    """Relative disagreement of every rate, or None at a dead state, where all rates vanish, the derived ones too, and nothing is tested."""
    g = _velocity(flow.problem, state)
    truth = _rates(flow.problem, state, g)
    with np.errstate(all="ignore"):
        derived = flow.program.evaluate(np, inputs_of(flow.problem, state))
    if not any(np.any(want) for want in truth.values()):
        return {key: float("inf") for key in truth} if any(np.any(derived[key]) for key in truth) else None
    sizes = {key: float(np.linalg.norm(np.ravel(want))) for key, want in truth.items()}
    # Where only roundings are left of every rate (one weight per block at fixed norms), the velocity gives the scale.
    largest = max(*sizes.values(), *(float(np.linalg.norm(np.ravel(v))) for v in g.values()))
    out = {}
    for key, want in truth.items():
        gap = float(np.linalg.norm(np.ravel(np.asarray(derived[key]) - want)))
        # A rate that vanishes identically (the direction of a block of one weight) is roundings only: no measure of its own.
        out[key] = gap / (sizes[key] if sizes[key] > _VANISHED * largest else largest)
        if not np.isfinite(out[key]):
            out[key] = float("inf")
    return out


def certify(flow: FlowEquations, *, states: int = 3, seed: int = 0, bound: float = BOUND) -> Certificate:
    """Hold derived equations against autodiff.

    Args:
        flow: the equations.
        states: how many random states, besides those needed to see every unit on and off.
        seed: of the first state.
        bound: largest relative residual that passes.

    Returns:
        The certificate.

    Raises:
        DerivationMismatch: naming the equation and the size of the disagreement.
        PrecisionTooLow: without float64.
        LanguageError: for a seed that is not an integer from 0 on.
    """
    require_x64("derive")
    seed = checked_seed(seed)
    worst, where, used = 0.0, "", 0
    coverage = _Coverage(flow.problem)
    # Narrow deep nets with kinks die; every doubling of the depth asks for one more unit per layer.
    width = 4 + len(coverage.kinked).bit_length() + (2 if len(coverage.kinked) > 8 else 0)
    for attempt in range(_TRIES):
        state = random_state(flow.problem, seed + attempt, d=3 + attempt % 2, width=width, n=9, lengths=attempt % 2 == 1)
        fresh = coverage.note(state)
        if (used >= states and not fresh) or used >= states + _EXTRA:
            if coverage.complete or used >= states + _EXTRA:
                break
            continue
        sizes = residuals(flow, state)
        if sizes is None:
            continue
        used += 1
        for (kind, block), size in sizes.items():
            if size > worst:
                worst, where = size, _name(flow.problem, kind, block)
        if worst > bound:
            break
    if worst > bound:
        raise DerivationMismatch(
            f"the derived {where} disagrees with autodiff by {worst:.2e} (relative) for `{flow.problem.network.text[:120]}`; "
            f"the derivation of this architecture is wrong, please report it.",
            where,
            worst,
        )
    return Certificate(worst, where, used, seed, coverage.complete)


def _name(problem: Problem, kind: str, block: str) -> str:
    if kind == "rho":
        return f"equation of d rho_{block}/dt"
    return f"equation of d {'v' if problem.scheme.normalises else 'V'}_{block}/dt" if kind == "V" else f"equation of d {block}/dt"


class _Coverage:
    """Which units with a kink have been seen on either side."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.kinked = [n for n in problem.network.nodes if n.op == "activation" and activations[n.params[0]].kinks and problem.network.type_of(n).sampled]
        self.seen: dict[int, np.ndarray] = {}

    def note(self, state: TestState) -> bool:
        """Take a state into account; True if it showed a side not seen before."""
        if not self.kinked:
            return False
        values = self.problem.network.node_values(state.weights, state.samples.x, np)
        fresh = False
        for i, node in enumerate(self.kinked):
            z = values[id(node.args[0])].reshape(len(state.samples.x), -1)
            sides = np.stack([(z > 0).any(axis=0), (z < 0).any(axis=0)])
            before = self.seen.get(i)
            both = sides if before is None else before | sides if before.shape == sides.shape else before
            fresh |= before is None or bool((both != before).any())
            self.seen[i] = both
        return fresh

    @property
    def complete(self) -> bool:
        # A unit fed by what is never negative (relu after relu of positive sums) cannot be seen off.
        return len(self.seen) == len(self.kinked) and all(bool(s[0].all()) and bool(s[1].any()) for s in self.seen.values())


__all__ = ["BOUND", "Certificate", "certify", "random_state", "residuals"]
