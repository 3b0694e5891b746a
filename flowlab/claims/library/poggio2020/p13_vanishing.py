"""P13: the constrained minimum as its norm grows, which is the maximum margin in the limit and at a known distance
before.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.poggio2020.flows import SMALLEST, across, constant, machine, unequal_duals
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import separable
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.late.richardson import richardson

if TYPE_CHECKING:
    from flowlab.language.data import Data

NORMS = tuple(5.0 * 2.0**i for i in range(7))
"""R at which the bounds are checked."""
_LATE = tuple(2.0**i for i in range(12, 20))
"""R at which limits are read."""


def at_fixed_norm(z: np.ndarray, R: float, V: np.ndarray) -> np.ndarray:
    """The unit vector of least Σ exp(-R z_n V), (d,), by Newton steps on the sphere from V."""
    for _ in range(200):
        q = R * (z @ V)
        p = np.exp(q.min() - q)
        p /= p.sum()
        mean = z.T @ p
        tangent = np.eye(len(V)) - np.outer(V, V)
        hessian = R * ((z.T * p) @ z - np.outer(mean, mean)) + (mean @ V) * np.eye(len(V))
        step = np.linalg.solve(tangent @ hessian @ tangent + np.outer(V, V), tangent @ mean)
        step *= min(1.0, 1.0 / max(R * float(np.abs(z @ step).max()), 1e-300))
        V = (V + step) / np.linalg.norm(V + step)
        if np.linalg.norm(step) < 1e-15:
            break
    return V


@claim("P13")
class VanishingRegularisation(Claim):
    """γ* - log N/R ≤ min_n f̄_n(V_R) ≤ γ*, and R(γ* - min f̄), R‖V_R - V*‖ tend to what the multipliers say."""

    title = "vanishing regularisation of one layer"
    statement = (
        "On separable data with exponential loss the direction V_R of least loss at norm R has gamma - log(N)/R <= "
        "min_n f_n(V_R) <= gamma. R (gamma - min_n f_n) tends to max_n log alpha_n + gamma v* w~. R |V_R - v*| tends "
        "to C* = |P_perp w~|, the constant of the flow on the span of the support."
    )
    latex = (
        r"\gamma - \frac{\log N}{R} \le \min_n \bar f_n(V_R) \le \gamma, \qquad R\,(\gamma - \min_n \bar f_n(V_R)) \to "
        r"\max_n \log\alpha_n + \gamma \langle v^*, \tilde w\rangle, "
        r"\qquad R\,\lVert V_R - v^*\rVert \to \lVert P_\perp \tilde w\rVert"
    )
    source = (
        "Rosset, Zhu and Hastie 2004, theorem 2.1 (number not checked); Poggio, Banburski, Liao 2020; constants after "
        "Soudry et al. 2018"
    )
    hypotheses = (unequal_duals,)
    stated = Variant(multipliers=lambda alpha: alpha, without=0.0, bound=lambda n, _: math.log(n))
    mutants = (
        stated.but("half of the gap as bound", bound=lambda _, lacks: 0.5 * lacks),
        stated.but("all multipliers equal", multipliers=lambda alpha: np.full(len(alpha), alpha.mean())),
        stated.but("largest multiplier left out", without=1.0),
    )
    counter_example = "half of the gap as bound: a margin nearer to gamma than what it lacks"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data = case.once("P13 data", lambda: case.data if case.data is not None else _drawn(case.seed))
        w, support, alpha, _ = machine(data)
        gamma, v = 1.0 / float(np.linalg.norm(w)), w / np.linalg.norm(w)
        z = np.asarray(data.x) * np.asarray(data.y)[:, None]
        alpha = variant.multipliers(alpha)
        bounded = np.linalg.lstsq(z[support], -np.log(alpha), rcond=None)[0]
        star, along = across(bounded, v), float(np.log(alpha).max() + gamma * (v @ bounded))
        near = case.once("P13 curve", lambda: _curve(data, z, v))
        far = case.once("P13 far", lambda: _newton(z, v, _LATE))
        newton = case.once("P13 newton", lambda: _newton(z, v, NORMS))
        R = np.array(_LATE)
        lacks, apart = R * np.array([gamma - float((z @ V).min()) for V in far]), R * np.linalg.norm(far - v, axis=1)
        along -= variant.without * float(np.log(alpha).max())
        gap, distance = (richardson(R, y, drift=1e-9 * abs(float(y[-1]))) for y in (lacks, apart))
        lacking = np.array(NORMS) * [gamma - float((z @ V).min()) for V in near]
        bound = variant.bound(data.n, float(lacking.max()))
        return Measurement.of(
            [
                *_bounds(z, gamma, bound, near, newton, far),
                Quantity(
                    "limit of R (gamma - margin)",
                    gap.value,
                    along,
                    3e-3 * abs(along),
                    gap.error,
                    route="Newton to R = 5e5, extrapolated",
                ),
                Quantity(
                    "limit of R |V_R - v*|",
                    distance.value,
                    star,
                    3e-3 * star,
                    distance.error,
                    route="Newton to R = 5e5, extrapolated",
                    second=_linearised(z[support], v, far[-1], R[-1]),
                    second_route="logarithms of the softmax at R = 5e5",
                ),
            ],
            "bounds are exact; limits to 3 parts in 1000",
            multipliers=alpha.tolist(),
            **({} if case.data is not None else {"differs": _DIFFERS}),
            seen={
                "R": list(NORMS),
                "R (gamma - margin)": lacking.tolist(),
                "R |V_R - v*|": (np.array(NORMS) * np.linalg.norm(near - v, axis=1)).tolist(),
            },
        )


_DIFFERS = (
    ".134 and .1607 are limits on eight samples that are not recorded; here both are those of a draw of its own, "
    "each against its closed form"
)


def _bounds(
    z: np.ndarray, gamma: float, bound: float, near: np.ndarray, newton: np.ndarray, far: np.ndarray
) -> list[Quantity]:
    """The gap of the margin between its bounds, at all norms, and the curve against Newton's method."""
    lowest = [float((z @ V).min()) for V in near]
    largest = max(R * (gamma - low) for R, low in zip(NORMS, lowest, strict=True))
    lacking = (gamma - (np.concatenate([newton, far]) @ z.T).min(axis=1)) * [*NORMS, *_LATE]
    name, route = "R (gamma - margin), R =", "curve of critical points"
    return [
        Quantity(f"largest {name} 5..320", largest, bound, 0.0, relation="<=", route=route),
        Quantity(
            f"largest {name} 5..524288",
            float(lacking.max()),
            bound,
            0.0,
            relation="<=",
            route="Newton steps on the sphere",
        ),
        Quantity(
            "smallest gamma - margin, R = 5..320", gamma - max(lowest), 0.0, 1e-13 * gamma, relation=">=", route=route
        ),
        Quantity(
            "curve of critical points against Newton, R = 5..320",
            float(np.abs(near - newton).max()),
            0.0,
            1e-8,
            route=route,
        ),
    ]


