"""Players that ascend and blocks with a geometry of their own: derived, printed, held against the metric, run."""

from dataclasses import replace

import jax
import numpy as np
import pytest
import scipy.integrate

import flowlab as fl
from flowlab.language.geometries import Geometry, geometries
from flowlab.language.rules import Momentum, Rule, rules
from flowlab.symbolic.modified import coefficients

GAME = fl.Network("p @ (A @ q)", constants=("A",))
PLAYERS = {"ascend": ["p"], "geometry": {"p": "simplex", "q": "simplex"}}
A = np.array([[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-1.0, 3.0, 0.0]])
NASH = np.array([0.35, 0.45, 0.2]), np.array([0.5, 0.25, 0.25])
"""The mixed strategies at which nobody gains by another one; the value is 1/4 (Daskalakis and Panageas 2019)."""
START = fl.State.from_weights({"p": np.array([0.5, 0.3, 0.2]), "q": np.array([0.2, 0.2, 0.6])})
MATRIX = fl.Network("sum((S - T)**2) + sum(S @ S)", constants=("T",))
FLOWS = [word for word in geometries.names() if not geometries[word].jumps]


def game() -> fl.Problem:
    return fl.Problem(GAME, "value", **PLAYERS)


def divergence(path: fl.Trajectory, i: int) -> float:
    return sum(float((star * np.log(star / path.weights(i)[w])).sum()) for w, star in zip("pq", NASH, strict=True))


@pytest.mark.parametrize("word", FLOWS)
def test_every_geometry_is_derived_and_held_against_its_metric(word):
    if geometries[word].square:
        problem = fl.Problem(MATRIX, "value", geometry={"S": word})
    else:
        problem = fl.Problem(GAME, "value", ascend=["q"], geometry={"p": word}, rates={"p": 0.3})
    flow = fl.derive(problem)
    assert flow.residual < 1e-12
    assert bool(flow.laws) == geometries[word]().has_divergence
    assert fl.FlowEquations.from_json(flow.to_json()).signature == flow.signature
    for told in (flow.text(), flow.latex(), flow.text("matrix"), flow.latex("matrix")):
        assert told
    for mutant in fl.mutants(flow):
        if mutant.kind != "dropped-sample":
            with pytest.raises(fl.DerivationMismatch):
                fl.certify(mutant.flow)


@pytest.mark.parametrize("word", FLOWS)
def test_lift_and_dual_are_inverse_and_the_pace_is_that_of_the_metric(word):
    space, rng = geometries[word](), np.random.default_rng(3)
    shape = (4, 4) if space.square else (5,)
    theta = space.drawn(np, rng.normal(size=shape))
    z, force = space.dual(np, theta), rng.normal(size=shape)
    assert np.allclose(space.lift(np, z), theta, rtol=1e-12)
    _, moved = jax.jvp(lambda v: space.lift(jax.numpy, v), (z,), (space.pace(np, z, theta, force),))
    assert np.allclose(moved, space.inverse_metric(np, theta, force), rtol=1e-10)
    # A metric has a positive inverse: the force never pulls back.
    assert (force * space.inverse_metric(np, theta, force)).sum() >= 0


class Inverted(Geometry):
    """The simplex with its metric upside down."""

    name = "inverted"
    metric, why = ("{F}", "{F}"), "nothing"

    def __init__(self) -> None:
        self.simplex = geometries["simplex"]()

    def lift(self, xp, z):
        return self.simplex.lift(xp, z)

    def dual(self, xp, theta):
        return self.simplex.dual(xp, theta)

    def lifted(self, tape, z):
        return self.simplex.lifted(tape, z)

    def inverse_metric(self, xp, theta, force):
        return force / theta


def test_a_wrong_metric_and_a_wrong_sign_are_refuted():
    problem = game()
    problem.geometry["p"] = Inverted()
    with pytest.raises(fl.DerivationMismatch, match="d p/dt"):
        fl.derive(problem)
    flow = fl.derive(game())
    turned = [replace(e, G=-e.G) if e.block == "p" else e for e in flow.equations]
    with pytest.raises(fl.DerivationMismatch, match="d p/dt"):
        fl.certify(flow.with_equations(turned))


def test_the_replicator_flow_keeps_the_divergence_from_the_equilibrium():
    path = fl.integrate(
        fl.lower(fl.derive(game())), START, fl.Data(A=A), until=fl.time(200.0), solver="dopri8", rtol=1e-13, atol=1e-14
    )
    seen = [divergence(path, i) for i in range(0, len(path), 20)]
    assert max(seen) - min(seen) < 1e-10
    assert max(abs(float(path.weights(i)["p"].sum()) - 1.0) for i in range(0, len(path), 50)) < 1e-14
    assert "loss" not in path.monitors

    def raw(_, z):
        p, q = z[:3], z[3:]
        up, down = A @ q, -A.T @ p
        return np.concatenate([p * (up - p @ up), q * (down - q @ down)])

    first = np.concatenate([np.asarray(START.weights()[w]) for w in "pq"])
    want = scipy.integrate.solve_ivp(raw, (0, 5.0), first, method="DOP853", rtol=1e-12, atol=1e-14).y[:, -1]
    short = fl.integrate(fl.lower(fl.derive(game())), START, fl.Data(A=A), until=fl.time(5.0), rtol=1e-11, atol=1e-13)
    assert np.allclose(np.concatenate([short.weights(-1)[w] for w in "pq"]), want, atol=1e-9)


