"""X5: what a start in other bases does."""

import numpy as np
from scipy.integrate import solve_ivp

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import about
from flowlab.claims.library.saxe2014.flows import TWO, logistic
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("X5")
class Misalignment(Claim):
    """A start turned by an angle against the bases of the data: modes differ at second order, their mixing at first."""

    title = "starts in bases other than those of the data"
    statement = (
        "Turn the start of two layers by an angle phi against the bases of the data. Strengths of modes deviate from "
        "the closed form by order phi^2, and the mixing of modes by order phi."
    )
    latex = r"\max_t |u_{ii} - u(t)| = O(\varphi^2), \quad \max_t |u_{12}| = O(\varphi)"
    source = (
        "Saxe, McClelland, Ganguli 2014 (alignment assumed); orders measured here, for two modes by the symmetry phi "
        "-> -phi"
    )
    hypotheses = (about(TWO),)
    stated = Variant(orders=(2.0, 1.0))
    mutants = (
        stated.but("strengths at first order", orders=(1.0, 1.0)),
        stated.but("mixing at second order", orders=(2.0, 2.0)),
    )
    counter_example = "strengths at first order: what a start without the symmetry phi -> -phi would give"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        angles = 0.08 * 0.5 ** np.arange(4)
        strengths, mixing = case.once("turned", lambda: np.array([self._turned(case.seed, float(a)) for a in angles])).T
        quantities = []
        names = ("order of the deviation of strengths", "order of the mixing")
        for name, sizes, order, wanted in zip(names, (strengths, mixing), (2.0, 1.0), variant.orders, strict=True):
            slopes = np.diff(-np.log2(sizes))
            once = slopes[1:] + np.diff(slopes) / 3
            quantities.append(
                Quantity(
                    name,
                    float(once[-1]),
                    wanted,
                    4e-3 * order,
                    error=float(abs(once[-1] - once[-2])),
                    route="DOP853 of the layers",
                )
            )
        return Measurement.of(
            quantities,
            "orders from halved angles, extrapolated in phi^2; the bar is what the last halving changed",
            angles=angles.tolist(),
            strengths=strengths.tolist(),
            mixing=mixing.tolist(),
        )

    @staticmethod
    def _turned(seed: int, angle: float) -> tuple[float, float]:
        """Largest deviation of the strengths of two modes, and largest mixing, over the flow of the layers."""
        rng = np.random.default_rng(seed)
        s, start = np.array([2.0, 1.0]) + 0.3 * rng.uniform(-1, 1, size=2), 0.01 + 0.02 * rng.random(2)
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, -sin], [sin, cos]])
        first, second = np.diag(np.sqrt(start)) @ turn.T, np.diag(np.sqrt(start))

        def rate(_: float, w: np.ndarray) -> np.ndarray:
            A, B = w[:4].reshape(2, 2), w[4:].reshape(2, 2)
            gap = np.diag(s) - B @ A
            return np.concatenate([(B.T @ gap).ravel(), (gap @ A.T).ravel()])

        times = np.linspace(0.0, 8.0, 4001)
        solution = solve_ivp(
            rate,
            (0.0, 8.0),
            np.concatenate([first.ravel(), second.ravel()]),
            method="DOP853",
            t_eval=times,
            rtol=1e-12,
            atol=1e-14,
        ).y.T
        W = solution[:, 4:].reshape(-1, 2, 2) @ solution[:, :4].reshape(-1, 2, 2)
        return float(abs(np.einsum("tii->ti", W) - logistic(times, s, start)).max()), float(
            max(abs(W[:, 0, 1]).max(), abs(W[:, 1, 0]).max())
        )
