"""Text and operators: every feature of the grammar means what numpy's operators say, and nothing else is accepted."""

import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from one_sample import FUNCTIONS, Draw, draw, outputs

import flowlab as fl
from flowlab.language.parser import DEEPEST, LARGEST, LONGEST, parse

GRAMMAR = [
    ("W @ x", lambda w, x: w["W"] @ x),
    ("x @ W", lambda w, x: w["W"].T @ x),
    ("a @ x", lambda w, x: w["a"].dot(x)),
    ("x @ W @ x", lambda w, x: x @ w["W"] @ x),
    ("W2 @ W1 @ x", lambda w, x: w["W2"] @ (w["W1"] @ x)),
    ("W2 @ (W1 @ x)", lambda w, x: w["W2"] @ (w["W1"] @ x)),
    ("W1 @ x + W2 @ x", lambda w, x: w["W1"] @ x + w["W2"] @ x),
    ("W1 @ x - W2 @ x - W3 @ x", lambda w, x: (w["W1"] @ x - w["W2"] @ x) - w["W3"] @ x),
    ("W1 @ x - (W2 @ x - W3 @ x)", lambda w, x: w["W1"] @ x - w["W2"] @ x + w["W3"] @ x),
    ("-W @ x", lambda w, x: -(w["W"] @ x)),
    ("+(W @ x)", lambda w, x: w["W"] @ x),
    ("0.5 * (W @ x)", lambda w, x: 0.5 * (w["W"] @ x)),
    ("W @ x * -3", lambda w, x: -3 * (w["W"] @ x)),
    ("W @ x / 4", lambda w, x: w["W"] @ x / 4),
    ("(2 / 3 + 1) * W @ x", lambda w, x: 5 / 3 * (w["W"] @ x)),
    ("(W1 @ x) * (W2 @ x)", lambda w, x: (w["W1"] @ x) * (w["W2"] @ x)),
    ("x * (W @ x)", lambda w, x: x * (w["W"] @ x)),
    ("sum(W1 @ x) * (W2 @ x)", lambda w, x: (w["W1"] @ x).sum() * (w["W2"] @ x)),
    ("a * (W @ x)", lambda w, x: w["a"] * (w["W"] @ x)),
    ("(a * b) @ x", lambda w, x: (w["a"] * w["b"]).dot(x)),
    ("(w * w - u * u) @ x", lambda w, x: (w["w"] ** 2 - w["u"] ** 2).dot(x)),
    ("(W1 * W2) @ x", lambda w, x: (w["W1"] * w["W2"]) @ x),
    ("W.T @ x", lambda w, x: w["W"].T @ x),
    ("transpose(W) @ x", lambda w, x: w["W"].T @ x),
    ("W.T @ relu(W @ x)", lambda w, x: w["W"].T @ np.maximum(w["W"] @ x, 0)),
    ("(W1 @ W2).T @ x", lambda w, x: (w["W1"] @ w["W2"]).T @ x),
    ("sum(W @ x)", lambda w, x: (w["W"] @ x).sum()),
    ("mean(abs(W @ x))", lambda w, x: np.abs(w["W"] @ x).mean()),
    ("a @ x + sum(b)", lambda w, x: w["a"].dot(x) + w["b"].sum()),
    ("W2 @ relu(W1 @ x + b1) + b2", lambda w, x: w["W2"] @ np.maximum(w["W1"] @ x + w["b1"], 0) + w["b2"]),
    ("a @ relu(W @ x) + c", lambda w, x: w["a"].dot(np.maximum(w["W"] @ x, 0)) + w["c"]),
    ("relu(W @ x)**2", lambda w, x: np.maximum(w["W"] @ x, 0) ** 2),
    ("relu(W @ x)**1.5", lambda w, x: np.maximum(w["W"] @ x, 0) ** 1.5),
    ("(2 * softplus(W @ x))**1.5", lambda w, x: (2 * np.log1p(np.exp(w["W"] @ x))) ** 1.5),
    ("(abs(W @ x)**2)**1.25", lambda w, x: np.abs(w["W"] @ x) ** 2.5),
    ("(W @ x)**3", lambda w, x: (w["W"] @ x) ** 3),
    ("W @ x**2", lambda w, x: w["W"] @ x**2),
    ("W**2 @ x", lambda w, x: w["W"] ** 2 @ x),
    ("V @ relu(W @ relu(W @ x))", lambda w, x: w["V"] @ np.maximum(w["W"] @ np.maximum(w["W"] @ x, 0), 0)),
    ("x + W2 @ tanh(W1 @ x)", lambda w, x: x + w["W2"] @ np.tanh(w["W1"] @ x)),
    ("a @ ((W @ x) * sigmoid(V @ x))", lambda w, x: w["a"].dot((w["W"] @ x) / (1 + np.exp(-(w["V"] @ x))))),
    ("leaky_relu(W @ x, 0.2)", lambda w, x: np.where(w["W"] @ x > 0, w["W"] @ x, 0.2 * (w["W"] @ x))),
    ("leaky_relu(W @ x, 1 / 8)", lambda w, x: np.where(w["W"] @ x > 0, w["W"] @ x, 0.125 * (w["W"] @ x))),
    ("relu(W) @ x", lambda w, x: np.maximum(w["W"], 0) @ x),
    *((f"V @ {name}(W @ x)", lambda w, x, f=f: w["V"] @ f(w["W"] @ x)) for name, f in FUNCTIONS.items()),
]


