"""Laws are kept along flows that another program integrates, and wrong ones are seen to move."""

import random
from dataclasses import replace
from fractions import Fraction

import jax
import jax.numpy as jnp
import law_nets
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import flowlab as fl
from flowlab.core.errors import FlowlabError
from flowlab.language.activations import Activation, activations
from flowlab.symbolic.laws.draws import Small, usual
from flowlab.symbolic.laws.find import holds, search
from flowlab.symbolic.laws.relations import relations
from flowlab.symbolic.laws.terms import Term, family
from flowlab.symbolic.states import random_state
from tests.fuzz.architectures import valid

RTOL, EVALUATIONS = 1e-10, 3_000
ALLOWED = 1e-7
"""Drift relative to the terms of a law, 1,000 times the tolerance: steps across a kink are as inexact as that."""


def run(problem: fl.Problem, seed: int, small: Small | None = None) -> tuple[dict, dict, float]:
    """Weights at both ends of a piece of the flow, by `jax.grad` and SciPy alone, and the time between them."""
    d, widths = (3, None) if small is None else (small.d, small.sizes)
    state = random_state(problem, seed, d=d, width=2, widths=widths)
    names, shapes = problem.network.weights, {w: np.shape(v) for w, v in state.weights.items()}
    ends = np.cumsum([0, *(int(np.prod(shapes[w])) for w in names)])

    def unpacked(theta):
        return {w: theta[a:b].reshape(shapes[w]) for w, a, b in zip(names, ends, ends[1:], strict=False)}

    @jax.jit
    def speed(theta):
        g = jax.grad(lambda t: problem.objective(unpacked(t), state.samples, jnp))(theta)
        rates = jnp.concatenate([jnp.full(shapes[w], problem.rates[w]).ravel() for w in names])
        return -rates * g

    theta = np.concatenate([np.ravel(state.weights[w]) for w in names])
    first = np.linalg.norm(speed(theta))
    time = 0.5 * max(1.0, np.linalg.norm(theta)) / first if first > 0 else 1.0
    for _ in range(4):
        left = iter(range(EVALUATIONS))

        def once(_, y, left=left):
            # A flow that slides along a kink would take steps without end.
            return np.asarray(speed(y)) if next(left, None) is not None else np.full_like(y, np.nan)

        with np.errstate(all="ignore"):
            found = solve_ivp(once, (0.0, time), theta, "DOP853", rtol=RTOL, atol=1e-12, max_step=time / 4)
        if found.success and np.isfinite(found.y).all():
            return unpacked(theta), unpacked(found.y[:, -1]), time
        time /= 10.0
    pytest.fail(f"{problem!r} could not be integrated")


def drift(law, before: dict, after: dict, time: float) -> float:
    """How far a law is from where it should be, relative to its terms."""
    if not hasattr(law, "parts"):
        none = {w: np.asarray(np.linalg.norm(v)) for w, v in before.items()}
        now = {w: np.asarray(np.linalg.norm(v)) for w, v in after.items()}
        (a, b), (c, d) = law.terms(none, before, before), law.terms(now, after, after)
        return float(np.abs((a - b) - (c - d)).max() / max(np.abs(c).max(), np.abs(d).max()))
    assert law.fits({w: np.shape(v) for w, v in before.items()})
    expected = law.value(before) * np.exp(-law.shrinks * time)
    return float(np.abs(law.value(after) - expected).max()) / law.scale(after)


def sweep(seeds: range) -> tuple[int, int, int, int]:
    """Networks, laws, laws that have a variant, and those of which it was seen to move."""
    networks = laws = tried = seen = 0
    for seed in seeds:
        rng = random.Random(seed)
        text = valid(rng, rng.randrange(1, 5))
        settings = [{}, {"decay": 0.1}, {"rates": 0.3}][seed % 3]
        try:
            problem = fl.Problem(text, "square", coordinates="weights")
            if "rates" in settings:
                settings = {"rates": {problem.network.weights[0]: settings["rates"]}}
            flow = fl.derive(fl.Problem(text, "square", coordinates="weights", **settings))
        except FlowlabError:
            continue
        networks += 1
        if not flow.laws:
            continue
        ends = run(flow.problem, 1000 + seed, flow._search.small)
        for law in flow.laws:
            assert drift(law, *ends) < ALLOWED, (text, settings, law.text)
            laws += 1
            if hasattr(law, "parts") and len(law.parts) > 1:
                (c, part), *rest = law.parts
                wrong = replace(law, parts=((1.01 * c, part), *rest))
                tried += 1
                seen += drift(wrong, *ends) > 100 * ALLOWED
    return networks, laws, tried, seen


