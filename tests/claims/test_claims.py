"""Every claim holds on its own instances, refutes its mutants, and says so when it does not apply."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl
from flowlab.claims import claims, tamper_check
from flowlab.claims.claim import Case, Claim
from flowlab.claims.verdict import Measurement, Verdict

ALL = ("P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P20", "E1.8", "E1.12")
SLOW = ("E1.12",)


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in ALL])
def test_holds_and_refutes_its_mutants(name):
    (verdict,) = fl.check([name], seed=0)
    assert verdict.answer == "holds", verdict.reason
    assert verdict.measured <= verdict.bound
    trials = verdict.evidence["mutants"]
    assert set(trials) >= set(map(str, claims[name].mutants))
    assert all(trial["refuted"] and not trial["measured"] <= trial["bound"] for trial in trials.values())
    json.dumps(verdict.to_dict(), allow_nan=False)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", ALL)
def test_holds_on_other_seeds(name, seed):
    (verdict,) = fl.check([name], seed=seed)
    assert verdict.answer == "holds", (verdict.measured, verdict.bound, verdict.reason)


@pytest.mark.parametrize("seed", [1, pytest.param(7, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [n for n in ALL if n not in SLOW and n not in ("P4", "P7")])
def test_other_seeds_of_the_fast_claims(name, seed):
    (verdict,) = fl.check([name], seed=seed)
    assert verdict.answer == "holds", (verdict.measured, verdict.bound, verdict.reason)


@pytest.fixture(scope="module")
def run():
    """A flow and a descent of a net of degrees 2 and 1 on real data."""
    data = fl.load("wine:0v2", standardize=True)
    problem = fl.Problem("a @ relu(W @ x)**2", loss="logistic")
    start = fl.initial_state(problem.network, data, widths={"W": 6}, scale=0.5, seed=3)
    path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(1.0), rtol=1e-7, atol=1e-9)
    walk = fl.descend(problem, start, data, step=1e-4, count=400)
    return path, walk


@pytest.mark.long
def test_verdicts_on_a_users_own_run(run):
    path, walk = run
    for verdict in fl.check(["P1", "P2", "P4", "P20", "E1.8"], path, walk):
        assert verdict.answer == "holds", (verdict.id, verdict.measured, verdict.bound, verdict.reason)


def test_a_broken_path_decides_nothing(run, monkeypatch):
    """A path whose norms were tampered with neither supports P4 nor refutes it."""
    path, _ = run
    broken = path.dataset.copy(deep=True)
    broken["rho"][:, 0] = broken["rho"][:, 0] * np.linspace(1.0, 1.02, broken.sizes["step"])
    wrong = fl.Trajectory(broken, path.outcome, path.last, path.stats, path.problem, path.data)
    (verdict,) = fl.check(["P4"], wrong)
    assert (verdict.answer, verdict.code) == ("undecided", "could not be checked"), str(verdict)
    # Control: the measurement itself sees it.
    monkeypatch.setattr(tamper_check, "altered", lambda *_: None)
    (verdict,) = fl.check(["P4"], wrong)
    assert verdict.answer == "refuted"


def test_a_broken_descent_is_refuted(monkeypatch):
    """Steps 1 % longer than they are said to be must not pass P20."""
    from flowlab.language.rules import rules

    monkeypatch.setattr(rules["gradient"], "update", lambda self, u, g, step: u + 1.01 * step * g)
    # A network of its own: what other tests compiled would be used again.
    (verdict,) = fl.check(["P20"], fl.Problem("W2 @ leaky_relu(W1 @ x, 0.37)"))
    assert verdict.answer == "refuted"


def test_a_wrong_flow_is_refuted(monkeypatch):
    """P2 derives anew: a derivation with a wrong degree must be refuted, not reported as undecided."""
    from flowlab.language.problem import Problem

    honest = Problem.degrees.func
    wrong = property(lambda self: {k: None if v is None else v + 1 for k, v in honest(self).items()})
    monkeypatch.setattr(Problem, "degrees", wrong)
    (verdict,) = fl.check(["P2"])
    assert verdict.answer == "refuted"


def test_hypotheses_are_respected():
    biased = fl.Problem("W2 @ relu(W1 @ x + b)")
    for name in ("P1", "P2", "P4", "E1.8", "P20"):
        (verdict,) = fl.check([name], biased)
        assert verdict.answer == "undecided"
        assert "does not apply" in verdict.reason


def test_a_check_without_power_is_undecided():
    class Blind(Claim):
        name, title, statement, latex, source = "Blind", "t", "s.", "l", "-"
        mutants, counter_example = ("anything",), "none"

        def measure(self, case: Case, mutant: str | None = None) -> Measurement:
            return Measurement(0.0, 1.0, "never fails")

    verdict = Blind().check(Case())
    assert verdict.answer == "undecided"
    assert "no power" in verdict.reason


def test_nan_is_never_called_success():
    class Broken(Claim):
        name, title, statement, latex, source = "Broken", "t", "s.", "l", "-"
        mutants, counter_example = ("anything",), "none"

        def measure(self, case: Case, mutant: str | None = None) -> Measurement:
            return Measurement(float("nan"), 1.0, "not a number")

    verdict = Broken().check(Case())
    assert verdict.answer == "undecided"
    assert "not a number" in verdict.reason
    json.dumps(verdict.to_dict(), allow_nan=False)

    class Powerless(Claim):
        name, title, statement, latex, source = "Powerless", "t", "s.", "l", "-"
        mutants, counter_example = ("a mutant that breaks down", "another", "a third"), "none"

        def measure(self, case: Case, mutant: str | None = None) -> Measurement:
            return Measurement(
                0.5 if mutant is None else float("nan"), 1.0, "a mutant that is not a number is not refuted"
            )

    assert Powerless().check(Case()).answer == "undecided"


@pytest.mark.parametrize("name", ["P1", "P3", "P20", "E1.8"])
def test_data_on_which_nothing_moves_decide_nothing(name):
    data = fl.Data(np.zeros((6, 2)), np.array([1, -1] * 3))
    (verdict,) = fl.check([name], fl.Problem("W2 @ relu(W1 @ x)"), data)
    assert verdict.answer == "undecided"
    assert "no power" in verdict.reason or "not a number" in verdict.reason


def test_seeds_that_are_none_are_refused():
    with pytest.raises(fl.LanguageError, match="`seed` must be an integer from 0 on, got -1"):
        fl.check(["P1"], seed=-1)


def test_unknown_claims_and_evidence():
    with pytest.raises(fl.UnknownName, match="P20"):
        fl.check(["P200"])
    with pytest.raises(fl.ClaimError):
        fl.check(["P1"], object())
    assert isinstance(fl.check("P1", fl.Problem("W1 @ x"))[0], Verdict)
    assert jnp.zeros(1).dtype == jnp.float64
