"""Kinks of weights themselves against a piecewise closed form: crossed, slid along and, where they repel, said.

Nets x @ a(θ) with a elementwise under the square loss: between kinks the flow of θ is linear.
"""

import jax
import numpy as np
import pytest
from scipy.linalg import expm
from scipy.optimize import brentq

jax.config.update("jax_enable_x64", True)

import flowlab as fl

SIDES = {
    "abs(w) @ x": (-1.0, 1.0),
    "relu(w) @ x": (0.0, 1.0),
    "leaky_relu(w, 0.1) @ x": (0.1, 1.0),
    "maximum(w, u) @ x": (0.0, 1.0),
}


class Piecewise:
    """θ' = Jᵀ Xᵀ(y - X J θ) with J the derivative of a by θ, at one slope per kink.

    The kink of entry i is w_i (or w_i - u_i): its slope moves from the one on its left to the one on its right.
    """

    def __init__(self, text, x, y):
        self.left, self.right = SIDES[text]
        self.two, self.x, self.y, self.d = "maximum" in text, x, y, x.shape[1]

    def kink(self, theta):
        return theta[: self.d] - theta[self.d :] if self.two else theta

    def jacobian(self, slopes):
        return np.hstack([np.diag(slopes), np.diag(1.0 - slopes)]) if self.two else np.diag(slopes)

    def drift(self, theta, slopes):
        J = self.jacobian(slopes)
        return self.kink(J.T @ self.x.T @ (self.y - self.x @ J @ theta))

    def slopes(self, side):
        """Of all entries; of those that slide the one at which the kink stays."""
        middle = 0.5 if self.two else np.clip(0.0, self.left, self.right)
        return np.where(side > 0, self.right, np.where(side < 0, self.left, middle))

    def at(self, theta, slopes, t):
        J = self.jacobian(slopes)
        A, b = -J.T @ self.x.T @ self.x @ J, J.T @ self.x.T @ self.y
        big = np.zeros((len(b) + 1, len(b) + 1))
        big[:-1, :-1], big[:-1, -1] = A, b
        return (expm(big * t) @ np.r_[theta, 1.0])[:-1]

    def distance(self, theta, slopes, side, i):
        """Positive as long as entry i stays on its side; of one that slides, as long as its right pushes back."""
        return (
            self.kink(theta)[i] * side
            if side
            else -self.drift(theta, np.where(np.arange(self.d) == i, self.right, slopes))[i]
        )

    def later(self, s, theta, slopes, side, i):
        return self.distance(self.at(theta, slopes, s), slopes, side, i)

    def run(self, theta, until):
        """(θ, log of (time, entry, side after), whether it ends on a kink that repels)."""
        side, t, log = np.where(self.kink(theta) > 0, 1, -1), 0.0, []
        grid = np.linspace(0.0, 1.0, 400)
        while True:
            slopes = self.slopes(side)
            states = np.array([self.at(theta, slopes, s * (until - t)) for s in grid])
            best = (until - t, -1)
            for i in range(self.d):
                told = [self.distance(v, slopes, side[i], i) for v in states]
                out = [j for j in range(2 if abs(told[0]) < 1e-9 else 1, len(told)) if told[j] < 0]
                if out:
                    ends = grid[[out[0] - 1, out[0]]] * (until - t)
                    best = min(best, (brentq(self.later, *ends, args=(theta, slopes, side[i], i), xtol=1e-15), i))
            dt, i = best
            theta, t = self.at(theta, slopes, dt), t + dt
            if i < 0:
                return theta, log, False
            if side[i] == 0:
                return theta, [*log, (t, i, 2)], True
            before, after = (
                self.drift(theta, np.where(np.arange(self.d) == i, s, slopes))[i] for s in (self.left, self.right)
            )
            side[i] = 0 if before >= 0 >= after else np.sign(after)
            log.append((t, i, int(side[i])))


def instance(text, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(6, 3))
    y = x @ np.array([1.0, -1.5, 0.4])
    start = {"w": rng.normal(size=3)} | ({"u": rng.normal(size=3)} if "maximum" in text else {})
    return x, y, start


def ran(text, x, y, start, until, coordinates="weights"):
    field = fl.lower(fl.derive(fl.Problem(fl.Network(text), "square", coordinates=coordinates)))
    return fl.integrate(
        field, fl.State.from_weights(start), fl.Data(x, y, kind="targets"), until=fl.time(until), rtol=1e-11, atol=1e-13
    )


def compared(text, seed, coordinates="weights"):
    """Run and closed form, side by side; answers with the kinks of the latter."""
    x, y, start = instance(text, seed)
    path = ran(text, x, y, start, 5.0, coordinates)
    reference = Piecewise(text, x, y)
    theta, log, repels = reference.run(np.concatenate(list(start.values())), 5.0)
    # Of relu(w) all entries may die; one that came to rest on its kink is there up to a rounding of the closed form.
    rests = not reference.jacobian(reference.slopes(np.where(reference.kink(theta) > 1e-12, 1, -1))).any()
    assert path.outcome.kind == ("nonunique" if repels else "stalled" if rests else "done"), path.outcome
    ds, met = path.dataset, [event for event in log if event[2] != 2]
    assert ds["kink_unit"].values.tolist() == [i for _, i, _ in met]
    assert ds["kink_after"].values.tolist() == [side for _, _, side in met]
    assert (ds["kink_sample"].values == -1).all()
    np.testing.assert_allclose(np.exp(ds["kink_log_t"].values), [t for t, _, _ in met], rtol=1e-8)
    end = np.concatenate([np.asarray(path.last.weights()[name]) for name in start])
    np.testing.assert_allclose(end, theta, atol=1e-8)
    return log


@pytest.mark.long
def test_the_kink_of_a_weight_is_met_and_slid_along():
    """Four starts of |w| @ x, one program; among their kinks are slides."""
    logs = [compared("abs(w) @ x", seed) for seed in range(4)]
    assert sum(side == 0 for log in logs for _, _, side in log) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("coordinates", ["weights", "polar"])
@pytest.mark.parametrize("text", list(SIDES))
def test_every_kink_of_weights_goes_as_its_closed_form(text, coordinates):
    assert sum(len(compared(text, seed, coordinates)) for seed in range(8))


def test_a_weight_on_a_kink_that_repels_has_no_one_flow():
    """At w = 0 the loss pulls |w| up: both signs are flows, and the place is said."""
    path = ran(
        "abs(w) @ x",
        np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        np.array([1.0, 1.0, 1.0]),
        {"w": [0.5, 0.0, 0.5]},
        1.0,
    )
    assert path.outcome.kind == "nonunique"
    assert "entry (1) of `w` is on its kink, which repels" in path.outcome.message


def test_descent_with_small_steps_chatters_about_the_same_slide():
    """The reference has a witness of its own: subgradient descent, to the size of its steps; and notices a
    wrong side.
    """
    x, y, start = instance("abs(w) @ x", 0)
    reference, w = Piecewise("abs(w) @ x", x, y), np.array(start["w"])
    theta, log, _ = reference.run(w, 2.0)
    assert any(side == 0 for _, _, side in log)
    for _ in range(20_000):
        w = w + 1e-4 * np.sign(w) * (x.T @ (y - x @ np.abs(w)))
    assert np.abs(w - theta).max() < 2e-3
    free = reference.at(np.array(start["w"]), np.sign(start["w"]), 2.0)
    assert np.abs(free - theta).max() > 1e-2
