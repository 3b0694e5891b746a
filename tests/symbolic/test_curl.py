"""The curl of a flow: where the Jacobian of its velocity is not symmetric, by pairs of blocks."""

import jax
import numpy as np
import pytest
import sympy as sp

import flowlab as fl

NETS = (
    "a @ coarse(sign, tanh)(W @ x)",
    "a @ coarse(tanh, erf)(V @ tanh(W @ x))",
    "a @ (coarse(tanh, sin)(W @ x) * stop(tanh(W @ x)))",
)


def instance(text, seed=0, **options):
    rng = np.random.default_rng(seed)
    data = fl.Data(rng.normal(size=(7, 3)), rng.normal(size=7))
    net = fl.Network(text)
    flow = fl.derive(fl.Problem(net, "square", coordinates="weights", **options))
    return flow, data, fl.initial_state(net, data, widths={"W": 2, "V": 2} if "V" in text else {"W": 2}, seed=seed)


def by_differences(flow, data, start, step=1e-6):
    """∂G_a/∂W_b entry by entry, from the lowered field."""
    field, at = fl.lower(flow), {w: np.asarray(v) for w, v in start.weights().items()}
    rate = jax.jit(lambda y: field.rate(0.0, y, data))
    out = {}
    for b, block in at.items():
        for place in np.ndindex(block.shape):
            ends = []
            for sign in (1, -1):
                moved = {w: v.copy() for w, v in at.items()}
                moved[b][place] += sign * step
                ends.append(rate(moved))
            for a in at:
                out.setdefault((a, b), np.zeros(at[a].shape + block.shape))[(..., *place)] = -(
                    np.asarray(ends[0][a]) - np.asarray(ends[1][a])
                ) / (2 * step)
    return out


@pytest.mark.parametrize("text", NETS)
def test_it_is_that_of_differences(text):
    flow, data, start = instance(text, decay=0.1)
    curl, J = flow.curl(), by_differences(flow, data, start)
    assert curl.pairs
    found = curl.at(start, data)
    for a, b in ((a, b) for i, a in enumerate(flow.problem.network.weights) for b in flow.problem.network.weights[i:]):
        rank = J[b, a].ndim - start.V[a].ndim
        turned = np.moveaxis(J[b, a], range(rank), range(-rank, 0)) if rank else J[b, a]
        wanted = J[a, b] - turned
        if (a, b) in found:
            assert np.allclose(found[a, b], wanted, atol=1e-7)
            assert np.abs(wanted).max() > 1e-5
        else:
            assert np.abs(wanted).max() < 1e-7
    assert 0 < curl.share(start, data) < 10


@pytest.mark.parametrize("text", ["a @ tanh(W @ x)", "a @ relu(W @ x)", "a @ erf(V @ tanh(W @ x))", "a @ step(W @ x)"])
def test_a_gradient_has_none(text):
    flow, data, start = instance(text, decay=0.2)
    assert flow.curl().pairs == ()
    assert flow.curl().at(start, data) == {}
    assert flow.curl().share(start, data) < 1e-14
    assert "no curl" in str(flow.curl())


def test_it_is_asked_in_any_coordinates_and_names_blocks():
    net = fl.Network("v @ coarse(step, relu)(X @ w)", inputs={"X": ("m", "n")})
    for coordinates in ("polar", "weights"):
        curl = fl.derive(fl.Problem(net, "square", coordinates=coordinates)).curl()
        assert curl.pairs == (("w", "v"),)
        assert "w-v; 2 other pairs have none" in str(curl)


def test_it_is_written_out():
    net = fl.Network("a * coarse(tanh, sin)(w @ x)", shapes={"a": (), "w": (1,)})
    flow = fl.derive(fl.Problem(net, "square", coordinates="weights"))
    component = flow.component(1, 1)
    ((pair, matrix),) = flow.curl().written(component).items()
    a, w, x, y = (sp.Symbol(name, real=True) for name in ("a", "w[1]", "x[1,1]", "y[1]"))
    G_a, G_w = (a * sp.tanh(w * x) - y) * sp.tanh(w * x), (a * sp.tanh(w * x) - y) * a * sp.cos(w * x) * x
    sign = 1 if pair == ("a", "w") else -1
    wanted = sign * (sp.diff(G_a, w) - sp.diff(G_w, a))
    # At numbers: simplifying hyperbolic functions together with others is more than some versions can do.
    at = [dict(zip((a, w, x, y), values, strict=True)) for values in ((0.7, 0.3, 1.1, -0.4), (-1.2, 0.8, 0.5, 0.9))]
    assert all(abs(float((matrix[0] - wanted).subs(numbers))) < 1e-12 for numbers in at)
    assert all(abs(float(matrix[0].subs(numbers))) > 1e-3 for numbers in at)
    polar = fl.derive(fl.Problem("a @ coarse(tanh, sin)(W @ x)", "square"))
    with pytest.raises(fl.LanguageError, match="weight coordinates"):
        polar.curl().written(polar.component(1, 1, {"W": 1}))


def test_other_schemes_are_refused():
    flow = fl.derive(fl.Problem("a @ coarse(sign, tanh)(W @ x)", scheme="lagrange"))
    with pytest.raises(fl.LanguageError, match="gradient flow"):
        flow.curl()
