"""X3, X5: how depth stretches the plateau, and what a start in other bases does."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import about
from flowlab.claims.library.saxe2014.flows import THREE, TWO, half_time, learned, solved
from flowlab.claims.library.saxe2014.x1_modes import logistic
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("X3")
class DepthAndPlateau(Claim):
    """N layers: a plateau that is logarithmic in u_0 for two and a power for more."""

    title = "plateaus of deep linear nets"
    statement = (
        "A mode of N balanced aligned layers obeys du/dt = N u^(2-2/N) (s - u); for N = 3 its half-time times s u_0^(1/3) tends to 1 as u_0 -> 0, "
        "where two layers take log(s/u_0 - 1)/(2s)."
    )
    latex = r"\dot u = N u^{2-2/N}(s-u), \quad t_{1/2} \sim \frac{u_0^{-(1-2/N)}}{(N-2)\,s}"
    source = "Saxe, McClelland, Ganguli 2014 (deeper nets); constants from the integral of the equation"
    hypotheses = (about(THREE),)
    stated = Variant(depth=3, scaled=lambda halves, u, s: halves * s * u ** (1 / 3))
    mutants = (
        stated.but("plateau of two layers", scaled=lambda halves, u, s: halves / (np.log(s / u - 1) / (2 * s))),
        stated.but("exponent of four layers", scaled=lambda halves, u, s: halves * s * u**0.5),
        stated.but("two layers in the equation", depth=2),
    )
    counter_example = "plateau of two layers: 8 at u_0 = 1e-7, where three layers take 200"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        start, s = np.array([1e-5, 1.25e-6, 1.5625e-7]), 1.0
        size = start ** (1 / 3)
        times, u, _ = learned(case, "three layers", THREE, np.stack([size] * 3), np.full(3, s), 200.0)
        expected = solved(start, np.full(3, s), times[1:], variant.depth)
        halves = np.array([half_time(times, u[:, i], s) for i in range(3)])
        # The integral of the equation gives t s z = 1 + c z + O(z^3) in z = u_0^(1/3), which is halved twice.
        scaled = variant.scaled(halves, start, s)
        limits = 2 * scaled[1:] - scaled[:-1]
        return Measurement.of(
            [
                Quantity(
                    "largest distance from the equation of the modes",
                    float(abs(u[1:] - expected).max()),
                    0.0,
                    1e-6,
                    relation="<=",
                ),
                Quantity(
                    "half-time times s u_0^(1/3) as u_0 -> 0",
                    float(limits[1]),
                    1.0,
                    1e-4,
                    error=abs(float(limits[1] - limits[0])),
                    route="flow of three layers, three starts",
                    second=self._again(s),
                    second_route="the integral of the equation at u_0 = 1e-18",
                ),
            ],
            "the extrapolation in u_0^(1/3) leaves its cube, the bar is what the last halving changed; plateaus turn errors of 1e-11 into delays of 1e-8",
            half_times=halves.tolist(),
        )

    @staticmethod
    def _again(s: float) -> float:
        from scipy.integrate import quad

        # In z = u^(1/3), dt = dz/(z^2 (s - z^3)).
        z0, z1 = 1e-6, (s / 2) ** (1 / 3)
        smooth = quad(lambda z: z / (s * (s - z**3)), z0, z1, epsabs=1e-13)[0]
        return (1 / z0 - 1 / z1) / s * s * z0 + smooth * s * z0


@claim("X5")
class Misalignment(Claim):
    """A start turned by an angle against the bases of the data: modes differ at second order, their mixing at first."""

    title = "starts in bases other than those of the data"
    statement = (
        "Turned by an angle phi against the bases of the data, two layers deviate from the closed form by order phi^2 in the strengths of modes and by "
        "order phi in what mixes them."
    )
    latex = r"\max_t |u_{ii} - u(t)| = O(\varphi^2), \quad \max_t |u_{12}| = O(\varphi)"
    source = "Saxe, McClelland, Ganguli 2014 (alignment assumed); orders measured here, for two modes by the symmetry phi -> -phi"
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
        told = []
        names = ("order of the deviation of strengths", "order of the mixing")
        for name, sizes, order, wanted in zip(names, (strengths, mixing), (2.0, 1.0), variant.orders, strict=True):
            slopes = np.diff(-np.log2(sizes))
            once = slopes[1:] + np.diff(slopes) / 3
            told.append(
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
            told,
            "orders from halved angles, extrapolated in phi^2; the bar is what the last halving changed",
            angles=angles.tolist(),
            strengths=strengths.tolist(),
            mixing=mixing.tolist(),
        )

    @staticmethod
    def _turned(seed: int, angle: float) -> tuple[float, float]:
        """Largest deviation of the strengths of two modes, and largest mixing, over the flow of the layers."""
        from scipy.integrate import solve_ivp

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
        found = solve_ivp(
            rate,
            (0.0, 8.0),
            np.concatenate([first.ravel(), second.ravel()]),
            method="DOP853",
            t_eval=times,
            rtol=1e-12,
            atol=1e-14,
        ).y.T
        W = found[:, 4:].reshape(-1, 2, 2) @ found[:, :4].reshape(-1, 2, 2)
        return float(abs(np.einsum("tii->ti", W) - logistic(times, s, start)).max()), float(
            max(abs(W[:, 0, 1]).max(), abs(W[:, 1, 0]).max())
        )