@pytest.mark.long
def test_laws_of_random_networks_are_kept():
    networks, laws, tried, seen = sweep(range(12))
    assert networks >= 5
    assert laws >= 3
    assert tried >= 3
    assert seen >= 0.8 * tried


@pytest.mark.slow
@pytest.mark.parametrize("first", [12, 262])
def test_laws_of_two_hundred_random_networks_are_kept(first):
    networks, laws, tried, seen = sweep(range(first, first + 250))
    assert networks >= 100
    assert laws >= 50
    assert tried >= 30
    assert seen >= 0.8 * tried


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("a @ relu(W @ x + b)", {}),
        ("(u*v) @ x", {"decay": 0.2}),
        ("W2 @ W1 @ x", {"rates": {"W1": 0.1}}),
        ("(x + W1 @ x) + W2 @ (x + W1 @ x)", {"rates": {"W1": 0.25, "W2": 2.0}}),
        ("(w*w - u*u) @ x", {"decay": {"w": 0.1, "u": 0.3}}),
        ("a @ maximum(A @ x, B @ x)", {"rates": {"A": 0.5}}),
    ],
)
def test_laws_of_decay_and_of_learning_rates_are_kept(text, settings):
    flow = fl.derive(fl.Problem(text, "square", coordinates="weights", **settings))
    assert flow.laws
    ends = run(flow.problem, 3)
    for law in flow.laws:
        assert drift(law, *ends) < ALLOWED, law.text
        if hasattr(law, "shrinks") and law.shrinks:
            assert drift(replace(law, shrinks=1.01 * law.shrinks), *ends) > 100 * ALLOWED
    if "rates" in settings:
        plain = fl.derive(fl.Problem(text, "square", coordinates="weights"))
        assert all(drift(law, *ends) > 100 * ALLOWED for law in plain.laws)


@pytest.mark.long
@pytest.mark.parametrize(("text", "settings", "count"), law_nets.NETS, ids=lambda v: v if isinstance(v, str) else "")
def test_laws_of_architectures_are_all_found_and_kept(text, settings, count):
    flow = fl.derive(fl.Problem(fl.Network(text, **settings), "square", coordinates="weights"))
    found = flow.law_count
    assert (found.status, found.total) == ("complete", count), str(found)
    ends = run(flow.problem, 1, flow._search.small)
    for law in flow.laws:
        assert drift(law, *ends) < ALLOWED, law.text


def test_learning_rates_can_make_a_law_that_is_not_quadratic():
    """w' = 2 eta w G and u' = -2 u G keep u^eta w, with eta = 1/2 no polynomial of second degree."""
    flow = fl.derive(fl.Problem("(w*w - u*u) @ x", "square", coordinates="weights", rates={"w": 0.5}))
    assert flow.laws == ()
    assert (flow.law_count.status, flow.law_count.total, flow.law_count.found) == ("further", 3, 0)
    before, after, _ = run(flow.problem, 3)
    assert np.abs(after["u"]) ** 0.5 * after["w"] == pytest.approx(np.abs(before["u"]) ** 0.5 * before["w"], rel=1e-7)


def test_a_false_law_is_refused():
    problem = fl.Problem("a @ relu(W @ x + b)", "square", coordinates="weights")
    (law,) = fl.derive(problem).laws
    states, small = usual(problem, 4, seed=1), Small(problem, 3, {}, 0).draw(4, 1)
    assert holds(law, states)
    assert holds(law, small)
    for i in range(len(law.parts)):
        for factor in (1.01, -1.0, 0.0, 1.0 + 1e-8):
            parts = tuple((c * (factor if j == i else 1.0), part) for j, (c, part) in enumerate(law.parts))
            wrong = replace(law, parts=parts)
            assert not holds(wrong, states), (i, factor)
            assert not holds(wrong, small), (i, factor)
    # The matrix whose diagonal it is does not stand still.
    whole = [(1.0, Term(("W", "W"), ("ij", "kj"), "ik")), (1.0, Term(("b", "b"), ("i", "j"), "ij"))]
    whole.append((-1.0, Term(("a", "a"), ("i", "j"), "ij")))
    assert not holds(replace(law, parts=tuple(whole)), states)


