"""Transformations of optax as rules of a descent: the rows are those of a loop written by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl
from flowlab.discrete.descent import gradient_walk

optax = pytest.importorskip("optax")

NET = "W2 @ tanh(W1 @ x)"
DATA = fl.Data(np.random.default_rng(0).normal(size=(12, 3)), np.array([1.0, -1.0] * 6))
RULES = {
    "sgd": lambda: optax.sgd(0.05),
    "momentum": lambda: optax.sgd(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: optax.adam(1e-2),
    "schedule": lambda: optax.adamw(optax.cosine_decay_schedule(0.1, 30), weight_decay=0.01),
    "chain": lambda: optax.chain(optax.clip_by_global_norm(0.3), optax.trace(0.9), optax.scale(-0.1)),
    "blocks": lambda: optax.multi_transform(
        {"fast": optax.adam(0.1), "slow": optax.sgd(0.01)}, {"W1": "fast", "W2": "slow"}
    ),
    "lbfgs": lambda: optax.lbfgs(memory_size=3),
}


@pytest.fixture(scope="module")
def problem():
    return fl.Problem(NET, "logistic", decay={"W1": 0.01}, coordinates="weights")


def start(seed=0):
    return fl.initial_state(NET, DATA, widths={"W1": 4}, seed=seed)


def by_hand(problem, rule, weights, count):
    """Weights after each step of the loop of optax's own pages."""

    def objective(w):
        return problem.objective(w, DATA, jnp)

    state, rows = rule.init(weights), [weights]
    for _ in range(count):
        value, gradient = jax.value_and_grad(objective)(weights)
        more = {"value": value, "grad": gradient, "value_fn": objective} if "lbfgs" in rule.update.__qualname__ else {}
        try:
            updates, state = rule.update(gradient, state, weights, **more)
        except TypeError:
            updates, state = rule.update(gradient, state, weights, value=value, grad=gradient, value_fn=objective)
        weights = optax.apply_updates(weights, updates)
        rows.append(weights)
    return rows


def apart(walk, rows) -> float:
    return max(float(np.abs(walk.weights(i)[w] - np.asarray(row[w])).max()) for i, row in enumerate(rows) for w in row)


@pytest.mark.parametrize("name", RULES)
def test_rows_are_those_of_a_loop_by_hand(problem, name):
    rule, first = RULES[name](), start()
    count = 8 if name == "lbfgs" else 40
    rows = by_hand(problem, rule, first.weights(), count)
    walk = fl.descend(problem, first, DATA, rule=rule, count=count, record_every=1)
    assert walk.outcome.message == f"{count} steps were taken."
    assert apart(walk, rows) < 1e-12
    assert np.allclose(walk.dataset.log_t[1:], np.log(np.arange(1, count + 1)), atol=1e-12)
    told = walk.provenance["settings"]["rule"]
    assert told.startswith("optax(")
    if name == "sgd":
        # Control: another rate ends elsewhere, and the house's own rule in the same place.
        other = fl.descend(problem, first, DATA, rule=optax.sgd(0.051), count=count, record_every=1)
        assert apart(other, rows) > 1e-6
        assert apart(fl.descend(problem, first, DATA, step=0.05, count=count, record_every=1), rows) < 1e-12
    if name == "adam":
        assert "ScaleByAdamState" in told


def test_a_state_goes_on_over_rows_that_are_not_stored(problem):
    rule, first = RULES["adam"](), start()
    whole = fl.descend(problem, first, DATA, rule=rule, count=150, record_every=1)
    part = fl.descend(problem, first, DATA, rule=rule, count=150, record_every=7)
    for w in ("W1", "W2"):
        assert (whole.weights(-1)[w] == part.weights(-1)[w]).all()


def test_batches_of_samples_and_of_starts(problem):
    rule = RULES["momentum"]()
    settings = {"rule": rule, "count": 20, "batch": 4, "record_every": 1}
    alone = [fl.descend(problem, start(seed), DATA, seed=seed, **settings) for seed in (0, 1, 2)]
    together = fl.descend(problem, [start(seed) for seed in (0, 1, 2)], DATA, seed=[0, 1, 2], **settings)
    assert len(together) == 3
    for one, other in zip(alone, together, strict=True):
        assert np.abs(one.weights(-1)["W1"] - other.weights(-1)["W1"]).max() < 1e-12
        assert one.provenance["settings"]["rule"] == other.provenance["settings"]["rule"]
    assert np.abs(alone[0].weights(-1)["W1"] - alone[1].weights(-1)["W1"]).max() > 1e-3


