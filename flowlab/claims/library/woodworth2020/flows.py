"""Diagonal linear nets b = w^D - u^D from w = u = α: under-determined instances, and the potentials whose minimisers
their flows go to.

With z = X^T ν, ν the time integral of residuals, both factors are functions of z alone, hence b = h(z), the gradient of
a convex H; so the limit solves X h(X^T ν) = y, found here by Newton's method on the dual, Σ_i H(x_i ν) - y ν.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.sample_problems import integrated
from flowlab.core.errors import ClaimError
from flowlab.dynamics import log_loss_below, time
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State

NET = "(w * w - u * u) @ x"
CUBIC = "(w * w * w - u * u * u) @ x"
SAMPLES, FEATURES = 3, 8


@dataclass(frozen=True)
class Instance:
    """An under-determined system X b = y whose minimiser of the l1 norm is not that of the l_{2/3} quasi-norm.

    Attributes:
        x, y: (n, d) and (n,).
        sparse: the minimiser of the l1 norm; `support`: where it is not zero, n places.
        other: the minimiser of sum |b|^(2/3).
        dual: ν with X_S^T ν = sign b_S; `slack`: the largest |x_j ν| off the support, at `worst`.
    """

    x: np.ndarray
    y: np.ndarray
    sparse: np.ndarray
    support: np.ndarray
    other: np.ndarray
    dual: np.ndarray
    slack: float
    worst: int


def vertices(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """All basic solutions of X b = y, (choose(d, n), d): concave functions of |b| are least at one of them."""
    n, d = x.shape
    places = np.array(list(combinations(range(d), n)))
    points = np.zeros((len(places), d))
    solved = np.linalg.solve(np.moveaxis(x[:, places], 1, 0), np.broadcast_to(y[:, None], (len(places), n, 1)))[..., 0]
    np.put_along_axis(points, places, solved, axis=1)
    return points


def instance(seed: int) -> Instance:
    """The first draw of the seed that is far from degenerate: dual slack below 0.7, entries above 0.1, both minimisers
    a quarter apart.
    """
    rng = np.random.default_rng(seed)
    for _ in range(20_000):
        x, y = rng.normal(size=(SAMPLES, FEATURES)), rng.normal(size=SAMPLES)
        corners = vertices(x, y)
        sparse, other = (
            corners[np.abs(corners).sum(axis=1).argmin()],
            corners[(np.abs(corners) ** (2 / 3)).sum(axis=1).argmin()],
        )
        support = np.flatnonzero(sparse)
        if (
            len(support) < SAMPLES
            or np.abs(sparse[support]).min() < 0.1
            or np.linalg.norm(sparse - other) < 0.25
            or np.abs(sparse).max() > 2.0
        ):
            continue
        dual = np.linalg.solve(x[:, support].T, np.sign(sparse[support]))
        off = np.abs(dual @ x)
        off[support] = 0.0
        if off.max() < 0.7:
            return Instance(x, y, sparse, support, other, dual, float(off.max()), int(off.argmax()))
    raise ClaimError(f"no draw of seed {seed} is far from degenerate; try another seed.")


def samples(case: Case) -> "tuple[Data, Instance | None]":
    """The data given, or those of an instance of the seed, as samples of a problem."""
    if case.data is not None:
        return case.data, None
    own = case.once("sparse instance", lambda: instance(case.seed))
    return Data(own.x, own.y, name=f"sparse regression seed={case.seed}", kind="targets"), own


def limit(case: Case, data: Data, alpha: float, net: str = NET) -> np.ndarray:
    """Where the flow from w = u = α goes, (d,); integrated until the loss is 1e-19."""
    start = State.from_weights({"w": np.full(data.d, alpha), "u": np.full(data.d, alpha)})
    problem = Problem(net, "square", coordinates="weights")
    path = integrated(
        case,
        f"{net} alpha {alpha:g}",
        problem,
        start,
        data,
        [log_loss_below(-44.0), time(1e4)],
        rtol=1e-11,
        atol=1e-15,
        solver="tsit5",
        max_steps=20_000,
    )
    w, u = (np.asarray(path.last.weights()[name]) for name in "wu")
    return w * w - u * u if net == NET else w**3 - u**3


def newton(
    x: np.ndarray, y: np.ndarray, value: Callable, slope: Callable, curve: Callable, start: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(b, ν) with b = slope(X^T ν) and X b = y, by damped Newton steps on Σ value(X^T ν) - y ν; `value` is inf outside
    its domain.
    """
    nu = np.zeros(len(y)) if start is None else start
    height = lambda v: float(value(x.T @ v).sum() - y @ v)  # noqa: E731
    for _ in range(400):
        z = x.T @ nu
        g = x @ slope(z) - y
        step = np.linalg.solve((x * curve(z)) @ x.T, g)
        size, here = 1.0, height(nu)
        while size > 1e-12 and not height(nu - size * step) <= here - 1e-4 * size * float(g @ step) + 1e-14 * abs(here):
            size *= 0.5
        nu = nu - size * step
        if np.linalg.norm(step) <= 1e-15 * (1.0 + np.linalg.norm(nu)):
            break
    return slope(x.T @ nu), nu


