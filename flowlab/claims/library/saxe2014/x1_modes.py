"""X1, X2, X4: modes of two layers, their closed forms, and when they are learned."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import about
from flowlab.claims.library.saxe2014.flows import STRENGTHS, TWO, half_time, learned, solved
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

SMALL = 1e-3


def logistic(t: np.ndarray, s: np.ndarray, u0: np.ndarray, speed: float = 2.0) -> np.ndarray:
    """s/(1 + (s/u0 - 1) e^(-2 s t)): the closed form, divided through so that it does not overflow."""
    return s / (1.0 + (s / u0 - 1.0) * np.exp(-speed * s * t[:, None]))


def off_balance(t: np.ndarray, s: float, a0: float, b0: float, lam: float) -> np.ndarray:
    """The mode u = a b with a^2 - b^2 = λ under du/dt = sqrt(λ^2 + 4 u^2) (s - u), in closed form.

    Only |λ| matters. With 2u = λ sinh θ it is dθ/dt = 2 s - λ sinh θ, and in x = tanh(θ/2) a Riccati equation with constant coefficients,
    dx/dt = s (1 - x^2) - λ x, whose roots are x± = (-λ ± sqrt(λ^2 + 4 s^2))/(2 s).
    """
    lam = abs(lam)
    root = np.hypot(lam, 2 * s)
    up, down = (-lam + root) / (2 * s), (-lam - root) / (2 * s)
    x0 = np.tanh(0.5 * np.arcsinh(2 * a0 * b0 / lam))
    ratio = (x0 - up) / (x0 - down) * np.exp(-root * t)
    x = (up - down * ratio) / (1 - ratio)
    return lam * x / (1 - x * x)


@claim("X1")
class AlignedModes(Claim):
    """Each mode of two aligned and balanced layers follows a logistic curve."""

    title = "logistic curves of the modes of two layers"
    statement = "Modes of two balanced layers that start in the bases of the data grow as u(t) = s e^(2st)/(e^(2st) - 1 + s/u_0)."
    latex = r"u(t) = \frac{s\,e^{2st}}{e^{2st} - 1 + s/u_0}"
    source = "Saxe, McClelland, Ganguli 2014 (two-layer modes)"
    hypotheses = (about(TWO),)
    stated = Variant(curve=lambda t, u: logistic(t, STRENGTHS, u))
    mutants = (
        stated.but("speed s instead of 2s", curve=lambda t, u: logistic(t, STRENGTHS, u, speed=1.0)),
        stated.but("the start of another mode", curve=lambda t, u: logistic(t, STRENGTHS, np.roll(u, 1))),
        stated.but("one layer", curve=lambda t, u: STRENGTHS + (u - STRENGTHS) * np.exp(-t[:, None])),
    )
    counter_example = "one layer: modes relax exponentially, without a plateau"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        start = SMALL * np.array([1.0, 2.0, 3.0])
        times, u, _ = learned(case, "aligned", TWO, np.sqrt(np.stack([start, start])), STRENGTHS, 6.0)
        expected = variant.curve(times, start)
        second = solved(start, STRENGTHS, times[1:], 2)
        i = int(np.argmin(abs(u[:, 1] - 1.0)))
        return Measurement.of(
            [
                Quantity(
                    "largest distance from the closed form", float(abs(u - expected).max()), 0.0, 3e-9, relation="<="
                ),
                Quantity(
                    "strength of the second mode half-way",
                    float(u[i, 1]),
                    float(expected[i, 1]),
                    3e-9,
                    route="flow of the layers",
                    second=float(second[i - 1, 1]),
                    second_route="DOP853 of the modes",
                ),
            ],
            "local errors of 1e-11 in some hundreds of steps, grown by the factor s/u_0 = 1e3 of the exponential phase at most where u is that small",
        )


def _unbalanced(t: np.ndarray, a: np.ndarray, b: np.ndarray, lam: np.ndarray) -> np.ndarray:
    modes = zip(STRENGTHS, a, b, lam, strict=True)
    return np.stack([off_balance(t, s, p, q, k) for s, p, q, k in modes], axis=1)


@claim("X2")
class UnbalancedModes(Claim):
    """Off balance the mode keeps a^2 - b^2 = λ and follows a curve that is logistic only for λ = 0."""

    title = "modes of two layers that are off balance"
    statement = (
        "A mode u = a b of two aligned layers keeps lambda = a^2 - b^2 and obeys du/dt = sqrt(lambda^2 + 4 u^2) (s - u): with 2u = lambda sinh(theta) and "
        "x = tanh(theta/2), dx/dt = s (1 - x^2) - lambda x, which is solved in closed form."
    )
    latex = r"\dot u = \sqrt{\lambda^2 + 4u^2}\,(s - u), \quad \lambda = a^2 - b^2"
    source = "Saxe, McClelland, Ganguli 2014 (hyperbolic coordinates); closed form derived here"
    hypotheses = (about(TWO),)
    stated = Variant(curves=lambda t, a, b: _unbalanced(t, a, b, a * a - b * b))
    mutants = (
        stated.but("balanced", curves=lambda t, a, b: logistic(t, STRENGTHS, a * b)),
        stated.but("twice the imbalance", curves=lambda t, a, b: _unbalanced(t, a, b, 2 * (a * a - b * b))),
        stated.but(
            "imbalance of the other two modes", curves=lambda t, a, b: _unbalanced(t, a, b, np.roll(a * a - b * b, 1))
        ),
    )
    counter_example = "balanced: the logistic curve from the same u_0"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        a, b = np.array([0.3, 0.5, 0.05]), np.array([0.1, 0.02, 0.7])
        times, u, path = learned(case, "unbalanced", TWO, np.stack([b, a]), STRENGTHS, 4.0)
        lam = a * a - b * b
        expected = variant.curves(times, a, b)
        weights = {k: np.asarray(w) for k, w in path.last.weights().items()}
        kept = np.linalg.eigvalsh(weights["W2"].T @ weights["W2"] - weights["W1"] @ weights["W1"].T)
        i = int(np.argmin(abs(u[:, 2] - 0.5)))
        return Measurement.of(
            [
                Quantity(
                    "largest distance from the closed form", float(abs(u - expected).max()), 0.0, 1e-9, relation="<="
                ),
                Quantity(
                    "strength of the third mode half-way",
                    float(u[i, 2]),
                    float(expected[i, 2]),
                    1e-9,
                    route="flow of the layers",
                ),
                Quantity(
                    "change of lambda over the flow", float(abs(np.sort(lam) - kept).max()), 0.0, 1e-9, relation="<="
                ),
            ],
            "local errors of 1e-11 in some hundreds of steps",
        )


@claim("X4")
class HalfTimes(Claim):
    """A mode is half learned at log(s/u_0 - 1)/(2s): 1/s is only the leading part."""

    title = "when modes are learned"
    statement = (
        "Two balanced layers have learned half of a mode at t = log(s/u_0 - 1)/(2s); the order of modes is that of 1/s, and s t is the same for all only "
        "up to log s."
    )
    latex = r"t_{1/2} = \frac{1}{2s}\log\left(\frac{s}{u_0} - 1\right)"
    source = "Saxe, McClelland, Ganguli 2014 (learning times)"
    hypotheses = (about(TWO),)
    stated = Variant(
        times=lambda _: np.log(STRENGTHS / SMALL - 1) / (2 * STRENGTHS),
        ratio=lambda t: float(t[0] * STRENGTHS[0] / (t[2] * STRENGTHS[2])),
    )
    mutants = (
        stated.but(
            USUAL, times=lambda halves: np.full(3, float(np.mean(halves * STRENGTHS))) / STRENGTHS, ratio=lambda _: 1.0
        ),
        stated.but("one layer", times=lambda _: np.full(3, np.log(2.0))),
        stated.but("the cutoff of a tenth", times=lambda _: np.log((STRENGTHS / SMALL - 1) / 9) / (2 * STRENGTHS)),
    )
    counter_example = "one layer: half of a mode is learned at log 2, whatever s"
    usual = "Learning times are inversely proportional to the strengths of modes: s_1 t_1 = s_3 t_3."
    decisive = "s t of the strongest mode over that of the weakest: 1.159 with s = 3, 1 and u_0 = 1e-3, where proportionality says 1"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        start = np.full(3, SMALL)
        times, u, _ = learned(case, "equal starts", TWO, np.sqrt(np.stack([start, start])), STRENGTHS, 6.0)
        halves = np.array([half_time(times, u[:, i], s) for i, s in enumerate(STRENGTHS)])
        expected = variant.times(halves)
        told = [
            Quantity(f"half-time of the mode s = {s:g}", h, e, 1e-6, route="flow of the layers")
            for s, h, e in zip(STRENGTHS, halves, expected, strict=True)
        ]
        wanted = variant.ratio(expected)
        told.append(
            Quantity(
                "s t of the strongest mode over that of the weakest",
                float(halves[0] * STRENGTHS[0] / (halves[2] * STRENGTHS[2])),
                wanted,
                1e-6,
            )
        )
        return Measurement.of(told, "half-times are read off a cubic spline through the accepted steps")
