"""The laws of games: sums of divergences from an equilibrium, found by their rates, printed, kept by runs."""

from dataclasses import replace

import numpy as np
import pytest

import flowlab as fl
from flowlab.dynamics.run.monitors import conserved
from flowlab.language.autodiff import velocity
from flowlab.language.geometries import geometries
from flowlab.symbolic.laws.divergence import divergence_laws, rest

SIMPLICES = {"p": "simplex", "q": "simplex"}
A = np.array([[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-1.0, 3.0, 0.0]])
NASH = {"p*": np.array([0.35, 0.45, 0.2]), "q*": np.array([0.5, 0.25, 0.25])}
START = fl.State.from_weights({"p": np.array([0.5, 0.3, 0.2]), "q": np.array([0.2, 0.2, 0.6])})


def zero_sum(text="p @ (A @ q)", constants=("A",), geometry=SIMPLICES, **more):
    return fl.Problem(fl.Network(text, constants=constants), "value", ascend=["p"], geometry=geometry, **more)


def general(costs, constants=("A", "B"), ascend=(), geometry=SIMPLICES):
    return fl.Problem(fl.general_sum(costs, constants=constants), "value", ascend=list(ascend), geometry=geometry)


FOUND = {
    "zero-sum": (zero_sum, "KL(q*|q) + KL(p*|p)"),
    "both descend": (
        lambda: fl.Problem(fl.Network("p @ (A @ q)", constants=("A",)), "value", geometry=SIMPLICES),
        "KL(q*|q) - KL(p*|p)",
    ),
    "learning rates": (lambda: zero_sum(rates={"p": 0.5}), "KL(q*|q)/eta_q + KL(p*|p)/eta_p"),
    "two payoffs, one a multiple": (
        lambda: general({"p": "p @ (A @ q)", "q": "3 * (p @ (A @ q))"}, ("A",), ["p"]),
        "KL(q*|q)/3 + KL(p*|p)",
    ),
    "a player in plain arrays": (
        lambda: zero_sum("p @ (A @ q) + b @ p + c @ q", ("A", "b", "c"), {"p": "simplex"}),
        "|q - q*|^2/2 + KL(p*|p)",
    ),
    "positive arrays": (
        lambda: zero_sum("p @ (A @ q) + b @ p + c @ q", ("A", "b", "c"), {"p": "simplex", "q": "orthant"}),
        "sum(q* * log(q*/q) - q* + q) + KL(p*|p)",
    ),
    "three players in pairs": (
        lambda: general(
            {
                "p": "p @ (A @ q) + p @ (B @ r)",
                "q": "q @ (C @ r) - p @ (A @ q)",
                "r": "-(p @ (B @ r)) - q @ (C @ r)",
            },
            ("A", "B", "C"),
            geometry=dict.fromkeys("pqr", "simplex"),
        ),
        "KL(q*|q) + KL(p*|p) + KL(r*|r)",
    ),
}
NONE = {
    "general-sum": lambda: general({"p": "p @ (A @ q)", "q": "p @ (B @ q)"}),
    "a term of one player": lambda: zero_sum("p @ (A @ q) - p @ p"),
    "no potential": lambda: zero_sum(geometry={"p": "sphere", "q": "simplex"}),
    "one player": lambda: fl.Problem(fl.Network("p @ (A @ p)", constants=("A",)), "value", geometry={"p": "simplex"}),
}


@pytest.mark.parametrize("name", FOUND)
def test_divergences_are_kept_where_gains_are_losses(name):
    make, text = FOUND[name]
    flow = fl.derive(make())
    (law,) = flow.laws
    assert law.text == text
    assert f"  {law.text} where (" in str(flow)
    assert "is an equilibrium inside of its spaces" in flow.latex()
    back = fl.FlowEquations.from_json(flow.to_json())
    assert back.laws == flow.laws
    assert back.laws[0].parts == law.parts


@pytest.mark.parametrize("name", NONE)
def test_other_games_have_no_such_law(name):
    problem = NONE[name]()
    assert divergence_laws(problem) == ()
    assert fl.derive(problem).laws == ()


def test_a_law_needs_an_equilibrium_inside():
    game = zero_sum()
    (law,) = fl.derive(game).laws
    # One equilibrium is pure, and another game has more strategies of one player than of the other.
    for payoff in (np.array([[2.0, 1.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 2.0], [0.5, 0.7]])):
        data = fl.Data(A=payoff)
        assert law.around(game, data) is None
        V = {w: np.full((3, n), n**-0.5) for w, n in zip("pq", payoff.shape, strict=True)}
        rho = {w: np.full(3, v.shape[1] ** -0.5) for w, v in V.items()}
        assert conserved(game, [law], rho, V, 1e-9, data=data) == {}
    assert law.around(game, None) is None


