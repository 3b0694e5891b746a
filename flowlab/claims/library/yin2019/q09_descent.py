"""Q9: coarse descent lowers the expected loss."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.yin2019.flows import angle, target
from flowlab.claims.library.yin2019.population import model, teacher
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.discrete import descend
from flowlab.language.state import State

M, N, SEEDS, COUNT = 4, 6, 5, 4000
STEP, LONG = 0.05, 8.0
"""A step far below the edge of stability, 2/λ with λ = (m + 1)/4 of the block v, and one beyond it."""
SHORTEST = 0.2
"""Of |w|: four steps."""
ALIGNED = 1e-8
"""Angle of one more start with the teacher, in radians: where a cosine has no digits of it left, on every seed."""
NOISE = 1e-14
"""Rises up to this are roundings of a loss that is a difference of numbers of order one."""


@claim("Q9")
class CoarseDescent(Claim):
    """Not one step of coarse descent with the ReLU raises the expected loss.

    Angles are taken from both chords. With an arccosine, half of whose digits are lost at both ends, the same descents
    show rises of 1e-9, which are roundings.
    """

    title = "coarse descent lowers the loss"
    statement = (
        "Where |w_t| stays away from 0 and steps are small, f(v_t, w_t) does not rise along coarse descent with the "
        "slope of the ReLU."
    )
    latex = r"f(v_{t+1}, w_{t+1}) \le f(v_t, w_t)"
    source = "Yin et al. 2019, theorem 1 (number not checked)"
    hypotheses = (own_instances,)
    quick = False
    stated = Variant(step=STEP, size=0.5, sign=1.0, cosine=False)
    mutants = (
        stated.but("a step beyond the edge", step=LONG),
        stated.but("large v, which draws w through 0", size=3.0),
        stated.but("angles by an arccosine", cosine=True),
        stated.but("the loss does not fall", sign=-1.0),
    )
    counter_example = "large v, which draws w through 0: near there no step is small, and the angle jumps"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        at = (variant.step, variant.size)
        runs = case.once(f"descents with {at}", lambda: _runs(case.seed, *at))
        rises = 0
        for values, v, w, vs, ws in runs:
            seen = _by_cosines(v, w, vs, ws) if variant.cosine else values
            rises += int((variant.sign * np.diff(seen) > NOISE).sum())
            rises += int((~np.isfinite(seen)).any())
        gaps = [np.abs(values - _by_chords(v, w, vs, ws)) for values, v, w, vs, ws in runs]
        shortest = min(float(np.linalg.norm(w, axis=1).min()) for _, _, w, _, _ in runs)
        return Measurement.of(
            [
                Quantity("rises of the loss", float(rises), 0.0, 0.0, relation="<="),
                Quantity("gap of the loss and its closed form", max(map(np.max, gaps)), 0.0, 1e-13, relation="<="),
                Quantity("smallest |w| on the way", shortest, SHORTEST, 0.0, relation=">="),
            ],
            f"{SEEDS} random starts and one beside the teacher, {COUNT} steps each; rises of less than {NOISE:g} are "
            "roundings",
            steps=(SEEDS + 1) * COUNT,
        )


Run = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Losses (T,), v (T, m), w (T, n), and the teacher."""


def _runs(seed: int, step: float, size: float) -> list[Run]:
    runs = []
    for i in range(SEEDS + 1):
        vs, ws = target(seed + i, M, N, 0.7)
        rng = np.random.default_rng(seed + 90 + i)
        v, w = size * rng.normal(size=M), rng.normal(size=N)
        start = State.from_weights({"v": v, "w": w if i < SEEDS else ws + ALIGNED * w / np.linalg.norm(w)})
        path = descend(model("relu", M, N).problem, start, teacher(vs, ws), step=step, count=COUNT, record_every=1)
        rho, ds = path.dataset["rho"], path.dataset
        v, w = (ds[f"V_{k}"].values * rho.sel(block=k).values[:, None] for k in ("v", "w"))
        runs.append((ds["objective"].values, v, w, vs, ws))
    return runs


def _loss(theta: np.ndarray, v: np.ndarray, vs: np.ndarray) -> np.ndarray:
    near = 1 - 2 * theta / np.pi
    cross = near * (v @ vs) + v.sum(axis=1) * vs.sum()
    return ((v * v).sum(axis=1) + v.sum(axis=1) ** 2 - 2 * cross + vs @ vs + vs.sum() ** 2) / 8


def _by_chords(v: np.ndarray, w: np.ndarray, vs: np.ndarray, ws: np.ndarray) -> np.ndarray:
    return _loss(angle(w, ws), v, vs)


def _by_cosines(v: np.ndarray, w: np.ndarray, vs: np.ndarray, ws: np.ndarray) -> np.ndarray:
    cosine = (w @ ws) / np.linalg.norm(w, axis=1)
    return _loss(np.arccos(np.clip(cosine, -1.0, 1.0)), v, vs)
