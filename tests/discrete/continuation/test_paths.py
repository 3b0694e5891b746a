"""Curves of critical points: a pitchfork known in closed form, the path of linear nets to the largest margin, and what
is refused.
"""

from itertools import combinations, pairwise

import jax
import numpy as np
import pytest

import flowlab as fl
from flowlab.core.errors import LanguageError, RunFailed
from flowlab.discrete.continuation.parameter_families import Penalties
from flowlab.discrete.continuation.paths import _continue

ONE = fl.Data(np.array([[1.0]]), np.array([1.0]), kind="targets")
SCALAR = fl.Problem("W2 @ W1 @ x", loss="square")


def separable(seed=0, n=20, d=3):
    rng = np.random.default_rng(seed)
    y = np.where(np.arange(n) % 2, 1.0, -1.0)
    return fl.Data(rng.normal(size=(n, d)) + 1.5 * y[:, None] * np.eye(d)[0] * 2, y)


@pytest.fixture(scope="module")
def pitchfork():
    """(uv - 1)²/2 + ω (u² + v²): trivial curve, u = v = ±√(1 - 2ω), u = -v = ±√(-1 - 2ω), and uv = 1 at ω = 0."""
    return fl.penalty_path(SCALAR, ONE, penalties=(0.75, -0.75), widths={"W1": 1})


def test_the_pitchfork_of_a_deep_scalar_net_is_found_with_all_its_branches(pitchfork):
    told = {e.kind: e for e in pitchfork.events}
    where = sorted((e.parameter, e.kind) for e in pitchfork.events)
    assert [kind for _, kind in where] == ["supercritical pitchfork", "vertical", "supercritical pitchfork"]
    assert np.allclose([p for p, _ in where], [-0.5, 0.0, 0.5], atol=1e-10)
    assert len(pitchfork.branches) == 5
    assert told["vertical"].multiplicity == 1
    assert float(pitchfork.dataset["residual"].max()) < 1e-10
    assert "supercritical pitchfork to 1" in str(pitchfork)


def test_its_branches_are_the_closed_ones(pitchfork):
    seen = set()
    for b in range(5):
        of = pitchfork.dataset.isel(point=pitchfork.dataset["branch"].values == b)
        for (u, v), omega, index in zip(of["row"].values, of["parameter"].values, of["index"].values, strict=True):
            shapes = {
                "trivial": max(abs(u), abs(v)),
                "even": max(abs(u - v), abs(u * u + 2 * omega - 1)),
                "odd": max(abs(u + v), abs(u * u + 2 * omega + 1)),
                "vertical": max(abs(omega), abs(u * v - 1)),
            }
            name = min(shapes, key=shapes.__getitem__)
            assert shapes[name] < 1e-7
            seen.add(name)
            if min(abs(omega - w) for w in (-0.5, 0.0, 0.5)) > 1e-3:
                right = {"trivial": int(omega < 0.5) + int(omega < -0.5), "even": int(omega < 0), "odd": 1}
                assert index == right[name]
    assert seen == {"trivial", "even", "odd", "vertical"}


def test_sections_solve_for_the_points_at_a_parameter(pitchfork):
    points = pitchfork.at(0.2)
    assert sorted(round(float(abs(p["W1"][0, 0])), 10) for p in points) == [0.0, round(np.sqrt(0.6), 10)]
    assert len(pitchfork.at(-0.6)) == 3


def test_without_switching_only_the_first_curve_is_followed():
    path = fl.penalty_path(SCALAR, ONE, penalties=(0.75, 0.25), widths={"W1": 1}, switch=False)
    assert len(path.branches) == 1
    assert [e.kind for e in path.events] == ["supercritical pitchfork"]
    assert path.events[0].leads_to == ()


class _Wrong(Penalties):
    """A penalty of which the derivative forgets the factor two: its zeros are others, its Hessian is not theirs."""

    def gradient(self, u, p):
        return self.loss.gradient(u) + p * u


def test_a_wrong_gradient_moves_the_pitchfork_away():
    family = _Wrong(SCALAR, ONE, {"W1": 1}, False)
    try:
        path = _continue(family, np.array([0.9, 0.9]), 0.2, 0.9, 0, True, 0.2, 200)
    except RunFailed:
        return
    end = path.dataset.isel(point=0)
    assert abs(float(end["row"][0] ** 2) - 0.6) > 1e-3