@pytest.mark.parametrize(("text", "formula"), GRAMMAR, ids=[g[0] for g in GRAMMAR])
def test_what_is_written_is_what_is_computed(text, formula):
    net = fl.Network(text)
    weights, x = draw(net, np.random.default_rng(len(text)))
    wanted = np.stack([np.atleast_1d(formula(weights, row)) for row in x])
    assert np.allclose(net.outputs(weights, x, np), wanted, rtol=1e-12, atol=1e-14)
    assert np.allclose(net.outputs(weights, x), wanted, rtol=1e-12, atol=1e-14)


def test_the_grammar_has_every_activation():
    from flowlab.language.activations import activations

    assert set(FUNCTIONS) == set(activations.names())


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, 10**9))
def test_operators_text_and_values_agree(seed):
    """Built with operators, printed, parsed: the same text, shapes, scalings and values,
    which are those of plain numpy.
    """
    made = Draw(seed)
    net = made.network()
    again = fl.Network(net.text)
    assert (again.text, again.shapes, again.symmetry.basis) == (net.text, net.shapes, net.symmetry.basis)
    assert fl.Problem(again, "square") == fl.Problem(net, "square")
    weights, x = draw(net, made.rng)
    with np.errstate(all="ignore"):
        wanted = outputs(net.expression, weights, x)
        assume(np.isfinite(wanted).all())
        assert np.allclose(net.outputs(weights, x, np), wanted, rtol=1e-9, atol=1e-12)
        assert np.allclose(again.outputs(weights, x, np), wanted, rtol=1e-9, atol=1e-12)


def test_numbers_are_the_decimals_that_were_written():
    scales = [
        node.params[0]
        for node in fl.Network("0.1 * (W @ x) + 1e-3 * (V @ x) + 1 / 3 * (U @ x)").nodes
        if node.op == "scale"
    ]
    assert scales == [Fraction(1, 10), Fraction(1, 1000), Fraction(1, 3)]
    assert parse("W @ x * 0.3").params == (Fraction(3, 10),)


def test_a_minus_in_front_of_a_bracket_stays_in_front_of_it():
    a, W, V, x = fl.weight("a"), fl.weight("W"), fl.weight("V"), fl.x
    for made in (a @ x + -(a @ (W @ x)), -(W @ x) + -(V @ x - a), V @ x + (-(W @ x) + a), (W**3).T @ x, (W.T**2).T @ x):
        net = fl.Network(made)
        assert fl.Network(net.text).text == net.text
        weights, inputs = draw(net, np.random.default_rng(0))
        assert np.allclose(
            fl.Network(net.text).outputs(weights, inputs, np), outputs(made, weights, inputs), rtol=1e-12
        )


