"""Descent on grids: BinaryConnect and blended coarse gradient descent against loops as one would write them by hand."""

import numpy as np
import pytest

import flowlab as fl

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(20, 4)), RNG.normal(size=20)
DATA = fl.Data(X, Y, kind="targets")
START = fl.State.from_weights({"w": RNG.normal(size=4)})
PLAIN = fl.Problem("w @ x", "square", reduction="mean", geometry={"w": "binary"})


def by_hand(step: float, count: int, blend: float) -> np.ndarray:
    """w ← (1 - ρ) w + ρ P(w) - η ∇L(P(w)), and the quantised weights at its end."""
    w = np.asarray(START.weights()["w"])
    for _ in range(count):
        q = np.abs(w).mean() * np.sign(w)
        w = w - step * (X.T @ (X @ q - Y) / 20) - step * blend * (w - q)
    return np.abs(w).mean() * np.sign(w)


@pytest.mark.parametrize("blend", [0.0, 0.5, 2.0])
def test_descent_in_the_chart_of_a_grid_is_that_by_hand(blend):
    walk = fl.descend(PLAIN, START, DATA, step=0.05, count=300, blend=blend)
    assert np.abs(walk.weights(-1)["w"] - by_hand(0.05, 300, blend)).max() < 1e-12
    assert np.ptp(np.abs(walk.weights(-1)["w"])) < 1e-12


def test_a_wrong_blend_is_seen():
    walk = fl.descend(PLAIN, START, DATA, step=0.05, count=40, blend=0.5)
    assert np.abs(walk.weights(-1)["w"] - by_hand(0.05, 40, 0.0)).max() > 1e-4


WRONG = (
    (lambda: fl.descend(fl.Problem("w @ x", "square"), START, DATA, step=0.1, count=1, blend=1.0), "blocks on a grid"),
    (lambda: fl.descend(PLAIN, START, DATA, step=0.1, count=1, blend=-1.0), "from 0 on"),
    (lambda: fl.descend(PLAIN, START, DATA, step=0.1, count=1, blend=11.0), "at most 1"),
    (lambda: fl.derive(PLAIN), "without jumps"),
)


@pytest.mark.parametrize(("call", "told"), WRONG, ids=range(len(WRONG)))
def test_what_has_no_grid_is_said_in_a_sentence(call, told):
    with pytest.raises(fl.FlowlabError) as caught:
        call()
    assert told in str(caught.value)
