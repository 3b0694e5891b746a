"""All laws of many architectures: their names, their number, and that a count of the Lie algebra says that is all."""

import law_reader
import numpy as np
import pytest

import flowlab as fl
from flowlab.symbolic.laws.draws import usual

DIAGONAL = {"u": (4,), "v": (4,)}
PUBLISHED = [
    # Text, shapes, settings, independent laws, what is printed beside the laws of norms.
    ("W2 @ relu(W1 @ x)", {"W1": (3, 2)}, {}, 3, ["diag(W1 W1^T - W2^T W2)"]),
    ("a @ relu(W @ x + b) + c", {"W": (3, 2)}, {}, 3, ["diag(W W^T + b b^T - a a^T)"]),
    ("W2 @ W1 @ x", {"W1": (2, 3), "W2": (3, 2)}, {}, 3, ["W1 W1^T - W2^T W2"]),
    ("(u*v) @ x", DIAGONAL, {}, 4, ["u * u - v * v"]),
    ("(w*w - u*u) @ x", {"w": (4,)}, {}, 4, ["w * u"]),
    ("(u*v*w) @ x", {"u": (3,)}, {}, 6, ["u * u - v * v", "v * v - w * w"]),
    (
        "(x + W1 @ x) + W2 @ (x + W1 @ x)",
        {"W1": (2, 2)},
        {},
        3,
        ["(I + W1) (I + W1)^T - (I + W2)^T (I + W2)"],
    ),
    ("a @ W @ W @ W @ x", {"W": (2, 2)}, {}, 1, ["|W|^2/3 - |a|^2"]),
    ("(W0 + B @ A) @ x", {"A": (1, 3), "B": (2, 1)}, {}, 1, ["A A^T - B^T B"]),
    ("a @ ((G @ x) * (W @ x))", {"G": (2, 2)}, {}, 4, ["diag(G G^T - a a^T)", "diag(W W^T - a a^T)"]),
    ("a @ ((G @ x) * sigmoid(G @ x) * (W @ x))", {"G": (2, 2)}, {}, 2, ["diag(W W^T - a a^T)"]),
    ("U @ V.T @ x", {"V": (3, 2)}, {}, 3, ["V^T V - U^T U"]),
    (
        "sum((A@x)*(B@x)*(C@x))",
        {"A": (2, 2)},
        {},
        4,
        ["diag(A A^T - B B^T)", "diag(B B^T - C C^T)"],
    ),
    ("x @ W @ x", {"W": (3, 3)}, {}, 3, ["W - W^T"]),
    (
        "(x @ Q.T @ K @ x) * (u @ x)",
        {"Q": (2, 3)},
        {},
        5,
        ["K K^T - Q Q^T", "K Q^T - Q K^T", "|Q|^2 - |u|^2"],
    ),
    ("a @ maximum(A @ x, B @ x)", {"A": (2, 2)}, {}, 2, ["diag(B B^T + A A^T - a a^T)"]),
    (
        "W2 @ relu(W1 @ x)",
        {"W1": (3, 2), "W2": (3, 3)},
        {"loss": "cross_entropy"},
        6,
        ["diag(W1 W1^T - W2^T W2)", "1^T W2"],
    ),
    ("a @ tanh(W @ x)", {}, {}, 0, []),
]

LINEAR = [((1, 2), (2, 1), 1), ((2, 2), (1, 2), 3), ((2, 2), (2, 2), 3), ((3, 1), (1, 3), 5), ((2, 3), (3, 2), 3)]
"""Shapes of two linear layers and their number of laws (Marcotte, Gribonval and Peyré 2023)."""

