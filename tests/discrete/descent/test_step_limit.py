"""Games that a step is too large for: the walk's outcome tells the largest step that converges."""

import re

import numpy as np
import pytest

import flowlab as fl
from flowlab.discrete.descent.step_limit import mode_matrices
from flowlab.language.rules import Momentum, rules
from flowlab.symbolic.modified import step_matrix

GAME = fl.Problem(
    fl.Network("p @ (A @ q)", constants=("A",)), "value", ascend=["p"], geometry={"p": "simplex", "q": "simplex"}
)
A = np.array([[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-1.0, 3.0, 0.0]])
TURNING = fl.Problem(fl.Network("u*v", shapes={"u": (), "v": ()}), "value", ascend=["v"])
SADDLE = fl.Problem(fl.Network("u*v + 0.5*u*u - 0.1*v*v - u", shapes={"u": (), "v": ()}), "value", ascend=["v"])
ASIDE = fl.State.from_weights({"u": 0.3, "v": 0.2})


def played(payoff: np.ndarray, step: float, rule: str = "optimistic", count: int = 400) -> str:
    n, m = payoff.shape
    uniform = fl.State.from_weights({"p": np.full(n, 1 / n), "q": np.full(m, 1 / m)})
    return fl.descend(GAME, uniform, fl.Data(A=payoff), rule=rule, step=step, count=count).outcome.message


def told(message: str) -> float | None:
    """The step that a message names as the largest."""
    found = re.search(r"steps above (\S+) do not converge", message)
    return float(found[1]) if found else None


@pytest.mark.parametrize("rule", ["optimistic", "extragradient"])
def test_a_step_above_the_threshold_is_told_with_it(rule):
    edge = fl.stability(fl.equilibrium(GAME, fl.Data(A=A)), rule, step=0.1).threshold
    assert told(played(A, 1.1 * edge, rule)) == pytest.approx(edge, rel=1e-5)
    assert told(played(A, 0.9 * edge, rule)) is None
    assert played(A, 0.9 * edge, rule).endswith("were taken.")


def test_strategies_that_die_out_play_no_part():
    rng, payoff, rest = np.random.default_rng(3), None, None
    while rest is None or not rest.frequencies.size or not rest.slack:
        payoff = rng.uniform(-1, 1, size=(4, 4))
        rest = fl.equilibrium(GAME, fl.Data(A=payoff))
    edge = fl.stability(rest, "optimistic", step=0.1).threshold
    assert told(played(payoff, 1.2 * edge, count=2000)) == pytest.approx(edge, rel=1e-5)
    assert told(played(payoff, 0.8 * edge, count=2000)) is None


@pytest.mark.parametrize("step", [0.05, 1.0])
def test_a_rule_that_converges_with_no_step_is_told(step):
    assert 'no step of the rule "gradient" converges' in played(A, step, "gradient")


def test_nothing_is_told_where_equilibria_are_many():
    assert played(np.vstack([A, A[0]]), 2.0).endswith("were taken.")
    assert played(np.zeros((2, 2)), 2.0).endswith("were taken.")


@pytest.mark.parametrize(("rule", "edge"), [("optimistic", 1 / np.sqrt(3)), ("extragradient", 1.0)])
def test_games_in_plain_arrays_are_told_by_newtons_method(rule, edge):
    runs = {f: fl.descend(TURNING, ASIDE, rule=rule, step=f * edge, count=600).outcome for f in (0.8, 1.2, 9.0)}
    assert told(runs[0.8].message) is None
    assert told(runs[1.2].message) == told(runs[9.0].message) == pytest.approx(edge, rel=1e-5)
    assert runs[9.0].kind == "nonfinite"


def test_steps_of_plain_descent_converge_where_the_forces_damp():
    rest = fl.equilibrium(SADDLE, start=ASIDE)
    edge = fl.stability(rest, "gradient", step=0.1).threshold
    outcome = fl.descend(SADDLE, ASIDE, step=1.3 * edge, count=3000).outcome
    assert outcome.kind == "nonfinite"
    assert told(outcome.message) == pytest.approx(edge, rel=1e-5)
    assert told(fl.descend(SADDLE, ASIDE, step=0.7 * edge, count=300).outcome.message) is None


def test_the_limit_of_a_heavy_ball_is_its_own():
    rest = fl.equilibrium(SADDLE, start=ASIDE)
    edge = fl.stability(rest, "gradient", step=0.1, momentum=0.1).threshold
    outcome = fl.descend(SADDLE, ASIDE, step=1.3 * edge, count=3000, momentum=0.1).outcome
    assert told(outcome.message) == pytest.approx(edge, rel=1e-5)


@pytest.mark.parametrize("name", [n for n in rules if rules[n].on_weights])
def test_the_matrix_of_a_rule_on_modes_is_that_of_its_symbols(name):
    matrix, h = step_matrix(rules[name]())
    q = np.array([0.3j, -0.2 + 0.1j])
    wanted = [np.linalg.eigvals(np.array(matrix.subs(h, complex(0.5 * v)).tolist(), complex)) for v in q]
    found = np.linalg.eigvals(mode_matrices(rules[name](), None, 0.0, q, 0.5))
    assert np.sort_complex(found) == pytest.approx(np.sort_complex(np.array(wanted)), abs=1e-12)


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_matrix_of_a_ball_on_modes_is_that_of_its_symbols(nesterov):
    heavy, q = Momentum(nesterov), np.array([0.3j, -0.2 + 0.1j])
    matrix, h = step_matrix(rules["gradient"](), heavy)
    given = matrix.subs(dict.fromkeys(matrix.free_symbols - {h}, 0.4))
    wanted = [np.linalg.eigvals(np.array(given.subs(h, complex(0.5 * v)).tolist(), complex)) for v in q]
    found = np.linalg.eigvals(mode_matrices(rules["gradient"](), heavy, 0.4, q, 0.5))
    assert np.sort_complex(found) == pytest.approx(np.sort_complex(np.array(wanted)), abs=1e-12)