def test_a_known_law_is_not_found_twice_and_an_unknown_one_is_not_missed():
    problem = fl.Problem("W2 @ W1 @ x", "square")
    flow = fl.derive(problem)
    assert search(problem, flow.matched).laws == ()
    assert [law.text for law in search(problem, ()).laws] == ["W1 W1^T - W2^T W2"]


@pytest.mark.parametrize("text", ["a @ tanh(W @ x)", "W2 @ gelu(W1 @ x)", "W3 @ softplus(W2 @ tanh(W1 @ x))", "W @ x"])
def test_networks_without_symmetry_have_no_law(text):
    flow = fl.derive(fl.Problem(text, "square", coordinates="weights"))
    assert flow.laws == ()
    assert (flow.law_count.status, flow.law_count.total) == ("complete", 0)
    assert "conserved" not in str(flow)


def test_nothing_is_a_law_of_random_rates():
    """Relations are of the rates given, not of the terms: random ones have none."""
    problem = fl.Problem("W2 @ W1 @ x", "square")
    draws, rng = usual(problem, 30, seed=2), np.random.default_rng(0)
    wrong = draws._replace(pull={w: rng.normal(size=v.shape) for w, v in draws.pull.items()})
    terms = family({w: problem.network.shapes[w] for w in problem.network.weights})

    def found(states):
        each = (relations(some, [1.0] * len(some), states) for some in terms.values())
        return [relation for some in each for relation in some]

    assert found(draws)
    assert found(wrong) == []


class Straight(Activation):
    """The sign of z, with the slope of z: what straight-through estimators descend along."""

    name = "straight"
    degree = Fraction(0)

    def symbolic(self, z):
        return z

    def numeric(self, xp, z):
        return xp.sign(z) if xp is np else z + jax.lax.stop_gradient(xp.sign(z) - z)

    def slope(self, xp, z):
        return xp.ones_like(z)

    def latex(self):
        return "s"


def test_slopes_that_are_not_those_of_values_have_no_laws():
    activations.register("straight")(Straight)
    try:
        flow = fl.derive(fl.Problem("v @ straight(W @ x)", "square", coordinates="weights"))
        assert flow.laws == ()
        assert flow.law_count.status == "not decided"
        assert "slopes" in str(flow.law_count)
    finally:
        del activations._words["straight"]


def test_a_count_sees_a_law_that_was_not_found():
    """Control: with a law left out of what is known, the Lie algebra says that there are others."""
    from flowlab.symbolic.laws.count import law_count

    problem = fl.Problem("W2 @ relu(W1 @ x)", "square", coordinates="weights")
    found = search(problem, ())
    assert law_count(found).status == "complete"
    fewer = law_count(replace(found, laws=(), rank=0))
    assert (fewer.status, fewer.total, fewer.found) == ("further", found.rank, 0)
    more = law_count(replace(found, rank=found.rank + 1))
    assert more.status == "not decided"


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("W3 @ W2 @ W1 @ x", {}),
        ("W2 @ relu(W1 @ x)", {}),
        ("(u * v) @ x", {"coordinates": "weights"}),
        ("a @ ((G @ x) * (W @ x))", {}),
    ],
)
def test_laws_of_every_kind_are_measured_alike(text, settings):
    """What matching finds and what a null space finds have the same words: fits, value, scale."""
    data = fl.Data(np.random.default_rng(0).normal(size=(4, 3)), np.array([1.0, -1.0, 1.0, -1.0]))
    flow = fl.derive(fl.Problem(text, "square", **settings))
    start = fl.initial_state(flow.problem.network, data, seed=0, default_width=3)
    path = fl.integrate(fl.lower(flow), start, data, until=fl.time(1.0), rtol=1e-8)
    first, last = ({w: np.asarray(v) for w, v in path.state(i).weights().items()} for i in (0, len(path) - 1))
    fitting = [law for law in flow.laws if law.fits({w: v.shape for w, v in first.items()})]
    assert fitting
    stretched = {w: (2.0 if w == flow.problem.network.weights[0] else 1.0) * v for w, v in last.items()}
    for law in fitting:
        assert np.abs(law.value(last) - law.value(first)).max() <= 1e-6 * law.scale(last)
    assert any(np.abs(law.value(stretched) - law.value(first)).max() > 1e-3 * law.scale(last) for law in fitting)
