"""Component depth: every scalar written out, against SymPy's own scalar differentiation of the written-out loss."""

import re

import numpy as np
import pytest
import sympy as sp

import flowlab as fl
from flowlab.core.errors import LanguageError
from flowlab.language.autodiff import velocity

CASES = (
    ("W2 @ W1 @ x", {}),
    ("W2 @ (W1 @ x)**2", {"scheme": "lagrange"}),
    ("a @ tanh(W @ x)", {"loss": "square"}),
    ("(W1 @ x) * (W2 @ x)", {"loss": "square", "decay": 0.1}),
    ("W @ relu(V @ x)", {"scheme": "tangent"}),
    ("W @ softplus(V @ x)", {"coordinates": "weights", "loss": "square"}),
)


def loss_by_hand(text: str, weights: dict, x: np.ndarray, y: np.ndarray, loss: str) -> sp.Expr:
    """The loss of the six networks, written a second time with plain SymPy scalars."""

    def relu(z):
        return sp.Piecewise((z, z > 0), (0, True))

    each = np.vectorize(lambda f: f, otypes=[object])
    outputs = []
    for row in x:
        if text == "W2 @ W1 @ x":
            f = weights["W2"] @ (weights["W1"] @ row)
        elif text == "W2 @ (W1 @ x)**2":
            f = weights["W2"] @ ((weights["W1"] @ row) ** 2)
        elif text == "a @ tanh(W @ x)":
            f = weights["a"] @ np.vectorize(sp.tanh, otypes=[object])(weights["W"] @ row)
        elif text == "(W1 @ x) * (W2 @ x)":
            f = (weights["W1"] @ row) * (weights["W2"] @ row)
        elif text == "W @ relu(V @ x)":
            f = weights["W"] @ np.vectorize(relu, otypes=[object])(weights["V"] @ row)
        else:
            f = weights["W"] @ np.vectorize(lambda z: sp.log(1 + sp.exp(z)), otypes=[object])(weights["V"] @ row)
        outputs.append(np.ravel(each(f))[0])
    if loss == "square":
        return sum((f - t) ** 2 for f, t in zip(outputs, y, strict=True)) / 2
    return sum(sp.exp(-t * f) for f, t in zip(outputs, y, strict=True))


@pytest.mark.parametrize(("text", "settings"), CASES)
def test_scalars_agree_with_scalar_differentiation(text, settings):
    problem = fl.Problem(text, **settings)
    flow = fl.derive(problem, verify=False)
    small = flow.component(2, 2)
    polar = problem.coordinates == "polar"
    rng = np.random.default_rng(0)
    x, y = small.symbols["x", "x"], small.symbols["y", ""]
    names = list(problem.network.weights)
    rho = {w: sp.Symbol(f"rho_{w}", positive=True, real=True) for w in names}
    unit = {w: small.symbols["direction" if polar else "weight", w] for w in names}
    blocks = {w: unit[w] * small.symbols["norm", w] if polar else unit[w] for w in names}
    plain = {
        w: (
            np.array([sp.Symbol(f"P{w}{i}", real=True) for i in range(blocks[w].size)], dtype=object).reshape(
                blocks[w].shape
            )
        )
        for w in names
    }
    loss = loss_by_hand(text, plain, x, y, problem.loss.name)
    if any(problem.decay.values()):
        loss += sum(problem.decay[w] * (plain[w] ** 2).sum() for w in names)
    values = {s: sp.Float(rng.normal(), 30) for s in [*x.ravel(), *y.ravel()]}
    if problem.loss.labels == "binary":
        values |= {s: sp.Integer(1 - 2 * i) for i, s in enumerate(y.ravel())}
    values |= {rho[w]: sp.Float(0.5 + rng.random(), 30) for w in names}
    values |= {s: sp.Float(problem.decay[w], 30) for w in names for s in np.ravel(small.symbols["decay", w])}
    for w in names:
        draw = rng.normal(size=unit[w].shape)
        length = sp.sqrt(sum(sp.Float(v, 30) ** 2 for v in draw.ravel())) if polar else 1
        values |= {s: sp.Float(v, 30) / length for s, v in zip(unit[w].ravel(), draw.ravel(), strict=True)}
    at = {p: b.xreplace(values) for w in names for p, b in zip(plain[w].ravel(), blocks[w].ravel(), strict=True)}
    for w in names:
        g = np.array([-sp.N(sp.diff(loss, p).xreplace(at).xreplace(values), 25) for p in plain[w].ravel()])
        if not polar:
            found = np.array([sp.N(e.xreplace(values), 25) for e in small.rates["W", w].ravel()])
            assert max(abs(found - g)) < 1e-18 * max(1, max(abs(g)))
            continue
        V = np.array([v.xreplace(values) for v in unit[w].ravel()])
        radial = (V * g).sum()
        r = values[rho[w]]
        want = {
            "gradient_flow": (g - radial * V) / r,
            "lagrange": r * (g - radial * V),
            "tangent": r * (g - radial * V),
        }[problem.scheme.name]
        found = np.array([sp.N(e.xreplace(values), 25) for e in small.rates["V", w].ravel()])
        assert max(abs(found - want)) < 1e-18 * max(1, max(abs(want)))
        assert abs(sp.N(small.rates["rho", w].item().xreplace(values), 25) - radial) < 1e-18 * max(1, abs(radial))


