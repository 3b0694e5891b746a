"""Steps of real flows that meet several kinks at once: the first is found in every one, and none before it is missed.

The witness steps to 64 points inside the step and looks at the sign of every pre-activation there; it shares no
polynomial with the tracker.
"""

import numpy as np
import pytest

import flowlab as fl
from flowlab.dynamics.kinks.tracker import Tracker

POINTS = np.linspace(0, 1, 65)[1:]


def flow(seed):
    """Random labels on many samples in few dimensions, so that kinks are dense; loose tolerances make steps long."""
    rng = np.random.default_rng(seed)
    data, net = fl.Data(rng.normal(size=(40, 4)), rng.choice([-1.0, 1.0], size=40)), fl.Network("W2 @ relu(W1 @ x)")
    field = fl.lower(fl.derive(fl.Problem(net, coordinates="weights")))
    return fl.integrate(
        field, fl.initial_state(net, data, widths={"W1": 12}, seed=seed), data, until=fl.time(1.0), rtol=1e-3, atol=1e-4
    )


class Watched:
    """Counts steps, those that meet several kinks, and kinks that were left behind."""

    def __init__(self, monkeypatch, most):
        self.steps = self.several = self.missed = 0
        meeting = Tracker.meeting

        def watched(tracker, look):
            found = meeting(tracker, look)
            if self.several < most:
                self.see(tracker.side, look, found)
            return found

        monkeypatch.setattr(Tracker, "meeting", watched)

    def see(self, side, look, found):
        inside = np.stack([look(float(part))[2][0] for part in POINTS])
        wrong = inside * side < -1e-11 * np.abs(inside).max()
        before = (found.part if found is not None else 1.0) - 1e-9
        self.steps += 1
        self.several += int(wrong.any(axis=0).sum() > 1)
        self.missed += int(wrong[before > POINTS].any())


def gone(monkeypatch, most, seeds):
    seen = Watched(monkeypatch, most)
    for seed in seeds:
        flow(seed)
    return seen


@pytest.mark.long
def test_the_first_of_several_kinks_in_a_step_is_found(monkeypatch):
    seen = gone(monkeypatch, 8, [21])
    assert (seen.missed, seen.several >= 8) == (0, True)


@pytest.mark.slow
def test_two_hundred_real_steps_with_several_kinks(monkeypatch):
    seen = gone(monkeypatch, 200, range(22, 30))
    assert (seen.missed, seen.several >= 200) == (0, True), (seen.steps, seen.several, seen.missed)


@pytest.mark.long
def test_a_tracker_that_overlooks_a_pair_is_seen_to_miss_it(monkeypatch):
    """Control: the pair that is met first is withheld from the tracker."""
    meeting = Tracker.meeting

    def blind(tracker, look):
        found = meeting(tracker, look)
        return None if found is not None and found.hits and not found.leaves else found

    monkeypatch.setattr(Tracker, "meeting", blind)
    assert gone(monkeypatch, 5, [21]).missed > 0
