"""The null space of quadratic laws, held against the whole linear system and against broken rates."""

import numpy as np
import pytest

import flowlab as fl
from flowlab.symbolic.laws.draws import Draws, Small, Tangents
from flowlab.symbolic.laws.null_space import null_space, rows

NETS = (
    "W2 @ relu(W1 @ x)",
    "W2 @ W1 @ x",
    "a @ (W @ x + b)",
    "mean(W @ x)",
    "(u*v*w) @ x",
    "W @ x + b",
    "a @ tanh(W @ x)",
)


def small_of(text, **settings):
    problem = fl.Problem(fl.Network(text), **({"loss": "square", "coordinates": "weights"} | settings))
    return Small(problem, 2, {}, 0)


def solved(small, tangents=None, states=None):
    """The forms that stand still, as one row each over all pairs of weights and weights."""
    draws = small.draw(24, 0)
    at = {w: v[0] for w, v in draws.W.items()}
    tangents = tangents or small.tangents(at, small.count + 6, 1)
    given = []

    def drawn(count):
        given.append(count)
        return small.draw(count if states is None else states, 50)

    ((_, found),) = null_space(tangents, draws, drawn, np.zeros(small.count))
    return found, given[0]


def whole(small, pairs):
    """The number of forms that stand still, by one equation a state for every coefficient."""
    states = small.draw(2 * len(pairs) + 40, 99)
    at, along = (np.concatenate([rows(v) for v in each.values()], axis=1) for each in states)
    i, j = pairs.T
    matrix = np.where(j < 0, along[:, i], at[:, i] * along[:, j] + along[:, i] * at[:, j])
    matrix /= np.linalg.norm(matrix, axis=1)[:, None]
    singular = np.linalg.svd(matrix, compute_uv=False)
    return int((singular < 1e-10 * singular[0]).sum()), matrix


@pytest.mark.parametrize("text", NETS)
def test_the_null_space_is_that_of_the_whole_system(text):
    small = small_of(text)
    found, unknowns = solved(small)
    assert found.decided
    count, matrix = whole(small, found.pairs)
    assert len(found.forms) == count
    assert unknowns < len(found.pairs) + 40
    forms = found.forms / np.linalg.norm(found.forms, axis=1)[:, None]
    assert np.abs(matrix @ forms.T).max(initial=0.0) < 1e-11


def test_wrong_derivatives_lose_laws():
    """What A does to the span is taken from derivatives: those of another net leave no law, and claim none."""
    small = small_of("W2 @ W1 @ x")
    at = {w: v[0] for w, v in small.draw(24, 0).W.items()}
    right = small.tangents(at, small.count + 6, 1)
    assert len(solved(small, right)[0].forms) == 3
    wrong = Tangents(right.at, right.along, 2 * right.slopes)
    assert not len(solved(small, wrong)[0].forms)


def test_few_states_decide_nothing():
    found, _ = solved(small_of("W2 @ W1 @ x"), states=4)
    assert not found.decided
    assert not len(found.forms)


def test_a_law_of_one_decay_rate_is_told_from_a_mixture():
    """u^2 - v^2 is no law of one rate where the rates of u and v differ."""
    rng = np.random.default_rng(0)

    def fields(W, c):
        return np.stack([c * W[:, 1], c * W[:, 0]], axis=1)

    at, c = rng.normal(size=(200, 2)), rng.normal(size=200)
    draws = Draws({"w": at}, {"w": fields(at, c)})
    point = at[:1]
    slopes = np.einsum("f,ij->fij", c[:8], np.array([[0.0, 1.0], [1.0, 0.0]]))
    tangents = Tangents(point[0], fields(np.repeat(point, 8, axis=0), c[:8]), slopes)
    fresh = Draws({"w": at[1:]}, {"w": fields(at, c)[1:]})
    ((_, one),) = null_space(tangents, draws, lambda _: fresh, np.zeros(2))
    # u^2 - v^2, and nothing else of second degree.
    assert [one.pairs[i].tolist() for i in np.flatnonzero(np.abs(one.forms[0]) > 1e-9)] == [[0, 0], [1, 1]]
    assert sum(len(found.forms) for _, found in null_space(tangents, draws, lambda _: fresh, np.array([0.0, 1.0]))) == 0