def test_a_fold_is_turned_around_and_located():
    """Two layers and a cubic target curve: (u v² - 1)²/2 + ω(u² + v²) has a fold where its nontrivial minimum and
    saddle meet.
    """
    problem = fl.Problem("W3 @ W2 @ W1 @ x", loss="square")
    path = fl.penalty_path(
        problem, ONE, penalties=(0.05, 0.6), start={"W1": np.ones((1, 1)), "W2": np.ones((1, 1)), "W3": np.ones((1, 1))}
    )
    folds = [e for e in path.events if e.kind == "fold"]
    # On u = v = w: u⁵ - u² + 2ωu = 0, so 2ω = u - u⁴, largest at u³ = 1/4.
    u = 0.25 ** (1 / 3)
    assert [e.parameter for e in folds] == [pytest.approx(0.5 * (u - u**4), abs=1e-10)]
    assert folds[0].index[0] == 0
    assert folds[0].index[1] >= 1
    assert path.branches[0].end == "begin"


def test_all_curves_through_the_origin_of_three_layers_are_told():
    """2ω u = u⁴ - ... through the origin, the three axes at ω = 0, and uvw = 1 there, a surface, once."""
    start = {name: np.zeros((1, 1)) for name in ("W1", "W2", "W3")}
    tree = fl.penalty_path(fl.Problem("W3 @ W2 @ W1 @ x", loss="square"), ONE, penalties=(0.6, -0.3), start=start)
    kinds = sorted((round(e.parameter, 9), e.kind, e.multiplicity) for e in tree.events)
    u = 0.25 ** (1 / 3)
    assert kinds == [
        (0.0, "vertical", 2),
        (0.0, "vertical and transcritical", 3),
        (pytest.approx(0.5 * (u - u**4)), "fold", 1),
    ]
    assert [b.end for b in tree.branches].count("far") == 3
    assert [b.end for b in tree.branches].count("flat") == 1


@pytest.mark.parametrize(
    ("spectrum", "h", "seed"), [pytest.param((2.0, 1.3, 0.7), 2, 11, marks=pytest.mark.slow), ((2.6, 0.9), 3, 5)]
)
def test_wide_nets_have_one_curve_for_every_set_of_singular_values(spectrum, h, seed):
    """Hidden rotations apart: W2 W1 = Σ_S (s_i - 2ω) u_i v_iᵀ for every set S of at most h values, born
    where 2ω = s_i.
    """
    s, d = np.array(spectrum), len(spectrum)
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.normal(size=(d, d)))[0] for _ in range(2))
    data = fl.Data(np.eye(d), (V * s) @ U.T, kind="targets")
    start = {"W1": np.zeros((h, d)), "W2": np.zeros((d, h))}
    tree = fl.penalty_path(fl.Problem("W2 @ W1 @ x", loss="square"), data, penalties=(0.6 * s[0], 0.1), start=start)
    sets = [S for k in range(h + 1) for S in combinations(range(d), k)]
    born = sorted(s[i] / 2 for S in sets if len(S) < h for i in range(d) if i not in S and all(s[j] > s[i] for j in S))
    assert len(tree.branches) == len(sets)
    assert np.allclose(sorted(e.parameter for e in tree.events), born, atol=1e-10)
    assert {e.kind for e in tree.events} == {"supercritical pitchfork"}
    seen = set()
    for row, omega, index in zip(
        tree.dataset["row"].values, tree.dataset["parameter"].values, tree.dataset["index"].values, strict=True
    ):
        W = tree.family.weights(row, omega)
        M, held = U.T @ W["W2"] @ W["W1"] @ V, np.clip(s - 2 * omega, 0, None)
        on = (np.diag(M) > 0.5 * held) & (held > 0)
        assert np.abs(M - np.diag(np.where(on, held, 0))).max() < 1e-9
        seen.add(tuple(np.flatnonzero(on)))
        if np.abs(omega - s / 2).min() > 1e-3:
            # A value left out bends down every unit that is free, and every one that holds a smaller value.
            assert index == sum(
                (h - on.sum()) * (s[i] > 2 * omega) + (on & (s < s[i])).sum() for i in range(d) if not on[i]
            )
    assert seen == set(sets)


