"""What a certificate tests, and what it does where it can test nothing."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.errors import DerivationMismatch, DerivationUnchecked
from flowlab.language.activations import Activation, activations
from flowlab.symbolic.certificate import certify
from flowlab.symbolic.states import random_state

SCHEMES = (
    "gradient_flow",
    "lagrange",
    "weight_normalization",
    "exponential_weight_normalization",
    "tangent",
    "fixed_norm",
)


def product(depth: int) -> str:
    return " @ ".join(f"W{k}" for k in range(depth, 0, -1))


def scalars(depth: int) -> str:
    """A chain of rectified numbers, dead at all but one in 2^depth plain draws."""
    text = "w @ x"
    for k in range(depth):
        text = f"relu(a{k} * ({text}))"
    return text


EXTREME = (
    (f"100 * sigmoid(v @ {product(12)} @ x)", {"loss": "square", "coordinates": "weights"}),
    (f"60 * sigmoid(v @ {product(10)} @ x)", {"loss": "square", "coordinates": "weights"}),
    (f"60 * sigmoid(v @ {product(10)} @ x)", {"coordinates": "weights"}),
    ("W2 @ tanh(10000 * (W1 @ x))", {}),
    ("v @ tanh((W1 @ x)**16)", {"loss": "logistic"}),
    ("1000 * (W2 @ relu(W1 @ x))", {}),
    (scalars(12), {"coordinates": "weights"}),
    (f"{product(15)} @ x", {"scheme": "lagrange"}),
    ("W3 @ relu(W2 @ tanh(W1 @ x))", {"loss": "cross_entropy", "reduction": "mean"}),
    ("a @ sigmoid(1000 * (W @ x))", {"per": "neuron", "decay": 0.1}),
    ("a @ sigmoid(1000 * (W @ x))", {"per": "network", "scheme": "weight_normalization"}),
)
PLAIN = tuple(
    [("W2 @ relu(W1 @ x)", {"scheme": s}) for s in SCHEMES]
    + [("W3 @ relu(W2 @ relu(W1 @ x))", {"scheme": s, "loss": "cross_entropy"}) for s in SCHEMES]
    + [
        ("W2 @ abs(W1 @ x)**1.5", {"decay": 0.3, "reduction": "mean"}),
        ("a @ softplus(W @ x)", {"per": "network"}),
        ("W @ relu(W @ x)", {"loss": "square"}),
    ]
    + [
        ("(w * w - u * u) @ x", {"per": "network"}),
        ("W2 @ tanh(W1 @ x + b)", {"coordinates": "weights"}),
        ("a * x", {"scheme": "fixed_norm"}),
    ]
    + [
        ("W2 @ relu(W1 @ x)", {"per": "neuron"}),
        ("W2 @ relu(W1 @ x) + W3 @ x", {"per": "network"}),
        ("abs(w) @ x", {"coordinates": "weights", "decay": 2}),
    ]
)


def wrong(flow: fl.FlowEquations) -> list[fl.FlowEquations]:
    """Every equation too fast by 7, by 1 %, and reversed."""
    made = []
    for i, e in enumerate(flow.equations):
        for c in (7, Fraction(101, 100), -1):
            changed = replace(e, G=c * e.G, V=c * e.V, rho=None if e.rho is None else c * e.rho)
            made.append(flow.with_equations([*flow.equations[:i], changed, *flow.equations[i + 1 :]]))
    return made


def caught(text: str, settings: dict, every: int = 1) -> int:
    """How many wrong flows of a network are refused; all that are tried must be."""
    flow = fl.derive(fl.Problem(text, **settings), verify=False)
    assert certify(flow).states >= 3 or not certify(flow).equation
    tried = wrong(flow)[::every]
    for each in tried:
        with pytest.raises(DerivationMismatch):
            certify(each)
    return len(tried)


@pytest.mark.parametrize(
    ("text", "settings"), [EXTREME[i] for i in (0, 1, 3, 6)], ids=["hundred", "sixty", "saturated", "dead"]
)
def test_states_that_plain_draws_do_not_reach(text, settings):
    assert caught(text, settings, every=7)


@pytest.mark.slow
@pytest.mark.parametrize(("text", "settings"), [*EXTREME, *PLAIN], ids=lambda v: str(v)[:60])
def test_wrong_equations_are_refused(text, settings):
    frozen = settings.get("scheme") == "fixed_norm" and text == "a * x"
    if frozen:
        # Nothing moves: two numbers on spheres of one point, at norms that stay.
        assert certify(fl.derive(fl.Problem(text, **settings), verify=False)).states == 0
        return
    assert caught(text, settings, every=3 if len(text) > 60 else 1)


def test_what_cannot_be_checked_is_not_called_checked():
    """Two equal terms leave nothing; a loss of one class is constant; nothing proves either."""
    one_class = fl.Network("W @ x", shapes={"W": (1, "d")})
    # What compilers leave of a difference of equal terms is zero, or a rounding that no derivation agrees with.
    constant = fl.Problem(one_class, "cross_entropy", coordinates="weights")
    for problem, refusal in ((fl.Problem("W @ x - W @ x"), fl.DerivationError), (constant, DerivationUnchecked)):
        with pytest.raises(refusal) as error:
            fl.derive(problem)
        assert error.value.equation
        if isinstance(error.value, DerivationUnchecked):
            assert "could not be checked" in str(error.value)
            assert error.value.states < 3
        assert len(str(error.value)) <= 300
        assert "checked" not in str(fl.derive(problem, verify=False))
        assert "autodiff" not in fl.derive(problem, verify=False).text("matrix")


def test_pull_hidden_behind_decay_is_not_tested():
    """Decay keeps the rate alive where the samples do not reach; that tests nothing of their pull."""
    with pytest.raises(DerivationUnchecked):
        fl.derive(fl.Problem("W @ x - W @ x", coordinates="weights", decay=0.5))


def test_rates_that_vanish_for_all_weights_need_no_test():
    """Known by signs, by the scheme and by the shape of a sphere, not by the rate's being small."""
    assert fl.Network("W2 @ relu(-relu(W1 @ x))").moved == frozenset()
    assert fl.Network("U @ x + W3 @ relu(relu(W1 @ x) * (-abs(W2 @ x)))").moved == {"U"}
    assert fl.Network("W2 @ leaky_relu(-relu(W1 @ x)) + 0 * (V @ x)").moved == {"W1", "W2"}
    assert fl.derive(fl.Problem("a * x", scheme="fixed_norm")).residual is not None


