"""Generators of a user: which objectives are L_τ of a product of layers, and what the claims read of one."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from flowlab.claims.case import RUNS, Case
from flowlab.claims.hypotheses import Hypothesis
from flowlab.claims.library.brechet2023.flows import LAYERS, RANK, SIX, TAU, distance, power, problem, target
from flowlab.claims.library.brechet2023.flows import data as own_data
from flowlab.core.errors import ClaimError, FlowlabError
from flowlab.core.typing import Blocks
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.trajectory import Trajectory
from flowlab.studies.covariance_points import CovariancePoints, covariance_points
from flowlab.symbolic.balanced_start import balanced_state, chain

SAME = 1e-9
"""Relative difference of two objectives that is more than roundings of a nuclear norm."""
BALANCED = 1e-8
"""Imbalance over the size of the layers up to which a start counts as balanced: laws of unbalanced ones differ."""


@dataclass(frozen=True)
class Generator:
    """Layers W_N … W_1 whose objective is B²(W W^T + τ I, Σ_0).

    Attributes:
        layers: names of the blocks, from the input on.
        tau: τ, of the unit of a covariance.
        target: Σ_0, (n, n).
    """

    problem: Problem
    data: Data
    layers: tuple[str, ...]
    tau: float
    target: np.ndarray

    @property
    def depth(self) -> int:
        """N."""
        return len(self.layers)

    @cached_property
    def root(self) -> np.ndarray:
        """Σ_0^{1/2}, (n, n)."""
        return power(self.target, 0.5)

    @cached_property
    def spectrum(self) -> np.ndarray:
        """Eigenvalues of Σ_0, the largest first."""
        return np.linalg.eigvalsh(self.target)[::-1]

    @cached_property
    def basis(self) -> np.ndarray:
        """Eigenvectors of Σ_0 in that order."""
        return np.linalg.eigh(self.target)[1][:, ::-1]

    def product(self, weights: Blocks) -> np.ndarray:
        """W_N … W_1."""
        made = np.asarray(weights[self.layers[0]])
        for name in self.layers[1:]:
            made = np.asarray(weights[name]) @ made
        return made

    def products(self, path: Trajectory) -> np.ndarray:
        """W of all rows, (rows, n, m)."""
        return np.stack([self.product(path.weights(i)) for i in range(len(path))])

    def loss(self, W: np.ndarray) -> float:
        """L_τ, to relative precision near its zero where W W^T + τ has full rank."""
        return distance(W, self.root, self.tau)

    def imbalance(self, weights: Blocks, share: float = 1.0) -> list[np.ndarray]:
        """W_{j+1}^T W_{j+1} - W_j W_j^T of all pairs of neighbours, the second term times a share."""
        W = [np.asarray(weights[name]) for name in self.layers]
        return [b.T @ b - share * a @ a.T for a, b in pairwise(W)]

    def shapes(self, path: Trajectory | None) -> dict[str, tuple[int, ...]]:
        """Of the layers in a run, or square ones."""
        n = len(self.target)
        if path is not None:
            return {w: np.shape(v) for w, v in path.weights(0).items()}
        declared = self.problem.network.shapes
        return {w: tuple(k if isinstance(k, int) else n for k in declared[w]) for w in self.layers}


_OTHER = "the objective must be a squared Bures distance of P P^T + τ I from one symmetric constant, got another."


def generator_of(told: Problem, data: Data) -> Generator:
    """The layers, the noise and the target of a problem.

    τ solves for the value at W = 0; that the objective is then L_τ is tried at random weights.

    Raises:
        FlowlabError: where the objective is another one.
    """
    told.require_plain("the statement")
    layers = chain(told)
    names = [name for name in told.network.constants if name in told.network.symmetric]
    if len(names) != 1 or not told.loss.is_value or any(told.decay.values()):
        raise ClaimError(_OTHER)
    told.network.require_given(data.shapes)
    S = np.asarray(data.given[names[0]])
    n, root = len(S), power(S, 0.5)
    rng = np.random.default_rng(0)

    def value(W: Mapping[str, np.ndarray]) -> float:
        return float(np.asarray(told.objective(W, data, np)))

    start = balanced_state(told, product=rng.normal(size=(n, _columns(told, layers[0], n))) / np.sqrt(n)).weights()
    W = {w: np.asarray(v) for w, v in start.items()}
    offset = value({w: np.zeros_like(v) for w, v in W.items()}) - np.trace(S)
    # At W = 0 the objective is n τ - 2 √τ tr R + tr Σ_0.
    half = np.trace(root) / n
    far = np.sqrt(max(half**2 + offset / n, 0.0))
    made = Generator(told, data, layers, 0.0, S)
    product, seen = made.product(W), value(W)
    for side in (half - far, half + far):
        tau = side**2 if side > np.sqrt(SAME) * half else 0.0
        if abs(distance(product, root, tau) - seen) <= SAME * (np.trace(S) + np.trace(product @ product.T)):
            return Generator(told, data, layers, float(tau), S)
    raise ClaimError(_OTHER)


def _columns(told: Problem, first: str, otherwise: int) -> int:
    declared = told.network.shapes[first][1]
    return declared if isinstance(declared, int) else otherwise


def generator(case: Case, depth: int = LAYERS, tau: float = TAU) -> Generator:
    """That of the case, or where nothing was given an own one of this depth and noise."""

    def made() -> Generator:
        if case.problem is not None:
            return generator_of(case.problem, case.data)
        own = problem(depth, tau)
        return Generator(own, own_data(case), chain(own), tau, target(case))

    return case.once(f"generator {depth} {tau}", made)


@dataclass(frozen=True)
class CriticalPoints:
    """All critical points of a generator whose narrowest layer has a width."""

    of: Generator
    points: CovariancePoints
    rank: int


def critical_points(case: Case, tau: float) -> CriticalPoints:
    """Those of the given problem, or the pack's own with this noise."""
    if case.problem is None:
        return own_points(case, tau)

    def made() -> CriticalPoints:
        told, rank = generator(case), _rank(case)
        return CriticalPoints(told, covariance_points(told.problem, told.data, rank=rank), rank)

    return case.once("critical points", made)


