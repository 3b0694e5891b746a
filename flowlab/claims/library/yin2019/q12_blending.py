"""Q12: what blending full-precision weights buys."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.discrete import descend
from flowlab.language.data import Data
from flowlab.language.network import Network
from flowlab.language.problem import Problem
from flowlab.language.state import State

N, SEEDS, COUNT, STEP = 24, 6, 1500, 0.02
RATIOS = (0.0, 0.5, 2.0)
"""Of ρ/(η L): none, half of what the inequality asks for, and twice that."""


@claim("Q12")
class BlendingDescends(Claim):
    """Blended descent lowers a smooth loss at the quantised weights once the blend is larger than step times L.

    w_f+ = (1 - ρ) w_f + ρ w - η ∇f(w), w+ = the nearest array of one scale times ±1; both projections are the best.
    """

    title = "blended descent of quantised weights"
    statement = (
        "With an L-smooth f and its gradient, blended descent has f(w+) - f(w) <= -(rho/eta - L)|w+ - w|^2/2. So it "
        "lowers f if rho > eta L, and BinaryConnect (rho = 0) need not."
    )
    latex = r"f(w^+) - f(w) \le -\tfrac12\bigl(\tfrac{\rho}{\eta} - L\bigr)\lVert w^+ - w\rVert^2"
    source = "Yin et al. 2018, blended coarse gradient descent (number not checked); proof written out here"
    hypotheses = (own_instances,)
    stated = Variant(share=1.0, projects=True, ratios=RATIOS)
    mutants = (
        stated.but(USUAL, ratios=(0.0, 0.0, 0.0)),
        stated.but("twice the decrease", share=4.0),
        stated.but("projection dropped", projects=False),
    )
    counter_example = "as usually stated: BinaryConnect chatters between two quantised arrays"
    usual = "Descent of quantised weights by full-precision ones lowers the loss for small steps."
    decisive = "rises of the loss without blending, and none with rho = 2 eta L"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        hand = {
            x: case.once(f"blending {x} {variant.projects}", lambda x=x: _by_hand(case.seed, x, variant.projects))
            for x in variant.ratios
        }
        runs, gap = hand, 0.0
        if variant.projects:
            runs = {x: case.once(f"blended descent {x}", lambda x=x: _descents(case.seed, x)) for x in variant.ratios}
            pairs = [(a, b) for x in runs for (a, _, _), (b, _, _) in zip(runs[x], hand[x], strict=True)]
            gap = max(float(np.abs(a - b).max()) for a, b in pairs)
        worst, off = -np.inf, 0.0
        for ratio, many in runs.items():
            for (values, weights, _), (_, _, L) in zip(many, hand[ratio], strict=True):
                moves = (np.diff(weights, axis=0) ** 2).sum(axis=1)
                bound = -0.5 * variant.share * L * (ratio - 1) * moves
                worst = max(worst, float(np.max((np.diff(values) - bound) / (1 + np.abs(values[:-1])))))
                size = np.abs(weights)
                off = max(off, float(np.abs(size - size.mean(axis=1, keepdims=True)).max()))
        first, last = (
            sum(int((np.diff(values) > 1e-12).sum()) for values, _, _ in runs[variant.ratios[i]]) for i in (0, -1)
        )
        return Measurement.of(
            [
                Quantity("largest excess over the bound", worst, 0.0, 1e-12, relation="<="),
                Quantity("rises with rho = 2 eta L", float(last), 0.0, 0.0, relation="<="),
                Quantity("rises without blending", float(first), 1.0, 0.0, relation=">=", altered=0.0),
                Quantity("distance of weights from the grid", off, 0.0, 1e-12, relation="<="),
                Quantity("gap of `descend` and the map written out", gap, 0.0, 1e-10, relation="<="),
            ],
            f"{SEEDS} random quadratics of {N} weights, {COUNT} steps each, by `descend` in the geometry `binary`",
            rises_without=first,
        )


Run = tuple[np.ndarray, np.ndarray, float]
"""Losses (T + 1,), weights (T + 1, n), and L."""


def _instance(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """A, the centre c and the start of (w - c)^T A (w - c)/2, and the largest eigenvalue of A."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(N, N)) / np.sqrt(N)
    A = root @ root.T
    return A, rng.normal(size=N), rng.normal(size=N), float(np.linalg.eigvalsh(A)[-1])


def _descents(seed: int, ratio: float) -> list[Run]:
    """The runs on the road of the package."""
    net = Network("0.5 * ((w - c) @ A @ (w - c))", constants={"A": (N, N), "c": (N,)})
    problem, runs = Problem(net, "value", geometry={"w": "binary"}), []
    for i in range(SEEDS):
        A, centre, full, L = _instance(seed + 60 + i)
        data, start = Data(constants={"A": A, "c": centre}), State.from_weights({"w": full})
        path = descend(problem, start, data, step=STEP, count=COUNT, record_every=1, blend=ratio * L)
        ds = path.dataset
        runs.append((ds["objective"].values, ds["V_w"].values * ds["rho"].sel(block="w").values[:, None], L))
    return runs


def _by_hand(seed: int, ratio: float, projects: bool) -> list[Run]:
    """The runs by the map of the paper, written out."""
    runs = []
    for i in range(SEEDS):
        A, centre, full, L = _instance(seed + 60 + i)
        rho = ratio * STEP * L
        project = (lambda z: np.abs(z).mean() * np.where(z < 0, -1.0, 1.0)) if projects else (lambda z: z)
        rows = [project(full)]
        for _ in range(COUNT):
            full = (1 - rho) * full + rho * rows[-1] - STEP * (A @ (rows[-1] - centre))
            rows.append(project(full))
        weights = np.array(rows)
        values = 0.5 * np.einsum("ti,ij,tj->t", weights - centre, A, weights - centre)
        runs.append((values, weights, L))
    return runs
