"""Samples a tenth of whose labels are wrong, and the expected error of a direction on them."""

import numpy as np

from flowlab.claims.library.poggio2020.flows import machine
from flowlab.core.errors import FlowlabError
from flowlab.language.data import Data

N, D, FLIPPED = 40, 60, 4


STRONG, WEAK = 3, 0.3
"""The teacher sees three inputs; the others are noise of this deviation, in which wrong labels can be fitted."""


APART = 0.05


SAMPLES = 200_000


def instance_of(seed: int) -> tuple[Data, np.ndarray]:
    """Gaussian inputs labelled by a linear teacher, a tenth of the labels turned round; redrawn until a linear net
    interpolates them.
    """
    for k in range(100):
        rng = np.random.default_rng((seed, k))
        x, teacher = rng.normal(size=(N, D)) * deviations(), np.r_[rng.normal(size=STRONG), np.zeros(D - STRONG)]
        y = np.sign(x @ teacher)
        y[rng.choice(N, FLIPPED, replace=False)] *= -1.0
        data = Data(x, y, name=f"noisy labels seed={seed}", kind="binary")
        try:
            machine(data)
        except FlowlabError:
            continue
        return data, teacher / np.linalg.norm(teacher)
    raise AssertionError("forty Gaussian samples in sixty dimensions can be separated")


def deviations() -> np.ndarray:
    """Standard deviations of the features, (D,): strong ones and weak ones."""
    return np.r_[np.ones(STRONG), WEAK * np.ones(D - STRONG)]


def expected_error(w: np.ndarray, teacher: np.ndarray) -> float:
    """Expected 0-1 error for Gaussian inputs and clean labels: the angle to the teacher over π, where inputs have unit
    variance.
    """
    u = w * deviations()
    u = u / np.linalg.norm(u)
    return float(np.arctan2(np.linalg.norm(u - teacher * (teacher @ u)), teacher @ u) / np.pi)


def sampled(w: np.ndarray, teacher: np.ndarray, seed: int) -> float:
    """The same error on fresh samples, drawn in the plane of both directions."""
    x = np.random.default_rng((seed, 1)).normal(size=(SAMPLES, 2))
    # Only the plane of both directions matters.
    u = w * deviations()
    u = u / np.linalg.norm(u)
    across = np.linalg.norm(u - teacher * (teacher @ u))
    return float(np.mean(np.sign(x @ np.array([teacher @ u, across])) != np.sign(x[:, 0])))


def clean(data: Data, teacher: np.ndarray) -> float:
    """Error of the maximum margin, less the least one of small steps of descent, for clean labels and the teacher's
    inputs alone.
    """
    x = np.asarray(data.x) * (np.arange(D) < STRONG)
    z = x * np.sign(x @ teacher)[:, None]
    late, W, errors = expected_error(machine(Data(x, np.sign(x @ teacher), kind="binary"))[0], teacher), np.zeros(D), []
    for _ in range(2000):
        W = W + 0.01 * z.T @ np.exp(-z @ W)
        errors.append(expected_error(W, teacher))
    return late - min(errors)
