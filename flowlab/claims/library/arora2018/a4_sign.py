"""A4, A5: balanced deep linear nets keep the sign of their determinant, and converge at a linear rate where they have a margin."""

from typing import Any

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import about
from flowlab.claims.library.arora2018.flows import DEEP, LAYERS, layers, product
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

TARGET = np.array([2.0, 1.0, -1.0])
"""Strengths of three modes in common bases: the third is wanted with the sign that the start does not have."""


def bases(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two rotations."""
    rng = np.random.default_rng(seed)
    found = [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(2)]
    return tuple(q * np.array([1.0, 1.0, np.linalg.det(q)]) for q in found)  # type: ignore[return-value]


def whitened(target: np.ndarray, name: str) -> Any:
    """Samples whose square loss is |W - target|^2/2."""
    from flowlab.language.data import Data

    return Data(np.eye(3), target.T, name=name)


def _of_layers(path: Any, _: np.ndarray, __: np.ndarray) -> list[float]:
    """Signs of the determinant along the flow of the layers."""
    rows = np.unique(np.linspace(0, len(path) - 1, 60).round().astype(int))
    return [float(np.sign(np.linalg.det(product(path.state(int(i)).weights())))) for i in rows]


def _of_one_layer(_: Any, start: np.ndarray, target: np.ndarray) -> list[float]:
    times = np.linspace(0.0, 5.0, 60)
    return [float(np.sign(np.linalg.det(target + (start - target) * np.exp(-t)))) for t in times]


@claim("A4")
class SignIsKept(Claim):
    """Singular values of two and more balanced layers never pass through zero; of one layer they do."""

    title = "balanced layers keep the sign of every singular value"
    statement = (
        "From a balanced start the determinant of the product of N >= 2 layers keeps its sign for all time; a mode whose target has the other sign "
        "dies out instead, for N = 3 like (|s| t)^(-3), and leaves the loss s^2/2."
    )
    latex = r"\operatorname{sign}\det W(t) = \operatorname{sign}\det W(0), \quad \sigma_3^{-1/3}/t \to |s_3|"
    source = "Arora, Cohen, Hu, Luo 2019, theorem 3 (remark on signs; number not checked); the rate follows from A2"
    hypotheses = (about(DEEP),)
    stated = Variant(signs=_of_layers, rate=1.0, rest=0.5)
    mutants = (
        stated.but("one layer", signs=_of_one_layer),
        stated.but("the rate of another target", rate=1.1),
        stated.but("all of the loss goes away", rest=0.0),
    )
    counter_example = "one layer: W moves straight to its target, and its determinant changes sign"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        from flowlab.dynamics import time
        from flowlab.language.problem import Problem
        from flowlab.language.state import State

        u, v = bases(case.seed)
        start, target = u @ np.diag([0.5, 0.4, 0.3]) @ v.T, u @ np.diag(TARGET) @ v.T
        data = whitened(target, f"opposite sign seed={case.seed}")
        problem = Problem(DEEP, "square", coordinates="weights")
        begin = State.from_weights(layers(start, seed=case.seed))
        paths = [
            integrated(case, f"sign {t:g}", problem, begin, data, time(t), rtol=1e-11, atol=1e-15, solver="tsit5")
            for t in (30.0, 60.0)
        ]
        roots = [float(u[:, 2] @ product(p.last.weights()) @ v[:, 2]) ** (-1 / LAYERS) for p in paths]
        signs = variant.signs(paths[1], start, target)
        # y = sigma^(-1/3) obeys y' = |s| + y^(-3): a difference quotient far out is |s| up to t^(-3).
        rate, left = (roots[1] - roots[0]) / 30.0, float(np.exp(paths[1].dataset["log_loss"].values[-1]))
        return Measurement.of(
            [
                Quantity("lowest sign of det W", min(signs), 1.0, 0.5, relation=">="),
                Quantity(
                    "growth of sigma_3^(-1/3)",
                    rate,
                    variant.rate,
                    1e-4,
                    route="flow of the layers",
                    second=self._again(),
                    second_route="DOP853 of the mode",
                ),
                Quantity("loss at t = 60", left, variant.rest, 1e-4, route="flow of the layers"),
            ],
            "the rate is missed by t^(-3) = 3e-5 and the loss by sigma_3 = 5e-6 or so",
        )

    @staticmethod
    def _again() -> float:
        from scipy.integrate import solve_ivp

        found = solve_ivp(
            lambda _, z: -LAYERS * z ** (2 - 2 / LAYERS) * (1.0 + z),
            (0.0, 60.0),
            [0.3],
            method="DOP853",
            t_eval=[30.0, 60.0],
            rtol=1e-12,
            atol=1e-16,
        )
        y = found.y[0] ** (-1 / LAYERS)
        return float((y[1] - y[0]) / 30.0)


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
        "If N balanced layers start with |W - Phi|_F <= sigma_min(Phi) - c, gradient descent on |W - Phi|^2/2 has L(k) <= L(0) (1 - eta c^(2(N-1)/N))^k; "
        "at late times L falls by the factor (1 - eta N sigma_min(Phi)^(2(N-1)/N))^2 per step."
    )
    latex = r"L(k) \le L(0)\,(1 - \eta\, c^{2(N-1)/N})^k"
    source = "Arora, Cohen, Golowich, Hu 2019, theorem 1 (bound; number not checked); the late factor is the slowest mode of the linearised flow"
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
        told, ratios = [], {}
        for name, step, count in (("the theorem's step", float(theirs), 500), ("a step of 0.02", 0.02, 1300)):
            log_loss = self._descent(case, f"{name}{variant.name_of_start}", start, phi, step, count)
            k = np.arange(1, len(log_loss))
            excess = log_loss[1:] - log_loss[0] - k * np.log1p(-step * least)
            # Per step, so that both descents count alike; below 1e-24 the loss is roundings.
            kept = log_loss[1:] > -55.0
            told.append(
                Quantity(
                    f"log L(k)/L(0) beyond the bound, per step over eta, {name}",
                    float((excess / (k * step))[kept].max()),
                    0.0,
                    0.0,
                    relation="<=",
                )
            )
            ratios[name] = float(((log_loss[1:] - log_loss[0]) / (k * np.log1p(-step * least)))[kept].min())
        expected = 2 * np.log1p(-0.02 * LAYERS * strengths[variant.mode] ** power) / 0.02
        late = int(np.flatnonzero(log_loss > -55.0)[-1])
        found = (log_loss[late] - log_loss[late - 50]) / 50 / 0.02
        told.append(
            Quantity(
                "late log L(k+1)/L(k) over eta",
                float(found),
                float(expected),
                5e-3 * abs(float(expected)),
                route="descent by autodiff",
            )
        )
        return Measurement.of(
            told,
            "bounds are held at every step; the next mode has died out when L is 1e-24",
            least_rate_over_bound=ratios,
            step=float(theirs),
        )

    @staticmethod
    def _descent(case: Case, name: str, start: np.ndarray, phi: np.ndarray, step: float, count: int) -> np.ndarray:
        from flowlab.discrete.descent.descend import descend
        from flowlab.language.problem import Problem
        from flowlab.language.state import State

        def run() -> Any:
            data = whitened(phi, f"margin seed={case.seed}")
            begin = State.from_weights(layers(start, seed=case.seed))
            return descend(
                Problem(DEEP, "square", coordinates="weights"), begin, data, step=step, count=count, record_every=1
            )

        return case.once(name, run).dataset["log_loss"].values