MORE = [
    ("W @ x + b", {}, {}, 0, []),
    ("W3 @ W2 @ W1 @ x", {"W1": (2, 2), "W2": (2, 2), "W3": (1, 2)}, {}, 6, ["W1 W1^T - W2^T W2", "W2 W2^T - W3^T W3"]),
    ("a @ (W @ x + b)", {"W": (2, 2)}, {}, 3, ["W W^T + b b^T - a a^T"]),
    ("W2 @ abs(W1 @ x + b)", {}, {}, 2, ["diag(W1 W1^T + b b^T - W2^T W2)"]),
    ("W2 @ leaky_relu(W1 @ x, 0.1)", {}, {}, 2, ["diag(W1 W1^T - W2^T W2)"]),
    ("W2 @ relu(W1 @ x)**2", {}, {}, 2, ["diag(W1 W1^T/2 - W2^T W2)"]),
    ("a @ (W @ x)**3", {}, {}, 2, ["diag(W W^T/3 - a a^T)"]),
    ("W2 @ relu(W1 @ x + b)**2", {}, {}, 2, ["diag(W1 W1^T/2 + b b^T/2 - W2^T W2)"]),
    ("a @ ((W @ x)**3 + W @ x)", {}, {}, 0, []),
    ("x + W2 @ relu(W1 @ x)", {}, {}, 2, ["diag(W1 W1^T - W2^T W2)"]),
    (
        "W3 @ relu(W2 @ relu(W1 @ x + b1) + b2)",
        {},
        {},
        5,
        ["diag(W1 W1^T + b1 b1^T - W2^T W2)", "diag(W2 W2^T + b2 b2^T - W3^T W3)"],
    ),
    ("W3 @ x + W2 @ relu(W1 @ x)", {}, {}, 2, ["diag(W1 W1^T - W2^T W2)"]),
    ("W2 @ relu(W1 @ x) + U @ relu(W1 @ x)", {}, {}, None, ["W2 - U", "diag(W2^T W2 + U^T U - W1 W1^T)"]),
    ("(w*w) @ x", {}, {}, 0, []),
    ("(w*w*w) @ x", {}, {}, 0, []),
    ("(u*u*v) @ x", {"u": (3,)}, {}, 3, ["u * u/2 - v * v"]),
    ("(u**3 * v) @ x", {"u": (2,)}, {}, 2, ["u * u/3 - v * v"]),
    ("sum(relu(W1 @ x)) - sum(relu(W2 @ x))", {}, {}, 0, []),
    ("W.T @ relu(W @ x + b) + c", {}, {}, 0, []),
    ("a @ (sigmoid(G @ x) * (W @ x))", {}, {}, 2, ["diag(W W^T - a a^T)"]),
    ("a @ tanh(W2 @ W1 @ x)", {}, {}, 3, ["W1 W1^T - W2^T W2"]),
    ("W2 @ (2 * W1 @ x)", {}, {}, 3, ["W1 W1^T - W2^T W2"]),
    ("W2 @ relu(0.5 * W1 @ x)", {}, {}, 2, ["diag(W1 W1^T - W2^T W2)"]),
    (
        "(2 * x + W1 @ x) + W2 @ (2 * x + W1 @ x)",
        {"W1": (2, 2)},
        {},
        3,
        ["(2 I + W1) (2 I + W1)^T - (I + W2)^T (I + W2)"],
    ),
    (
        "(2 * x - W1 @ x) + W2 @ (2 * x - W1 @ x)",
        {"W1": (2, 2)},
        {},
        3,
        ["(I + W2)^T (I + W2) - (2 I - W1) (2 I - W1)^T"],
    ),
    ("W @ x", {}, {"loss": "cross_entropy"}, 3, ["1^T W"]),
    ("W @ x + b", {}, {"loss": "cross_entropy"}, 4, ["1^T W", "sum(b)"]),
    ("u * (a @ relu(W @ x))", {}, {}, 3, ["diag(W W^T - a a^T)", "u^2 - |W|^2"]),
    ("x @ W.T @ W @ x", {"W": (2, 3)}, {}, 0, []),
    ("W @ x + W.T @ x", {"W": (2, 2)}, {}, 1, ["W - W^T"]),
    ("U @ U.T @ x", {"U": (3, 2)}, {}, 0, []),
    ("(W1 + W2) @ x", {"W1": (2, 2)}, {}, 4, ["W1 - W2"]),
    ("c * relu(a @ x + b)", {}, {}, 1, ["|a|^2 + b^2 - c^2"]),
]


EQUAL_LENGTHS = [
    (
        "einsum('i,ijk,j,k->', a, T, u, x)",
        {"T": (2, 2, 2), "a": (2,), "u": (2,)},
        ["a a^T - sum_kl T[i,k,l] T[j,k,l]", "sum_kl T[k,i,l] T[k,j,l] - u u^T"],
    ),
    (
        "sum(a * flatten(conv(K, conv(L, einsum('i,j->ij', b, x)))))",
        {"K": (1, 2, 2), "L": (2, 1, 2), "b": (1,), "x": (4,), "a": (2,)},
        [
            "sum_kl K[k,i,l] K[k,j,l] - sum_kl W_L[i,k,l] W_L[j,k,l]",
            "sum_kl K[k,i,l] W_L[j,k,l] - sum_kl K[k,j,l] W_L[i,k,l]",
        ],
    ),
]
"""Declared lengths that agree by chance, with the laws of them that are written by indices."""


