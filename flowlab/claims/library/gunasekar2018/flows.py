"""Circular linear networks: flows under the exponential loss, the KKT points that they approach, and their predictors
in the frequency domain.
"""

from dataclasses import dataclass

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.sample_problems import integrated
from flowlab.core.errors import ClaimError
from flowlab.core.typing import Record
from flowlab.discrete.margin.directional_limit import limit
from flowlab.dynamics.conditions import log_time
from flowlab.language.data import Data
from flowlab.language.network import Network
from flowlab.language.problem import Problem
from flowlab.language.state import initial_state

D, N = 5, 4
"""Entries of an input and samples: three frequencies, and fewer samples than entries, so that data are separable."""
LATE = 30.0
"""Log t of the end: far into the range in which directions hardly move, near enough for the KKT point to be told."""
ABSENT = 1e-6
"""Of the largest entry of the transform: below it a frequency is absent from a predictor."""


@dataclass(frozen=True)
class Frequencies:
    """A limit direction in the frequency domain.

    Attributes:
        predictor: DFT of β, (D,), complex.
        force: DFT of Σ p_n y_n x_n with the multipliers p of the margins, of sum 1, (D,).
        margin: smallest margin of β.
        residual: of the KKT conditions.
        slope: of the distance between the flow and its limit, in log R, over the last rows.
    """

    predictor: np.ndarray
    force: np.ndarray
    margin: float
    residual: float
    slope: float

    def norm(self, p: float) -> float:
        """Σ_k |DFT_k|^p of the predictor, to the power 1/p."""
        return float((np.abs(self.predictor) ** p).sum() ** (1.0 / p))

    def turned(self, p: float) -> float:
        """1 - cos of the angle between the force and the slope of the penalty Σ|DFT_k|^p, over what is not absent."""
        size = np.abs(self.predictor)
        there = size > ABSENT * size.max()
        slope = size[there] ** (p - 2.0) * self.predictor[there]
        both = np.linalg.norm(slope) * np.linalg.norm(self.force[there])
        return float(1.0 - abs(np.vdot(slope, self.force[there])) / both)

    def gap(self, p: float, dual: float) -> float:
        """Relative gap between the norm over the margin and its bound by the dual norm of the force.

        In the transform the inner product has the factor 1/D; the norm is that of p, the dual one that of `dual`.
        """
        size = np.abs(self.force)
        bound = float(size.max()) if np.isinf(dual) else float((size**dual).sum() ** (1.0 / dual))
        return self.norm(p) / len(size) / self.margin * bound - 1.0


def circular(layers: int) -> Network:
    """F = w_L · (w_{L-1} * ... * w_1 * x), circular convolutions with filters as long as the input."""
    text = "x"
    for layer in range(1, layers):
        text = f"conv(w{layer}, {text}, padding='circular')"
    return Network(f"w{layers} @ {text}", shapes={f"w{layer}": ("d",) for layer in range(1, layers + 1)})


def limit_of(case: Case, layers: int) -> Frequencies:
    """The KKT point that a flow from a random start approaches.

    Raises:
        ClaimError: if no KKT point is found.
    """
    rng = np.random.default_rng(case.seed)
    x = rng.normal(size=(N, D))
    y = np.where(x @ rng.normal(size=D) > 0, 1.0, -1.0)
    network, data = circular(layers), Data(x, y, kind="binary")
    problem = Problem(network, "exponential")
    start = initial_state(network, data, seed=case.seed)
    path = integrated(case, f"circular {layers}", problem, start, data, log_time(LATE))
    found = limit(path)
    if not len(found.support):
        raise ClaimError("the flow has no KKT point near its end; try another seed.")
    V = {name: np.asarray(v) for name, v in found.V.items()}
    beta = network.outputs(V, np.eye(D), np)[:, 0]
    shares = np.zeros(N)
    shares[list(found.support)] = found.multipliers
    return Frequencies(
        np.fft.fft(beta),
        np.fft.fft((shares / shares.sum() * y) @ x),
        float((y * (x @ beta)).min()),
        float(found.residual),
        float(found.rate.slope),
    )


def settings() -> Record:
    """What the instances are, for verdicts."""
    return {"entries": D, "samples": N, "log_t": LATE}
