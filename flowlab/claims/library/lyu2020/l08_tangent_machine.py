"""L8: the limit is a machine on its own tangent features."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.lyu2020.flows import best, flow, late_flow
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import angle
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.errors import NotSeparable
from flowlab.discrete.margin.svm import hard_margin
from flowlab.language.trajectory import Trajectory


def _of_the_limit(_: object, theta: np.ndarray) -> np.ndarray:
    return theta


def _of_the_start(path: Trajectory, _: np.ndarray) -> np.ndarray:
    return np.asarray(ravel_pytree({k: jnp.asarray(v) for k, v in path.state(0).weights().items()})[0])


@claim("L8")
class TangentMachine(Claim):
    """A limit direction is the hard-margin machine on its own tangent features."""

    title = "the limit is a machine on its own tangent features"
    statement = "At a KKT point theta is, up to scale, the hard-margin machine on the features d f(theta; x)/d theta."
    latex = r"\theta \parallel \arg\min_{y_n \langle w, \nabla_\theta f(\theta; x_n)\rangle \ge 1} \lVert w\rVert"
    source = "Lyu and Li 2020, appendix on the neural tangent kernel"
    hypotheses = (late_flow("smooth", "deep"),)
    stated = Variant(direction=0.0, features=_of_the_limit, sign=1.0)
    mutants = (
        stated.but("features of the start", features=_of_the_start),
        stated.but("a direction 5 % aside", direction=0.05),
        stated.but("one label flipped", sign=-1.0),
    )
    counter_example = "features of the start: the machine on the initial tangent kernel is another one"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        quantities = []
        for which in ("deep", "smooth"):
            quantities.append(
                Quantity(
                    f"angle between theta and the machine, {which}",
                    self._angle(case, which, variant),
                    0.0,
                    1e-7,
                    relation="<=",
                    route="exact machine on features by autodiff",
                )
            )
        return Measurement.of(quantities, "features are rounded, and machines move with them")

    def _angle(self, case: Case, which: str, variant: Variant) -> float:
        data, path = flow(case, which)
        flat, unravel = ravel_pytree({k: jnp.asarray(v) for k, v in best(case, which).weights.items()})
        theta = np.asarray(flat)
        noise = np.random.default_rng(case.seed).normal(size=theta.shape)
        theta = theta + variant.direction * np.linalg.norm(theta) * noise / np.linalg.norm(noise)
        at = variant.features(path, theta)
        features = np.asarray(
            jax.jacrev(lambda t: path.problem.network.outputs(unravel(t), data.x)[:, 0])(jnp.asarray(at))
        )
        y = np.asarray(data.y).copy()
        y[0] = variant.sign * y[0]
        try:
            w = hard_margin(features, y).w
        except NotSeparable:
            return float(np.pi)
        return angle(w, theta)
