"""A5: gradient descent of balanced layers converges linearly from a start with a margin."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import about
from flowlab.claims.library.arora2018.flows import DEEP, LAYERS, bases, layers, whitened
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.discrete.descent.descend import descend
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Trajectory


def _with_margin(seed: int, u: np.ndarray, v: np.ndarray, phi: np.ndarray, c: float) -> np.ndarray:
    """A start with some of the slowest mode, so that it is what is left at late times."""
    off = np.random.default_rng(seed + 3).normal(size=(3, 3)) - 2.0 * np.outer(u[:, 2], v[:, 2])
    return phi + (0.5 - c) * off / np.linalg.norm(off)


def _without_margin(_: int, u: np.ndarray, v: np.ndarray, __: np.ndarray, ___: float) -> np.ndarray:
    return u @ np.diag([0.5, 0.4, -0.3]) @ v.T


@claim("A5")
class LinearRate(Claim):
    """Gradient descent from a balanced start with deficiency margin c; the theorem's step, and one far above it."""

    title = "linear rate of gradient descent from a balanced start with a margin"
    statement = (
        "If N balanced layers start with |W - Phi|_F <= sigma_min(Phi) - c, descent on |W - Phi|^2/2 has L(k) <= L(0) "
        "(1 - eta c^(2(N-1)/N))^k. Late, L falls by (1 - eta N sigma_min(Phi)^(2(N-1)/N))^2 per step."
    )
    latex = r"L(k) \le L(0)\,(1 - \eta\, c^{2(N-1)/N})^k"
    source = (
        "Arora, Cohen, Golowich, Hu 2019, theorem 1 (bound; number not checked); the late factor is the slowest mode "
        "of the linearised flow"
    )
    hypotheses = (about(DEEP),)
    stated = Variant(start=_with_margin, name_of_start="", bound=lambda c, power, _: c**power, mode=2)
    mutants = (
        stated.but("no margin", start=_without_margin, name_of_start=" no margin"),
        stated.but("the fastest mode at late times", mode=0),
        stated.but("the fastest mode as a bound", bound=lambda _, power, fastest: 2 * LAYERS * fastest**power),
    )
    counter_example = "no margin: a start of the other sign has no c > 0, and its loss stays"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        u, v = bases(case.seed)
        strengths = np.array([1.0, 0.8, 0.5])
        phi, c = u @ np.diag(strengths) @ v.T, 0.25
        start = variant.start(case.seed, u, v, phi, c)
        power = 2 * (LAYERS - 1) / LAYERS
        least = variant.bound(c, power, strengths[0])
        theirs = c ** ((4 * LAYERS - 2) / LAYERS) / (
            6144 * LAYERS**3 * np.linalg.norm(phi) ** ((6 * LAYERS - 4) / LAYERS)
        )
        quantities, ratios = [], {}
        for name, step, count in (("the theorem's step", float(theirs), 500), ("a step of 0.02", 0.02, 1300)):
            log_loss = self._descent(case, f"{name}{variant.name_of_start}", start, phi, step, count)
            k = np.arange(1, len(log_loss))
            excess = log_loss[1:] - log_loss[0] - k * np.log1p(-step * least)
            # Per step, so that both descents count alike; below 1e-24 the loss is roundings.
            precise = log_loss[1:] > -55.0
            quantities.append(
                Quantity(
                    f"log L(k)/L(0) beyond the bound, per step over eta, {name}",
                    float((excess / (k * step))[precise].max()),
                    0.0,
                    0.0,
                    relation="<=",
                )
            )
            ratios[name] = float(((log_loss[1:] - log_loss[0]) / (k * np.log1p(-step * least)))[precise].min())
        expected = 2 * np.log1p(-0.02 * LAYERS * strengths[variant.mode] ** power) / 0.02
        late = int(np.flatnonzero(log_loss > -55.0)[-1])
        slope = (log_loss[late] - log_loss[late - 50]) / 50 / 0.02
        quantities.append(
            Quantity(
                "late log L(k+1)/L(k) over eta",
                float(slope),
                float(expected),
                5e-3 * abs(float(expected)),
                route="descent by autodiff",
            )
        )
        return Measurement.of(
            quantities,
            "bounds are held at every step; the next mode has died out when L is 1e-24",
            least_rate_over_bound=ratios,
            step=float(theirs),
        )

    @staticmethod
    def _descent(case: Case, name: str, start: np.ndarray, phi: np.ndarray, step: float, count: int) -> np.ndarray:
        def run() -> Trajectory:
            data = whitened(phi, f"margin seed={case.seed}")
            begin = State.from_weights(layers(start, seed=case.seed))
            return descend(
                Problem(DEEP, "square", coordinates="weights"), begin, data, step=step, count=count, record_every=1
            )

        return case.once(name, run).dataset["log_loss"].values
