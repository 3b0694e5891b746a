"""Angles between a coarse gradient and the true one: none where a run has come to rest."""

import numpy as np
import pytest

import flowlab as fl
from flowlab.studies.field_angle import _moving


def test_what_is_small_beside_the_largest_does_not_move():
    pairs = [({"w": np.array([size, 0.0])}, {"w": np.array([0.0, 1.0])}) for size in (1.0, 1e-3, 1e-9, 0.0)]
    assert _moving(pairs, ("w",), 1e-6).tolist() == [True, True, False, False]
    assert _moving(pairs, ("w",), 1e-12).tolist() == [True, True, True, False]
    # A control: where nothing ever moves, no row does.
    assert not _moving([({"w": np.zeros(2)}, {"w": np.zeros(2)})], ("w",), 1e-12).any()


@pytest.mark.long
def test_no_angle_is_told_of_the_errors_of_a_solver():
    net = fl.weight("v") @ fl.coarse(fl.step, fl.relu)(fl.input("X", ("m", "n")) @ fl.weight("w"))
    pop = fl.population(net, "square", teacher={"v": np.array([0.8, 0.3]), "w": np.array([1.0, 0.0])})
    flow, true = fl.derive(pop), fl.derive(pop.exact)
    start = fl.State.from_weights({"v": np.array([1.0, 0.5]), "w": np.array([0.6, 0.8])})
    path = fl.integrate(fl.lower(flow), start, until=fl.time(300.0))
    found = fl.field_angle(path, flow, true).dataset
    angle, told = found["angle"].values, np.isfinite(found["angle"].values)
    assert told[:20].all()
    assert not told[-1]
    assert np.isnan(found["share"].values[~told]).all()
    # Angles settle, and do not jump as those of errors do.
    late = angle[told][-10:]
    assert np.ptp(late) < 0.05
