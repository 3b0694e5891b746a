"""S1: the late flow of one layer runs along the maximum margin, up to a bounded part."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.poggio2020.flows import linear, machine, one_layer, slowest
from flowlab.claims.library.soudry2018.flows import SOURCE, by_radau, settled, weights
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


def _of_the_mean(w: np.ndarray, z: np.ndarray) -> np.ndarray:
    mean = z.mean(axis=0)
    return mean / np.linalg.norm(mean) * np.linalg.norm(w)


@claim("S1")
class BoundedRemainder(Claim):
    """w(t) - ŵ log t stays bounded and converges."""

    title = "the flow of one layer runs along the maximum margin, up to a bounded part"
    statement = (
        "On separable data with exponential loss and non-zero multipliers on the support w(t) = w_svm log t + w~(t), "
        "where w~ stays bounded and converges."
    )
    latex = r"w(t) = \hat w \log t + \tilde w(t), \qquad \tilde w(t) = O(1)"
    source = f"{SOURCE}, theorems 3 and 4 (numbers not checked)"
    hypotheses = (one_layer(),)
    stated = Variant(machine=lambda w, _: w, loglog=0.0)
    mutants = (
        stated.but("a tenth of a log log t besides", loglog=0.1),
        stated.but("norm 1e-5 too large", machine=lambda w, _: w * (1 + 1e-5)),
        stated.but("machine of the mean", machine=_of_the_mean),
    )
    counter_example = "machine of the mean: the direction of the mean sample instead of the maximum margin"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data, path = linear(case)
        w = variant.machine(machine(data)[0], np.asarray(data.x) * np.asarray(data.y)[:, None])
        log_t, all_weights = weights(path)
        rest = all_weights - log_t[:, None] * w
        rest = rest + variant.loglog * np.log(log_t)[:, None] * w / np.linalg.norm(w)
        late = log_t > max(1e3, 20.0 / slowest(data))
        moved = float(np.linalg.norm(rest[late] - rest[-1], axis=1).max())
        size = float(np.linalg.norm(rest[-1]))
        slope, near = float(np.linalg.norm(all_weights[-1])) / log_t[-1], 1e-5 * max(1.0, size) * settled(path)
        other = case.once("S1 other", lambda: by_radau(path, data))
        return Measurement.of(
            [
                Quantity("change of w - w_svm log t once transients are over", moved, 0.0, near, route="flow"),
                Quantity(
                    f"|w - w_svm log t| at log t = {log_t[-1]:.3g}",
                    size,
                    float(np.linalg.norm(other)),
                    near,
                    route="flow",
                    second=float(np.linalg.norm(other)),
                    second_route="SciPy's Radau in the clock of the loss, log t = 2e3",
                ),
                Quantity(
                    f"|w|/log t at log t = {log_t[-1]:.3g}",
                    slope,
                    float(np.linalg.norm(w)),
                    20.0 * max(1.0, size) / log_t[-1],
                    route="flow",
                ),
            ],
            "what moves w~ beyond log t = 1e3 is smaller than every power of 1/log t; roundings of weights of size "
            "log t are left",
        )
