"""Several inputs and constants: what a network asks of its data, and what is said where they do not fit."""

import copy

import numpy as np
import pytest

import flowlab as fl
from flowlab.language.data import Data

RNG = np.random.default_rng(0)
X, x, M, y = RNG.normal(size=(5, 4, 3)), RNG.normal(size=(5, 3)), RNG.normal(size=(2, 3)), RNG.normal(size=5)


def attention() -> fl.Network:
    return fl.Network("o @ X @ softmax(X.T @ K.T @ Q @ x)", inputs={"X": ("d", "t"), "x": ("d",)})


def test_roles_shapes_and_sizes():
    net = fl.Network("a @ ((M * W) @ x) + sum(X @ b)", inputs={"X": ("t", "d")}, constants=["M"])
    assert net.weights == ("W", "a", "b")
    assert net.inputs == {"x": ("d",), "X": ("t", "d")}
    assert net.constants == {"M": net.shapes["W"]}
    data = Data(x, y, X=X, constants={"M": M})
    assert net.resolve(data.shapes, 1) == {"W": (2, 3), "a": (2,), "b": (3,)}
    W = {name: RNG.normal(size=shape) for name, shape in net.resolve(data.shapes, 1).items()}
    made = net.outputs(W, data.inputs, np)[:, 0]
    wanted = ((M * W["W"]) @ x.T).T @ W["a"] + np.einsum("ntd,d->n", X, W["b"])
    assert np.allclose(made, wanted, rtol=1e-13)
    again = fl.Network.from_description(net.describe())
    assert (again.text, again.inputs, again.constants) == (net.text, net.inputs, net.constants)
    assert copy.deepcopy(net).roles == net.roles


def test_expressions_bring_their_roles():
    W, A, m = fl.weight("W"), fl.input("A", ("m", "n")), fl.constant("m", ("n",))
    net = fl.Network(fl.sum(W * A) + fl.sum(m * (A[0])))
    assert net.roles == {"W": "weight", "A": "input", "m": "constant"}
    assert net.shapes["W"] == ("m", "n")


def test_frozen_is_another_word_for_constant():
    frozen, constant = (fl.Network("(W0 + B @ A) @ x", **{k: ["W0"]}) for k in ("frozen", "constants"))
    assert frozen.describe() == constant.describe()
    flow = fl.derive(fl.Problem(frozen, coordinates="weights"))
    assert dict(flow.program.rates).keys() == {("W", "A"), ("W", "B")}


def test_named_dimensions_are_widths():
    net = fl.Network("U @ V.T @ x", shapes={"U": ("o", "r"), "V": ("d", "r")})
    data = Data(x, RNG.normal(size=(5, 2)))
    state = fl.initial_state(net, data, widths={"r": 2}, seed=0)
    assert {k: v.shape for k, v in state.V.items()} == {"U": (2, 2), "V": (3, 2)}
    problem = fl.Problem(net, "square", coordinates="weights")
    path = fl.integrate(fl.lower(fl.derive(problem)), state, data, until=fl.log_time(-3.0))
    assert path.outcome.ok


WRONG = [
    (lambda: fl.Network("W @ x", inputs=["A"]), "`inputs` names `A`, which the network does not have"),
    (lambda: fl.Network("W @ x", inputs=3), "must be names or shapes by name, got 3"),
    (lambda: fl.Network("A @ x", inputs=["A"], constants=["A"]), "must be an input or a constant, got both"),
    (lambda: fl.Network("W @ A", constants=["A"]), "write `x`, name others"),
    (lambda: fl.constant("x"), "`x` cannot name a constant"),
    (lambda: fl.input("relu"), "`relu` is a function and cannot name an input"),
    (lambda: fl.Network(fl.weight("A") @ fl.x + fl.input("A") @ fl.x), "must have one role"),
    (lambda: fl.initial_state(attention(), Data(x, y), seed=0), "must have the input `X`"),
    (lambda: fl.initial_state(attention(), Data(x, y, X=x), seed=0), "`X` must have the shape (N, d, t)"),
    (lambda: fl.initial_state(attention(), Data(x, y, X=X), seed=0, default_width=2), "must have one size"),
    (lambda: fl.initial_state(fl.Network("(M * W) @ x", constants=["M"]), Data(x, y), seed=0), "the constant `M`"),
    (lambda: Data(y=y), "must have inputs and labels, got no input"),
    (lambda: Data(x), "got no labels"),
    (lambda: Data(x, y, A=X[:4]), "A has 4 samples"),
    (lambda: Data(x, y, A=X * np.nan), "A has nan"),
    (lambda: Data(x, y, A=X, constants={"A": M}), "as an input or a constant, got both"),
    (lambda: Data(x, y, constants=3), "`constants`"),
    (lambda: Data(X=X, y=y).x, "must have the input `x`, got `X`"),
    (lambda: Data(x, y).as_input("X", (2, 2)), "must have 3 entries per sample"),
]


@pytest.mark.parametrize(("call", "told"), WRONG, ids=range(len(WRONG)))
def test_what_does_not_fit_is_said_in_a_sentence(call, told):
    with pytest.raises(fl.FlowlabError) as caught:
        call()
    assert told in str(caught.value)
    assert len(str(caught.value)) <= 300


def test_data_keep_all_that_they_are_given():
    data = Data(x, y, X=X, constants={"M": M}, name="all")
    again = Data.from_json(data.to_json())
    assert again.sha256() == data.sha256() != Data(x, y, name="all").sha256()
    assert again.shapes == data.shapes == {"x": (3,), "X": (4, 3), "M": (2, 3)}
    assert data.d == 3 + 12
    assert data.flat.shape == (5, 15)
    part = data.batch(np.array([3, 1]))
    assert np.array_equal(part.inputs["X"], X[[3, 1]])
    assert np.array_equal(part.inputs["M"], M)
    turned = Data(x.reshape(5, 3), y).as_input("T", (3, 1))
    assert turned.shapes == {"T": (3, 1)}
    assert np.array_equal(turned.inputs["T"][:, :, 0], x)
    assert data.called("other").sha256() == data.sha256()


def test_samples_that_meet_are_refused_where_each_must_stand_alone():
    signs = Data(x, np.array([1.0, -1.0, 1.0, -1.0, 1.0]))
    for text in ("a @ batch_norm(W @ x)", "a @ (W @ x - mean(W @ x, axis='samples'))"):
        problem = fl.Problem(text)
        assert problem.network.mixes_samples
        with pytest.raises(fl.FlowlabError, match=r"single samples|degree|homogeneous"):
            fl.max_margin(problem, signs, widths={"W": 2}, seed=0)
    assert not fl.Network("a @ layer_norm(W @ x)").mixes_samples


def test_margins_ask_for_one_input_vector():
    """Before they ask for its widths."""
    signs = Data(X=X, y=np.array([1.0, -1.0, 1.0, -1.0, 1.0]))
    for text, inputs in (("a @ (X @ b)", ["X"]), ("a @ mean(X @ W, axis=0)", {"X": ("t", "d")})):
        problem = fl.Problem(fl.Network(text, inputs=inputs))
        for asked in (
            lambda of: fl.max_margin(of, signs, seed=0),
            lambda of: fl.critical_points(of, signs),
            lambda of: fl.norm_path(of, signs, norms=(0.1, 10.0)),
        ):
            with pytest.raises(fl.LanguageError, match="one input vector `x`, got the inputs `X`"):
                asked(problem)