def _drawn(seed: int) -> "Data":
    return next(d for i in range(100) if constant(d := separable(8, 3, seed + 1000 * i)) > SMALLEST)


def _curve(data: "Data", z: np.ndarray, v: np.ndarray) -> np.ndarray:
    """V_R at `NORMS` from the continuation in R."""
    from flowlab.discrete.continuation.paths import norm_path
    from flowlab.language.problem import Problem
    from flowlab.language.state import State

    first = at_fixed_norm(z, NORMS[0], v)
    curve = norm_path(
        Problem("W1 @ x"),
        data,
        norms=(NORMS[0], NORMS[-1] * 1.01),
        start=State.from_weights({"W1": NORMS[0] * first[None]}),
        switch=False,
    )
    points = [curve.at(math.log(R), branch=0)[0]["W1"].ravel() for R in NORMS]
    return np.array([w / np.linalg.norm(w) for w in points])


def _newton(z: np.ndarray, v: np.ndarray, norms: tuple[float, ...]) -> np.ndarray:
    """V_R at some norms, each from the one before."""
    V, directions = v, []
    for R in norms:
        V = at_fixed_norm(z, R, V)
        directions.append(V)
    return np.array(directions)


def _linearised(z: np.ndarray, v: np.ndarray, V: np.ndarray, R: float) -> float:
    """|P_perp w~| with w~ from log p_n, the softmax over the support at V_R: log α_n up to a constant there."""
    q = R * (z @ V)
    p = np.exp(q.min() - q)
    return across(np.linalg.lstsq(z, -np.log(p / p.sum()), rcond=None)[0], v)
