"""Shapes are inferred, unified across the whole network, and refused at construction where they cannot fit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_sample import Draw, draw

import flowlab as fl
from flowlab.core.errors import LanguageError, ShapeMismatch, UnknownName
from flowlab.language.types import Shapes, Type

RESOLVED = [
    ("W @ x", {}, (3, 2), {}, {"W": (2, 3)}),
    ("x @ W", {}, (3, 2), {}, {"W": (3, 2)}),
    ("W.T @ x", {}, (3, 2), {}, {"W": (3, 2)}),
    ("a @ x", {}, (3, 1), {}, {"a": (3,)}),
    ("W2 @ relu(W1 @ x)", {}, (3, 2), {"W1": 5}, {"W1": (5, 3), "W2": (2, 5)}),
    ("a @ relu(W @ x + b) + c", {}, (3, 1), {"W": 5}, {"W": (5, 3), "b": (5,), "a": (5,), "c": ()}),
    ("W2 @ relu(W1 @ x + b1) + b2", {}, (3, 2), {"b1": 5}, {"W1": (5, 3), "b1": (5,), "W2": (2, 5), "b2": (2,)}),
    ("V @ relu(W @ relu(W @ x))", {}, (3, 1), {}, {"W": (3, 3), "V": (1, 3)}),
    ("W.T @ relu(W @ x)", {}, (3, 3), {"W": 5}, {"W": (5, 3)}),
    ("x + W2 @ tanh(W1 @ x)", {}, (3, 3), {"W1": 5}, {"W1": (5, 3), "W2": (3, 5)}),
    ("sum((W1 @ x) * (W2 @ x))", {}, (3, 1), {"W2": 5}, {"W1": (5, 3), "W2": (5, 3)}),
    ("W3 @ W2 @ W1 @ x", {"W2": (7, 5)}, (3, 2), {}, {"W1": (5, 3), "W2": (7, 5), "W3": (2, 7)}),
    ("W2 @ relu(W1 @ x)", {"W1": (16, 4)}, (4, 1), {}, {"W1": (16, 4), "W2": (1, 16)}),
    (
        "W3 @ W2 @ W1 @ x",
        {"W1": ("h", "d"), "W2": ("h", "h")},
        (3, 1),
        {"h": 6},
        {"W1": (6, 3), "W2": (6, 6), "W3": (1, 6)},
    ),
    ("w @ relu(V @ x)", {"w": (2, 4)}, (3, 2), {}, {"w": (2, 4), "V": (4, 3)}),
    ("W @ x", {"W": (3,)}, (3, 1), {}, {"W": (3,)}),
    ("c * (W @ x)", {"c": ()}, (3, 2), {}, {"c": (), "W": (2, 3)}),
    ("(W1 @ W2).T @ x", {}, (3, 2), {"W2": 5}, {"W1": (3, 5), "W2": (5, 2)}),
]


@pytest.mark.parametrize(
    ("text", "shapes", "sizes", "widths", "wanted"), RESOLVED, ids=[f"{r[0]} {r[1] or ''}" for r in RESOLVED]
)
def test_shapes_are_resolved(text, shapes, sizes, widths, wanted):
    net = fl.Network(text, shapes=shapes)
    assert net.resolve(*sizes, widths) == wanted
    rng = np.random.default_rng(0)
    made = net.outputs({w: rng.normal(size=s) for w, s in wanted.items()}, rng.normal(size=(6, sizes[0])), np)
    assert made.shape == (6, sizes[1])


CLASHES = [
    ("W2 @ relu(W1 @ x)", {"W1": (16, 4), "W2": (1, 8)}, ["`W2`", "(1, 8)", "`relu(W1 @ x)`", "(16,)"]),
    ("x @ W1 @ W2", {"W1": (3, 5), "W2": (4, 1)}, ["`x @ W1`", "(5,)", "`W2`", "(4, 1)"]),
    ("a @ (W @ x)", {"a": (4,), "W": (5, 3)}, ["`a`", "(4,)", "`W @ x`", "(5,)"]),
    ("W1 @ x + W2 @ x", {"W1": (3, 4), "W2": (5, 4)}, ["`W1 @ x`", "(3,)", "`W2 @ x`", "(5,)"]),
    ("W1 @ x - b", {"W1": (3, 4), "b": (5,)}, ["`W1 @ x`", "(3,)", "`b`", "(5,)"]),
    ("(W1 @ x) * (W2 @ x)", {"W1": (3, 4), "W2": (5, 4)}, ["`W1 @ x`", "(3,)", "`W2 @ x`", "(5,)"]),
    ("W1 @ x + W2 @ x", {"W1": (3, 4), "W2": (3, 5)}, ["`W2`", "(3, 5)", "`x`", "(4,)"]),
    ("W1 @ x + W2", {}, ["`W1 @ x`", "(h_W1,)", "`W2`", "(h_W2, n_W2)"]),
    ("W @ sum(V @ x)", {}, ["`W`", "(h_W, n_W)", "`sum(V @ x)`", "()", "`*`"]),
    ("W @ x + a @ x", {}, ["`W @ x`", "(h_W,)", "`a @ x`", "()"]),
    ("a.T @ x", {}, ["`a`", "(n_a,)", "matrix"]),
    ("(W @ x).T", {}, ["`W @ x`", "(h_W,)", "matrix"]),
    ("mean(a @ x)", {}, ["`a @ x`", "()", "vector"]),
    ("V @ relu(W @ relu(W @ x))", {"W": (5, 3)}, ["`W`", "(5, 3)", "`relu(W @ x)`", "(5,)"]),
    ("x + W2 @ W1 @ x", {"W1": (4, 3), "W2": (2, 4)}, ["`x`", "(3,)", "`W2 @ W1 @ x`", "(2,)"]),
]


@pytest.mark.parametrize(("text", "shapes", "named"), CLASHES, ids=[c[0] for c in CLASHES])
def test_a_clash_names_both_operands_with_their_shapes(text, shapes, named):
    with pytest.raises(ShapeMismatch) as caught:
        fl.Network(text, shapes=shapes)
    for part in named:
        assert part in str(caught.value)


@pytest.mark.parametrize("text", ["W * sum(x)", "a @ x * W"])
def test_a_matrix_per_sample_is_no_output(text):
    with pytest.raises(ShapeMismatch, match="`flatten` it"):
        fl.Network(text)


def test_a_network_depends_on_its_input():
    assert fl.Network("W @ (0 * x)").output_shape == ("h_W",)
    with pytest.raises(LanguageError, match="`x`"):
        fl.Network("W @ a")


RESOLVE_ERRORS = [
    ("W2 @ relu(W1 @ x)", {}, (3, 1), {}, ["h_W1", "widths=", "W1"]),
    ("W2 @ relu(W1 @ x)", {"W1": (16, 4)}, (3, 1), {}, ["d", "4", "3", "features"]),
    ("W2 @ relu(W1 @ x)", {"W2": (2, 5)}, (3, 1), {}, ["2", "1", "outputs"]),
    ("W2 @ relu(W1 @ x)", {"W1": (16, 4)}, (4, 1), {"W1": 8}, ["16", "8", "widths['W1']"]),
    (
        "W2 @ W1 @ x + W4 @ (W3 @ W1 @ x)",
        {"W3": ("h", "h")},
        (3, 1),
        {"W1": 4, "W3": 5},
        ["4", "5", "widths['W1']", "widths['W3']"],
    ),
    ("a @ relu(W @ x)", {}, (3, 2), {"W": 4}, ["one output", "2"]),
    ("x + W @ x", {}, (3, 1), {}, ["3", "1"]),
    ("W2 @ relu(W1 @ x)", {}, (3, 1), {"W1": 0}, ["widths['W1']", "0"]),
    ("W2 @ relu(W1 @ x)", {}, (3, 1), {"W1": 2.5}, ["widths['W1']", "2.5"]),
    ("W2 @ relu(W1 @ x)", {}, (3, 1), {"W1": True}, ["widths['W1']", "True"]),
]


@pytest.mark.parametrize(("text", "shapes", "sizes", "widths", "named"), RESOLVE_ERRORS)
def test_what_cannot_be_resolved_is_told_with_its_reasons(text, shapes, sizes, widths, named):
    net = fl.Network(text, shapes=shapes)
    with pytest.raises(ShapeMismatch) as caught:
        net.resolve(*sizes, widths)
    for part in named:
        assert part in str(caught.value)


def test_unknown_blocks_offer_the_nearest():
    with pytest.raises(UnknownName, match="`hidden1`"):
        fl.Network("V * relu(hidden1 @ x)", shapes={"hidden": (3,)})
    with pytest.raises(UnknownName, match="`W1`"):
        fl.Network("W2 @ relu(W1 @ x)").resolve(3, 1, {"W11": 4})


def test_the_default_width_fills_what_is_not_named():
    net = fl.Network("W3 @ relu(W2 @ relu(W1 @ x))")
    assert net.resolve(3, 2, {"W1": 7}, default_width=5) == {"W1": (7, 3), "W2": (5, 7), "W3": (2, 5)}


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.integers(0, 10**9))
def test_every_node_has_the_type_that_was_inferred(seed):
    made = Draw(seed)
    net = made.network()
    weights, x = draw(net, made.rng, n=7)
    sizes = {dim: size for w in net.weights for dim, size in zip(net.shapes[w], weights[w].shape, strict=True)} | {
        net.input_dim: 3
    }
    with np.errstate(all="ignore"):
        values = net.node_values(weights, x, np)
    for node in net.nodes:
        kind = net.type_of(node)
        wanted = (7,) * kind.sampled + tuple(d if isinstance(d, int) else sizes[d] for d in kind.shape)
        assert np.shape(values[id(node)]) == wanted, net.text_of(node)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 9)), max_size=20))
def test_unification_is_an_equivalence(pairs):
    """Against a plain partition of eight names and the sizes 8 and 9 (as 8 and 9)."""
    shapes, classes = Shapes(), [{i} for i in range(10)]
    for i, j in pairs:
        left, right = (next(c for c in classes if k in c) for k in (i, j))
        fits = not {8, 9} <= left | right
        assert shapes.unify(*(k if k > 7 else f"n{k}" for k in (i, j))) == fits
        if fits and left is not right:
            classes = [c for c in classes if c is not left and c is not right] + [left | right]
    for group in classes:
        found = {shapes.find(k if k > 7 else f"n{k}") for k in group}
        assert len(found) == 1
        assert isinstance(found.pop(), int) == bool(group & {8, 9})


def test_types_print_as_shapes():
    assert [str(Type(s)) for s in ((), (3,), ("h", 2))] == ["()", "(3,)", "(h, 2)"]
    assert str(Type(("n",), True)) == "(n,) per sample"
