"""Twenty claims on runs whose rows are not those of their flow: none holds, and on the clean runs they do."""

import pytest

import flowlab as fl
from flowlab.claims.sample_problems import separable
from flowlab.claims.tamper_check import TYPICAL, altered, defects
from tests.claims.corruptions import KINDS, corrupted, made_to_fit

DEEP = ("P1", "P2", "P3", "P4", "P5", "P7", "P14", "E1.8", "D1", "L1", "L2", "L3", "L4", "L5", "L9")
LINEAR = ("P8", "S1", "S2", "S3")
WALK = ("P20",)
TELLING = ("noise", "rescaled norms", "shifted in time", "shuffled", "constant", "sign flipped")
"""What is still no flow of its problem once columns and record are made to fit it, whatever the problem."""


def flow(net, seed, until, widths=None):
    data, problem = separable(8, 3, seed), fl.Problem(net, coordinates="weights")
    start = fl.initial_state(problem.network, data, widths=widths, seed=seed)
    return fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(until))


def walk(seed, count=100):
    data, problem = separable(8, 3, 0), fl.Problem("W2 @ W1 @ x")
    return fl.descend(
        problem, fl.initial_state(problem.network, data, widths={"W1": 3}, seed=seed), data, step=1e-3, count=count
    )


@pytest.fixture(scope="module")
def walks():
    return walk(0), walk(1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_descent_that_was_altered_supports_nothing(walks, kind):
    (verdict,) = fl.check(["P20"], corrupted(walks[0], kind, walks[1]))
    assert verdict.code in ("could not be checked", "not a number", "no power"), str(verdict)


def test_a_clean_descent_is_taken(walks):
    assert altered(walks[0], walks[0].data) is None
    moves, times = defects(walks[0], walks[0].data)
    assert len(moves) > 30
    assert max(moves) < TYPICAL > max(times)
    assert fl.check(["P20"], walks[0])[0].answer == "holds"
    # Control: what is made to fit without a change is a run.
    assert altered(made_to_fit(walks[0]), walks[0].data) is None


@pytest.mark.parametrize("kind", TELLING)
def test_rates_tell_what_columns_and_record_hide(walks, kind):
    other = made_to_fit(corrupted(walks[0], kind, walks[1]))
    assert altered(other, other.data) is not None


@pytest.fixture(scope="module")
def late():
    return {
        "deep": [flow("W2 @ W1 @ x", s, 1e6, {"W1": 3}) for s in (0, 1)],
        "linear": [flow("W1 @ x", s, 1e6) for s in (0, 1)],
    }


@pytest.mark.slow
def test_clean_runs_support_at_least_eighteen_of_twenty(late, walks):
    answers = {}
    for names, run in ((DEEP, late["deep"][0]), (LINEAR, late["linear"][0]), (WALK, walks[0])):
        answers |= {v.id: v for v in fl.check(names, run)}
    assert len(answers) == 20
    assert sum(v.answer == "holds" for v in answers.values()) >= 18, [
        str(v) for v in answers.values() if v.answer != "holds"
    ]
    assert not any(v.answer == "refuted" for v in answers.values())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_claim_is_decided_on_a_corrupted_run(late, walks, kind):
    for names, (run, other) in ((DEEP, late["deep"]), (LINEAR, late["linear"]), (WALK, walks)):
        for verdict in fl.check(names, corrupted(run, kind, other)):
            assert verdict.answer == "undecided", str(verdict)


@pytest.mark.slow
@pytest.mark.parametrize("kind", TELLING)
def test_rates_tell_late_rows_too(late, kind):
    for run, other in late.values():
        wrong = made_to_fit(corrupted(run, kind, other))
        assert altered(wrong, wrong.data) is not None
