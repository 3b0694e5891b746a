"""Population losses: closed forms against quadrature, coarse fields against their definition, and what is refused."""

import importlib.util
import itertools
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl

_spec = importlib.util.spec_from_file_location("quadrature", Path(__file__).with_name("quadrature.py"))
quadrature = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(quadrature)

UNITS = {
    "step": "step({})",
    "sign": "sign({})",
    "relu": "relu({})",
    "leaky_relu": "leaky_relu({})",
    "abs": "abs({})",
    "identity": "identity({})",
    "erf": "erf({})",
    "square": "({})**2",
}
SURROGATES = ("relu", "identity", "abs", "leaky_relu", "erf", "square")


def drawn(seed, h=2, k=3, n=4):
    rng = np.random.default_rng(seed)
    student = {"a": rng.normal(size=h), "W": rng.normal(size=(h, n)) / 2}
    return student, {"a": rng.normal(size=k), "W": rng.normal(size=(k, n)) / 2}


def form(s, one, t, other):
    """The mean of a product of two nets, pair by pair."""
    return sum(
        a * b * quadrature.mean(one, w, other, u)
        for (a, w), (b, u) in itertools.product(zip(s["a"], s["W"], strict=True), zip(t["a"], t["W"], strict=True))
    )


def gradient(problem, weights, data):
    field = fl.lower(fl.derive(problem))
    found = field.rate(0.0, {w: jnp.asarray(v) for w, v in weights.items()}, data)
    return {w: -np.asarray(v) for w, v in found.items()}


@pytest.mark.long
@pytest.mark.parametrize("unit", UNITS)
def test_the_loss_is_that_of_quadrature(unit):
    s, t = drawn(1)
    pop = fl.population(f"a @ {UNITS[unit].format('W @ x')}", teacher=t)
    wanted = form(s, unit, s, unit) / 2 - form(s, unit, t, unit) + form(t, unit, t, unit) / 2
    assert abs(float(pop.objective(s, pop.data)) - wanted) <= 1e-13 * (1 + abs(wanted))
    assert fl.derive(pop).residual <= 1e-12
    assert pop.is_gradient
    assert fl.derive(pop).curl().pairs == ()


@pytest.mark.long
@pytest.mark.parametrize(("unit", "slope"), [*itertools.product(("step", "relu", "erf"), SURROGATES)])
def test_a_coarse_field_is_its_definition(unit, slope):
    """E (y - y*) a_i τ'(w_i x) x and E (y - y*) σ(w_i x), by quadrature."""
    s, t = drawn(2)
    pop = fl.population(f"a @ coarse({UNITS[unit].format('W @ x')}, {UNITS[slope].format('W @ x')})", teacher=t)
    found = gradient(pop, s, pop.data)
    signs = [(b, u, 1) for b, u in zip(s["a"], s["W"], strict=True)]
    signs += [(b, u, -1) for b, u in zip(t["a"], t["W"], strict=True)]
    for i, (a, w) in enumerate(zip(s["a"], s["W"], strict=True)):
        pulled = sum(sign * b * quadrature.pull(unit, u, slope, w) for b, u, sign in signs)
        assert np.allclose(found["W"][i], a * pulled, rtol=0, atol=1e-13)
        assert abs(found["a"][i] - sum(sign * b * quadrature.mean(unit, u, unit, w) for b, u, sign in signs)) < 1e-13
    assert fl.derive(pop).residual <= 1e-12
    assert not pop.is_gradient
    exact = fl.derive(pop.exact)
    assert exact.is_gradient
    assert exact.curl().pairs == ()
    if unit != slope:
        true = gradient(pop.exact, s, pop.data)
        assert np.allclose(true["a"], found["a"], atol=1e-13)
        assert not np.allclose(true["W"], found["W"], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("one", "other"), [*itertools.combinations_with_replacement(UNITS, 2)])
