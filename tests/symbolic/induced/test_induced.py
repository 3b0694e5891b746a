"""Flows that nodes of weights inherit: push-forward, commuting fields, mirror coordinate, potential, minimiser."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp

import flowlab as fl
from flowlab.symbolic.induced.brackets import Entrywise, closes, commutes
from flowlab.symbolic.induced.mirror import Z, mirror
from flowlab.symbolic.induced.node import node_of
from flowlab.symbolic.induced.push_forward import _confirm

L1_L2 = "w*w - u*u + 0.4*v"
ALPHA, LAM, D, N = 0.03, 0.4, 36, 12


def derived(net, **more):
    return fl.derive(fl.Problem(fl.Network(net, **more), "square", reduction="mean", coordinates="weights"))


def looked(net, node, start=None, **more):
    found = node_of(fl.Problem(fl.Network(net, **more), "square", coordinates="weights"), node)
    entries = Entrywise(found, start, None)
    fields = commutes(entries)
    return fields, closes(entries, fields)


def draw(seed, d=D, n=N):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    return fl.Data(x, x[:, :3] @ [1.0, -1.0, 0.5] + 0.3 * rng.normal(size=n), kind="targets")


@pytest.fixture(scope="module")
def flow():
    return derived(f"({L1_L2}) @ x")


@pytest.fixture(scope="module")
def start():
    return fl.State.from_weights({"w": np.full(D, ALPHA), "u": np.full(D, ALPHA), "v": np.zeros(D)})


@pytest.fixture(scope="module")
def beta(flow, start):
    return flow.induced(L1_L2, start)


def test_the_derivation_of_l1_and_l2(beta):
    a = sp.Symbol("alpha", positive=True)
    assert sp.expand(beta.mirror.beta - 2 * a**2 * sp.sinh(4 * Z) - sp.Rational(4, 25) * Z) == 0
    assert sp.expand(beta.mirror.metric - sp.diff(beta.mirror.beta, Z)) == 0
    assert sp.expand(beta.conjugate - a**2 / 2 * (sp.cosh(4 * Z) - 1) - sp.Rational(2, 25) * Z**2) == 0
    assert beta.potential is None
    assert beta.closes
    assert beta.commutes
    assert not beta.commutes.pairs
    assert beta.laws == ("w = alpha*exp(2*z)", "u = alpha*exp(-2*z)", "v = 2*z/5")
    told = str(beta)
    assert "K = J J^T = 4*u^2 + 4*w^2 + 4/25, entry by entry" in told
    assert "beta(infinity) = argmin { Phi(beta) : beta fits the data }" in told
    assert r"\Phi^*(z) = \sum" in beta.latex()
    # The node and its start are written.
    assert r"\[ \beta = w \odot w" in beta.latex()
    assert r"w(0) = \alpha" in beta.latex()
    assert "v(0) = 0" in beta.latex()


def test_cubes_and_constants():
    cubes = derived("(w*w*w - u*u*u) @ x").induced("w*w*w - u*u*u", {"w": [0.3, 0.3], "u": [0.3, 0.3]})
    a = sp.Symbol("alpha", positive=True)
    both = [a**2 / (6 * (1 - 3 * a * Z) ** 2), a**2 / (6 * (1 + 3 * a * Z) ** 2)]
    assert sp.simplify(cubes.conjugate - sum(both) + a**2 / 3) == 0
    assert float(cubes.coordinate.high[0]) == pytest.approx(1 / 0.9)
    named = derived("(w*w - u*u + lam*v) @ x", constants=["lam"])
    mixed = named.induced("w*w - u*u + lam*v", {"w": [0.1], "u": [0.1], "v": [0.0]}, constants={"lam": [0.5]})
    assert str(mixed.mirror.beta) == "2*alpha**2*sinh(4*z) + lam**2*z"
    twice = mixed.with_constants({"lam": [1.0]})
    z = np.array([0.2])
    assert twice.coordinate.beta(np, z) - mixed.coordinate.beta(np, z) == pytest.approx(0.75 * 0.2)


@pytest.mark.parametrize(
    ("text", "begin", "told"),
    [
        ("u*v", {"u": "a", "v": 0}, "asinh"),
        ("w*w", {"w": "a"}, "log"),
        ("w", {"w": 0}, "beta**2/2"),
        ("u*v*w", {"u": "a", "v": "a", "w": "a"}, None),
        ("w**4", {"w": "a"}, None),
    ],
)
def test_closed_forms_solve_their_equations(text, begin, told):
    a = sp.Symbol("alpha", positive=True)
    symbols = {w: sp.Symbol(w, real=True) for w in begin}
    entries = {"u*v": "uv", "w*w": "ww", "w": "w", "u*v*w": "uvw", "w**4": "wwww"}[text]
    g = sp.Mul(*[symbols[s] for s in entries])
    values = {symbols[w]: a if v == "a" else sp.Integer(0) for w, v in begin.items()}
    found = mirror(g, values)
    assert found is not None
    _confirm(found, g, {s.name: v for s, v in values.items()})
    assert told is None or told in str(found.potential)
    # Legendre: the derivative of the potential is z.
    if found.inverse is not None:
        back = sp.diff(found.potential, sp.Symbol("beta", real=True))
        at = {a: sp.Float("0.3"), Z: sp.Float("0.2")}
        there = back.subs(sp.Symbol("beta", real=True), found.beta).subs(at)
        assert float(there) == pytest.approx(0.2, abs=1e-12)


def test_a_wrong_closed_form_is_refused():
    a, w = sp.Symbol("alpha", positive=True), sp.Symbol("w", real=True)
    right = mirror(w * w, {w: a})
    assert right is not None
    for wrong in (
        {"beta": 2 * right.beta},
        {"metric": right.metric + Z},
        {"conjugate": right.conjugate + Z},
        {"theta": (("w", a * sp.exp(Z)),)},
    ):
        broken = type(right)(**{**right.__dict__, **wrong})
        with pytest.raises(fl.LanguageError, match="is off by"):
            _confirm(broken, w * w, {"w": a})


def test_forms_that_are_not_found_are_none():
    u, v = sp.symbols("u v", real=True)
    assert mirror(u * u * v, {u: sp.Symbol("u_0"), v: sp.Symbol("v_0")}) is None
    unequal = derived("(u*v*w) @ x").induced("u*v*w", {"u": [0.1], "v": [0.2], "w": [0.3]})
    assert unequal.closes
    assert unequal.mirror is None
    with pytest.raises(fl.LanguageError, match="no closed form"):
        fl.lower(unequal)


def test_pairs_that_do_not_commute_are_named():
    fields, closing = looked("A @ B @ x", "A @ B")
    assert [tuple(p) for p in fields.pairs] == [
        ("beta[1,1]", "beta[1,2]"),
        ("beta[1,1]", "beta[2,1]"),
        ("beta[1,2]", "beta[2,2]"),
        ("beta[2,1]", "beta[2,2]"),
    ]
    assert "4 of 6" in fields.reason
    assert not closing
    one = {"u": (1,), "v": (1,), "w": (1,)}
    fields, closing = looked("concat(u*v, u*w) @ x", "concat(u*v, u*w)", shapes=one)
    assert fields.pairs == (("beta[1]", "beta[2]"),)
    assert closing
    fields, _ = looked(f"({L1_L2}) @ x", L1_L2)
    assert fields
    assert fields.reason == "all 3 brackets of the gradient fields of its entries vanish"


def test_products_close_from_balanced_starts_alone():
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.normal(size=(2, 2)))[0]
    S, A = np.diag([1.0, 0.3]), 0.5 * rng.normal(size=(2, 2))
    relaxed = np.linalg.cholesky(A.T @ A + 0.7 * np.eye(2)) @ Q
    for start, expected in (
        ({"A": S, "B": S @ Q.T}, True),
        ({"A": A, "B": relaxed}, True),
        ({"A": S, "B": 2.0 * Q}, False),
        (None, False),
    ):
        assert bool(looked("A @ B @ x", "A @ B", start)[1]) is expected, start


def test_softmax_closes_and_squares_on_a_sphere_are_the_replicator():
    fields, closing = looked("softmax(z) @ x", "softmax(z)")
    assert not fields
    assert closing
    # p = w^2 / |w|^2: K is 4/|w|^2 (diag p - p p^T), and its fields commute.
    net = "(rms_norm(w)*rms_norm(w)) @ x"
    fields, closing = looked(net, "rms_norm(w)*rms_norm(w)")
    assert fields
    assert closing
    found = node_of(fl.Problem(net, "square", coordinates="weights"), "rms_norm(w)*rms_norm(w)")
    w = np.array([0.5, -1.0, 2.0])
    J = np.asarray(jax.jacobian(lambda v: found.value(jnp, {"w": v}, {}) / 3)(jnp.asarray(w)))
    p = w * w / (w @ w)
    assert pytest.approx(4 / (w @ w) * (np.diag(p) - np.outer(p, p)), abs=1e-4) == J @ J.T


def test_inverse_is_exact_in_numpy_and_jax(beta):
    z = np.concatenate([-np.geomspace(1e-12, 8.0, 17), [0.0], np.geomspace(1e-12, 8.0, 18)])
    for xp in (np, jnp):
        back = np.asarray(beta.coordinate.inverse(xp, beta.coordinate.beta(xp, xp.asarray(z))))
        assert back == pytest.approx(z, rel=1e-13, abs=1e-300)


def test_minimisers_stay_inside_the_domain():
    cubes = derived("(w*w*w - u*u*u) @ x").induced("w*w*w - u*u*u", {"w": np.full(8, 0.3), "u": np.full(8, 0.3)})
    best = cubes.minimiser(draw(3, d=8, n=3))
    assert best.outcome.ok
    assert best.residual < 1e-12


def test_dependent_samples_that_agree_are_fitted(beta):
    data = draw(7)
    x, y = np.asarray(data.x), np.asarray(data.y)
    twice = fl.Data(np.vstack([x, x[:2]]), np.concatenate([y, y[:2]]), kind="targets")
    assert beta.minimiser(twice).beta == pytest.approx(beta.minimiser(data).beta, abs=1e-10)
    with pytest.raises(fl.DataError, match="out of reach"):
        beta.minimiser(fl.Data(np.vstack([x, x[:1]]), np.append(y, y[0] + 1.0), kind="targets"))


BAD = {
    "unknown": (lambda f: f.induced("w*w - q*q"), fl.UnknownName, "did you mean `w`"),
    "beside": (lambda f: f.induced("w*w - u*u"), fl.LanguageError, "got `v` beside it"),
    "not a part": (lambda f: f.induced("v*w"), fl.LanguageError, "must be a part of"),
    "kinked": (lambda _: derived("relu(w) @ x").induced("relu(w)"), fl.FlowlabError, "`StrictGreaterThan` has no"),
    "samples": (lambda f: f.induced(f"({L1_L2}) @ x"), fl.LanguageError, "weights and constants alone"),
    "lengths": (lambda f: f.induced(L1_L2, {"w": [1, 2], "u": [1, 2, 3], "v": [1, 2]}), fl.ShapeMismatch, "length 2"),
    "block": (lambda f: f.induced(L1_L2, {"w": [1.0], "u": [1.0]}), fl.ShapeMismatch, "differ in the blocks v"),
    "no start": (lambda f: fl.lower(f.induced(L1_L2)), fl.LanguageError, "start=state"),
    "polar": (lambda _: fl.derive(fl.Problem("(w*w) @ x", "square")).induced("w*w"), fl.LanguageError, "coordinates"),
    "decay": (
        lambda _: fl.derive(fl.Problem("(w*w) @ x", "square", coordinates="weights", decay=0.1)).induced("w*w"),
        fl.LanguageError,
        "weight decay",
    ),
    "still": (
        lambda _: derived("(w*w - u*u) @ x").induced("w*w - u*u", {"w": [0.0, 0.1], "u": [0.0, 0.1]}),
        fl.ShapeMismatch,
        "rank 1 where it has 2",
    ),
    "still and large": (
        lambda _: derived("(w*w) @ x").induced("w*w", {"w": np.append(np.ones(60), 0.0)}),
        fl.ShapeMismatch,
        r"K = 0 at beta\[61\]",
    ),
    "no mirror": (
        lambda _: fl.lower(derived("A @ B @ x").induced("A @ B", {"A": np.eye(2), "B": np.eye(2)})),
        fl.LanguageError,
        "beta\\[1,1\\] and beta\\[1,2\\]",
    ),
    "constant": (
        lambda _: derived("(lam*v) @ x", constants=["lam"]).induced("lam*v", {"v": [1.0]}),
        fl.LanguageError,
        "must have `lam`",
    ),
    "opaque": (
        lambda _: fl.derive(
            fl.Problem(
                fl.opaque(lambda p, x: x @ p["w"], {"w": np.ones(3)}, inputs={"x": (3,)}),
                "square",
                coordinates="weights",
            )
        ).induced("w"),
        fl.LanguageError,
        "opaque",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence(name, flow):
    act, kind, told = BAD[name]
    with pytest.raises(kind, match=told):
        act(flow)


def test_data_that_do_not_fit(flow, beta):
    with pytest.raises(fl.ShapeMismatch, match="must have one size, got 4"):
        beta.minimiser(fl.Data(np.ones((2, 4)), [1.0, 1.0], kind="targets"))
    bent = derived("relu(w*w - u*u) @ x").induced("w*w - u*u", {"w": [1.0, 2.0], "u": [1.0, 2.0]})
    with pytest.raises(fl.LanguageError, match="linear in the node"):
        bent.minimiser(fl.Data(np.ones((1, 2)), [1.0], kind="targets"))