TENSORS = (
    ("einsum('ir,jr,ij->', U, V, A)", {"inputs": {"A": (2, 2)}, "shapes": {"U": (2, 1)}}),
    ("a @ softmax(W @ x)", {}),
    ("a @ (softmax((X @ Q) @ (X @ Q).T) @ X)[1]", {"inputs": {"X": (2, 2)}, "shapes": {"Q": (2, 1)}}),
    ("a @ (softmax(causal((X @ Q) @ (X @ Q).T)) @ X)[1]", {"inputs": {"X": (2, 2)}, "shapes": {"Q": (2, 1)}}),
    ("a @ conv(w, x, padding=1)", {"shapes": {"w": (2,)}}),
    ("a @ concat(W @ x, x)", {}),
    ("a @ rms_norm(W @ x)", {}),
)


@pytest.mark.parametrize(("text", "settings"), TENSORS)
def test_scalars_of_tensors_agree_with_autodiff(text, settings):
    problem = fl.Problem(fl.Network(text, **settings), coordinates="weights")
    small = fl.derive(problem, verify=False).component(2, 2)
    rng = np.random.default_rng(1)
    values = {
        key: np.vectorize(lambda _: rng.normal(), otypes=[float])(s) for key, s in small.symbols.items() if s.size
    }
    values["y", ""] = np.array([1.0, -1.0])
    at = {s: sp.Float(v) for key in values for s, v in zip(small.symbols[key].flat, values[key].flat, strict=True)}
    inputs = {name: values["x", name] for name in problem.network.inputs}
    auto = velocity(
        problem, {w: values["weight", w] for w in problem.network.weights}, fl.Data(**inputs, y=values["y", ""])
    )
    for w in problem.network.weights:
        found = np.vectorize(lambda e: float(e.xreplace(at)), otypes=[float])(small.rates["W", w])
        assert np.allclose(found, auto[w], rtol=1e-10, atol=1e-12), w
        assert np.abs(found).max() > 1e-3


def test_large_networks_are_refused():
    with pytest.raises(LanguageError, match="24"):
        fl.derive(fl.Problem("W2 @ relu(W1 @ x)"), verify=False).component(10, 2, {"W1": 10})
    with pytest.raises(LanguageError, match="1000000000 samples for each of 6 weights; at most 83"):
        fl.derive(fl.Problem("W2 @ relu(W1 @ x)"), verify=False).component(2, 10**9)


def test_component_text_has_one_line_per_scalar():
    flow = fl.derive(fl.Problem("W2 @ W1 @ x"), verify=False)
    lines = flow.component(2, 1, {"W1": 2}).text().splitlines()
    assert len(lines) == 2 + 4 + 2
    assert "d rho_W1/dt" in flow.text("component")


@pytest.mark.parametrize("scheme", ["gradient_flow", "weight_normalization"])
def test_both_sides_call_a_scalar_by_one_name(scheme):
    flow = fl.derive(fl.Problem("W1 @ x", scheme=scheme), verify=False)
    small = flow.component(2, 1)
    letter = "v" if scheme == "weight_normalization" else "V"
    told, tex = small.text(), small.latex()
    for place in ("1,1", "1,2"):
        assert f"d {letter}_W1[{place}]/dt = " in told
        assert rf"\frac{{d}}{{dt}} [{letter}_{{1}}]_{{{place}}} &= " in tex
    assert "d rho_W1/dt = " in told
    assert r"\frac{d}{dt} \rho_{1} &= " in tex
    for line in told.splitlines():
        # Right sides are made of data and of what the left sides move.
        assert set(re.findall(r"[a-zA-Z]\w*(?:\[[\d,]+\])?", line.split(" = ")[1])) - {"exp", "sqrt"} <= {
            "rho_W1",
            f"{letter}_W1[1,1]",
            f"{letter}_W1[1,2]",
            "x[1,1]",
            "x[1,2]",
            "y[1]",
        }
    for banned in ("mathtt", "rho_{W1}", "VW"):
        assert banned not in tex


@pytest.mark.parametrize(
    ("text", "shapes", "coordinates"),
    [
        ("y @ tanh(x * w)", {"y": ("d",), "w": ("d",)}, "weights"),
        ("sum(w @ (w_1 * x))", {"w": (2, 2), "w_1": (2,)}, "polar"),
        ("rho_a * (a @ x)", {"rho_a": (), "a": (2,)}, "polar"),
        ("omega_a * (a @ x)", {"omega_a": (), "a": (2,)}, "weights"),
    ],
)
def test_scalars_of_different_blocks_are_different(text, shapes, coordinates):
    """Entry 1 of `w_1` is not entry (1, 1) of `w`, and a block `y` is not the labels."""
    flow = fl.derive(fl.Problem(fl.Network(text, shapes=shapes), coordinates=coordinates, decay=0.1), verify=False)
    small = flow.component(2, 2)
    scalars = [symbol for array in small.symbols.values() for symbol in array.ravel()]
    assert len(set(scalars)) == len(scalars)
    assert len(set(small.names.values())) == len(small.names)
