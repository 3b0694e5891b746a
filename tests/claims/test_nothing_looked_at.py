"""What each check answers where there is nothing to look at: undecided, or an error; never that all is well."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import sympy as sp

import flowlab as fl
from derivations.notebook import Derivation
from flowlab.claims import claims
from flowlab.claims.case import Case, case_of
from flowlab.claims.claim import Claim
from flowlab.discrete.critical.symmetries import Symmetries
from flowlab.dynamics.kinks import bernstein
from flowlab.dynamics.steppers.solver_self_test import SelfTestFailed, self_test
from flowlab.language.trajectory import Outcome, Trajectory

LIBRARY = tuple(name for name in claims if claims[name].__module__.startswith("flowlab.claims.library"))
CHEAP = (
    "P1",
    "P2",
    "P4",
    "E1.8",
    "D1",
    "L1",
    "L2",
    "L3",
    "L4",
    "L5",
    "L9",
    "P8",
    "S1",
    "S2",
    "P14",
    "J1",
    "E1.12",
    "K1",
    "X1",
)


def dead(net="W2 @ W1 @ x"):
    """Samples that are all zero, and a run of three equal rows of zero time: nothing moves and nothing grows."""
    data = fl.Data(np.zeros((8, 3)), np.where(np.arange(8) % 2 == 0, 1.0, -1.0), kind="binary")
    problem = fl.Problem(net)
    start = fl.initial_state(problem.network, data, default_width=3, seed=0)
    rho, V = ({k: np.repeat(np.asarray(v)[None], 3, axis=0) for k, v in part.items()} for part in (start.rho, start.V))
    more = {
        "settings": {"rtol": 1e-8, "step": 1e-3, "loss_scaled": False},
        "monitors": {"smoothed_margin": {"worst": 0.0}},
    }
    return Trajectory.from_states(
        problem, data, np.full(3, -np.inf), fl.State(rho=rho, V=V), Outcome("done", "dead"), {}, kind="flow", extra=more
    )


@pytest.fixture(scope="module")
def nothing():
    return dead()


@pytest.mark.parametrize("name", CHEAP)
def test_claims_hold_of_nothing(name, nothing):
    (verdict,) = fl.check([name], nothing)
    assert verdict.answer == "undecided", str(verdict)


@pytest.mark.slow
@pytest.mark.parametrize("name", LIBRARY)
def test_every_claim_is_undecided_of_nothing(name, nothing):
    for given in ((nothing,), (nothing.problem, nothing.data)):
        assert fl.check([name], *given)[0].answer != "holds"


def test_a_claim_without_numbers_decides_nothing():
    class Empty(Claim):
        name, title, statement, latex, source, counter_example, mutants = (
            "Empty",
            "t",
            "s.",
            "l",
            "-",
            "none",
            ("a", "b", "c"),
        )
        value = math.nan

        def measure(self, case, mutant=None):
            return fl.Measurement(self.value if mutant is None else 1.0 + ord(mutant), 1.0, "why")

    assert (Empty().check(Case()).answer, Empty().check(Case()).code) == ("undecided", "not a number")
    with pytest.raises(fl.ClaimError):
        fl.Measurement.of([], "no quantity")
    Empty.value, Empty.mutants = 0.0, ()
    assert Empty().check(Case()).code == "no power"


def test_runs_without_rows_are_no_evidence(nothing):
    for rows in (0, 1):
        short = dataclasses.replace(nothing, dataset=nothing.dataset.isel(step=slice(0, rows)))
        (verdict,) = fl.check(["P4"], short)
        assert verdict.answer == "undecided", str(verdict)
    assert case_of([], 0).present == ()


def test_polynomials_without_coefficients_prove_nothing():
    for empty in ([], [math.nan, 1.0], [1.0, math.nan, 1.0]):
        with pytest.raises(fl.FlowlabError, match="finite"):
            bernstein.roots(empty)
    # Control: one sign proves that there is no root, and a change of sign is found.
    assert bernstein.roots([1.0, 2.0]) == []
    assert len(bernstein.roots([-1.0, 2.0])) == 1


def test_a_network_that_is_zero_has_no_symmetries_by_trial():
    net = fl.Network("W2 @ (0 * relu(W1 @ x))")
    with pytest.raises(fl.FlowlabError, match="same at random weights"):
        Symmetries(net, (("W1", (3, 2)), ("W2", (1, 3))), 2)
    assert Symmetries(fl.Network("W2 @ relu(W1 @ x)"), (("W1", (3, 2)), ("W2", (1, 3))), 2).dimensions


def test_a_solver_that_does_not_step_fails_its_test(monkeypatch):
    from flowlab.dynamics.steppers import solver_self_test

    solver: Any = None
    for answer in ((0, math.nan), (10, math.nan), (0, 0.0)):
        monkeypatch.setattr(solver_self_test, "attempts", lambda solver, answer=answer: answer)
        with pytest.raises(SelfTestFailed):
            self_test("nothing", solver)


def test_steps_of_a_derivation_need_a_number():
    told = Derivation("nothing", "nowhere")
    for check in (math.nan, lambda: math.nan, lambda: float(sp.nan)):
        with pytest.raises(fl.FlowlabError):
            told.equation("none", "0", "because", check=check, bound=1.0, how="nothing")
    with pytest.raises(fl.FlowlabError):
        told.equation("none", "0", "because", check=0.0, bound=math.nan, how="nothing")


def test_limits_of_a_state_that_separates_nothing():
    data = fl.Data(np.zeros((2, 2)), np.array([1.0, -1.0]), kind="binary")
    with pytest.raises(fl.FlowlabError):
        fl.lyu_li("W1 @ x", fl.initial_state("W1 @ x", data, seed=0), data)


@pytest.mark.parametrize("ask", [fl.limit, fl.asymptotics])
def test_limits_of_a_run_that_goes_nowhere(nothing, ask):
    try:
        found = ask(nothing)
    except (fl.FlowlabError, ValueError):
        return
    assert not getattr(found, "decided", False)
    assert not getattr(found, "converged", False)
    assert not any(getattr(one, "status", "") == "converged" for one in getattr(found, "limits", {}).values())