def test_on_the_boundary_a_divergence_is_infinite():
    pure = {**NASH, "p": np.array([1.0, 0.0, 0.0]), "q": np.array([0.0, 1.0, 0.0])}
    for ascend in (["p"], []):
        problem = fl.Problem(fl.Network("p @ (A @ q)", constants=("A",)), "value", ascend=ascend, geometry=SIMPLICES)
        (law,) = fl.derive(problem).laws
        assert law.value(pure) == np.inf
        rho = {w: np.array([np.linalg.norm(pure[w])] * 2) for w in "pq"}
        V = {w: np.stack([pure[w] / np.linalg.norm(pure[w])] * 2) for w in "pq"}
        (seen,) = conserved(problem, [law], rho, V, 1e-9, data=fl.Data(A=A)).values()
        assert seen["holds"]


def test_the_equilibrium_is_that_of_the_linear_program():
    game = zero_sum()
    (law,) = fl.derive(game).laws
    found = law.around(game, fl.Data(A=A))
    assert found.keys() == NASH.keys()
    rest = fl.equilibrium(game, fl.Data(A=A))
    for star, value in found.items():
        assert value == pytest.approx(NASH[star], abs=1e-14)
    weights = {w: np.asarray(v) for w, v in START.weights().items()}
    assert float(law.value({**weights, **found})) == pytest.approx(rest.divergence(weights), abs=1e-14)


def rate(law, problem, data, weights, rest):
    """The rate of a law relative to its summands, from autodiff alone."""
    force = {w: np.asarray(v) for w, v in velocity(problem, weights, data).items()}
    moved = {w: problem.geometry[w].inverse_metric(np, weights[w], force[w]) for w in weights}
    return float(abs(law.rate({**weights, **rest}, moved)) / law.size({**weights, **rest}, moved))


def test_the_rate_is_zero_at_the_equilibrium_of_the_game_and_not_elsewhere():
    game, data, rng = zero_sum(), fl.Data(A=A), np.random.default_rng(4)
    (law,) = fl.derive(game).laws
    for _ in range(20):
        weights = {w: rng.dirichlet(np.ones(3)) for w in "pq"}
        assert rate(law, game, data, weights, NASH) < 1e-13
        off = {**NASH, "p*": rng.dirichlet(np.ones(3))}
        assert rate(law, game, data, weights, off) > 1e-4
        wrong = replace(law, parts=tuple((c * (1 + i), part) for i, (c, part) in enumerate(law.parts)))
        assert rate(wrong, game, data, weights, NASH) > 1e-6


def test_runs_are_held_against_it():
    game, data = zero_sum(), fl.Data(A=A)
    field = fl.lower(fl.derive(game))
    path = fl.integrate(field, START, data, until=fl.time(20.0), rtol=1e-11, atol=1e-13)
    (seen,) = (seen for name, seen in path.monitors.items() if "KL" in name)
    assert seen["holds"]
    # Steps of multiplicative weights raise it.
    walk = fl.descend(game, START, data, step=0.1, count=200)
    rest = fl.equilibrium(game, data)
    assert rest.divergence(walk.weights(-1)) > 1.1 * rest.divergence(walk.weights(0))


def test_rests_are_zeros_of_the_forces():
    costs = {"p": "p @ (A @ q)", "q": "p @ (B @ q)"}
    problem, rng, found = general(costs), np.random.default_rng(1), 0
    for _ in range(40):
        data = fl.Data(A=rng.normal(size=(3, 3)), B=rng.normal(size=(3, 3)))
        star = rest(problem, {"p": (3,), "q": (3,)}, data)
        assert star is not None
        found += all((v > 0).all() for v in star.values())
        forces = velocity(problem, {w: star[w + "*"] for w in "pq"}, data)
        assert all(float(np.ptp(np.asarray(force))) < 1e-10 for force in forces.values())
    # Some are equilibria, and some are zeros of the forces outside of the simplices.
    assert 0 < found < 40
    data = fl.Data(A=rng.normal(size=(3, 2)), B=rng.normal(size=(3, 2)))
    assert rest(problem, {"p": (3,), "q": (2,)}, data) is None


def test_divergences_belong_to_their_metrics():
    for word in ("simplex", "orthant", "euclid"):
        space, rng = geometries[word](), np.random.default_rng(2)
        at, star = (np.asarray(space.drawn(np, rng.normal(size=4))) for _ in range(2))
        force = rng.normal(size=4)
        moved = space.inverse_metric(np, at, force)
        slope = np.imag(space.divergence(star, at + 1e-100j * moved)) / 1e-100
        assert slope == pytest.approx(float((at - star) @ force), rel=1e-12)
        assert float(space.divergence(star, star)) == pytest.approx(0.0, abs=1e-14)
        assert float(space.divergence(star, at)) > 0