def flow_of(text, shapes=None, **settings):
    network = fl.Network(text, shapes=shapes or {})
    return fl.derive(fl.Problem(network, **({"loss": "square", "coordinates": "weights"} | settings)))


@pytest.mark.parametrize(("text", "shapes", "settings", "count", "names"), PUBLISHED + MORE)
def test_laws_and_their_number(text, shapes, settings, count, names):
    flow = flow_of(text, shapes, **settings)
    assert flow.conserved == flow.laws
    if names is not None:
        assert [law.text for law in flow.laws if law.text in names] == [law.text for law in flow.laws]
        assert {law.text for law in flow.laws} == set(names)
    found = flow.law_count
    if count is not None:
        assert (found.status, found.total) == ("complete", count), str(found)
    assert found.total is None or found.found <= found.total


@pytest.mark.long
@pytest.mark.parametrize(("first", "second", "count"), LINEAR)
def test_published_counts_of_linear_layers(first, second, count):
    found = flow_of("W2 @ W1 @ x", {"W1": first, "W2": second}).law_count
    assert (found.status, found.total, found.found) == ("complete", count, count)


@pytest.mark.parametrize(("width", "inputs"), [(1, 2), (2, 2), (3, 3)])
def test_published_counts_of_relu_layers(width, inputs):
    found = flow_of("W2 @ relu(W1 @ x)", {"W1": (width, inputs), "W2": (1, width)}).law_count
    assert (found.status, found.total) == ("complete", width)


@pytest.mark.long
def test_published_counts_of_deep_relu_nets():
    """Of all pieces at once: about one state of such narrow nets other laws hold as well."""
    for shapes in ({"W1": (2, 1), "W2": (2, 2), "W3": (1, 2)}, {"W1": (2, 3), "W2": (3, 2), "W3": (2, 3)}):
        found = flow_of("W3 @ relu(W2 @ relu(W1 @ x))", shapes).law_count
        assert (found.status, found.total) == ("complete", shapes["W1"][0] + shapes["W2"][0])
    deep = flow_of("W4 @ relu(W3 @ relu(W2 @ relu(W1 @ x)))")
    assert len(deep.laws) == 3
    assert (deep.law_count.status, deep.law_count.total) == ("complete", 7)


@pytest.mark.parametrize(
    ("text", "shapes"),
    [(text, shapes) for text, shapes, settings, _, names in PUBLISHED + MORE if names and not settings]
    + [(text, shapes) for text, shapes, _ in EQUAL_LENGTHS],
)
def test_texts_say_what_laws_are(text, shapes):
    """The printed text, read by a small reader of its own, moves as the law does from one state to another."""
    flow = flow_of(text, shapes)
    states = usual(flow.problem, 3, seed=11).W
    for law in flow.laws:
        if not hasattr(law, "parts"):
            continue
        each = [{w: v[i] for w, v in states.items()} for i in range(3)]
        named = [{flow_label(flow, w): v for w, v in W.items()} for W in each]
        seen = [np.squeeze(law.value(W)) for W in each]
        told = [law_reader.read(law.text, W) for W in named]
        for i in (1, 2):
            # Constants, such as I I^T, are no part of a law.
            assert told[i] - told[0] == pytest.approx(seen[i] - seen[0], rel=1e-9, abs=1e-9), law.text


def flow_label(flow, block):
    from flowlab.symbolic.names import labels

    return labels(flow.problem).text[block]


@pytest.mark.parametrize(("text", "shapes", "laws"), EQUAL_LENGTHS)
def test_equal_lengths_are_spelt_with_plain_terms(text, shapes, laws):
    """Where all axes have one length, squares of crossed axes add up to plain ones; these are what is printed."""
    found = [law.text for law in flow_of(text, shapes).laws]
    assert [law for law in found if "sum" in law] == laws


def test_laws_of_several_heads_are_one_matrix_each():
    text = (
        "sum(einsum('hov,htv->to', O, einsum('htk,hkv->htv', softmax(einsum('htd,hsd->hts',"
        " einsum('td,hde->hte', X, Q), einsum('td,hde->hte', X, K))), einsum('td,hde->hte', X, V))))"
    )
    network = fl.Network(text, inputs={"X": ("t", "d")}, shapes={"Q": (2, 3, 2)})
    flow = fl.derive(fl.Problem(network, "square", coordinates="weights"))
    named = [law for law in flow.laws if law.lifted]
    assert [law.text for law in named] == [
        "sum_l O[i,l,j] O[i,l,k] - sum_l V[i,l,j] V[i,l,k]",
        "sum_l Q[i,l,j] Q[i,l,k] - sum_l K[i,l,j] K[i,l,k]",
    ]
    assert (flow.law_count.status, flow.law_count.total) == ("complete", 24)
    states = usual(flow.problem, 2, seed=11).W
    for law in named:
        seen, told = ([f({w: v[i] for w, v in states.items()}) for i in range(2)] for f in (law.value, _told(law)))
        assert told[1] - told[0] == pytest.approx(seen[1] - seen[0], rel=1e-9, abs=1e-9)


