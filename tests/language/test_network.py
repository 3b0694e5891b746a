"""What a user writes: parsing, shapes, scaling degrees."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowlab as fl
from flowlab.core.errors import LanguageError, NotHomogeneous, ShapeMismatch, UnknownName

W1, W2, W3, a, b, w, u = (fl.weight(n) for n in ("W1", "W2", "W3", "a", "b", "w", "u"))
x = fl.x
PAIRS = [
    ("W2 @ relu(W1 @ x)", W2 @ fl.relu(W1 @ x)),
    ("W2 @ leaky_relu(W1 @ x, 0.2)", W2 @ fl.leaky_relu(W1 @ x, 0.2)),
    ("W2 @ relu(W1 @ x)**2", W2 @ fl.relu(W1 @ x) ** 2),
    ("W2 @ relu(W1 @ x)**1.5", W2 @ fl.relu(W1 @ x) ** 1.5),
    ("W2 @ relu(W1 @ x) + W3 @ x", W2 @ fl.relu(W1 @ x) + W3 @ x),
    ("W2 @ relu(W1 @ x) - 0.5 * (W3 @ x)", W2 @ fl.relu(W1 @ x) - 0.5 * (W3 @ x)),
    ("(W1 @ x) * (W2 @ x)", (W1 @ x) * (W2 @ x)),
    ("(w * w - u * u) @ x", (w * w - u * u) @ x),
    ("W1.T @ relu(W1 @ x)", W1.T @ fl.relu(W1 @ x)),
    ("transpose(W1) @ relu(W1 @ x)", fl.transpose(W1) @ fl.relu(W1 @ x)),
    ("sum(relu(W1 @ x))", fl.sum(fl.relu(W1 @ x))),
    ("mean(abs(W1 @ x))", fl.mean(fl.abs(W1 @ x))),
    ("a @ tanh(W1 @ x + b)", a @ fl.tanh(W1 @ x + b)),
    ("a @ gelu(W1 @ x)", a @ fl.gelu(W1 @ x)),
    ("a @ softplus(W1 @ x)", a @ fl.softplus(W1 @ x)),
    ("a @ sigmoid(W1 @ x)", a @ fl.sigmoid(W1 @ x)),
    ("a @ identity(W1 @ x) / 4", a @ fl.identity(W1 @ x) / 4),
    ("-(a @ relu(W1 @ x))", -(a @ fl.relu(W1 @ x))),
]


@pytest.mark.parametrize(("text", "expression"), PAIRS, ids=[t for t, _ in PAIRS])
def test_text_and_operators_mean_the_same(text, expression):
    one, two = fl.Network(text), fl.Network(expression)
    assert one.text == two.text == fl.Network(one.text).text
    assert one.weights == two.weights
    assert fl.Problem(one, loss="square").signature == fl.Problem(two, loss="square").signature


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("W2 @ rellu(W1 @ x)", ["rellu", "relu"]),
        ("W2 @", ["W2 @"]),
        ("", ["expression"]),
        ("W1 @ W2", ["`x`"]),
        ("x", ["weight"]),
        ("relu(W1 @ x, 2)", ["relu", "no number"]),
        ("sum(W1 @ x, 2)", ["sum", "an axis"]),
        ("W1**W2 @ x", ["exponent"]),
        ("W1 / x", ["equal shapes", "`x**-1`"]),
        ("W1 + 1 @ x", ["1"]),
        ("W1 @ x / 0", ["divides by zero"]),
        ("(W1 @ x)**-65", ["-65"]),
        ("(W1 @ x)**1.5", ["1.5"]),
    ],
)
def test_refusals_name_the_part(text, words):
    with pytest.raises(fl.FlowlabError) as caught:
        fl.Network(text)
    for word in words:
        assert word in str(caught.value)


CLASHES = [
    ("(W1 @ x) + W2", {}, ["W1 @ x", "W2", "(h_W2, n_W2)"]),
    ("W2 @ relu(W1 @ x)", {"W1": (16, 4), "W2": (1, 8)}, ["W2", "(1, 8)", "(16,)", "relu(W1 @ x)"]),
    ("W1 @ x + W2 @ x", {"W1": (3, 4), "W2": (5, 4)}, ["(3,)", "(5,)", "W1 @ x", "W2 @ x"]),
    ("W1 @ x + W2 @ x", {"W1": (3, 4), "W2": (3, 5)}, ["(3, 5)", "(4,)", "W2"]),
    ("(W1 @ x) * (W2 @ x)", {"W1": (3, 4), "W2": (5, 4)}, ["(3,)", "(5,)"]),
]


@pytest.mark.parametrize(("text", "shapes", "words"), CLASHES, ids=[c[0] for c in CLASHES])
def test_a_clash_names_both_operands_and_both_shapes(text, shapes, words):
    with pytest.raises(ShapeMismatch) as caught:
        fl.Network(text, shapes=shapes)
    for word in words:
        assert word in str(caught.value)


def test_dimensions_are_inferred_and_unified():
    net = fl.Network("W3 @ relu(W2 @ relu(W1 @ x))", shapes={"W2": (7, 5)})
    assert net.resolve(4, 1) == {"W1": (5, 4), "W2": (7, 5), "W3": (1, 7)}
    tied = fl.Network("V @ relu(W @ relu(W @ x))")
    assert tied.resolve(4, 1) == {"W": (4, 4), "V": (1, 4)}
    assert fl.Network("(w * w - u * u) @ x").resolve(6, 1) == {"w": (6,), "u": (6,)}
    assert fl.Network("W2 @ relu(W1 @ x)").resolve(4, 3, {"W1": 8}) == {"W1": (8, 4), "W2": (3, 8)}
    with pytest.raises(ShapeMismatch, match="widths="):
        fl.Network("W2 @ relu(W1 @ x)").resolve(4, 1)
    with pytest.raises(ShapeMismatch, match="must have one size"):
        net.resolve(4, 1, {"W1": 6})
    with pytest.raises(UnknownName, match="W9"):
        net.resolve(4, 1, {"W9": 6})
    with pytest.raises(UnknownName, match="W7"):
        fl.Network("W1 @ x", shapes={"W7": (1, 2)})
    with pytest.raises(LanguageError, match="shape"):
        fl.Network("W1 @ x", shapes={"W1": (0, 2)})


DEGREES = [
    ("W2 @ relu(W1 @ x)", {"W1": 1, "W2": 1}),
    ("W2 @ relu(W1 @ x)**2", {"W1": 2, "W2": 1}),
    ("W2 @ relu(W1 @ x)**1.5", {"W1": Fraction(3, 2), "W2": 1}),
    ("V @ relu(W @ relu(W @ x))", {"W": 2, "V": 1}),
    ("W.T @ relu(W @ x)", {"W": 2}),
    ("(W1 @ x) * (W2 @ x)", {"W1": 1, "W2": 1}),
    ("(w * w * w) @ x", {"w": 3}),
    ("W3 @ (W2 @ (W1 @ x)**2)**3", {"W1": 6, "W2": 3, "W3": 1}),
    ("mean(abs(W1 @ x))", {"W1": 1}),
]


@pytest.mark.parametrize(("text", "degrees"), DEGREES, ids=[d[0] for d in DEGREES])
def test_degrees(text, degrees):
    net = fl.Network(text)
    assert net.symmetry.is_multihomogeneous
    assert net.degrees == degrees


BROKEN = [
    ("W2 @ tanh(W1 @ x)", "quasi-homogeneous", "tanh(W1 @ x)"),
    ("W2 @ relu(W1 @ x) + W3 @ x", "quasi-homogeneous", "W3 @ x"),
    ("W2 @ relu(W1 @ x + b)", "quasi-homogeneous", "W1 @ x + b"),
    ("tanh(W1 @ x)", "non-homogeneous", "tanh(W1 @ x)"),
    ("(w * w - u * u) @ x", "quasi-homogeneous", "w * w - u * u"),
]


@pytest.mark.parametrize(("text", "kind", "node"), BROKEN, ids=[c[0] for c in BROKEN])
def test_what_breaks_the_symmetry_is_named(text, kind, node):
    net = fl.Network(text)
    assert net.symmetry.kind == kind
    assert any(node in part.node for part in net.symmetry.breaks)
    with pytest.raises(NotHomogeneous, match="broken at"):
        _ = net.degrees


def test_quasi_homogeneous_exponents():
    """f = W2 relu(W1 x) + W3 x: W3 scales like the product; all three together do not."""
    symmetry = fl.Network("W2 @ relu(W1 @ x) + W3 @ x").symmetry
    assert symmetry.allows({"W1": Fraction(1), "W2": Fraction(0), "W3": Fraction(1)})
    assert not symmetry.allows({"W1": Fraction(1), "W2": Fraction(1), "W3": Fraction(1)})
    assert fl.Network("(w * w - u * u) @ x").symmetry.joint_degree == 2
    assert symmetry.joint_degree is None


def layers(depth: int) -> st.SearchStrategy[str]:
    if depth == 0:
        return st.just("x")
    wrap = st.sampled_from(
        [
            "relu({})",
            "abs({})",
            "leaky_relu({}, 0.3)",
            "relu({})**2",
            "({})**3",
            "tanh({})",
            "({} + b{})",
            "({})",
            "softplus({})",
        ]
    )
    return st.builds(
        lambda below, how, i: how.replace("{}", f"W{i}{depth} @ {below}", 1).replace("{}", f"{depth}"),
        layers(depth - 1),
        wrap,
        st.integers(1, 2),
    )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    text=st.builds(
        lambda body, head: f"V @ {body}" + head, layers(3), st.sampled_from(["", " + U @ x", " - 2 * (U @ x)"])
    ),
    seed=st.integers(0, 99),
)
def test_every_solved_scaling_is_a_symmetry_and_no_other(text, seed):
    """Scaling by a basis vector multiplies the output by one power of c; a vector that is not allowed does not."""
    net = fl.Network(text)
    rng = np.random.default_rng(seed)
    shapes = net.resolve(3, 1, default_width=4)
    weights = {k: rng.normal(size=s) + 0.1 for k, s in shapes.items()}
    inputs = rng.normal(size=(6, 3))
    out = dict(net.symmetry.output)
    plain = net.outputs(weights, inputs, np)
    if not np.any(plain):
        return
    for exponents in [*net.symmetry.basis, {w: Fraction(1) for w in net.weights}]:
        scaled = {k: v * 1.3 ** float(exponents.get(k, 0)) for k, v in weights.items()}
        power = sum(float(out.get(k, 0)) * float(e) for k, e in exponents.items())
        gap = np.abs(net.outputs(scaled, inputs, np) - 1.3**power * plain).max() / np.abs(plain).max()
        if net.symmetry.allows(dict(exponents)):
            assert gap < 1e-10
        else:
            assert gap > 1e-9


def test_operands_must_be_expressions():
    for wrong in (
        lambda: W1 @ 3,
        lambda: W1 + "x",
        lambda: fl.relu(3),
        lambda: W1 * np.ones(2),
        lambda: fl.weight("x"),
        lambda: fl.weight("2W"),
        lambda: fl.weight("relu"),
        lambda: fl.weight("sum"),
        lambda: fl.Network(3),
    ):
        with pytest.raises((LanguageError, TypeError)):
            wrong()
    assert (np.float64(2.0) * (W1 @ x)).op == "scale"


ODD = [
    "1e300*" * 20 + "W @ x",
    "leaky_relu(W @ x, " + " + ".join(["W @ x"] * 900) + ")",
    "leaky_relu(W @ x, 1e300)",
    "(W @ x)**" + "9" * 400,
    "0x" + "f" * 5000 + " * (W @ x)",
]


@pytest.mark.parametrize("text", ODD, ids=lambda t: t[:20])
def test_sizes_that_cost_time_are_refused(text):
    with pytest.raises(fl.FlowlabError) as caught:
        fl.Network(text)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("number", [1 / 3, 0.1, 0.123456789012, 1e-9, 2.5e8, 7, Fraction(3, 7)])
def test_numbers_survive_print_and_reading(number):
    net = fl.Network(number * (W1 @ x))
    again = fl.Network(net.text)
    assert again.text == net.text
    weights, inputs = {"W1": np.ones((2, 3))}, np.ones((1, 3))
    assert np.array_equal(net.outputs(weights, inputs, np), again.outputs(weights, inputs, np))
    assert np.allclose(net.outputs(weights, inputs, np), 3 * float(number), rtol=1e-15)
    assert (
        fl.Problem.from_description(fl.Problem(net, "square").describe()).signature
        == fl.Problem(net, "square").signature
    )


def test_declarations_of_every_kind():
    assert fl.Network("W @ x", shapes={"W": [np.int64(2), 3]}).shapes == {"W": (2, 3)}
    for shapes in ({"W": 2}, {"W": "hd"}, [("W", (2, 3))], {"W": (2, 3, 4)}, {"W": (True, 2)}):
        with pytest.raises(fl.FlowlabError):
            fl.Network("W @ x", shapes=shapes)
    with pytest.raises(ShapeMismatch, match="declared"):
        fl.Network(fl.weight("W", (2, 3)) @ x + fl.weight("W", (2, 4)) @ x)
    for decay in ("0.1", [0.1], -1.0, float("nan"), {"W9": 0.1}, {"W": True}):
        with pytest.raises(fl.FlowlabError):
            fl.Problem("W @ x", decay=decay)
    assert fl.Problem("W @ x", decay=np.float32(0.5)).decay == {"W": 0.5}


def test_print_of_a_shared_expression_is_short():
    e = x
    for _ in range(60):
        e = e + e
    assert len(repr(e)) < 100
    for wrong in (lambda: W1 / 0, lambda: list(W1), lambda: 2 @ W1, lambda: np.ones((2, 2)) @ W1):
        with pytest.raises((LanguageError, TypeError)):
            wrong()


SIGNS = [
    "W1 @ x + -(W2 @ x + W3 @ x)",
    "W1 @ x - (W2 @ x - W3 @ x)",
    "W1 @ x - -(W2 @ x + W3 @ x)",
    "-(W1 @ x) - W2 @ x",
    "(-(W1 @ x))**2",
    "-(W1 @ x)**2",
    "W1 @ x + -0.5 * (W2 @ x + W3 @ x)",
    "-2 * (W1 @ x - W2 @ x)",
    "W1 @ x + (-3) * (W2 @ x)",
    "((W1 @ x)**2)**2 + x * (W2 @ x)",
    "-(-(W1 @ x))",
]


@pytest.mark.parametrize("text", SIGNS)
def test_print_means_what_was_written(text):
    """A sign in the wrong place would make a stored problem another one."""
    net = fl.Network(text)
    again = fl.Network(net.text)
    rng = np.random.default_rng(0)
    weights = {k: rng.normal(size=(3, 3)) for k in net.weights}
    inputs = rng.normal(size=(4, 3))
    plain = net.outputs(weights, inputs, np)
    assert np.allclose(plain, again.outputs(weights, inputs, np), rtol=1e-13)
    wanted = np.stack([eval_by_numpy(text, weights, row) for row in inputs])
    assert np.allclose(plain, wanted, rtol=1e-13)


def eval_by_numpy(text: str, weights: dict, row: np.ndarray) -> np.ndarray:
    """The strings above, which are Python, with numpy arrays for their names."""
    return eval(text, {"__builtins__": {}}, {**weights, "x": row})
