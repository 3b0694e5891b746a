"""Scaling degrees are solved for; what the solver says is what random weights do."""

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from one_sample import Draw, draw, outputs

import flowlab as fl
from flowlab.language.degrees import Break, solve

ALONE = [
    ("W2 @ relu(W1 @ x)", {"W1": 1, "W2": 1}),
    ("W2 @ relu(W1 @ x)**2", {"W1": 2, "W2": 1}),
    ("W3 @ relu(W2 @ relu(W1 @ x)**2)**3", {"W1": 6, "W2": 3, "W3": 1}),
    ("W2 @ relu(W1 @ x)**1.5", {"W1": Fraction(3, 2), "W2": 1}),
    ("V @ relu(W @ relu(W @ x))", {"W": 2, "V": 1}),
    ("V @ relu(W @ relu(W @ relu(W @ x)))", {"W": 3, "V": 1}),
    ("W.T @ relu(W @ x)", {"W": 2}),
    ("x @ W @ x", {"W": 1}),
    ("(W1 @ x) * (W2 @ x) * (W1 @ x)", {"W1": 2, "W2": 1}),
    ("(a * b * a) @ leaky_relu(W @ x, 0.3)", {"a": 2, "b": 1, "W": 1}),
    ("-0.5 * mean(abs(W1 @ x))", {"W1": 1}),
    ("W2 @ identity(W1 @ x)", {"W1": 1, "W2": 1}),
    ("W @ tanh(x)", {"W": 1}),
    ("W @ (gelu(x) + x)", {"W": 1}),
]
TIED = [
    (
        "W2 @ relu(W1 @ x) + W3 @ x",
        "quasi-homogeneous",
        [{"W1": 1, "W2": 0, "W3": 1}, {"W1": 0, "W2": 1, "W3": 1}],
        [{"W1": 1, "W2": 1, "W3": 1}],
        None,
    ),
    (
        "W2 @ relu(W1 @ x + b1) + b2",
        "quasi-homogeneous",
        [{"W1": 1, "b1": 1, "W2": 1, "b2": 2}],
        [{"W1": 1, "b1": 1, "W2": 1, "b2": 1}],
        None,
    ),
    ("(w * w - u * u) @ x", "quasi-homogeneous", [{"w": 1, "u": 1}], [{"w": 1, "u": 0}], 2),
    ("W @ relu(W @ x) + V @ x", "quasi-homogeneous", [{"W": 1, "V": 2}], [{"W": 1, "V": 1}], None),
    (
        "W2 @ relu(W1 @ x)**2 + V @ x",
        "quasi-homogeneous",
        [{"W1": 1, "W2": 1, "V": 3}],
        [{"W1": 1, "W2": 1, "V": 2}],
        None,
    ),
    ("W2 @ tanh(W1 @ x)", "quasi-homogeneous", [{"W1": 0, "W2": 1}], [{"W1": 1, "W2": 0}], None),
    ("a @ ((W @ x) * sigmoid(V @ x))", "quasi-homogeneous", [{"a": 2, "W": 1, "V": 0}], [{"V": 1}], None),
    ("W1 @ x + W2 @ x", "quasi-homogeneous", [{"W1": 3, "W2": 3}], [{"W1": 1}], 1),
    ("x + W2 @ relu(W1 @ x)", "non-homogeneous", [{"W1": 1, "W2": -1}], [{"W1": 1, "W2": 1}], None),
    ("tanh(W2 @ relu(W1 @ x))", "non-homogeneous", [{"W1": 1, "W2": -1}], [{"W1": 1}], None),
    ("softplus(W @ x)", "non-homogeneous", [], [{"W": 1}], None),
]


def scaled_outputs(
    net: fl.Network, exponents: dict, c: float = 1.3, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, float]:
    """f at weights, f at W_k c^{e_k}, and the power of c that the solver promises between them."""
    weights, x = draw(net, np.random.default_rng(seed), n=6)
    moved = {w: v * c ** float(exponents.get(w, 0)) for w, v in weights.items()}
    power = sum(float(k) * float(exponents.get(w, 0)) for w, k in net.symmetry.output)
    return outputs(net.expression, weights, x), outputs(net.expression, moved, x), power


@pytest.mark.parametrize(("text", "degrees"), ALONE, ids=[a[0] for a in ALONE])
def test_every_block_scales_alone(text, degrees):
    net = fl.Network(text)
    assert net.symmetry.kind == "multi-homogeneous"
    assert net.degrees == degrees == fl.Problem(net, "square").degrees
    assert net.symmetry.joint_degree == sum(degrees.values())
    for block, degree in degrees.items():
        plain, moved, power = scaled_outputs(net, {block: 1})
        assert power == degree
        assert np.allclose(moved, 1.3**power * plain, rtol=1e-12)
        # A neighbouring degree is told apart.
        assert not np.allclose(moved, 1.3 ** (power + 0.5) * plain, rtol=1e-3)