def test_steps_grow_with_the_range():
    data = fl.Data(np.array([[20.0]]), np.array([20.0]), kind="targets")
    tree = fl.penalty_path(SCALAR, data, penalties=(300.0, 1.0), widths={"W1": 1})
    assert [(e.kind, e.parameter) for e in tree.events] == [("supercritical pitchfork", pytest.approx(200.0, abs=1e-8))]
    assert [b.end for b in tree.branches] == ["end", "end"]
    assert tree.dataset.sizes["point"] < 600


@pytest.mark.long
def test_curves_of_squared_relu_turn_at_corners():
    """Second derivatives jump where a unit leaves a sample: a minimum meets a saddle and both are gone, though no
    eigenvalue has vanished.
    """
    rng = np.random.default_rng(34)
    x = rng.normal(size=(9, 3))
    data = fl.Data(x, np.sign(x @ rng.normal(size=3)))
    path = fl.norm_path(fl.Problem("W2 @ relu(W1 @ x)**2", loss="logistic"), data, norms=(0.5, 4.0), widths={"W1": 2})
    corner, smooth = path.events
    assert (corner.kind, corner.index, smooth.kind, smooth.index) == ("fold", (0, 1), "fold", (1, 0))
    seen = corner._spot
    pre = path.family.weights(seen.u, seen.p)["W1"] @ x.T
    assert np.sort(np.abs(pre[np.abs(pre).max(axis=1) > 1e-9]).ravel())[0] < 1e-8
    assert np.abs(seen.eigenvalues).min() > 0.01
    assert path.branches[0].end == "end"

    def gradient(W):
        """Tangent to the spheres, by autodiff of the loss as it is written on paper."""
        margins = lambda V: data.y * (V["W2"] @ jax.nn.relu(V["W1"] @ x.T) ** 2)[0]  # noqa: E731
        g = jax.grad(lambda V: jax.nn.softplus(-margins(V)).sum())(W)
        return max(float(abs(g[k] - (g[k] * W[k]).sum() * W[k] / (W[k] ** 2).sum()).max()) for k in W)

    assert [
        len(path.at(p))
        for p in (smooth.parameter - 0.05, 0.5 * (smooth.parameter + corner.parameter), corner.parameter + 0.05)
    ] == [1, 3, 1]
    assert all(gradient(W) < 1e-8 for W in path.at(0.5 * (smooth.parameter + corner.parameter)))


@pytest.mark.parametrize(
    ("seed", "d", "text", "widths"),
    [
        (0, 3, "w @ x", None),
        pytest.param(3, 5, "w @ x", None, marks=pytest.mark.slow),
        (0, 3, "W2 @ W1 @ x", {"W1": 2}),
    ],
)
def test_as_the_norm_grows_linear_nets_approach_the_largest_margin_like_one_over_it(seed, d, text, widths):
    data = separable(seed, d=d)
    best = fl.max_margin("w @ x", data).margin
    path = fl.norm_path(fl.Problem(text, loss="exponential"), data, norms=(0.1, 1e4), widths=widths)
    assert path.branches[0].end == "end"
    assert (path.dataset["index"].values == 0).all()
    R, margin = np.exp(path.dataset["parameter"].values), path.dataset["margin"].values
    # Rosset, Zhu and Hastie: γ* - log(N)/R <= min fb(V_R) <= γ*.
    assert (margin <= best * (1 + 1e-9)).all()
    assert (margin >= best - np.log(data.n) / R - 1e-9).all()
    late = R > 1e3
    gap = (best - margin[late]) * R[late]
    assert np.ptp(gap) < 2e-3 * gap.mean()
    # The control: a largest margin that is one per cent off leaves no 1/R.
    wrong = (1.01 * best - margin[late]) * R[late]
    assert np.ptp(wrong) > 0.5 * wrong.mean()


def test_penalties_and_norms_trace_one_path():
    data, problem = separable(2), fl.Problem("w @ x", loss="logistic")
    by_norm = fl.norm_path(problem, data, norms=(0.1, 30.0))
    by_penalty = fl.penalty_path(problem, data, penalties=(20.0, 1e-4), logarithmic=True)
    ds = by_penalty.dataset
    compared = 0
    for i in range(0, ds.sizes["point"], 10):
        p = np.log(float(ds["norm"][i]))
        if np.log(0.1) < p < np.log(30.0):
            (weights,) = by_norm.at(p)
            assert np.allclose(weights["w"], ds["row"].values[i], rtol=1e-8, atol=1e-9)
            compared += 1
    assert compared >= 3


