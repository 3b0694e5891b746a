"""Layers along the late flow of a deep linear net."""

import numpy as np

from flowlab.language.trajectory import Trajectory

NAMES = ("W1", "W2", "W3")


def weights(path: Trajectory, i: int) -> list[np.ndarray]:
    """The three matrices at a row."""
    blocks = path.state(i).weights()
    return [np.asarray(blocks[name]) for name in NAMES]
