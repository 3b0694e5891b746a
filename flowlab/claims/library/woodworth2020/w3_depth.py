"""W3, W4: deeper diagonal nets, and what scale and width are to each other."""

from typing import Any

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import about
from flowlab.claims.library.woodworth2020.flows import (
    CUBIC,
    NET,
    Instance,
    cubic_limit,
    extrapolated_order,
    limit,
    off_rows,
    samples,
)
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


def inverse_h(b: np.ndarray) -> np.ndarray:
    """The z with (1 - z)^-3 - (1 + z)^-3 = b, by bisection to the last bit."""
    low, high = np.full_like(b, -1.0), np.full_like(b, 1.0)
    for _ in range(80):
        z = 0.5 * (low + high)
        with np.errstate(divide="ignore"):
            above = (1 - z) ** -3 - (1 + z) ** -3 > b
        low, high = np.where(above, low, z), np.where(above, z, high)
    return 0.5 * (low + high)


@claim("W3")
class DeepDiagonal(Claim):
    """b = w^3 - u^3: a potential of its own that tends to l1, not to l_{2/3}, and with a power of α whatever the duals."""

    title = "diagonal nets of depth three"
    statement = (
        "The flow of b = w^3 - u^3 from w = u = alpha ends where h^-1(b/alpha^3) is in the row space of X, h(z) = (1 - z)^-3 - (1 + z)^-3; as alpha -> 0 "
        "that is the minimiser "
        "of the l1 norm, up to order alpha^3."
    )
    latex = (
        r"h_D^{-1}(b/\alpha^D) \in \mathrm{row}(X), \quad h_D(z) = (1-z)^{-\frac{D}{D-2}} - (1+z)^{-\frac{D}{D-2}}, \quad \lVert b_\alpha - "
        r"b_{\ell_1}\rVert = O(\alpha^D)"
    )
    source = "Woodworth et al. 2020, theorem 3 and section 5 (numbers not checked); order derived here"
    hypotheses = (about(CUBIC),)
    stated = Variant(dual=lambda b, alpha: inverse_h(b / alpha**3), order=3.0, apart=(0.2, 0.0, ">="))
    mutants = (
        stated.but(USUAL, apart=(0.0, 1e-2, "<=")),
        stated.but("hyperbolic entropy", dual=lambda b, alpha: np.arcsinh(b / (2 * alpha**2))),
        stated.but("order two", order=2.0),
    )
    counter_example = "hyperbolic entropy: the potential of depth two"
    usual = "A diagonal net of depth D minimises the l_{2/D} quasi-norm in the limit of small starts."
    decisive = "the distance of the limit from the l_{2/3} minimiser, above 0.25, while that from the l1 minimiser falls like alpha^3"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data, own = samples(case)
        assert own is not None
        alpha = 0.3
        b = limit(case, data, alpha, CUBIC)
        dual = variant.dual(b, alpha)
        alphas = 0.04 * 0.5 ** np.arange(6)
        small = case.once("cubic limits", lambda: np.stack([cubic_limit(own.x, own.y, float(a)) for a in alphas]))
        order, bar = extrapolated_order(np.linalg.norm(small - own.sparse, axis=1), 0.5, 1.0)
        best = cubic_limit(own.x, own.y, alpha)
        told = [
            Quantity("part of h^-1(b/alpha^3) outside the row space", off_rows(own.x, dual), 0.0, 1e-8, relation="<="),
            Quantity(
                "relative distance from the dual's minimiser",
                float(np.linalg.norm(b - best) / np.linalg.norm(best)),
                0.0,
                1e-7,
                relation="<=",
            ),
            Quantity(
                "exponent of alpha in the distance from l1",
                order,
                variant.order,
                1e-2,
                error=bar,
                route="Newton on the dual",
            ),
        ]
        apart = float(np.linalg.norm(small[-1] - own.other))
        bound, tolerance, relation = variant.apart
        name = "distance from the l_{2/3} minimiser at alpha = 0.00125"
        told.append(Quantity(name, apart, bound, tolerance, relation=relation))
        return Measurement.of(
            told,
            "the order is extrapolated in alpha; the bar is what the last halving changed",
            distances=np.linalg.norm(small - own.sparse, axis=1).tolist(),
        )


