"""Layers along the late flow of a deep linear net."""

from typing import Any

import numpy as np

NAMES = ("W1", "W2", "W3")


def weights(path: Any, i: int) -> list[np.ndarray]:
    """The three matrices at a row."""
    blocks = path.state(i).weights()
    return [np.asarray(blocks[name]) for name in NAMES]