def entropy_limit(x: np.ndarray, y: np.ndarray, alpha: float, near: Instance | None = None) -> np.ndarray:
    """The minimiser of Q_α over X b = y: b = 2 α^2 sinh(X^T ν); `near` tells where ν is for small α."""
    scale, start = 2 * alpha**2, None
    if near is not None:
        entries = near.sparse[near.support]
        start = np.linalg.solve(x[:, near.support].T, np.arcsinh(entries / scale))

    def value(z: np.ndarray) -> np.ndarray:
        # A first step can be far too long: it is shortened until it is finite.
        return np.where(np.abs(z) < 600, scale * np.cosh(np.clip(z, -600, 600)), np.inf)

    return newton(x, y, value, lambda z: scale * np.sinh(z), lambda z: scale * np.cosh(z), start)[0]


def cubic_limit(x: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
    """The same for D = 3: b = α^3 [(1 - z)^-3 - (1 + z)^-3], |z| < 1."""
    scale = alpha**3

    def value(z: np.ndarray) -> np.ndarray:
        inside = np.abs(z) < 1
        z = np.where(inside, z, 0.0)
        return np.where(inside, 0.5 * scale * ((1 - z) ** -2 + (1 + z) ** -2), np.inf)

    return newton(
        x,
        y,
        value,
        lambda z: scale * ((1 - z) ** -3 - (1 + z) ** -3),
        lambda z: 3 * scale * ((1 - z) ** -4 + (1 + z) ** -4),
    )[0]


def entropy(b: np.ndarray, alpha: float) -> float:
    """Q_α(b) = α^2 Σ q(b_i/α^2), q(z) = 2 - sqrt(4 + z^2) + z asinh(z/2)."""
    z = b / alpha**2
    return float(alpha**2 * (2 - np.sqrt(4 + z * z) + z * np.arcsinh(z / 2)).sum())


def off_rows(x: np.ndarray, v: np.ndarray) -> float:
    """The part of v outside of the row space of X, relative to v."""
    return float(np.linalg.norm(v - np.linalg.pinv(x) @ (x @ v)) / np.linalg.norm(v))


def extrapolated_order(sizes: np.ndarray, ratio: float, power: float) -> tuple[float, float]:
    """The exponent p of sizes ~ α^p from values of α in geometric progression, corrections of relative order α^power
    taken off; and its bar.
    """
    slopes = np.diff(np.log(sizes)) / np.log(ratio)
    gain = ratio**power
    once = (slopes[1:] - gain * slopes[:-1]) / (1 - gain)
    return float(once[-1]), float(abs(once[-1] - once[-2]))
