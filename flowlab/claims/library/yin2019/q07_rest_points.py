"""Q7: where the coarse flow rests."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.yin2019.flows import angle, target
from flowlab.claims.library.yin2019.population import model, teacher
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.state import State
from flowlab.studies.rest_points import RestPoint, rest_points

M, N, TEACHERS, STARTS = 3, 4, 40, 60
APART = 0.05
"""How far (1 v*)^2 of a teacher is from the threshold: Newton's method tells the sign of what grows with it."""


@claim("Q7")
class RestPoints(Claim):
    """Besides the global minimum there are a point at angle pi, which attracts below a threshold, and saddles."""

    title = "rest points of the coarse flow"
    statement = (
        "Let |v*| = 1. The coarse flow of the ReLU rests at v = v*, theta = 0, and at theta = pi, v = J^-1 (11^T - I) "
        "v*. The latter attracts if and only if (1 v*)^2 < (m + 1)/2. Below it there are saddles at theta = (pi/2)(m + "
        "1)/(m + 1 - (1 v*)^2)."
    )
    latex = r"(\mathbf 1^\top v^*)^2 < \tfrac{m+1}{2}\lVert v^*\rVert^2"
    source = "Yin et al. 2019, proposition 1 and lemma 3 (numbers not checked)"
    hypotheses = (own_instances,)
    quick = False
    stated = Variant(threshold=(M + 1) / 2, turn=np.pi / 2)
    mutants = (
        stated.but("threshold m/2", threshold=M / 2),
        stated.but("threshold (m + 2)/2", threshold=(M + 2) / 2),
        stated.but("always there", threshold=float("inf")),
        stated.but("saddles at twice the angle", turn=np.pi),
    )
    counter_example = "always there: not for v* along 1, which every start reaches"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        squares, points = case.once("points at angle pi", lambda: _opposite(case.seed))
        stable = np.array([point.stable for point in points])
        wrong = int((stable != (squares < variant.threshold)).sum())
        saddle, lowest, second = case.once("all points", lambda: _all(case.seed))
        return Measurement.of(
            [
                Quantity("teachers on the wrong side of the threshold", float(wrong), 0.0, 0.0, relation="<="),
                Quantity("largest velocity at a point", max(p.residual for p in points), 0.0, 1e-12, relation="<="),
                Quantity("angle of saddles", saddle, variant.turn * (M + 1) / M, 1e-9, route="Newton's method"),
                Quantity("lowest value", lowest, 0.0, 1e-14, altered=0.0),
                Quantity("second value", second, (1 - 1.0 / 2) / 4, 1e-12, route="Newton's method"),
            ],
            f"{TEACHERS} random teachers; of one with (1 v*)^2 = 1 all points that {STARTS} random starts came to",
            attracting=int(stable.sum()),
        )


def _opposite(seed: int) -> tuple[np.ndarray, list[RestPoint]]:
    """(1 v*)^2 of teachers, and the rest points that Newton's method finds beside angle pi."""
    rng = np.random.default_rng(seed + 8)
    squares = rng.uniform(APART, M - APART, size=TEACHERS)
    squares = np.where(np.abs(squares - (M + 1) / 2) < APART, squares + 2 * APART, squares)
    squares[:2] = (M + 1) / 2 - 2 * APART, (M + 1) / 2 + 2 * APART
    flow, points = model("relu", M, N).flow, []
    for i, square in enumerate(squares):
        vs, ws = target(seed + i, M, N, float(square))
        v = np.linalg.solve(np.eye(M) + 1.0, (np.ones((M, M)) - np.eye(M)) @ vs)
        start = State.from_weights({"v": v + 1e-4 * rng.normal(size=M), "w": -ws + 1e-4 * rng.normal(size=N)})
        (point,) = rest_points(flow, teacher(vs, ws), starts=[start])
        assert float(angle(np.asarray(point.state.weights()["w"])[None], ws)[0]) > np.pi - 1e-3
        points.append(point)
    return squares, points


def _all(seed: int) -> tuple[float, float, float]:
    """The angle of the saddles, and the two lowest values, of one teacher."""
    vs, ws = target(seed, M, N, 1.0)
    found = rest_points(model("relu", M, N).flow, teacher(vs, ws), starts=STARTS, seed=seed)
    saddle = next(point for point in found if point.index)
    attracting = [point.value for point in found if point.stable]
    return float(angle(np.asarray(saddle.state.weights()["w"])[None], ws)[0]), attracting[0], attracting[1]