@pytest.mark.parametrize(("text", "kind", "allowed", "refused", "joint"), TIED, ids=[t[0] for t in TIED])
def test_blocks_that_scale_together_or_not_at_all(text, kind, allowed, refused, joint):
    symmetry = fl.Network(text).symmetry
    assert symmetry.kind == kind
    assert symmetry.joint_degree == joint
    assert symmetry.breaks
    for exponents in allowed:
        assert symmetry.allows({w: Fraction(e) for w, e in exponents.items()})
        plain, moved, power = scaled_outputs(fl.Network(text), exponents)
        assert np.allclose(moved, 1.3**power * plain, rtol=1e-12)
    for exponents in refused:
        assert not symmetry.allows({w: Fraction(e) for w, e in exponents.items()})
        plain, moved, _ = scaled_outputs(fl.Network(text), exponents)
        ratio = moved / plain
        assert np.ptp(ratio) > 1e-3 * np.abs(ratio).max(), "scaled by one factor after all"


NAMED = [
    ("W2 @ tanh(W1 @ x)", "`tanh(W1 @ x)`", "tanh is not homogeneous"),
    ("W3 @ relu(W2 @ gelu(W1 @ x))", "`gelu(W1 @ x)`", "gelu is not homogeneous"),
    ("W2 @ relu(W1 @ x) + W3 @ x", "`W2 @ relu(W1 @ x) + W3 @ x`", "e(W1) + e(W2) = e(W3)"),
    ("W2 @ relu(W1 @ x + b)", "`W1 @ x + b`", "= e(b)"),
    ("(w * w - u) @ x", "`w * w - u`", "2 e(w) = e(u)"),
]


@pytest.mark.parametrize(("text", "node", "reason"), NAMED, ids=[n[0] for n in NAMED])
def test_the_node_that_breaks_the_scaling_is_named(text, node, reason):
    net = fl.Network(text)
    with pytest.raises(fl.NotHomogeneous) as caught:
        _ = net.degrees
    for told in (str(caught.value), str(net.symmetry)):
        assert node in told
        assert reason in told.replace("e(b) = e(W1)", "e(W1) = e(b)")


def test_a_second_break_is_named_too():
    breaks = fl.Network("W3 @ tanh(W2 @ relu(W1 @ x + b))").symmetry.breaks
    assert [b.node for b in breaks] == ["W1 @ x + b", "tanh(W2 @ relu(W1 @ x + b))"]


def test_degrees_of_groups():
    tied = fl.Problem("(w * w - u * u) @ x", per="network")
    assert tied.degrees == {"network": 2}
    assert tied.is_homogeneous
    alone = fl.Problem("(w * w - u * u) @ x")
    assert alone.degrees == {"w": None, "u": None}
    assert not alone.is_homogeneous
    assert fl.Problem("W2 @ relu(W1 @ x)", per="neuron").degrees == {"W1": None, "W2": None}


@settings(max_examples=120, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**9), c=st.floats(0.5, 2.0))
def test_what_the_solver_returns_is_what_happens(seed, c):
    """Every basis scaling, and a random combination of all,
    multiplies the outputs of a random network by the promised power of c.
    """
    made = Draw(seed)
    net = made.network()
    basis = net.symmetry.basis
    parts = [Fraction(int(k), 2) for k in made.rng.integers(-3, 4, size=len(basis))]
    mixed = {w: sum((k * v[w] for k, v in zip(parts, basis, strict=True)), Fraction(0)) for w in net.weights}
    for exponents in [*basis, mixed]:
        assert net.symmetry.allows(exponents)
        with np.errstate(all="ignore"):
            plain, moved, power = scaled_outputs(net, exponents, c, seed)
        assume(np.isfinite(plain).all() and np.isfinite(moved).all())
        # Sums of terms that nearly cancel keep fewer digits than their terms have.
        assert np.allclose(
            moved, c**power * plain, rtol=1e-8, atol=1e-10 * max(1.0, c**power) * (1 + np.abs(plain).max())
        )


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.integers(-3, 3), min_size=4, max_size=4), max_size=5))
def test_the_null_space_is_exact(rows):
    names = ["A", "B", "C", "D"]
    breaks = [
        Break("node", "reason", tuple((n, Fraction(c)) for n, c in zip(names, row, strict=True) if c)) for row in rows
    ]
    basis = solve(names, {"A": Fraction(1)}, breaks).basis
    matrix = sp.Matrix(rows) if rows else sp.zeros(1, 4)
    assert len(basis) == 4 - matrix.rank()
    if basis:
        vectors = sp.Matrix([[v[n] for n in names] for v in basis])
        assert vectors.rank() == len(basis)
        assert not any(matrix * vectors.T)