@pytest.mark.long
def test_distance_of_a_flow_from_the_path_is_bounded_by_one_over_the_norm():
    data, problem = separable(4), fl.Problem("w @ x", loss="exponential")
    path = fl.integrate(
        fl.lower(fl.derive(problem)),
        fl.initial_state(problem.network, data, seed=1, scale=0.3),
        data,
        until=fl.log_norm(5.0),
    )
    curve = fl.norm_path(problem, data, norms=(0.1, 1e3))
    away = curve.distance(path, rows=20)
    assert float(away["scaled"].max()) < 2.0
    assert float(away["distance"][-1]) < 1e-2
    other = fl.norm_path(problem, separable(5), norms=(0.1, 1e3)).distance(path, rows=20)
    assert float(other["scaled"].max()) > 5.0
    with pytest.raises(LanguageError, match="must have rows at the norms"):
        fl.norm_path(problem, data, norms=(1e4, 2e4)).distance(path)


def test_bad_input_is_refused_in_one_sentence(pitchfork):
    data = separable()
    with pytest.raises(LanguageError, match="kinks"):
        fl.norm_path(fl.Problem("W2 @ relu(W1 @ x)", loss="exponential"), data, norms=(1.0, 2.0), widths={"W1": 3})
    for call in ("selu(W1 @ x)", "elu(W1 @ x, 0.5)"):
        with pytest.raises(LanguageError, match="kinks"):
            fl.penalty_path(fl.Problem(f"W2 @ {call}", loss="square"), data, penalties=(0.5, 0.1), widths={"W1": 3})
    for norms in ((1.0, 1.0), (0.0, 1.0), (1.0,), "ab", (1.0, np.inf)):
        with pytest.raises(LanguageError, match=r"must be (two different finite|a list of) numbers"):
            fl.norm_path(fl.Problem("w @ x"), data, norms=norms)
    with pytest.raises(LanguageError, match="decay"):
        fl.penalty_path(fl.Problem("w @ x", loss="logistic", decay=0.1), data, penalties=(1.0, 0.1))
    with pytest.raises(LanguageError, match="norm_path"):
        pitchfork.distance(None)
    with pytest.raises(LanguageError, match="`branch` must be an integer from 0 to 4, got 5"):
        pitchfork.at(0.2, branch=5)
    for starts in (0, -1, 2.5, True):
        with pytest.raises(LanguageError, match=r"starts.* must be an integer"):
            fl.norm_path(fl.Problem("w @ x"), data, norms=(1.0, 2.0), starts=starts)


def test_the_diagram_is_drawn(pitchfork, tmp_path):
    drawn = fl.draw("continuation", pitchfork)
    assert drawn.save(tmp_path / "c.pdf").exists()
    assert {c.label.split(", ")[-1] for c in drawn.curves} >= {"minima", "saddles", "#0 supercritical pitchfork"}


@pytest.mark.long
def test_a_curve_turns_back_at_a_corner_onto_another_piece_and_never_leaps():
    """Beyond the corner steps are as short as the two pieces are apart, and long ones reach other curves that have
    about the same tangent.
    """
    rng = np.random.default_rng(29)
    x, w = rng.normal(size=(7, 4)), rng.normal(size=4)
    path = fl.norm_path(
        fl.Problem("W2 @ relu(W1 @ x)**2"), fl.Data(x, np.sign(x @ w)), norms=(1.0, 60.0), widths={"W1": 3}
    )
    assert [e.kind for e in path.events] == ["fold", "fold", "fold"]
    assert path.events[2].parameter == pytest.approx(1.94042384, abs=1e-7)
    assert path.branches[0].end == "begin"
    spots = path.branches[0].spots
    assert max(b.length - a.length for a, b in pairwise(spots)) < 1.1 * 0.2 + 1e-9
    # At a fold both pieces share one place; nowhere else is the curve twice at one.
    for a in range(0, len(spots), 3):
        for b in range(a + 1, len(spots)):
            if spots[b].length - spots[a].length > 0.5 and abs(spots[a].p - spots[b].p) < 1e-3:
                assert np.linalg.norm(spots[a].u - spots[b].u) > 1e-6
