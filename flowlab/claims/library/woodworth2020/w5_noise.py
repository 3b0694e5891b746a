"""W5: the noise of single samples shrinks the start that a diagonal net remembers."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import about
from flowlab.claims.library.woodworth2020.flows import NET, off_rows, samples
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.discrete.descent.descend import descend
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Trajectory

ALPHA, STEP, COUNT = 0.5, 0.004, 6000


@claim("W5")
class NoiseShrinksTheStart(Claim):
    """Descent on single samples ends where descent from a smaller start would.

    An experiment: three samples, eight features, α = 0.5, constant step. The identity w⁺u⁺ = w u (1 - 4 η² g²) holds
    for every g, also a noisy one;
    what the noise does is to keep g large. Beyond one step the smaller start is a statement to second order in η g,
    which is measured.
    """

    title = "descent on single samples has a smaller effective start"
    statement = (
        "Descent on single samples multiplies w u by 1 - 4 eta^2 g^2 in every step. The effective start sqrt(w u) "
        "therefore only falls, further than under full descent. Up to the second order of a step the limit minimises "
        "the hyperbolic entropy with that start, entry by entry."
    )
    latex = r"\alpha_{\mathrm{eff},i}^2 = \alpha^2 \prod_k (1 - 4\eta^2 g_i(k)^2) < \alpha^2"
    source = "Pesme, Pillaud-Vivien, Flammarion 2021, for the flow with noise; the identity of a step derived here"
    hypotheses = (about(NET),)
    stated = Variant(batch=1, start=lambda start: start, sign=1.0)
    mutants = (
        stated.but("the start itself", start=lambda start: np.full(len(start), ALPHA)),
        stated.but("full descent", batch=None),
        stated.but("a growing start", sign=-1.0),
    )
    counter_example = "full descent: its effective start is that of the flow up to order eta"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data, _ = samples(case)
        single, full = self._walk(case, data, variant.batch or data.n), self._walk(case, data, data.n)
        b, start, fitted = self._end(single, data)
        _, start_full, _ = self._end(full, data)
        used = variant.start(start)
        x = np.asarray(data.x)
        shrunk, shrunk_full = float(np.log(start / ALPHA).mean()), float(np.log(start_full / ALPHA).mean())
        shrunk = variant.sign * shrunk
        exact = off_rows(x, np.arcsinh(b / (2 * used**2)))
        return Measurement.of(
            [
                Quantity("largest residual at the end", fitted, 0.0, 1e-6, relation="<="),
                Quantity(
                    "mean log of the effective start over alpha, over that of full descent",
                    shrunk / shrunk_full,
                    2.0,
                    0.0,
                    relation=">=",
                ),
                Quantity(
                    "part of asinh(b/(2 alpha_eff^2)) outside the row space, over that with alpha",
                    exact / off_rows(x, np.arcsinh(b / (2 * ALPHA**2))),
                    0.2,
                    0.0,
                    relation="<=",
                ),
                Quantity("largest effective start over alpha", float((start / ALPHA).max()), 1.0, 0.0, relation="<="),
            ],
            "at this step (2 eta g)^2 is a few per cent at the start and nothing at the end",
            effective_start=start.tolist(),
            of_full_descent=start_full.tolist(),
            l1=float(np.abs(b).sum()),
        )

    @staticmethod
    def _walk(case: Case, data: Data, batch: int) -> Trajectory:
        start = State.from_weights({"w": np.full(data.d, ALPHA), "u": np.full(data.d, ALPHA)})
        problem = Problem(NET, "square", coordinates="weights")
        return case.once(
            f"batch {batch}", lambda: descend(problem, start, data, step=STEP, count=COUNT, batch=batch, seed=case.seed)
        )

    @staticmethod
    def _end(walk: Trajectory, data: Data) -> tuple[np.ndarray, np.ndarray, float]:
        w, u = (np.asarray(walk.last.weights()[name]) for name in "wu")
        b = w * w - u * u
        return b, np.sqrt(np.maximum(w * u, 1e-300)), float(np.abs(np.asarray(data.x) @ b - np.asarray(data.y)).max())
