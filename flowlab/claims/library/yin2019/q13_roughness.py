"""Q13: the empirical loss along a coarse direction is smoother the more samples there are."""

import jax.numpy as jnp
import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.yin2019.flows import target
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.data import Data
from flowlab.language.network import Network
from flowlab.language.problem import Problem
from flowlab.lowering.lower import lower
from flowlab.symbolic.derive import derive

M, N, SAMPLES, DRAWS, STEPS = 4, 6, (10, 50, 1000), 60, 200
LONGEST = 1.0
"""The largest step along the coarse gradient."""


@claim("Q13")
class Roughness(Claim):
    """The empirical loss of a net of steps is piecewise constant along a line; its jumps shrink with the samples.

    The line is that of the sampled coarse gradient, of which `derive` says that it is certified by a jvp of its own.
    """

    title = "the empirical loss after one coarse step"
    statement = (
        "Along the coarse gradient of N samples the empirical loss jumps by the order of 1/N at of the order of N "
        "places, so that its root mean square second difference falls as the root of N."
    )
    latex = r"\bigl\langle(\Delta^2 f_N(w - \eta g))^2\bigr\rangle_\eta^{1/2} \propto N^{-1/2}"
    source = "Yin et al. 2019, figure 1 (number not checked); measured here as a second difference"
    hypotheses = (own_instances,)
    stated = Variant(exponent=0.5, slope="relu", power=1.0)
    mutants = (
        stated.but("rougher with more samples", power=-1.0),
        stated.but("as N itself", exponent=1.0),
        stated.but("the slope of the step itself", slope="step"),
    )
    counter_example = "the slope of the step itself: it is zero, and the loss is the same for all steps"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        rough = case.once(f"roughness {variant.slope}", lambda: _rough(case.seed, variant.slope))
        with np.errstate(divide="ignore", invalid="ignore"):
            falls = variant.power * np.diff(np.log(rough)) / -np.diff(np.log(SAMPLES))
        # A loss that is the same everywhere has no roughness that could fall.
        falls = np.nan_to_num(falls, nan=0.0)
        return Measurement.of(
            [
                Quantity(f"exponent of the fall from N = {a} to {b}", float(fall), variant.exponent, 0.15, altered=0.5)
                for a, b, fall in zip(SAMPLES, SAMPLES[1:], falls, strict=False)
            ],
            f"means over {DRAWS} draws of samples and {STEPS} steps up to {LONGEST:g}",
            roughness=dict(zip(map(str, SAMPLES), rough.tolist(), strict=True)),
        )


def _rough(seed: int, slope: str) -> np.ndarray:
    """The root mean square second difference of the empirical loss along its coarse gradient, by number of samples."""
    text = f"v @ coarse(step, {slope})(X @ w)" if slope != "step" else "v @ step(X @ w)"
    problem = Problem(Network(text, inputs={"X": ("m", "n")}), "square", coordinates="weights", reduction="mean")
    field = lower(derive(problem))
    out = []
    for count in SAMPLES:
        found = []
        for i in range(DRAWS):
            vs, ws = target(seed + i, M, N, 0.7)
            rng = np.random.default_rng([seed, i, count])
            X = rng.normal(size=(count, M, N))
            data = Data(X=X, y=(X @ ws > 0) @ vs, kind="targets")
            w, v = rng.normal(size=N), vs
            g = -np.asarray(field.rate(0.0, {"v": jnp.asarray(v), "w": jnp.asarray(w)}, data)["w"])
            g = g / max(float(np.linalg.norm(g)), 1e-300)
            steps = np.linspace(0.0, LONGEST, STEPS)
            losses = [np.mean(((X @ (w - eta * g) > 0) @ v - np.asarray(data.y)) ** 2) / 2 for eta in steps]
            found.append(np.sqrt((np.diff(losses, 2) ** 2).mean()))
        out.append(np.mean(found))
    return np.array(out)
