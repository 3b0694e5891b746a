"""W4: what scale and width are to each other."""

from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import about
from flowlab.claims.library.woodworth2020.flows import NET, Instance, extrapolated_order, limit, samples
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("W4")
class ScaleAndWidth(Claim):
    """Large starts follow the kernel; k units per entry at scale α/√k are one unit at scale α."""

    title = "the kernel regime, by scale or by width"
    statement = (
        "In the time 8 alpha^2 t the flow of a diagonal net follows that of its kernel up to order alpha^-4. k pairs "
        "of units per entry from alpha/sqrt(k) move exactly as one pair from alpha: width at a fixed scale acts as "
        "scale."
    )
    latex = (
        r"\sup_\tau \lVert b(\tau) - b_{\mathrm{ker}}(\tau)\rVert = O(\alpha^{-4}), \quad \sum_{i\le k}(w_i^2 - "
        r"u_i^2),\ \alpha/\sqrt{k}"
    )
    source = (
        "Woodworth et al. 2020, sections 3 and 6 (numbers not checked); order and exact scaling derived here from "
        "dw^2 + du^2 = sqrt(4 alpha^4 + b^2)"
    )
    hypotheses = (about(NET),)
    stated = Variant(order=-4.0, scale=lambda width: 0.3 / np.sqrt(width))
    mutants = (stated.but("order two", order=-2.0), stated.but("width at the scale of one unit", scale=lambda _: 0.3))
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
        values, vectors = np.linalg.eigh(own.x @ own.x.T)
        times = np.linspace(0.0, 8.0 / values[0], 400)

        def rate(_: float, b: np.ndarray) -> np.ndarray:
            # db/dt = -4 (w^2 + u^2) g with w^2 + u^2 = sqrt(4 α^4 + b^2), in the time 8 α^2 t.
            return -np.sqrt(1 + (b / (2 * alpha**2)) ** 2) * (own.x.T @ (own.x @ b - own.y))

        solution = solve_ivp(
            rate, (0.0, times[-1]), np.zeros(own.x.shape[1]), method="DOP853", t_eval=times, rtol=1e-12, atol=1e-13
        ).y.T
        done = (vectors * ((1 - np.exp(-values * times[:, None])) / values)[:, None, :]) @ vectors.T
        return float(np.linalg.norm(solution - (done @ own.y) @ own.x, axis=1).max())

    @staticmethod
    def _units(own: Instance, scale: float, width: int) -> np.ndarray:
        d = own.x.shape[1]

        def rate(_: float, v: np.ndarray) -> np.ndarray:
            w, u = v.reshape(2, width, d)
            g = own.x.T @ (own.x @ (w * w - u * u).sum(axis=0) - own.y)
            return np.concatenate([(-2 * w * g).ravel(), (2 * u * g).ravel()])

        times = np.linspace(0.0, 60.0, 61)
        solution: Any = solve_ivp(
            rate, (0.0, 60.0), np.full(2 * width * d, scale), method="DOP853", t_eval=times, rtol=1e-12, atol=1e-14
        ).y.T
        w, u = np.moveaxis(solution.reshape(len(times), 2, width, d), 1, 0)
        return (w * w - u * u).sum(axis=1)