def test_the_euclidean_game_keeps_the_sum_of_squares_and_turns_round():
    flow = fl.derive(fl.Problem(GAME, "value", ascend=["p"]))
    assert [law.text for law in flow.laws] == ["|q|^2 + |p|^2"]
    path = fl.integrate(fl.lower(flow), START, fl.Data(A=A), until=fl.time(10.0))
    assert all(seen["holds"] for seen in path.monitors.values())


def by_hand(step: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Optimistic multiplicative weights, as in the paper."""
    p, q = (np.asarray(START.weights()[w]) for w in "pq")
    up, down = A @ q, A.T @ p
    for _ in range(count):
        new = A @ q, A.T @ p
        p, q = p * np.exp(step * (2 * new[0] - up)), q * np.exp(-step * (2 * new[1] - down))
        p, q, (up, down) = p / p.sum(), q / q.sum(), new
    return p, q


def test_optimistic_descent_in_the_simplex_is_optimistic_multiplicative_weights():
    walk = fl.descend(game(), START, fl.Data(A=A), rule="optimistic", step=0.1, count=2000)
    p, q = by_hand(0.1, 2000)
    assert np.abs(walk.weights(-1)["p"] - p).max() < 1e-12
    assert np.abs(walk.weights(-1)["q"] - q).max() < 1e-12
    seen = [divergence(walk, i) for i in range(0, len(walk), 40)]
    assert np.diff(seen).max() < 0
    away = fl.descend(game(), START, fl.Data(A=A), step=0.1, count=2000)
    assert divergence(away, -1) > 4 * divergence(away, 0)


def test_the_factors_of_modified_flows_are_those_of_the_literature():
    found = {
        rule: tuple(map(float, coefficients(rules[rule]()))) for rule in ("gradient", "optimistic", "extragradient")
    }
    assert found == {"gradient": (1.0, -0.5), "optimistic": (1.0, 0.5), "extragradient": (1.0, 0.5)}
    for nesterov in (False, True):
        a, c = coefficients(rules["gradient"](), Momentum(nesterov))
        (beta,) = a.free_symbols
        # Heavy ball: F/(1 - b) - (1 + b)/(2 (1 - b)^3) eta DF F (Kovachki and Stuart 2021).
        b = 0.3
        want = -(1 + b) / 2 / (1 - b) ** 3 if not nesterov else -(2 * b**2 - b + 1) / 2 / (1 - b) ** 3
        assert float(a.subs(beta, b)) == pytest.approx(1 / (1 - b))
        assert float(c.subs(beta, b)) == pytest.approx(want)


def test_modified_flows_are_written_with_their_sign_in_front():
    flow = fl.derive(game())
    heads = {
        "dz/dt = F - 1/2 eta DF F,": flow.modified(step=0.1),
        "dz/dt = F + 1/2 eta DF F,": flow.modified("optimistic", step=0.1),
        "dz/dt = 1/(1 - beta) F - (beta + 1)/(2*(1 - beta)**3) eta DF F,": flow.modified(step=0.1, momentum=0.5),
    }
    for head, made in heads.items():
        assert made.text().startswith(head)
    assert r"\dot z = F - \frac{1}{2}\,\eta\, DF\, F" in flow.modified(step=0.1).latex()
    # Kept for the reader of the equation: what is written is what is integrated.
    a, c = flow.modified(step=0.1, momentum=0.5).numbers
    assert (a, c) == pytest.approx((1 / 0.5, -1.5 / (2 * 0.5**3)))


def test_a_game_is_written_entry_by_entry_in_its_charts():
    component = fl.derive(game()).component(d=2, samples=1)
    written = dict(component.lines(False))
    assert set(written) == {f"d z_{w}[{i}]/dt" for w in "pq" for i in (1, 2)}
    values = {s: 0.3 + 0.2 * i for i, s in enumerate(component.names)}
    at = {key: np.array([float(values[s]) for s in np.ravel(a)]) for key, a in component.symbols.items() if a.size}
    payoff = at["x", "A"].reshape(2, 2)
    p, q = (np.exp(at["chart", w]) / np.exp(at["chart", w]).sum() for w in "pq")
    for w, wanted in (("p", payoff @ q), ("q", -payoff.T @ p)):
        found = np.array([float(e.subs(values)) for e in component.rates["W", w]])
        assert found == pytest.approx(wanted, rel=1e-13)
    # A control: the players change sides.
    assert np.abs(-payoff @ q - payoff @ q).max() > 0.1


@pytest.mark.parametrize("rule", ["gradient", "optimistic", "extragradient"])
def test_steps_follow_the_modified_flow_to_second_order(rule):
    flow, errors = fl.derive(game()), []
    for step in (0.04, 0.02, 0.01):
        walk = fl.descend(game(), START, fl.Data(A=A), rule=rule, step=step, count=round(8 / step)).weights(-1)
        other = fl.integrate(
            fl.lower(flow.modified(rule, step=step)), START, fl.Data(A=A), until=fl.time(8.0), rtol=1e-11, atol=1e-13
        ).weights(-1)
        errors.append(float(np.abs(walk["p"] - other["p"]).max()))
    orders = np.diff(np.log(errors)) / np.log(0.5)
    # A wrong factor leaves order 1.
    assert np.abs(orders - 2).max() < 0.2


class Ahead(Rule):
    """A user's rule with a memory: the force one step before is taken away by a half."""

    name = "half_optimistic"
    on_weights, is_plain = True, False

    def update(self, u, g, step):
        return u + step * g

    def fresh(self, force):
        return force

    def advance(self, memory, place, force, field, step):
        return force, {w: place[w] + step * (force[w] * 3 - memory[w]) / 2 for w in place}


def test_a_rule_of_the_users_own_has_its_modified_flow():
    a, c = coefficients(Ahead())
    # (1 - b) F + b F^- has c = -1/2 - b, here with b = -1/2.
    assert (float(a), float(c)) == (1.0, 0.0)


def test_grids_are_lifted_to_the_nearest_point():
    rng = np.random.default_rng(0)
    for word, levels in (("binary", (-1, 1)), ("ternary", (-1, 0, 1)), ("two_bit", (-3, -1, 1, 3))):
        space, z = geometries[word](), rng.normal(size=7)
        lifted = np.asarray(space.lift(np, z))
        best = np.inf
        for codes in np.stack(np.meshgrid(*[levels] * 7), axis=-1).reshape(-1, 7):
            if codes.any():
                s = max(z @ codes / (codes @ codes), 0.0)
                best = min(best, float(((z - s * codes) ** 2).sum()))
        assert ((z - lifted) ** 2).sum() <= best + 1e-12


def integrate(start: dict[str, np.ndarray], problem: fl.Problem | None = None) -> fl.Trajectory:
    problem = problem or game()
    return fl.integrate(fl.lower(fl.derive(problem)), fl.State.from_weights(start), fl.Data(A=A), until=fl.time(1.0))


OFF = {"p": np.array([0.5, 0.3, 0.3]), "q": np.array([0.2, 0.2, 0.6])}
WRONG = (
    (lambda: fl.Problem(GAME, "value", geometry={"A": "simplex"}), "does not have"),
    (lambda: fl.Problem(GAME, "value", geometry={"p": "simplx"}), "did you mean `simplex`"),
    (lambda: fl.Problem(GAME, "value", ascend=["A"]), "does not have"),
    (lambda: fl.Problem(GAME, "value", ascend=["p"], decay=0.1), "write the penalty into the objective"),
    (lambda: fl.Problem(GAME, "value", ascend=["p"], coordinates="polar"), '`coordinates="weights"`'),
    (lambda: integrate(OFF), "probabilities above zero with the sum 1"),
    (lambda: integrate({**OFF, "p": np.array([1.0, 0.0, 0.0])}), "divide positive numbers by their sum"),
    (lambda: fl.descend(game(), fl.State.from_weights(OFF), fl.Data(A=A), step=0.1, count=1), "sum 1"),
    (lambda: fl.descend(game(), START, fl.Data(A=A), step=0.1, count=1, rule="geodesic"), "p ascending"),
    (lambda: fl.descend(game(), START, fl.Data(A=A), step=0.1, count=1, rule="optimistic", momentum=0.5), "must be 0"),
    (lambda: fl.derive(game()).modified("geodesic", step=0.1), "a rule on weights"),
    (lambda: fl.derive(game()).modified("optimistic", step=0.0), "above 0"),
    (lambda: fl.derive(game()).modified("optimistic", step=0.1, momentum=0.1), "must be 0"),
    (lambda: fl.derive(fl.Problem("w @ x")).modified(step=0.1), "weight coordinates"),
    (lambda: fl.derive(fl.Problem(GAME, "value", geometry={"p": "binary"})), "`fl.descend`"),
    (lambda: fl.derive(game()).curl(), "without `geometry`"),
    (lambda: fl.Problem(fl.bures(fl.weight("S"), fl.constant("C")), "value"), 'symmetric=["W"]'),
    (lambda: fl.derive(fl.Problem(fl.Network("sum(S @ v)"), "value", geometry={"S": "simplex"})), "a vector"),
)


@pytest.mark.parametrize(("call", "told"), WRONG, ids=range(len(WRONG)))
def test_what_is_not_defined_is_said_in_a_sentence(call, told):
    with pytest.raises(fl.FlowlabError) as caught:
        call()
    assert told in str(caught.value)