def test_kernels_to_fifteen_digits(one, other):
    """Every pair of units, one of each: the mean stands in the cross term of two one-unit nets."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 3))
    b *= np.linalg.norm(a) / np.linalg.norm(b)
    from flowlab.symbolic import gaussian, one_layer

    p, q = (one_layer.read(fl.Network(UNITS[unit].format(f"{name} @ x"))) for unit, name in ((one, "a"), (other, "b")))
    made = gaussian.mean(p, q)
    wanted = quadrature.mean(one, a, other, b)
    if not isinstance(made, fl.Expr):
        assert abs(made - wanted) <= 2e-14
        return
    net = fl.Network(made)
    value = float(net.outputs({name: v for name, v in (("a", a), ("b", b)) if name in net.weights}, {}, np)[0, 0])
    assert abs(value - wanted) <= 4e-15 * (1 + abs(wanted))


@pytest.mark.parametrize(
    "text",
    [
        "sum(erf(W @ x))",
        "0.5 * (a @ erf(0.5 * (W @ x)))",
        "A @ relu(W @ x)",
        "relu(w @ x)",
        "sum(step(W @ x))",
        "a @ W @ x",
        "b * relu(w @ x)",
        "relu(x @ W) @ a",
    ],
)
def test_forms_that_are_read(text):
    rng = np.random.default_rng(4)
    n, h, k = 3, 2, 4
    net = fl.Network(text)
    sizes = {"W": (h, n), "a": (h,), "A": (2, h), "w": (n,), "b": ()}
    if "x @ W" in text:
        sizes["W"] = (n, h)
    s = {name: rng.normal(size=sizes[name]) for name in net.weights}
    t = {name: rng.normal(size=sizes[name]) for name in net.weights}
    pop = fl.population(text, teacher=t)
    x = rng.normal(size=(400_000, n))
    gap = np.asarray(net.outputs(s, x, np) - net.outputs(t, x, np))
    terms = (gap**2).sum(axis=1) / 2
    assert abs(float(pop.objective(s, pop.data)) - terms.mean()) < 5 * terms.std() / np.sqrt(len(x))
    assert float(abs(pop.objective(t, pop.data))) < 1e-14
    assert fl.derive(pop).residual <= 1e-12
    assert k


@pytest.mark.parametrize("unit", UNITS)
def test_one_filter_for_all_patches(unit):
    rng = np.random.default_rng(5)
    s, t = ({"v": rng.normal(size=3), "w": rng.normal(size=2)} for _ in range(2))
    pop = fl.population(fl.Network(f"v @ {UNITS[unit].format('X @ w')}", inputs={"X": ("m", "n")}), teacher=t)
    f = quadrature.FUNCTIONS[unit][0]

    def average(w):
        x, weight = quadrature.points(w, w)
        return weight @ f(x @ w)

    def product(p, q):
        both, apart = quadrature.mean(unit, p["w"], unit, q["w"]), average(p["w"]) * average(q["w"])
        return (both - apart) * (p["v"] @ q["v"]) + apart * p["v"].sum() * q["v"].sum()

    wanted = product(s, s) / 2 - product(s, t) + product(t, t) / 2
    assert abs(float(pop.objective(s, pop.data)) - wanted) <= 1e-13 * (1 + abs(wanted))


@pytest.mark.long
def test_it_is_integrated_without_samples():
    """The erf student learns its teacher; the loss falls and the road is the usual one."""
    rng = np.random.default_rng(6)
    pop = fl.population("sum(erf(W @ x))", teacher={"W": np.eye(2)})
    start = fl.State.from_weights({"W": np.eye(2) + 0.2 * rng.normal(size=(2, 2))})
    path = fl.integrate(fl.lower(fl.derive(pop)), start, pop.data, until=fl.time(200.0))
    assert path.outcome.kind == "done"
    assert float(path.dataset.objective[-1]) < 1e-9
    assert path.monitors["loss"]["holds"]


@pytest.mark.long
def test_saad_and_solla():
    """dR/dt and dQ/dt of an erf student follow from R, Q and T alone (Saad and Solla 1995, small learning rate)."""
    rng = np.random.default_rng(7)
    n, k, m = 6, 2, 3
    J, B = rng.normal(size=(k, n)) / 2, rng.normal(size=(m, n)) / 2
    root = 2**-0.5
    pop = fl.population(f"sum(erf({root!r} * (W @ x)))", teacher={"W": B})
    move = -gradient(pop, {"W": J}, pop.data)["W"]
    both = np.concatenate([J, B])
    C = both @ both.T

    def third(i, j, o):
        """E g'(x_i) x_j g(x_o) of g = erf(x/√2)."""
        L = (1 + C[i, i]) * (1 + C[o, o]) - C[i, o] ** 2
        return 2 / np.pi / np.sqrt(L) * (C[j, o] * (1 + C[i, i]) - C[i, j] * C[i, o]) / (1 + C[i, i])

    students, teachers = range(k), range(k, k + m)

    def drift(i, j):
        """⟨dJ_i/dt, vector j⟩."""
        return sum(third(i, j, t) for t in teachers) - sum(third(i, j, s) for s in students)

    R = np.array([[drift(i, j) for j in teachers] for i in students])
    Q = np.array([[drift(i, j) + drift(j, i) for j in students] for i in students])
    assert np.allclose(move @ B.T, R, rtol=0, atol=1e-13)
    assert np.allclose(move @ J.T + J @ move.T, Q, rtol=0, atol=1e-13)
    # Negative control: the third mean with its indices swapped.
    assert not np.allclose(move @ B.T, R.T[:k, :m] if R.T.shape == R.shape else 0.0, atol=1e-3)


