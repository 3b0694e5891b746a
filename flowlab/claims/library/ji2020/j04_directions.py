"""J4: the curve of directions has finite length, and the gradient aligns with the weights."""

from itertools import pairwise

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.ji2020.flows import weights
from flowlab.claims.library.lyu2020.flows import flow, late_flow
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.data import Data
from flowlab.language.trajectory import Trajectory


@claim("J4")
class DirectionsConverge(Claim):
    """The curve of directions has finite length, and the gradient aligns with the weights."""

    title = "finite length of the curve of directions, alignment of the gradient"
    statement = (
        "The curve theta/|theta| has finite length: a decade of log t adds a length that falls like (log t)^(-1/K), K "
        "= 3. The gradient aligns with the weights: <-grad L, theta>/(|grad L| |theta|) -> 1."
    )
    latex = (
        r"\int_0^\infty \bigl\lVert \tfrac{d}{dt}\hat\theta\bigr\rVert\,dt < \infty, \qquad "
        r"\frac{\langle -\nabla L, \theta\rangle}{\lVert\nabla L\rVert \lVert\theta\rVert} \to 1"
    )
    source = "Ji and Telgarsky 2020, theorems 3.1 and 4.1 (numbers not checked); the rate is measured"
    hypotheses = (late_flow("three layers"),)
    stated = Variant(power=-1.0 / 3.0, row=lambda log_loss: len(log_loss) - 1)
    mutants = (
        stated.but("a decade adds as much as the one before", power=0.0),
        stated.but("like 1/log t", power=-1.0),
        stated.but("gradient of the start", row=lambda log_loss: int(np.argmax(log_loss < 0))),
    )
    counter_example = "a decade adds as much as the one before: then the length would grow like log log t"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data, path = flow(case, "three layers")
        lengths, horizons = case.once("ji lengths", lambda: _lengths(path))
        # Slopes between half decades, of the length that is still to come.
        slopes = np.diff(np.log(lengths)) / np.diff(np.log(horizons))
        # Slopes are off by (log t)^(-2/3): from one half decade to the next by a factor of 10^(-1/3).
        change, left = float(slopes[-1] - slopes[-2]), 10.0 ** (-1.0 / 3.0)
        value, bar = float(slopes[-1]) + change * left / (1.0 - left), 0.3 * abs(change)
        quantities = [
            Quantity(
                "exponent of the length per decade",
                value,
                variant.power,
                2e-3,
                bar,
                route="sums of chords, extrapolated",
            )
        ]
        i = variant.row(path.dataset["log_loss"].values)
        quantities.append(
            Quantity("alignment of the gradient", _alignment(path, data, i), 1.0, 2e-3, route="autodiff at log t = 1e6")
        )
        return Measurement.of(
            quantities, "exponents between decades; alignment is missed by the square of what directions lack"
        )


def _theta(path: Trajectory, i: int) -> np.ndarray:
    theta = np.concatenate([w.ravel() for w in weights(path, i)])
    return theta / np.linalg.norm(theta)


def _lengths(path: Trajectory) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of the curve of directions over decades of log t that end at growing horizons."""
    logs = np.log(np.maximum(path.dataset["log_t"].values, 1e-300))
    rows = np.flatnonzero(logs > np.log(50.0))
    chords = np.array([np.linalg.norm(b - a) for a, b in pairwise(_theta(path, int(i)) for i in rows)])
    total, at = np.concatenate([[0.0], np.cumsum(chords)]), logs[rows]
    ends = np.log(np.array([1e4, 3e4, 1e5, 3e5, 1e6]))
    return np.interp(ends, at, total) - np.interp(ends - np.log(10.0), at, total), np.exp(ends)


def _alignment(path: Trajectory, data: Data, i: int) -> float:
    """⟨-∇L, θ⟩/(‖∇L‖ ‖θ‖) with samples weighed by the softmax of their margins: no underflow, however late."""
    first, second, third = weights(path, i)
    z = np.asarray(data.x) * np.asarray(data.y)[:, None]
    q = (third @ second @ first @ z.T)[0]
    p = np.exp(q.min() - q)
    pull = (p @ z)[None] / p.sum()
    g = [(third @ second).T @ pull, third.T @ pull @ first.T, pull @ (second @ first).T]
    theta, slope = np.concatenate([w.ravel() for w in (first, second, third)]), np.concatenate([v.ravel() for v in g])
    return float(slope @ theta / (np.linalg.norm(slope) * np.linalg.norm(theta)))
