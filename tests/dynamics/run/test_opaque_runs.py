"""Runs of opaque networks: what is said of kinks, stores, and a transformer of 10^5 weights from end to end."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl

RNG = np.random.default_rng(2)
X, Y = np.array([[1.0, 0.2], [0.8, -0.3], [-0.2, 1.0], [0.1, -1.2]]), np.array([1.0, 1.0, -1.0, -1.0])


def block(*shape):
    return RNG.normal(size=shape) / np.sqrt(shape[-1])


def small(function):
    return fl.opaque(
        lambda p, x: function(x @ p["W1"].T) @ p["W2"].T, {"W1": np.array(0.5 * block(4, 2)), "W2": 0.5 * block(1, 4)}
    )


def small_of(net, function):
    """The network at the weights of another one."""
    made = small(function)
    return fl.opaque(made.function.call, net.params_of(net.initial_state().weights()))


def run(net, until, **options):
    return fl.integrate(
        fl.lower(fl.derive(fl.Problem(net, "exponential"))), net.initial_state(), fl.Data(X, Y), until=until, **options
    )


@pytest.fixture(scope="module")
def squared():
    return small(lambda z: z**2)


@pytest.mark.long
def test_a_run_is_that_of_the_language(squared):
    path = run(squared, fl.log_time(40.0))
    same = fl.Network("W2 @ (W1 @ x)**2", shapes={"W1": (4, 2), "W2": (1, 4)})
    theirs = fl.integrate(
        fl.lower(fl.derive(fl.Problem(same, "exponential"))),
        squared.initial_state(),
        fl.Data(X, Y),
        until=fl.log_time(40.0),
    )
    assert path.outcome.kind == "done"
    assert "kinks" not in path.stats
    assert len(path) == len(theirs)
    assert float(path.dataset.log_loss[-1]) == pytest.approx(float(theirs.dataset.log_loss[-1]), rel=1e-9)
    assert path.monitors["equal_growth W1 W2"]["holds"]


@jax.custom_vjp
def own_square(z):
    return z**2


own_square.defvjp(lambda z: (z**2, z), lambda z, g: (2 * g * z,))


@pytest.mark.long
def test_a_derivative_rule_without_forward_mode_goes_through_implicit_steps(squared):
    path, theirs = (run(net, fl.log_time(40.0)) for net in (small_of(squared, own_square), squared))
    assert path.outcome.kind == "done"
    assert set(path.dataset.clock.values) - {"time"}
    assert float(path.dataset.log_loss[-1]) == pytest.approx(float(theirs.dataset.log_loss[-1]), rel=1e-9)


def test_a_run_is_stored_and_read_as_long_as_the_network_is_there(squared, tmp_path):
    path = run(squared, fl.log_time(1.0), store=tmp_path / "store")
    again = run(squared, fl.log_time(1.0), store=tmp_path / "store")
    assert np.array_equal(path.dataset.log_loss, again.dataset.log_loss)
    path.save(tmp_path / "run.nc")
    assert fl.Trajectory.load(tmp_path / "run.nc").problem.network is squared


def test_a_lost_network_is_asked_for(tmp_path, monkeypatch):
    net = small(jnp.sin)
    path = fl.descend(fl.Problem(net, "exponential"), net.initial_state(), fl.Data(X, Y), step=0.1, count=2)
    path.save(tmp_path / "run.nc")
    monkeypatch.setattr("flowlab.language.remembered._made", {})
    with pytest.raises(fl.OutputError, match=r"needs the opaque network `f` .* make it with `fl\.opaque") as caught:
        fl.Trajectory.load(tmp_path / "run.nc")
    assert "no stored trajectory" not in str(caught.value)


@pytest.mark.long
def test_kinks_that_are_stepped_over_are_said_to_be():
    net = small(jax.nn.relu)
    path = run(net, fl.time(1e-3))
    assert path.stats["kinks"] == {"followed": False}
    assert "kinks of the opaque network were stepped over" in path.outcome.message
    assert "stepped over" not in run(small(jnp.tanh), fl.time(1e-3)).outcome.message
    problem, data = fl.Problem(net, "exponential"), fl.Data(X, Y)
    for refused in (
        lambda: fl.smoothed(problem, 0.1),
        lambda: fl.critical_points(problem, data, norm=2.0, starts=1),
        lambda: fl.max_margin(net, data),
        lambda: fl.norm_path(problem, data, norms=(0.1, 1.0)),
    ):
        with pytest.raises(fl.LanguageError, match="must know where kinks are, got `f"):
            refused()


D, TOKENS, FEATURES = 88, 6, 16


def normal(z, gain):
    return gain * z / jnp.sqrt((z * z).mean(axis=-1, keepdims=True) + 1e-5)


def transformer(p, x):
    """One block with learned positions, attention and a hidden layer, of all samples (N, T, d)."""
    h = x @ p["embed"].T + p["position"]
    z = normal(h, p["gain1"])
    q, k, v = (z @ p[name].T for name in ("query", "key", "value"))
    attention = jax.nn.softmax(jnp.einsum("nid,njd->nij", q, k) / np.sqrt(D), axis=-1)
    h = h + jnp.einsum("nij,njd->nid", attention, v) @ p["out"].T
    h = h + jax.nn.gelu(normal(h, p["gain2"]) @ p["up"].T) @ p["down"].T
    return h.mean(axis=1) @ p["head"].T


SQUARE = {name: block(D, D) for name in ("query", "key", "value", "out")}
PLAIN = SQUARE | {
    "embed": block(D, FEATURES),
    "position": 0.1 * RNG.normal(size=(TOKENS, D)),
    "gain1": np.ones(D),
    "gain2": np.ones(D),
    "up": block(4 * D, D),
    "down": block(D, 4 * D),
    "head": block(3, D),
}


class Block(eqx.Module):
    """The same with the layers of equinox, of one sample (T, d)."""

    embed: eqx.nn.Linear
    attention: eqx.nn.MultiheadAttention
    norms: list
    hidden: eqx.nn.MLP
    head: eqx.nn.Linear

    def __init__(self, key):
        keys = jax.random.split(key, 4)
        self.embed = eqx.nn.Linear(FEATURES, D, key=keys[0])
        self.attention = eqx.nn.MultiheadAttention(4, D, key=keys[1])
        self.norms = [eqx.nn.LayerNorm(D), eqx.nn.LayerNorm(D)]
        self.hidden = eqx.nn.MLP(D, D, 4 * D, 1, jax.nn.gelu, key=keys[2])
        self.head = eqx.nn.Linear(D, 3, key=keys[3])

    def __call__(self, x):
        h = jax.vmap(self.embed)(x)
        z = jax.vmap(self.norms[0])(h)
        h = h + self.attention(z, z, z)
        h = h + jax.vmap(self.hidden)(jax.vmap(self.norms[1])(h))
        return self.head(h.mean(axis=0))


def from_end_to_end(net, time, coordinates):
    """Derive, integrate and descend on tokens of three classes."""
    assert sum(int(np.prod(shape)) for shape in net.shapes.values()) > 90_000
    problem = fl.Problem(net, "cross_entropy", coordinates=coordinates)
    flow = fl.derive(problem)
    assert flow.residual < 1e-11
    assert "norms need not grow alike" in str(flow)
    y = np.arange(12) % 3
    data = fl.Data(np.random.default_rng(0).normal(size=(12, TOKENS, FEATURES)) + 0.5 * y[:, None, None], y)
    path = fl.integrate(fl.lower(flow), net.initial_state(), data, until=fl.time(time), rtol=1e-5, atol=1e-7)
    assert path.outcome.kind == "done"
    assert path.monitors["loss"]["holds"]
    assert set(path.dataset.block.values) == set(net.weights)
    step = 1e-3
    walk = fl.descend(problem, net.initial_state(), data, step=step, count=round(time / step))
    assert float(walk.dataset.log_loss[-1]) == pytest.approx(float(path.dataset.log_loss[-1]), abs=0.1)
    assert float(path.dataset.min_margin[-1]) > float(path.dataset.min_margin[0])
    return net.symmetry


@pytest.mark.slow
def test_a_transformer_of_plain_jax():
    symmetry = from_end_to_end(fl.opaque(transformer, PLAIN, inputs={"x": (TOKENS, FEATURES)}), 0.05, "polar")
    # Queries against keys, gains against what reads them: what can be scaled without a change is found.
    still = dict.fromkeys(symmetry.weights, 0)
    assert symmetry.allows(still | {"query": 1, "key": -1})
    assert symmetry.allows(still | {"gain2": 1, "up": -1})
    assert symmetry.allows(still | {"value": 1, "out": -1})
    assert symmetry.allows(still | {"head": 1})
    assert not symmetry.allows(still | {"query": 1})
    assert not symmetry.allows(still | {"embed": 1})


@pytest.mark.slow
def test_a_transformer_of_equinox():
    # Biases of its norms begin at zero, where polar coordinates have no direction.
    symmetry = from_end_to_end(fl.opaque(Block(jax.random.key(0)), inputs={"x": (TOKENS, FEATURES)}), 0.05, "weights")
    still = dict.fromkeys(symmetry.weights, 0)
    assert symmetry.allows(still | {"head_weight": 1, "head_bias": 1})
    assert not symmetry.allows(still | {"head_weight": 1})
