"""Equilibria of games with their certificates, and the stability of rules there."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.optimize

import flowlab as fl
from flowlab.claims.library.daskalakis2019.by_hand import radius

GAME = fl.Network("p @ (A @ q)", constants=("A",))
PLAYERS = {"ascend": ["p"], "geometry": {"p": "simplex", "q": "simplex"}}
A = np.array([[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-1.0, 3.0, 0.0]])
SADDLE = fl.Network("u*v + 0.5*u*u - 0.1*v*v - u", shapes={"u": (), "v": ()})


def game() -> fl.Problem:
    return fl.Problem(GAME, "value", **PLAYERS)


def solved(payoff: np.ndarray) -> fl.Equilibrium:
    return fl.equilibrium(game(), fl.Data(A=payoff))


def test_an_equilibrium_is_exact_and_told_to_be_the_only_one():
    rest = solved(A)
    assert rest.unique
    assert sum(rest.exact["p"]) == sum(rest.exact["q"]) == 1
    assert rest.exact["p"] == (Fraction(7, 20), Fraction(9, 20), Fraction(1, 5))
    assert rest.exact["q"] == (Fraction(1, 2), Fraction(1, 4), Fraction(1, 4))
    assert rest.value == 0.25
    assert rest.gap(rest.weights) < 1e-15
    assert rest.divergence(rest.weights) == 0.0
    assert rest.divergence({"p": np.array([1.0, 0, 0]), "q": np.ones(3) / 3}) == np.inf


@pytest.mark.parametrize("seed", range(6))
def test_random_games_of_any_shape_are_solved(seed):
    rng = np.random.default_rng(seed)
    payoff = rng.uniform(-1, 1, size=(int(rng.integers(2, 9)), int(rng.integers(2, 9))))
    rest = solved(payoff)
    p, q = rest.weights["p"], rest.weights["q"]
    assert rest.unique
    assert (payoff @ q).max() - (payoff.T @ p).min() < 1e-14
    assert all(slack > 0 for slack in rest.slack.values())


def test_several_equilibria_are_told():
    assert solved(np.zeros((2, 2))).unique is False
    assert solved(np.array([[1.0, 1.0], [0.0, 0.0]])).unique is False
    # A row twice: the value is the same, who mixes them is open.
    twice = solved(np.vstack([A, A[0]]))
    assert twice.unique is False
    assert twice.value == pytest.approx(0.25)
    assert twice.gap(twice.weights) < 1e-12


def test_constants_of_the_objective_are_payoffs_too():
    net = fl.Network("p @ (A @ q) + b @ p - b @ q", constants=("A", "b"))
    rest = fl.equilibrium(fl.Problem(net, "value", **PLAYERS), fl.Data(A=A, b=np.array([1.0, 0.0, 2.0])))
    payoff = A + np.array([1.0, 0.0, 2.0])[:, None] - np.array([1.0, 0.0, 2.0])
    assert rest.weights["p"] == pytest.approx(solved(payoff).weights["p"], abs=1e-15)


def test_a_zero_of_the_forces_is_found_elsewhere():
    rest = fl.equilibrium(fl.Problem(SADDLE, "value", ascend=["v"]), start=fl.State.from_weights({"u": 2.0, "v": 1.0}))
    assert (float(rest.weights["u"]), float(rest.weights["v"])) == pytest.approx((1 / 6, 5 / 6))
    assert rest.unique is None
    # The field is (-v - u + 1, u - 0.2 v).
    assert np.sort(fl.stability(rest, step=0.1).flow.imag) == pytest.approx(
        np.sort(np.linalg.eigvals([[-1.0, -1.0], [1.0, -0.2]]).imag)
    )


@pytest.mark.parametrize(("rule", "wanted"), [("optimistic", 1 / np.sqrt(3)), ("extragradient", 1.0)])
@pytest.mark.parametrize("seed", range(5))
def test_thresholds_are_those_of_the_theory(rule, wanted, seed):
    rng, rest = np.random.default_rng(seed), None
    while rest is None or rest.frequencies.size == 0:
        rest = solved(rng.uniform(-1, 1, size=(5, 5)))
    assert fl.stability(rest, rule, step=0.1).threshold * rest.frequencies[0] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("rule", ["gradient", "optimistic", "extragradient"])
def test_the_spectrum_from_the_flow_is_that_of_the_steps(rule):
    found = fl.stability(solved(A), rule, step=0.1)
    gap = [np.abs(found.measured - value).min() for value in found.predicted]
    assert max(gap) < 1e-7
    assert len(found.measured) == len(found.predicted)


def test_the_spectrum_is_that_of_the_step_written_by_hand():
    rest = solved(A)
    found = fl.stability(rest, "optimistic", step=0.1)
    assert found.radius == pytest.approx(radius(A, rest.weights["p"], rest.weights["q"], 0.1), abs=1e-9)
    assert found.stable
    assert not fl.stability(rest, "gradient", step=0.1).stable
    assert fl.stability(rest, "gradient", step=0.1).threshold == 0.0


def test_the_threshold_is_where_steps_cease_to_converge():
    rest = solved(A)
    edge = fl.stability(rest, "optimistic", step=0.1).threshold
    near = {w: v + 1e-6 * np.array([1.0, -2.0, 1.0]) for w, v in rest.weights.items()}
    for factor, inside in ((0.99, True), (1.01, False)):
        walk = fl.descend(
            game(), fl.State.from_weights(near), fl.Data(A=A), rule="optimistic", step=factor * edge, count=1500
        )
        first, last = rest.divergence(walk.weights(0)), rest.divergence(walk.weights(-1))
        assert (last < 0.1 * first) if inside else (last > 10 * first)


def test_stability_is_told_in_words():
    told = {
        rule: repr(fl.stability(solved(A), rule, step=0.1)).rpartition(", stable ")[2]
        for rule in ("gradient", "optimistic")
    }
    edge = fl.stability(solved(A), "optimistic", step=0.1).threshold
    assert told == {"gradient": "at no step)", "optimistic": f"up to {edge:.6g})"}
    # Pure strategies draw near at any step; where all payoffs are the same nothing moves.
    assert repr(fl.stability(solved(np.array([[3.0, 1.0], [2.0, 0.0]])), step=0.1)).endswith("stable at any step)")
    assert "neutral" in repr(fl.stability(solved(np.zeros((2, 2))), step=0.1))


def test_the_same_zero_is_an_equilibrium_where_nobody_gains_there():
    net = fl.Network("p @ (A @ q) - 3 * (p @ p)", constants=("A",))
    payoff = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    rest = fl.equilibrium(fl.Problem(net, "value", **PLAYERS), fl.Data(A=payoff), start=MIDDLE)
    assert rest.weights["p"] == pytest.approx(np.full(3, 1 / 3))


BENT = fl.Network("p @ (A @ q) + (p @ q)**2", constants=("A",))
GREEDY = fl.Network("p @ (A @ q) + 3 * (p @ p)", constants=("A",))
MIDDLE = fl.State.from_weights({"p": [0.3, 0.3, 0.4], "q": [0.2, 0.3, 0.5]})
FADING = fl.Network("exp(u)", shapes={"u": ()})
WRONG = (
    (lambda: fl.equilibrium(fl.Problem("w @ x")), 'the loss "value"'),
    (lambda: fl.equilibrium(game()), "constants of the objective"),
    (lambda: fl.equilibrium(fl.Problem(GAME, "value"), fl.Data(A=A)), "two players on simplices"),
    (lambda: fl.equilibrium(fl.Problem(BENT, "value", **PLAYERS), fl.Data(A=A)), "linear in each"),
    (lambda: fl.equilibrium(fl.Problem(FADING, "value"), start=fl.State.from_weights({"u": 2.0})), "start nearer"),
    (lambda: solved(A).gap({"p": np.ones(3) / 3}), "the block `q` of shape (3,), got none"),
    (lambda: solved(A).gap({"p": np.ones(2) / 2, "q": np.ones(3) / 3}), "got one of shape (2,)"),
    (lambda: solved(A).divergence(fl.State.from_weights({"p": np.ones(3) / 3})), "got none"),
    (lambda: fl.equilibrium(fl.Problem(GREEDY, "value", **PLAYERS), fl.Data(A=A), start=MIDDLE), "`p` gains by moving"),
    (lambda: fl.stability(solved(A), "geodesic", step=0.1), "moves directions"),
    (lambda: fl.stability(solved(A), step=-0.1), "above 0"),
    (lambda: fl.stability(solved(A), "optimistic", step=0.1, momentum=0.5), "must be 0"),
)


@pytest.mark.parametrize(("call", "told"), WRONG, ids=range(len(WRONG)))
def test_what_is_no_game_is_said_in_a_sentence(call, told):
    with pytest.raises(fl.FlowlabError) as caught:
        call()
    assert told in str(caught.value)


def test_the_program_agrees_with_scipy_on_the_value():
    payoff = np.random.default_rng(7).normal(size=(6, 9))
    n, m = payoff.shape
    found = scipy.optimize.linprog(
        np.r_[np.zeros(n), -1.0],
        A_ub=np.c_[-payoff.T, np.ones(m)],
        b_ub=np.zeros(m),
        A_eq=np.r_[np.ones(n), 0.0][None],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
    )
    assert solved(payoff).value == pytest.approx(-found.fun, abs=1e-12)
