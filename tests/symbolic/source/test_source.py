"""Printed sources give the rates of the lowered field, in every language that can be run here."""

import jax
import numpy as np
import pytest

import flowlab as fl
from flowlab.symbolic.names import called
from flowlab.symbolic.source import languages
from flowlab.symbolic.source.language import Language
from flowlab.symbolic.source.lines import listing
from tests.symbolic.source.running import GCC, JULIA, drawn, in_c, in_julia, in_python

GAME = fl.Network("p @ (A @ q)", constants=["A"])
ATTENTION = "a @ mean(softmax(causal(X @ Q @ K.T @ X.T)) @ X @ V, axis=0)"
CONV = "a @ flatten(max_pool(relu(conv(K, relu(conv(L, X, padding='circular')), stride=2, padding=1)), 2))"
PAIR = {"inputs": {"X": (3, 4)}}
CASES = {
    "linear": ("W2 @ W1 @ x", {}, {"loss": "square", "decay": 0.1}, {"outputs": 2}),
    "polar": ("W2 @ relu(W1 @ x)", {}, {"scheme": "lagrange", "reduction": "mean"}, {}),
    "relu": ("W2 @ relu(W1 @ x + b)", {}, {"loss": "logistic", "coordinates": "weights"}, {"widths": {"W1": 4}}),
    "neurons": ("W2 @ relu(W1 @ x)", {}, {"per": "neuron", "scheme": "weight_normalization"}, {}),
    "classes": ("W2 @ elu(W1 @ x, 0.5)", {}, {"loss": "cross_entropy", "coordinates": "weights"}, {"outputs": 3}),
    "attention": (ATTENTION, PAIR, {"loss": "square"}, {}),
    "conv": (CONV, {"inputs": {"X": (2, 6)}, "shapes": {"K": (2, 3, 2), "L": (3, 2, 3)}}, {"loss": "square"}, {}),
    "gelu": ("a @ gelu(layer_norm(W @ x))", {}, {"loss": "square"}, {"widths": {"W": 3}}),
    "pieces": ("a @ concat(split(W @ x, 2)[0], sin(W @ x)[1:3])", {}, {"loss": "square"}, {"widths": {"W": 4}}),
    "game": (GAME, {}, {"loss": "value", "ascend": ["p"], "geometry": {"p": "simplex", "q": "simplex"}}, {}),
    "rates": ("w @ x", {}, {"loss": "exponential", "coordinates": "weights", "rates": {"w": 0.3}}, {}),
}
RUN = {
    "numpy": lambda text, given, shapes, folder: in_python(text, given),
    "jax": lambda text, given, shapes, folder: in_python(text, given),
    "c": in_c,
    "julia": in_julia,
}
MISSING = {"c": GCC is None, "julia": JULIA is None}


def flow_of(name):
    network, more, problem, sizes = CASES[name]
    network = network if isinstance(network, fl.Network) else fl.Network(network, **more)
    coordinates = {} if problem.keys() & {"scheme", "per", "geometry"} else {"coordinates": "weights"}
    return fl.derive(fl.Problem(network, **(coordinates | problem)), verify=False), sizes


def compared(flow, text, language, sizes, folder) -> float:
    """The largest difference from the lowered field, of the largest rate."""
    found = listing(flow, sizes.get("d", 3), 5, sizes.get("widths"), sizes.get("outputs", 1))
    given = drawn(found)
    names = {called(flow.problem, v.op, v.params[0]): (v.op, v.params[0]) for v in flow.program.values if v.given}
    rates = fl.lower(flow).program.evaluate(np, {key: given[name] for name, key in names.items()})
    wanted = [np.asarray(rates[key]) for key, _ in flow.program.rates]
    got = RUN[language](text, given, [ref.shape for ref, _ in found.rates], folder)
    assert [a.shape for a in got] == [a.shape for a in wanted]
    return max(np.abs(a - b).max() for a, b in zip(got, wanted, strict=True)) / max(np.abs(a).max() for a in wanted)


@pytest.mark.parametrize("language", languages)
@pytest.mark.parametrize("name", CASES)
def test_a_source_gives_the_rates_of_the_flow(name, language, tmp_path):
    if MISSING.get(language):
        pytest.skip(f"no {language} to run a source with")
    if name == "conv" and "gather" in str(jax.make_jaxpr(lambda z: z[::2])(np.zeros(5))):
        pytest.skip("this jax takes every second entry by a gather, which sources have no rule for and refuse by name")
    flow, sizes = flow_of(name)
    text = flow.to_source(language, d=3, samples=5, **sizes)
    assert compared(flow, text, language, sizes, tmp_path) < 1e-12


def test_a_source_gives_what_the_field_gives_data_and_all(tmp_path):
    flow, _ = flow_of("relu")
    data = fl.Data(np.random.default_rng(0).normal(size=(6, 3)), np.array([1.0, -1.0] * 3))
    start = fl.initial_state(flow.problem.network, data, widths={"W1": 4}, seed=0)
    field = fl.lower(flow)
    y = field.pack(start)
    wanted = field.rate(0.0, y, data)
    text = flow.to_source("numpy", data.shapes, data.n, {"W1": 4})
    got = in_python(text, {**y, "x": data.x, "y": data.y})
    assert max(np.abs(a - wanted[w]).max() for a, w in zip(got, wanted, strict=True)) < 1e-12


def test_a_source_that_is_changed_gives_something_else(tmp_path):
    flow, sizes = flow_of("relu")
    text = flow.to_source("numpy", d=3, samples=5, **sizes)
    other = text.replace("> 0.0", "> 0.5", 1)
    assert other != text
    assert compared(flow, other, "numpy", sizes, tmp_path) > 1e-6


def test_a_reader_sees_names_shapes_and_words():
    flow, _ = flow_of("relu")
    text = flow.to_source("numpy", d=3, samples=5, widths={"W1": 4})
    assert "def rate(W1, b, W2, x, y):" in text
    assert "W1 (4 x 3), b (4), W2 (1 x 4), x (5 x 3), y (5)" in text
    assert "# activation(Z_1)" in text
    assert text.count("return dW1, db, dW2\n") == 1
    jax = flow.to_source("jax", d=3)
    assert "np." not in jax.replace("jnp.", "")
    assert "jax_enable_x64" in jax


def test_a_primitive_without_a_rule_is_refused_by_name():
    flow = fl.derive(fl.Problem("(a @ x) * trace(root(W @ W.T))", "square", coordinates="weights"), verify=False)
    with pytest.raises(fl.UnloweredNode, match=r'`root` is made of `eigh`.*"c" has no rule; define `write_eigh`'):
        flow.to_source("c")
    with pytest.raises(fl.UnknownName, match="did you mean `julia`"):
        flow.to_source("julie")
    with pytest.raises(fl.LanguageError, match="`language=3` must be a text"):
        flow.to_source(3)


def test_a_language_is_a_word_of_its_own():
    class Signs(Language):
        comment = "--"

        def number(self, value):
            return str(value)

        def entrywise(self, line, form):
            raise AssertionError

        def function(self, listing, body):
            return "\n".join([*self.head(listing), *body])

        def line(self, line):
            return f"{line.out.name} := {line.primitive}"

    languages.register("signs")(Signs)
    try:
        told = flow_of("linear")[0].to_source("signs")
    finally:
        del languages._words["signs"]
    assert "G_W1 := dot_general" in told
    assert "-- matmul" in told