def _told(law):
    return lambda W: law_reader.read(law.text, W)


def test_laws_without_a_name_are_given_for_their_sizes():
    flow = flow_of("mean(W @ x)")
    assert [law.lifted for law in flow.laws] == [False] * 3
    assert all("for W of shape 2x3" in law.where[0] for law in flow.laws)
    assert flow.law_count.status == "complete"
    assert "for W of shape 2x3" in str(flow)


@pytest.mark.long
def test_schemes_have_as_many_laws_as_gradient_flow():
    shapes = {"W1": (2, 2), "W2": (1, 2)}
    for scheme in ("lagrange", "exponential_weight_normalization", "weight_normalization", "tangent"):
        found = flow_of("W2 @ W1 @ x", shapes, scheme=scheme, coordinates="polar", loss="logistic").law_count
        assert (found.status, found.total) == ("complete", 3), scheme
    fixed = flow_of("W2 @ W1 @ x", shapes, scheme="fixed_norm", coordinates="polar", loss="logistic")
    assert [law.text for law in fixed.laws] == ["|W1|^2", "|W2|^2"]
    # The imbalance of directions shrinks as a whole, so that quotients of its entries are kept.
    assert (fixed.law_count.status, fixed.law_count.total, fixed.law_count.found) == ("further", 3, 2)
    assert "1 further law exists" in str(fixed.law_count)


def test_weight_decay_leaves_laws_of_other_blocks_and_shrinks_the_rest():
    cases = [
        ("W2 @ W1 @ x", 0.1, ["(W1 W1^T - W2^T W2) exp(0.4 t)"]),
        ("W2 @ relu(W1 @ x)", {"W1": 0.1}, []),
        ("W3 @ relu(W2 @ relu(W1 @ x))", {"W3": 0.1}, ["diag(W1 W1^T - W2^T W2)"]),
        ("(w*w - u*u) @ x", {"u": 0.1, "w": 0.3}, ["(w * u) exp(0.8 t)"]),
        ("x @ W @ x", 0.25, ["(W - W^T) exp(0.5 t)"]),
    ]
    for text, decay, names in cases:
        flow = flow_of(text, decay=decay)
        assert [law.text for law in flow.laws] == names, text
        assert flow.law_count.status == "complete"


def test_per_neuron_and_per_network_keep_their_laws():
    for per in ("neuron", "network"):
        flow = flow_of("W2 @ W1 @ x", per=per, coordinates="polar")
        assert [law.text for law in flow.laws] == ["W1 W1^T - W2^T W2"]


def test_large_networks_say_that_nothing_is_decided():
    chain = flow_of(" @ ".join(f"W{i}" for i in range(30, 0, -1)) + " @ x", coordinates="polar")
    assert len(chain.laws) == 58
    assert chain.law_count.status == "not decided"
    assert "more than" in str(chain.law_count)


def test_declared_lengths_that_are_large_are_tried_small():
    flow = flow_of("W2 @ relu(W1 @ x + b)", {"W1": (300, 784), "W2": (10, 300)}, loss="cross_entropy")
    assert {law.text for law in flow.laws} == {"1^T W2", "diag(W1 W1^T + b b^T - W2^T W2)"}
    assert all(law.lifted for law in flow.laws)
    assert flow.law_count.status == "complete"
    # Equal lengths stay equal: of a square block there is W + W^T.
    (law,) = flow_of("x @ W @ x", {"W": (40, 40)}).laws
    assert law.text == "W - W^T"


def test_unchecked_equations_have_matched_laws_alone():
    network = fl.Network("(u*v) @ x")
    flow = fl.derive(fl.Problem(network, "square"), verify=False)
    assert flow.laws == flow.matched
    assert flow.law_count.status == "not decided"


def test_laws_are_stored_with_the_equations():
    flow = flow_of("a @ relu(W @ x + b)", decay=0.1)
    again = fl.FlowEquations.from_json(flow.to_json())
    assert again.laws == flow.laws
    assert again.laws[0].shrinks == pytest.approx(0.4)
    entries = flow_of("mean(W @ x)")
    assert fl.FlowEquations.from_json(entries.to_json()).laws == entries.laws
