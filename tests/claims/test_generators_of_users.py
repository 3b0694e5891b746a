"""Claims on deep linear generators, held against layers, targets and runs of a user."""

import numpy as np
import pytest

import flowlab as fl

SPECTRUM, TAU = np.array([4.0, 1.8, 0.9]), 0.2
"""Not those of the pack; three dimensions instead of four."""


def generator(depth, tau=TAU, distance=fl.bures):
    """Layers and a target with other names than in the pack."""
    P = fl.weight("A1")
    for i in range(2, depth + 1):
        P = fl.weight(f"A{i}") @ P
    made = P @ P.T + tau * fl.eye if tau else P @ P.T
    return fl.Problem(distance(made, fl.constant("C")), "value")


def goal(seed, spectrum=SPECTRUM):
    omega = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(spectrum),) * 2))[0]
    made = (omega * spectrum) @ omega.T
    return fl.Data(C=0.5 * (made + made.T))


def rate(depth, tau=TAU):
    least = SPECTRUM.min()
    return 4 * depth * (least - tau) ** (2 - 1 / depth) / least


def run(depth, seed=0, *, tau=TAU, start=None, end=None, rtol=1e-11):
    problem, data = generator(depth, tau), goal(seed)
    first = start or fl.balanced_state(
        problem, product=0.5 * np.random.default_rng(seed).normal(size=(3, 3)), seed=seed
    )
    # A start that is nearly singular rests at a saddle first.
    until = fl.value_below(1e-12) if end is None else fl.time(end)
    return fl.integrate(fl.lower(fl.derive(problem)), first, data, until=until, rtol=rtol, atol=0.01 * rtol)


def verdict(name, *given):
    (found,) = fl.check([name], *given)
    return found


def told(found, name):
    return next(q for q in found.evidence["quantities"] if q["name"].startswith(name))


@pytest.mark.slow
@pytest.mark.parametrize("depth", [2, 3, 5])
def test_late_rates_of_fresh_starts_are_the_closed_form(depth):
    for seed in range(90417, 90425):
        found = verdict("B8", run(depth, seed))
        assert found.answer == "holds", found.reason
        seen = told(found, "late rate")
        assert abs(seen["measured"] / rate(depth) - 1) < 1e-4
        assert abs(seen["measured"] - rate(depth)) <= 3 * seen["error"] + 1e-5 * rate(depth)


@pytest.mark.long
def test_a_flow_that_ends_early_has_no_late_rate():
    found = verdict("B8", run(2, end=0.3))
    assert found.answer == "undecided", found.reason


@pytest.mark.long
def test_a_loose_flow_is_told_from_a_wrong_rate():
    found = verdict("B8", run(2, end=8.0, rtol=1e-8))
    seen = told(found, "late rate")
    assert found.answer == "holds", found.reason
    assert 1e-7 < seen["error"] < 1e-3 * rate(2)


@pytest.mark.long
@pytest.mark.parametrize("name", ["B1", "B3", "B7", "B13"])
def test_claims_hold_of_a_users_layers(name):
    path = run(2, end=2.0)
    walk = fl.descend(path.problem, path.state(0), path.data, step=2e-3, count=400)
    found = verdict(name, path, walk)
    assert found.answer == "holds", found.reason
    assert found.evidence["inputs"]


@pytest.mark.long
def test_critical_values_without_noise_are_those_of_a_users_target():
    problem = fl.Problem(fl.Network("bures(B @ B.T, C)", constants=("C",), shapes={"B": (3, 2)}), "value")
    assert verdict("B2", problem, goal(1)).answer == "holds"
    assert "tau = 0" in verdict("B2", generator(1), goal(1)).reason


@pytest.mark.long
def test_what_is_no_such_flow_is_said():
    tilted = fl.State.from_weights({"A1": np.eye(3), "A2": 0.5 * np.eye(3)})
    resting = run(2, start=fl.State.from_weights({"A1": 1e-3 * np.eye(3), "A2": 1e-3 * np.eye(3)}), end=0.5)
    assert verdict("B8", resting).answer == "undecided"
    assert "off balance" in verdict("B8", run(2, start=tilted, end=0.3)).reason
    assert "none was given" in verdict("B8", generator(2), goal(0)).reason
    assert "without its target" in verdict("B1", generator(2)).reason
    assert "Bures" in verdict("B1", generator(2, distance=fl.frobenius), goal(0)).reason
    assert "single" in verdict("B7", run(1, end=0.3)).reason
    assert "tau below" in verdict("B3", generator(1, 1.0), goal(0)).reason


@pytest.mark.long
def test_a_flow_at_another_pace_is_refuted():
    path = run(2)
    rows = range(0, len(path), 4)
    times = 1.02 * np.exp(path.dataset.log_t.values[list(rows)])
    times[0] = 0.0
    slow = fl.Trajectory.from_weights(times, [path.weights(i) for i in rows], problem=path.problem, data=path.data)
    found = verdict("B8", slow)
    assert found.answer != "holds", found.reason
