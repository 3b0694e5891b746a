"""Games in which every player has an objective of its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

import flowlab as fl

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4))
COSTS = {"p": "p @ (A @ q) + p @ p", "q": "p @ (B @ q)"}
PLAYERS = {"p": "simplex", "q": "simplex"}
DATA = fl.Data(A=A, B=B)
START = fl.State.from_weights({"p": np.ones(3) / 3, "q": np.array([0.1, 0.2, 0.3, 0.4])})


def net(**more) -> fl.Network:
    return fl.general_sum(COSTS, constants=("A", "B"), **more)


def test_every_player_follows_the_gradient_of_its_own_cost():
    flow = fl.derive(fl.Problem(net(), "value"))
    assert flow.residual < 1e-12
    assert not flow.is_gradient
    assert flow.laws == ()
    weights = {w: np.asarray(v) for w, v in START.weights().items()}
    rate = fl.lower(flow).rate(0.0, {w: jnp.asarray(v) for w, v in weights.items()}, DATA)
    p, q = weights["p"], weights["q"]
    assert np.allclose(rate["p"], -(A @ q + 2 * p), rtol=1e-13)
    assert np.allclose(rate["q"], -(B.T @ p), rtol=1e-13)


def test_on_simplices_it_is_the_replicator_flow_of_two_payoffs():
    problem = fl.Problem(net(), "value", geometry=PLAYERS)
    path = fl.integrate(fl.lower(fl.derive(problem)), START, DATA, until=fl.time(5.0), rtol=1e-11, atol=1e-13)

    def raw(_, z):
        p, q = z[:3], z[3:]
        f, g = -(A @ q + 2 * p), -(B.T @ p)
        return np.concatenate([p * (f - p @ f), q * (g - q @ g)])

    first = np.concatenate([np.asarray(START.weights()[w]) for w in "pq"])
    want = scipy.integrate.solve_ivp(raw, (0, 5.0), first, method="DOP853", rtol=1e-12, atol=1e-14).y[:, -1]
    assert np.allclose(np.concatenate([path.weights(-1)[w] for w in "pq"]), want, atol=1e-9)
    walk = fl.descend(problem, START, DATA, step=1e-3, count=5000)
    assert np.allclose(walk.weights(-1)["p"], path.weights(-1)["p"], atol=1e-3)
    assert "loss" not in path.monitors


def test_a_zero_sum_game_is_the_same_either_way():
    one = fl.Problem(fl.Network("p @ (A @ q)", constants=("A",)), "value", ascend=["p"], geometry=PLAYERS)
    both = fl.general_sum({"p": "p @ (A @ q)", "q": "p @ (A @ q)"}, constants=("A",))
    other = fl.Problem(both, "value", ascend=["p"], geometry=PLAYERS)
    ends = [
        fl.integrate(fl.lower(fl.derive(game)), START, fl.Data(A=A), until=fl.time(3.0)).weights(-1)
        for game in (one, other)
    ]
    assert all(np.allclose(ends[0][w], ends[1][w], atol=1e-7) for w in "pq")


def test_an_equilibrium_of_two_costs_is_a_zero_of_both_forces():
    # Quadratic costs: u² + uv - 2u for u, v² - uv for v.
    game = fl.general_sum({"u": "u*u + u*v - 2*u", "v": "v*v - u*v"}, shapes={"u": (), "v": ()})
    rest = fl.equilibrium(fl.Problem(game, "value"), start=fl.State.from_weights({"u": 1.0, "v": 1.0}))
    u, v = float(rest.weights["u"]), float(rest.weights["v"])
    assert (2 * u + v - 2, 2 * v - u) == pytest.approx((0.0, 0.0), abs=1e-12)
    spectrum = np.sort_complex(fl.stability(rest, step=0.1).flow)
    # A derivative that stopped where slopes do would have real eigenvalues.
    assert np.allclose(spectrum, np.sort_complex(np.linalg.eigvals(np.array([[-2.0, -1.0], [1.0, -2.0]]))))


def test_holding_the_other_players_matters():
    flat = fl.Network("p @ (A @ q) + p @ p + p @ (B @ q)", constants=("A", "B"))
    place = {w: jnp.asarray(v) for w, v in START.weights().items()}
    held, free = (fl.lower(fl.derive(fl.Problem(each, "value"))).rate(0.0, place, DATA) for each in (net(), flat))
    assert np.abs(np.asarray(held["p"]) - np.asarray(free["p"])).max() > 0.1


def test_values_are_those_of_jax():
    value = net().outputs(START.weights(), DATA.inputs, jnp)
    p, q = (START.weights()[w] for w in "pq")
    assert float(value[0, 0]) == pytest.approx(float(p @ (A @ q) + p @ p + p @ (B @ q)))
    assert jax.config.read("jax_enable_x64")


WRONG = (
    (lambda: fl.general_sum({}), "must name a block"),
    (lambda: fl.general_sum({"p": "q @ r", "q": "q @ r", "r": "q @ r"}), "its own objective lacks"),
    (lambda: fl.general_sum({"p": "p @ q"}), "one for every block, got none for `q`"),
    (lambda: fl.general_sum({"p": "p @ q", "q": "p @ nope(q)"}), "is not a known function"),
)


@pytest.mark.parametrize(("call", "told"), WRONG, ids=range(len(WRONG)))
def test_what_is_no_game_is_said_in_a_sentence(call, told):
    with pytest.raises(fl.FlowlabError) as caught:
        call()
    assert told in str(caught.value)