REFUSED = [
    ("W.__class__ @ x", "W.__class__"),
    ("W.t @ x", "W.t"),
    ("W.T() @ x", "W.T()"),
    ("W[a] @ x", "W[a]"),
    ("relu(W @ x, leak=1)", "`leak`"),
    ("relu(*W) @ x", "relu(*W)"),
    ("relu(x)(W)", "relu(x)(W)"),
    ("(lambda: W)() @ x", "(lambda: W)()"),
    ("[W, x]", "[W, x]"),
    ("(W, x)", "(W, x)"),
    ("{W}", "{W}"),
    ("W if x else V", "W if x else V"),
    ("W and x", "W and x"),
    ("W < x", "W < x"),
    ("not W", "not W"),
    ("~W @ x", "~W"),
    ("W // 2 @ x", "W // 2"),
    ("W % 2 @ x", "W % 2"),
    ("W << 2", "W << 2"),
    ("W | x", "W | x"),
    ("(W := x)", "W := x"),
    ("f'{W}' @ x", "f'{W}'"),
    ("'W' @ x", "'W'"),
    ("W @ None", "None"),
    ("W @ x * True", "True"),
    ("W @ x * 1j", "1j"),
    ("W @ x; V", "W @ x; V"),
    ("W = x", "W = x"),
    ("W @", "W @"),
    ("import os", "import os"),
    ("W @ x + True", "True"),
    ("3 @ W", "3 @ W"),
    ("2**3 * (W @ x)", "2**3"),
    ("W**V @ x", "W**V"),
    ("0 / 0 * (W @ x)", "0 / 0"),
    ("W @ x / (1 - 1)", "W @ x / (1 - 1)"),
    ("1e999 * (W @ x)", "inf"),
    ("relu()", "relu()"),
    ("sum @ x", "`sum`"),
    ("relu @ x", "`relu`"),
    ("sum(W @ x, 2)", "`sum(W @ x, axis=2)`"),
    ("relu(W @ x, 2)", "`relu`"),
    ("leaky_relu(W @ x, 1, 2)", "leaky_relu"),
    ("leaky_relu(W @ x, V)", "`leaky_relu`"),
    ("_W @ x", "_W"),
    ("W\u0435 @ x", "\u0435"),
    ("rellu(W @ x)", "relu"),
    ("open('a')", "open"),
    ("(W @ x)**0", "(W @ x)**0"),
    ("(W @ x)**-99", "-99"),
    ("(W @ x)**65", "65"),
    ("(W @ x)**0.5", "0.5"),
    ("(W @ x)**1.5", "1.5"),
    ("(relu(W @ x) - V @ x)**1.5", "1.5"),
    ("(2 * tanh(W @ x))**1.5", "1.5"),
    ("W @ V", "`x`"),
    ("x", "weight"),
    ("7", "`7`"),
    ("", "expression"),
]


@pytest.mark.parametrize(("text", "named"), REFUSED, ids=[repr(r[0]) for r in REFUSED])
def test_everything_else_is_refused_in_one_sentence_that_names_it(text, named):
    with pytest.raises(fl.FlowlabError) as caught:
        fl.Network(text)
    message = str(caught.value)
    assert named in message
    assert message.endswith(".")
    assert "\n" not in message
    # What is quoted may contain anything; around it there is one sentence, and the list of known names behind a guess.
    prose = re.sub(r"`[^`]*`|'[^']*'", "_", message)
    assert not re.search(r"\.\s+[A-Z]", prose), message


def test_limits():
    def chain(depth: int) -> str:
        return "".join(f"W{i} @ relu(" for i in range(depth, 1, -1)) + "W1 @ x" + ")" * (depth - 1)

    deep = fl.Network(chain(100))
    assert len(deep.weights) == 100
    assert set(deep.degrees.values()) == {1}
    assert len(fl.Network("W @ x" + " " * (LONGEST - 5)).weights) == 1
    for text, limit in (("W @ x" + " " * LONGEST, LONGEST), (chain(DEEPEST + 2), DEEPEST)):
        with pytest.raises(fl.LanguageError, match=str(limit)):
            fl.Network(text)
    with pytest.raises(fl.LanguageError):
        fl.Network("+".join(["x"] * (LARGEST + 2)))
