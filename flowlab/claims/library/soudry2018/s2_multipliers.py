"""S2: the bounded part tells the multipliers."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.poggio2020.flows import linear, machine, one_layer
from flowlab.claims.library.soudry2018.flows import SOURCE, by_radau, settled, weights
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


@claim("S2")
class BoundedPart(Claim):
    """On the support x_n·w~ → -log α_n, with ŵ = Σ α_n x_n."""

    title = "the bounded part tells the multipliers"
    statement = (
        "With exponential loss x_n w~ tends to -log alpha_n on the support vectors, where w_svm = sum_n alpha_n x_n "
        "(labels taken into x_n)."
    )
    latex = (
        r"\langle x_n, \tilde w\rangle \to -\log \alpha_n \quad (n \in S), \qquad \hat w = \sum_{n \in S} \alpha_n x_n"
    )
    source = f"{SOURCE}, theorem 4 (number not checked)"
    hypotheses = (one_layer(),)
    stated = Variant(multipliers=lambda alpha: alpha, sign=-1.0)
    mutants = (
        stated.but("multipliers normalised", multipliers=lambda alpha: alpha / alpha.sum()),
        stated.but("sign of the logarithm", sign=1.0),
        stated.but(
            "all multipliers equal", multipliers=lambda alpha: np.full(len(alpha), 1.07 * np.exp(np.log(alpha).mean()))
        ),
    )
    counter_example = "multipliers normalised: Σ α_n = 1, as some machines scale them"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data, path = linear(case)
        w, support, alpha, _ = machine(data)
        alpha = variant.multipliers(alpha)
        expected = variant.sign * np.log(alpha)
        z = np.asarray(data.x)[support] * np.asarray(data.y)[support, None]
        log_t, all_weights = weights(path)
        products = z @ (all_weights[-1] - log_t[-1] * w)
        other = case.once("S1 other", lambda: by_radau(path, data))
        # L t → 1/γ² says the same of all of them together.
        return Measurement.of(
            [
                Quantity(
                    f"x_n w~, support vector {n}",
                    s,
                    e,
                    1e-6 * settled(path),
                    route=f"flow at log t = {log_t[-1]:.3g}",
                    second=float(z[i] @ other),
                    second_route="SciPy's Radau in the clock of the loss, log t = 2e3",
                )
                for i, (n, s, e) in enumerate(zip(support.tolist(), products, expected, strict=True))
            ],
            "transients have died out; roundings of weights of size log t are left",
            multipliers=alpha.tolist(),
        )
