"""Claims of Lyu and Li, and of Ji and Telgarsky: the cheap ones by default, all of them on further seeds by name."""

import numpy as np
import pytest

import flowlab as fl
from flowlab.app.verify import packs
from flowlab.claims.library.lyu2020.flows import largest_fall
from flowlab.claims.library.lyu2020.gains import remainder

LYU, JI = packs()["lyu2020"], packs()["ji2020"]


def test_falls_are_seen():
    level, size = np.array([-1.0, 1.0, 2.0, 3.0, 3.5]), np.zeros(5)
    assert largest_fall(level, size) < 0
    assert largest_fall(np.array([1.0, 2.0, 1.9, 3.0]), np.zeros(4)) == pytest.approx(np.log(2 / 1.9))
    assert largest_fall(np.array([1.0, 2.0, -1.0, 3.0]), np.zeros(4)) == np.inf
    assert np.isnan(largest_fall(np.array([-1.0, -2.0]), np.zeros(2)))


def test_what_is_left_to_gain():
    """Of 1 - t^-p while t doubles twice it is t^-p; of log t no limit is in sight; roundings are no gain."""
    for power in (0.3, 1.0, 2.0):
        margins = [1 - (t / 1e3) ** -power for t in (2.5e5, 5e5, 1e6)]
        assert remainder(margins[1] - margins[0], margins[2] - margins[1]) == pytest.approx(1 - margins[2], rel=1e-9)
    assert np.isnan(remainder(0.1, 0.1))
    assert np.isnan(remainder(0.0, 0.1))
    assert remainder(0.0, 1e-10) == 1e-10


@pytest.mark.parametrize("name", ["L1", "L6", "J1", "J3"])
def test_what_does_not_fit_is_not_checked(name):
    y = np.array([1.0, -1.0] * 4)
    stuck = fl.Data(np.random.default_rng(0).normal(size=(2, 3))[np.arange(8) % 2 * 0], y)
    (verdict,) = fl.check([name], stuck)
    assert verdict.code == "does not apply"