@pytest.mark.parametrize(
    ("network", "teacher", "error"),
    [
        ("a @ tanh(W @ x)", {"a": [1.0], "W": [[1.0, 0.0]]}, fl.LanguageError),
        ("a @ relu(V @ relu(W @ x))", {"a": [1.0], "V": [[1.0]], "W": [[1.0, 0.0]]}, fl.LanguageError),
        ("a @ relu(W @ x + b)", {"a": [1.0], "W": [[1.0, 0.0]], "b": [1.0]}, fl.LanguageError),
        ("a @ coarse(step(W @ x), relu(V @ x))", {"a": [1.0], "W": [[1.0]], "V": [[1.0]]}, fl.LanguageError),
        ("a @ coarse(step, clipped_relu)(W @ x)", {"a": [1.0], "W": [[1.0]]}, fl.LanguageError),
        ("W2 @ W1 @ x", {"W2": [[1.0]], "W1": [[1.0]]}, fl.LanguageError),
        ("a @ relu(W @ x)", {"a": [1.0]}, fl.UnknownName),
        ("a @ relu(W @ x)", {"a": [1.0], "W": [[1.0]], "b": [1.0]}, fl.UnknownName),
        ("a @ relu(W @ x)", {"a": [1.0], "W": [1.0, 0.0]}, fl.ShapeMismatch),
        ("a @ relu(W @ x)", {"a": [1.0], "W": [[1.0, 0.0], [0.0, 1.0]]}, fl.ShapeMismatch),
        ("a @ relu(W @ x)", {"a": [1.0], "W": [[float("nan"), 0.0]]}, fl.FlowlabError),
        ("a @ relu(W @ x)", {"a": [1.0], "W": [["p", "q"]]}, fl.FlowlabError),
    ],
)
def test_bad_input(network, teacher, error):
    with pytest.raises(error):
        fl.population(network, teacher=teacher)


def test_other_words_are_refused():
    for options in ({"loss": "logistic"}, {"inputs": "uniform"}):
        with pytest.raises(fl.UnknownName):
            fl.population("a @ relu(W @ x)", teacher={"a": [1.0], "W": [[1.0]]}, **options)


def test_a_shape_may_be_declared_at_one_place_of_a_coarse_unit():
    units = fl.coarse(fl.step(fl.weight("W", (3, 4)) @ fl.x), fl.relu(fl.weight("W") @ fl.x))
    told = fl.population(fl.weight("a") @ units, teacher={"a": np.ones(3), "W": np.ones((3, 4))})
    plain = fl.population("a @ coarse(step, relu)(W @ x)", teacher={"a": np.ones(3), "W": np.ones((3, 4))})
    assert told.network.text == plain.network.text


@pytest.mark.parametrize("w", [[0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_a_teacher_without_directions_is_refused(w):
    net = fl.weight("v") @ fl.coarse(fl.step, fl.relu)(fl.input("X", ("m", "n")) @ fl.weight("w"))
    with pytest.raises(fl.DataError, match=r"`teacher\['w'\]` must be finite, without a unit of zeros"):
        fl.population(net, teacher={"v": [0.8, 0.3], "w": w})