def test_one_compilation_serves_one_transformation(problem, monkeypatch):
    traced, real = [], gradient_walk.force_of
    monkeypatch.setattr(gradient_walk, "force_of", lambda *args: traced.append(1) or real(*args))
    rule = optax.adam(3e-3)
    fl.descend(problem, start(), DATA, rule=rule, count=3)
    seen = len(traced)
    assert seen
    fl.descend(problem, start(1), DATA, rule=rule, count=30)
    assert len(traced) == seen
    fl.descend(problem, start(), DATA, rule=optax.adam(3e-3), count=3)
    assert len(traced) > seen


def test_players_and_charts():
    game = fl.Problem(
        fl.Network("p @ (A @ q)", constants=["A"]), "value", ascend=["p"], geometry={"p": "simplex", "q": "simplex"}
    )
    data = fl.Data(A=np.array([[1.0, -1.0], [-1.0, 1.0]]))
    first = fl.State.from_weights({"p": np.array([0.7, 0.3]), "q": np.array([0.4, 0.6])})
    walk = fl.descend(game, first, data, rule=optax.sgd(0.1), count=50, record_every=1)
    own = fl.descend(game, first, data, step=0.1, count=50, record_every=1)
    assert np.abs(walk.weights(-1)["p"] - own.weights(-1)["p"]).max() < 1e-12
    with pytest.raises(fl.LanguageError, match="turn gradients of the blocks into updates"):
        fl.descend(game, first, data, rule=optax.lbfgs(), count=5)


def test_an_end_that_is_not_finite_says_what_to_change():
    problem = fl.Problem("w @ x", "square", coordinates="weights")
    data = fl.Data(np.eye(2), np.array([1.0, -1.0]))
    walk = fl.descend(problem, fl.State.from_weights({"w": np.array([1.0, 2.0])}), data, rule=optax.sgd(1e3), count=500)
    assert walk.outcome.kind == "nonfinite"
    assert "use a smaller learning rate" in walk.outcome.message


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"rule": "OPT", "step": 0.1}, "`step` must be left out"),
        ({"rule": "OPT", "momentum": 0.9}, "`momentum` must be 0"),
        ({"rule": "OPT", "loss_scaled": True}, "`loss_scaled=True` must be used"),
        ({"rule": "OPT", "freeze_norm": True}, "`freeze_norm=True`"),
        ({"rule": 3}, "must be a text or a gradient transformation"),
        ({}, "`step` must be a finite number above 0, got None"),
        ({"rule": "WRONG"}, "turn gradients of the blocks into updates"),
        ({"rule": "SHRINKS"}, "must keep the shapes and types of the blocks"),
        ({"rule": "GROWS"}, "must keep the shapes and types of its state"),
    ],
)
def test_what_does_not_go_with_it_is_refused(given, told):
    problem = fl.Problem(NET, "logistic", coordinates="weights")

    def broken(gradient, state, params=None):
        raise KeyError("no block")

    made = {
        "OPT": optax.adam(1e-3),
        "WRONG": optax.GradientTransformation(lambda params: None, broken),
        "SHRINKS": optax.GradientTransformation(
            lambda params: None, lambda g, s, p=None: ({w: v[None] for w, v in g.items()}, s)
        ),
        "GROWS": optax.GradientTransformation(lambda params: jnp.zeros(1), lambda g, s, p=None: (g, jnp.zeros(2))),
    }
    given = {k: made.get(v, v) if isinstance(v, str) else v for k, v in given.items()}
    with pytest.raises(fl.LanguageError, match=told):
        fl.descend(problem, start(), DATA, count=3, **given)


def test_what_needs_the_formula_of_a_rule_says_so():
    flow = fl.derive(fl.Problem(NET, "logistic", coordinates="weights"), verify=False)
    with pytest.raises(fl.LanguageError, match="must be a rule of flowlab for a modified flow"):
        flow.modified(optax.adam(1e-3), step=0.1)