def own_points(case: Case, tau: float) -> CriticalPoints:
    """Those of a single layer of `RANK` columns at the larger target."""

    def made() -> CriticalPoints:
        single, samples = problem(1, tau), own_data(case, SIX)
        told = Generator(single, samples, chain(single), tau, target(case, SIX))
        return CriticalPoints(told, covariance_points(single, samples, rank=RANK), RANK)

    return case.once(f"critical points tau={tau}", made)


def _rank(case: Case) -> int:
    """Of the narrowest layer: of a given run, or as declared."""
    told = generator(case)
    run = next((run for name in RUNS if (run := case.unread(name)) is not None), None)
    return min(min(shape) for shape in told.shapes(run).values())


def given_generator(*needs: str, square: bool = False, deep: bool = False, noise: bool | None = None) -> Hypothesis:
    """Deep linear layers under the Bures-Wasserstein loss of one target, or none.

    Args:
        needs: which runs a case with a problem must have, any of them: `"flow"`, `"descent"`.
        square: whether layers must be square, balanced and of full rank, and τ below the target's eigenvalues.
        deep: whether there must be two layers or more.
        noise: whether τ must be positive (True) or zero (False).
    """

    def unmet(case: Case) -> str | None:
        if case.problem is None:
            return None if case.data is None else "a target was given without its problem; pass the problem as well"
        if case.data is None:
            return "a problem was given without its target; pass the data as well"
        try:
            told = generator(case)
        except FlowlabError as error:
            return str(error)
        if noise is not None and noise != (told.tau > 0):
            return f"it is about {'tau > 0' if noise else 'tau = 0'}, and the given one is {told.tau:g}"
        if told.tau >= told.spectrum[-1]:
            return f"it is about tau below the eigenvalues of the target, {told.spectrum[-1]:.4g}, got {told.tau:.4g}"
        if deep and told.depth < 2:
            return "it is about two layers or more, and the given one is single"
        run = next((run for name in needs if (run := case.unread(name)) is not None), None)
        if needs and run is None:
            return f"it looks at rows of a {' or a '.join(needs)}, and none was given"
        return _tilted(told, run) if square and run is not None else None

    words = "deep linear layers under the Bures-Wasserstein loss of one target"
    rest = ", balanced, square and of full rank" if square else ""
    seen = f", with a {' or a '.join(needs)}" if needs else ""
    return Hypothesis(f"{words}{rest}{seen}; or none", unmet)


def _tilted(told: Generator, run: Trajectory) -> str | None:
    """Why the start of a run is not square, balanced and of full rank, or None."""
    W = run.weights(0)
    n = len(told.target)
    if any(np.shape(W[w]) != (n, n) for w in told.layers):
        return "it is about square layers, and those of the run are none"
    size = max(float(np.abs(v).max()) for v in W.values()) ** 2
    off = max((float(np.abs(gap).max()) for gap in told.imbalance(W)), default=0.0)
    if off > BALANCED * size:
        return f"it is about balanced layers, and those of the run are off balance by {off:.2g}"
    if np.linalg.svd(told.product(W), compute_uv=False)[-1] < np.sqrt(SAME) * size:
        return "it is about layers of full rank, and those of the run lack some"
    return None