@claim("W4")
class ScaleAndWidth(Claim):
    """Large starts follow the kernel; k units per entry at scale α/√k are one unit at scale α."""

    title = "the kernel regime, by scale or by width"
    statement = (
        "In the time 8 alpha^2 t the flow of a diagonal net follows that of its kernel up to order alpha^-4; "
        "k pairs of units per entry that start at alpha/sqrt(k) move exactly as one pair at alpha, so that width at a fixed scale acts as scale."
    )
    latex = r"\sup_\tau \lVert b(\tau) - b_{\mathrm{ker}}(\tau)\rVert = O(\alpha^{-4}), \quad \sum_{i\le k}(w_i^2 - u_i^2),\ \alpha/\sqrt{k}"
    source = "Woodworth et al. 2020, sections 3 and 6 (numbers not checked); order and exact scaling derived here from dw^2 + du^2 = sqrt(4 alpha^4 + b^2)"
    hypotheses = (about(NET),)
    stated = Variant(order=-4.0, scale=lambda width: 0.3 / np.sqrt(width))
    mutants = (
        stated.but("order two", order=-2.0),
        stated.but("width at the scale of one unit", scale=lambda _: 0.3),
    )
    counter_example = (
        "width at the scale of one unit: k units at alpha are one at alpha sqrt(k), deeper in the kernel regime"
    )

    def measure(self, case: Case, variant: Variant) -> Measurement:
        _, own = samples(case)
        assert own is not None
        alphas = 2.0 * 2.0 ** np.arange(4)
        gaps = case.once("kernel gaps", lambda: np.array([self._kernel_gap(own, float(a)) for a in alphas]))
        order, bar = extrapolated_order(gaps, 2.0, -4.0)
        width = 4
        scale = variant.scale(width)
        one, many = self._units(own, 0.3, 1), self._units(own, float(scale), width)
        flow = limit(case, samples(case)[0], 0.3)
        return Measurement.of(
            [
                Quantity(
                    "exponent of alpha in the distance from the kernel's flow",
                    order,
                    variant.order,
                    1e-2,
                    error=bar,
                    route="DOP853",
                ),
                Quantity(
                    "largest difference of four units from one on the way",
                    float(abs(many - one).max()),
                    0.0,
                    1e-8,
                    relation="<=",
                ),
                Quantity(
                    "largest difference of one unit's end from the flow's",
                    float(abs(one[-1] - flow).max()),
                    0.0,
                    1e-7,
                    relation="<=",
                ),
            ],
            "the order is extrapolated in alpha^-4; units are integrated to local errors of 1e-12",
        )

    @staticmethod
    def _kernel_gap(own: Instance, alpha: float) -> float:
        from scipy.integrate import solve_ivp

        values, vectors = np.linalg.eigh(own.x @ own.x.T)
        times = np.linspace(0.0, 8.0 / values[0], 400)

        def rate(_: float, b: np.ndarray) -> np.ndarray:
            # db/dt = -4 (w^2 + u^2) g with w^2 + u^2 = sqrt(4 α^4 + b^2), in the time 8 α^2 t.
            return -np.sqrt(1 + (b / (2 * alpha**2)) ** 2) * (own.x.T @ (own.x @ b - own.y))

        found = solve_ivp(
            rate, (0.0, times[-1]), np.zeros(own.x.shape[1]), method="DOP853", t_eval=times, rtol=1e-12, atol=1e-13
        ).y.T
        done = (vectors * ((1 - np.exp(-values * times[:, None])) / values)[:, None, :]) @ vectors.T
        return float(np.linalg.norm(found - (done @ own.y) @ own.x, axis=1).max())

    @staticmethod
    def _units(own: Instance, scale: float, width: int) -> np.ndarray:
        from scipy.integrate import solve_ivp

        d = own.x.shape[1]

        def rate(_: float, v: np.ndarray) -> np.ndarray:
            w, u = v.reshape(2, width, d)
            g = own.x.T @ (own.x @ (w * w - u * u).sum(axis=0) - own.y)
            return np.concatenate([(-2 * w * g).ravel(), (2 * u * g).ravel()])

        times = np.linspace(0.0, 60.0, 61)
        found: Any = solve_ivp(
            rate, (0.0, 60.0), np.full(2 * width * d, scale), method="DOP853", t_eval=times, rtol=1e-12, atol=1e-14
        ).y.T
        w, u = np.moveaxis(found.reshape(len(times), 2, width, d), 1, 0)
        return (w * w - u * u).sum(axis=1)
