"""The lowered field: what it computes, what it holds, and what it compiles to."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl

NETS = (
    "W2 @ relu(W1 @ x)",
    "W3 @ relu(W2 @ relu(W1 @ x))**2",
    "W2 @ tanh(W1 @ x + b)",
    "W2 @ relu(W1 @ x) + W3 @ x",
    "(w * w - u * u) @ x",
)
SETTINGS = (
    {},
    {"scheme": "lagrange", "decay": 0.1},
    {"per": "neuron"},
    {"per": "network", "loss": "logistic"},
    {"coordinates": "weights", "reduction": "mean"},
)


def data(n=12, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return fl.Data(rng.normal(size=(n, d)), np.where(np.arange(n) % 2 == 0, 1.0, -1.0))


def ready(net, n=12, d=3, width=4, seed=0, **settings):
    problem = fl.Problem(net, **settings)
    points = data(n, d, seed)
    state = fl.initial_state(problem.network, points, seed=seed, per=problem.per, default_width=width)
    return fl.lower(fl.derive(problem)), state, points


@pytest.mark.parametrize("settings", [s for s in SETTINGS if "scheme" not in s], ids=str)
@pytest.mark.parametrize("net", NETS)
def test_rates_are_those_of_autodiff_of_a_loss_written_here(net, settings):
    """Gradient flow: d(rho V)/dt must be minus the gradient of a loss coded again, by hand, in this file."""
    field, state, points = ready(net, **settings)
    activations = {"relu": jax.nn.relu, "tanh": jnp.tanh}

    def loss(w):
        x = points.x.T
        if net == NETS[0]:
            f = w["W2"] @ activations["relu"](w["W1"] @ x)
        elif net == NETS[1]:
            f = w["W3"] @ activations["relu"](w["W2"] @ activations["relu"](w["W1"] @ x)) ** 2
        elif net == NETS[2]:
            f = w["W2"] @ activations["tanh"](w["W1"] @ x + w["b"][:, None])
        elif net == NETS[3]:
            f = w["W2"] @ activations["relu"](w["W1"] @ x) + w["W3"] @ x
        else:
            f = (w["w"] * w["w"] - w["u"] * w["u"]) @ x
        q = points.y * jnp.ravel(f)
        each = jnp.logaddexp(0.0, -q) if settings.get("loss") == "logistic" else jnp.exp(-q)
        return each.mean() if settings.get("reduction") == "mean" else each.sum()

    rate = field(0.0, state, points)
    weights, gradient = state.weights(), jax.grad(loss)(state.weights())

    def moved(h):
        return fl.State(
            rho={k: state.rho[k] + h * rate.rho[k] for k in state.rho},
            V={w: state.V[w] + h * rate.V[w] for w in state.V},
            per=state.per,
        )

    for name in weights:
        # ρV is bilinear: the central difference is exact but for roundings, and V stays of unit length to second order.
        velocity = (moved(1e-5).weights()[name] - moved(-1e-5).weights()[name]) / 2e-5
        assert jnp.linalg.norm(velocity + gradient[name]) < 1e-8 * (1 + jnp.linalg.norm(gradient[name]))


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_no_array_is_captured(settings):
    field, state, points = ready(NETS[0], **settings)
    leaves, static = eqx.partition(field, eqx.is_array)
    jaxpr = jax.make_jaxpr(lambda f, s, d: eqx.combine(f, static)(0.0, s, d))(leaves, state, points)
    assert all(np.ndim(c) == 0 for c in jaxpr.consts)


def program_size(n, d, width):
    field, state, points = ready(NETS[0], n=n, d=d, width=width)
    text = jax.jit(lambda s, p: field(0.0, s, p)).lower(state, points).as_text()
    return len(text.splitlines())


def test_compiled_program_does_not_grow_with_samples_or_width():
    assert program_size(10, 3, 4) == program_size(500, 3, 4) == program_size(10, 3, 128) == program_size(64, 20, 33)


def test_one_trace_per_shape():
    field, state, points = ready(NETS[0])
    traces = []

    @jax.jit
    def rate(s, p):
        traces.append(1)
        return field(0.0, s, p)

    rate(state, points)
    rate(fl.State(rho={k: 2 * v for k, v in state.rho.items()}, V=state.V), data(seed=5))
    assert len(traces) == 1
    rate(state, data(n=13))
    assert len(traces) == 2


def test_schemes_lower_to_different_flows():
    rates = {}
    for scheme in ("gradient_flow", "lagrange", "exponential_weight_normalization", "fixed_norm"):
        field, state, points = ready(NETS[0], scheme=scheme)
        rates[scheme] = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(field(0.0, state, points))])
    names = list(rates)
    assert all(np.linalg.norm(rates[a] - rates[b]) > 1e-3 for i, a in enumerate(names) for b in names[:i])


def test_doc_says_ordinary_time_and_summed_loss():
    """Twice the same samples: twice the rates for a sum, the same for a mean."""
    for reduction, factor in (("sum", 2.0), ("mean", 1.0)):
        field, state, points = ready(NETS[0], reduction=reduction)
        twice = fl.Data(np.concatenate([points.x, points.x]), np.concatenate([points.y, points.y]))
        once, both = field(0.0, state, points), field(0.0, state, twice)
        assert all(
            np.allclose(b, factor * a, rtol=1e-12)
            for a, b in zip(jax.tree.leaves(once), jax.tree.leaves(both), strict=True)
        )


@pytest.mark.parametrize("factor", [1.0, 30.0, 1e3])
def test_directions_stay_tangent_and_rates_finite_far_out(factor):
    """On data that the network separates, up to where the loss underflows."""
    field, state, points = ready("W2 @ leaky_relu(W1 @ x)", seed=4)
    x = np.concatenate([np.asarray(points.x), -np.asarray(points.x)])
    outputs = np.ravel(field.problem.network.outputs(state.weights(), jnp.asarray(x)))
    points = fl.Data(x, np.where(outputs > 0, 1.0, -1.0))
    rate = field(0.0, fl.State(rho={k: v * factor for k, v in state.rho.items()}, V=state.V), points)
    for name in state.V:
        size = float(jnp.linalg.norm(rate.V[name]))
        assert np.isfinite(size)
        assert abs(float(jnp.sum(state.V[name] * rate.V[name]))) <= 1e-10 * size
