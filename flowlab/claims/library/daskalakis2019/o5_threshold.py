"""O5, O6, O9: how large the step may be, what contracts, and how late the last iterate can be."""

from math import exp
from typing import Any

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.daskalakis2019.flows import GAME, X, Y, frequencies, inside, jacobian, radius, step
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


def _at_radius_one(A: np.ndarray, x: np.ndarray, y: np.ndarray, top: float) -> float:
    """η τ_max where the spectral radius of the derivative is one."""
    from scipy.optimize import brentq

    step_size: Any = brentq(lambda eta: radius(A, x, y, eta) - 1, 0.3 / top, 0.9 / top, xtol=1e-14)
    return top * step_size


@claim("O5")
class SharpStep(Claim):
    """Stable iff η τ_max < 1/√3."""

    title = "the sharp step of optimistic multiplicative weights"
    statement = (
        "At an interior equilibrium of a bilinear game with frequencies tau of the replicator flow, optimistic multiplicative weights is locally stable "
        "iff eta tau_max < 1/sqrt(3)."
    )
    latex = r"\lambda^2 - (1 + 2i\sigma)\lambda + i\sigma = 0, \quad |\lambda| < 1 \iff \sigma = \eta\tau_{\max} < \tfrac{1}{\sqrt 3}"
    source = "Daskalakis, Panageas 2019 (spectrum); threshold derived here: |lambda| = 1 at sigma = 1/sqrt(3), lambda = e^(i pi/3)"
    hypotheses = (own_instances,)
    stated = Variant(threshold=3.0**-0.5, found=_at_radius_one, below=(1e-12, "<="))
    mutants = (
        stated.but(USUAL, threshold=1e-3, below=(1e-3, ">=")),
        stated.but("threshold one half", threshold=0.5),
        stated.but("plain multiplicative weights", found=lambda *_: 0.0),
    )
    counter_example = "plain multiplicative weights: |1 + i sigma| > 1 at every step"
    usual = "Convergence needs a step that is exponentially small in the smallest weight of the equilibrium."
    decisive = "convergence at eta tau_max = .57, divergence at .585: 1/sqrt(3) = .57735"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        told = []
        games = [(GAME, X, Y), *case.once("games", lambda: [self._game(case.seed, k) for k in range(2)])]
        for i, (A, x, y) in enumerate(games):
            top = float(frequencies(A, x, y)[0])
            found = variant.found(A, x, y, top)
            name = f"random game {i}" if i else "the 3 x 3 game"
            told.append(
                Quantity(
                    f"eta tau_max where the spectral radius is one, {name}",
                    found,
                    variant.threshold,
                    1e-7,
                    route="derivative of the map",
                    printed=".57735" if i == 0 else "",
                )
            )
        below, above = case.once("two runs", lambda: [self._run(s) for s in (0.57, 0.585)])
        # As usually stated nothing converges at .57; the same number is held against that.
        told.append(
            Quantity("distance after 6000 steps at .57", below, variant.below[0], 0.0, relation=variant.below[1])
        )
        told.append(Quantity("distance after 6000 steps at .585", above, 1e-3, 0.0, relation=">="))
        return Measurement.of(
            told,
            "eigenvalues of a derivative that is exact to roundings; runs begin 1e-3 from the equilibrium",
            lambda_at_threshold=self._at_threshold(),
        )

    @staticmethod
    def _at_threshold() -> str:
        """The root of modulus one at σ = 1/√3, by exact algebra."""
        import sympy as sp

        sigma, lam = 1 / sp.sqrt(3), sp.exp(sp.I * sp.pi / 3)
        rest = sp.simplify(sp.expand((lam**2 - (1 + 2 * sp.I * sigma) * lam + sp.I * sigma).rewrite(sp.cos)))
        return f"lambda = exp(i pi/3): remainder {rest}"

    @staticmethod
    def _run(sigma: float) -> float:
        eta = sigma / float(frequencies(GAME, X, Y)[0])
        x = X + 1e-3 * np.array([1.0, -1.0, 0.0])
        y = Y + 1e-3 * np.array([0.0, 1.0, -1.0])
        x0, y0 = x, y
        for _ in range(6000):
            (x, y), x0, y0 = step(GAME, x, y, x0, y0, eta), x, y
        return float(np.abs(x - X).sum() + np.abs(y - Y).sum())

    @staticmethod
    def _game(seed: int, which: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A random 3 x 3 game with a given interior equilibrium."""
        rng = np.random.default_rng((seed, which))
        x, y = rng.dirichlet(np.full(3, 4.0)), rng.dirichlet(np.full(3, 4.0))
        B = rng.normal(size=(3, 3))
        # Rows and columns are shifted until x and y make the other indifferent.
        B = B - np.outer(B @ y, np.ones(3))
        return B - np.outer(np.ones(3), x @ B), x, y


@claim("O6")
class NoContraction(Claim):
    """Locally stable, but no contraction in the Euclidean norm."""

    title = "stable, but no contraction"
    statement = (
        "At eta = 0.1 the derivative of optimistic multiplicative weights at the equilibrium has a spectral radius below one and a Euclidean norm above "
        "one: distances can grow in a step."
    )
    latex = r"\rho(J) = .99717 < 1 < \lVert J\rVert_2 = 1.443"
    source = (
        'Daskalakis, Panageas 2019, abstract of version 1 ("becomes a contracting map"); version 5 says locally stable'
    )
    hypotheses = (own_instances,)
    stated = Variant(norm=">=", radius=(1.0, "<="), power=1)
    mutants = (
        stated.but(USUAL, norm="<="),
        stated.but("unstable", radius=(1.01, ">=")),
        stated.but("formula without the square", power=2),
    )
    counter_example = "unstable: a spectral radius above one"
    usual = "Near the equilibrium the map is a contraction."
    decisive = "the Euclidean norm of the derivative, 1.443, with a spectral radius of .99717"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        eta = 0.1
        B, J = inside(3, 3), jacobian(GAME, X, Y, eta)
        norm, rho = float(np.linalg.norm(B.T @ J @ B, 2)), radius(GAME, X, Y, eta)
        sigma = eta * frequencies(GAME, X, Y)
        factors = np.sqrt((1 + np.sqrt(1 - 4 * sigma**2)) / 2) ** variant.power
        grown = self._growth(J, B, eta)
        bound, relation = variant.radius
        return Measurement.of(
            [
                Quantity(
                    "spectral radius",
                    rho,
                    float(factors.max()),
                    1e-9,
                    route="derivative of the map",
                    altered=1e-3,
                    printed=".99717",
                ),
                Quantity("Euclidean norm of the derivative", norm, 1.0, 0.0, relation=variant.norm, printed="1.443"),
                Quantity(
                    "largest growth of a distance of 1e-6 in one step of the map itself",
                    grown,
                    norm,
                    1e-4 * norm,
                    route="the map",
                ),
                Quantity("bound on the spectral radius", rho, bound, 0.0, relation=relation),
            ],
            "derivatives are exact to roundings; the map is stepped from 1e-6 away, along the direction that grows most",
        )

    @staticmethod
    def _growth(J: np.ndarray, B: np.ndarray, eta: float) -> float:
        direction = B @ np.linalg.svd(B.T @ J @ B)[2][0]
        z = np.concatenate([X, Y, X, Y]) + 1e-6 * direction
        x, y, x0, y0 = np.split(z, 4)
        p, q = step(GAME, x, y, x0, y0, eta)
        after = np.concatenate([p, q, x, y]) - np.concatenate([X, Y, X, Y])
        return float(np.linalg.norm(after)) / 1e-6


@claim("O9")
class NoUniformRate(Claim):
    """Games of size one on which the last iterate is at a gap of a half after any given time."""

    title = "no uniform rate of the last iterate"
    statement = (
        "On A_d = [[1/2 + d, 1/2], [0, 1]] the duality gap of the last iterate from the uniform start exceeds 0.4 at a time above 50/d, for every d: no "
        "rate holds for all games."
    )
    latex = r"\max_{t > 1/d} \mathrm{gap}(x_t, y_t) = .425,\ .485,\ .491 \text{ for } d = 10^{-1}, 10^{-2}, 10^{-3}"
    source = "Cai, Farina, Grand-Clément, Kroer, Lee, Luo, Zheng 2024, restated"
    hypotheses = (own_instances,)
    stated = Variant(of=0, least=lambda _: 0.4, relation=">=")
    mutants = (
        stated.but(USUAL, relation="<="),
        stated.but("gap of the averages", of=1),
        stated.but("a gap that goes with d", least=lambda d: 4 * d, relation="<="),
    )
    counter_example = "gap of the averages: those have a uniform rate, and are below 0.4 by then"
    usual = "The last iterate of optimistic multiplicative weights converges fast, as its averages do."
    decisive = "gaps of .425, .485, .491 at t = 546, 5197, 51902 for d = .1, .01, .001"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        ds = (0.1, 0.01, 0.001)
        runs = case.once("last iterates", lambda: [self._run(d, int(100 / d)) for d in ds])
        told = []
        for d, gaps, wanted, at in zip(ds, runs, (".425", ".485", ".491"), ("546", "5197", "51902"), strict=True):
            gap = gaps[variant.of]
            late = int(1 / d) + int(np.argmax(gap[int(1 / d) :]))
            told.append(
                Quantity(
                    f"largest gap after t = 1/d, d = {d:g}",
                    float(gap[late]),
                    variant.least(d),
                    0.0,
                    relation=variant.relation,
                    printed=wanted,
                )
            )
            told.append(Quantity(f"its time, d = {d:g}", float(late), 50 / d, 0.0, relation=">=", printed=at))
        return Measurement.of(
            told, "exact recurrences in the logarithms of odds", shares=[float((g > 0.1).mean()) for g, _ in runs]
        )

    @staticmethod
    def _run(d: float, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Gaps of the last iterates and of their averages; both players by the log odds of their first action."""
        eta, a, b = 0.1, 0.0, 0.0
        p = q = 0.5
        last_x = last_y = None
        sum_p = sum_q = 0.0
        gaps, means = np.empty(count), np.empty(count)

        def gap(p: float, q: float) -> float:
            rows = ((0.5 + d) * q + 0.5 * (1 - q), 1 - q)
            columns = ((0.5 + d) * p, 0.5 * p + 1 - p)
            return max(columns) - min(rows)

        for t in range(count):
            gaps[t] = gap(p, q)
            sum_p, sum_q = sum_p + p, sum_q + q
            means[t] = gap(sum_p / (t + 1), sum_q / (t + 1))
            # Differences of the two actions: x loses, y wins.
            now_x = (0.5 + d) * q + 0.5 * (1 - q) - (1 - q)
            now_y = (0.5 + d) * p - (0.5 * p + 1 - p)
            a += eta * (-2 * now_x + (now_x if last_x is None else last_x))
            b += eta * (2 * now_y - (now_y if last_y is None else last_y))
            last_x, last_y = now_x, now_y
            p, q = 1 / (1 + exp(-a)), 1 / (1 + exp(-b))
        return gaps, means