def test_levelled_states_are_of_ordinary_size():
    problem = fl.Problem(f"100 * sigmoid(v @ {product(12)} @ x)", "square", coordinates="weights")
    argument = next(node for node in problem.network.nodes if node.op == "activation").args[0]
    for seed in range(3):
        state = random_state(problem, seed, levelled=True)
        size = np.abs(problem.network.node_values(state.weights, state.samples.x, np)[id(argument)]).max()
        assert 0.3 < size < 3.0


def lying(degree, numeric_slope):
    """ReLU's values with the slope 1: what it says of itself is wrong, and its two slopes agree."""
    import jax
    import jax.numpy as jnp

    @jax.custom_jvp
    def value(z):
        return jnp.where(z > 0, z, 0.0)

    @value.defjvp
    def _(primals, tangents):
        return value(primals[0]), numeric_slope * tangents[0]

    class Lying(Activation):
        kinks = (0.0,)

        def symbolic(self, z):
            return z

        def numeric(self, xp, z):
            return np.where(z > 0, z, 0.0) if xp is np else value(z)

        def slope(self, xp, z):
            return numeric_slope * xp.ones_like(z)

    Lying.degree = degree
    return Lying


@pytest.mark.parametrize("degree", [1, 0, 2, 0.1, -1, Fraction(1, 3)])
def test_laws_of_a_wrong_word_are_not_printed(degree):
    activations.register("lying")(lying(degree, 1.0))
    try:
        flow = fl.derive(fl.Problem("v @ lying(W @ x)", coordinates="weights"))
        assert flow.laws == flow.conserved == ()
        assert "conserved" not in flow.text()
        assert "balance" not in flow.text()
        assert "conserved" not in flow.latex()
        assert flow.law_count.status == "not decided"
    finally:
        del activations._words["lying"]


def test_laws_are_of_what_is_printed_and_read_back():
    flow = fl.derive(fl.Problem("W2 @ abs(W1 @ x)**1.5"))
    assert [law.text for law in flow.conserved] == ["2 rho_W1^2/3 - rho_W2^2", "diag(2 W1 W1^T/3 - W2^T W2)"]
    assert flow.conserved[0].latex == r"2\, \rho_{1}^2/3 - \rho_{2}^2"
    assert r"2\, W_{1} W_{1}^{\top}/3 - W_{2}^{\top} W_{2}" in flow.conserved[1].latex
    assert fl.FlowEquations.from_json(flow.to_json()).conserved == flow.conserved
    assert fl.derive(fl.Problem("W2 @ relu(W1 @ x)**2")).conserved[0].text == "rho_W1^2/2 - rho_W2^2"
    unchecked = fl.derive(flow.problem, verify=False)
    assert unchecked.conserved == flow.conserved
    assert "conserved along" not in str(unchecked)


def planted(flow: fl.FlowEquations) -> list[fl.FlowEquations]:
    """A flow with one false law each."""
    out = []
    for law in flow.matched:
        first, second = law.shares
        changes = [
            {"shares": (first * Fraction(101, 100), second)},
            {"shares": (first, -second)},
            {"blocks": law.blocks[::-1], "shares": (first, 2 * second)},
        ]
        if law.growth[0]:
            changes += [
                {"growth": (law.growth[0] * Fraction(101, 100), law.growth[1])},
                {"growth": (law.growth[0], law.growth[1] + 1)},
            ]
        if law.kind == "balance-diagonal":
            changes.append({"kind": "balance"})
        out += [replace(flow, matched=(replace(law, **change),)) for change in changes]
    return out


def test_planted_laws_are_refused():
    count = 0
    for text, settings in (
        ("W2 @ relu(W1 @ x)", {}),
        ("W2 @ relu(W1 @ x)", {"scheme": "lagrange"}),
        ("A @ relu(W @ x)**2", {"coordinates": "weights"}),
    ):
        flow = fl.derive(fl.Problem(text, **settings))
        assert flow.conserved
        assert certify(flow).laws == flow.matched
        for each in planted(flow):
            count += 1
            assert certify(each).laws == (), each.matched
    assert count >= 20


@pytest.mark.parametrize(
    "text", ["tanh(100 * (v @ x))", "tanh(1000 * (v @ x))", "v @ tanh(300 * (W @ x))", "tanh(300 * (v @ tanh(W @ x)))"]
)
def test_saturated_tangents_are_no_mismatch(text):
    flow = fl.derive(fl.Problem(text, "square", coordinates="weights"))
    assert flow.residual < 1e-11
    assert caught(text, {"loss": "square", "coordinates": "weights"}) > 0
