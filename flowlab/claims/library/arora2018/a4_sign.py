"""A4: balanced layers keep the sign of every singular value."""

import numpy as np
from scipy.integrate import solve_ivp

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import about
from flowlab.claims.library.arora2018.flows import DEEP, LAYERS, bases, layers, product, whitened
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.dynamics import time
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Trajectory

TARGET = np.array([2.0, 1.0, -1.0])
"""Strengths of three modes in common bases: the third is wanted with the sign that the start does not have."""


def _of_layers(path: Trajectory, _: np.ndarray, __: np.ndarray) -> list[float]:
    """Signs of the determinant along the flow of the layers."""
    rows = np.unique(np.linspace(0, len(path) - 1, 60).round().astype(int))
    return [float(np.sign(np.linalg.det(product(path.state(int(i)).weights())))) for i in rows]


def _of_one_layer(_: object, start: np.ndarray, target: np.ndarray) -> list[float]:
    times = np.linspace(0.0, 5.0, 60)
    return [float(np.sign(np.linalg.det(target + (start - target) * np.exp(-t)))) for t in times]


@claim("A4")
class SignIsKept(Claim):
    """Singular values of two and more balanced layers never pass through zero; of one layer they do."""

    title = "balanced layers keep the sign of every singular value"
    statement = (
        "From a balanced start the determinant of the product of N >= 2 layers keeps its sign for all time. A mode "
        "whose target has the other sign dies out, for N = 3 like (|s| t)^(-3), and leaves the loss s^2/2."
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
        solution = solve_ivp(
            lambda _, z: -LAYERS * z ** (2 - 2 / LAYERS) * (1.0 + z),
            (0.0, 60.0),
            [0.3],
            method="DOP853",
            t_eval=[30.0, 60.0],
            rtol=1e-12,
            atol=1e-16,
        )
        y = solution.y[0] ** (-1 / LAYERS)
        return float((y[1] - y[0]) / 30.0)
