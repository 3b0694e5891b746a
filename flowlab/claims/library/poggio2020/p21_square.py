"""P21: equilibrium of the norm under the square loss with decay, and margins that become equal as the decay goes."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.poggio2020.flows import order_of
from flowlab.claims.library.poggio2020.resting_flows import D, N, ended, spread
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.data import Data

DECAYS = (1e-2, 5e-3, 2.5e-3, 1.25e-3)


def _of_one_layer(f: np.ndarray, decay: float) -> float:
    return f.sum() / (decay + (f**2).sum())


def _of_two_layers(f: np.ndarray, decay: float) -> float:
    return (f.sum() - decay) / (f**2).sum()


@claim("P21")
class SquareLoss(Claim):
    """Under the square loss with decay ρ rests at Σ f/(2λ + Σ f²), and as λ → 0 all margins become equal to 1/ρ."""

    title = "square loss: equilibrium of the norm, equal margins in the limit"
    statement = (
        "With L = sum (1 - rho f_n)^2/2 + lambda rho^2 the Lagrange flow of one layer rests at rho = sum f/(2 lambda "
        "+ sum f^2). With decay of each of two layers it rests at R = (sum f - 2 lambda)/sum f^2. Where the samples "
        "can be fitted, margins tend to 1/rho as lambda -> 0, their spread in proportion to lambda."
    )
    latex = (
        r"\rho_{eq} = \frac{\sum_n \bar f_n}{2\lambda + \sum_n \bar f_n^2}, \qquad \bar f_n \to 1/\rho \;\text{as}\; "
        r"\lambda \to 0"
    )
    source = "Poggio, Banburski, Liao 2020; Poggio and Liao 2020-21, Xu, Rangamani et al. 2022-23 for the square loss"
    hypotheses = (own_instances,)
    stated = Variant(part=2.0, power=1.0, of_two=_of_two_layers)
    mutants = (
        stated.but("decay of half the size", part=1.0),
        stated.but("spread like the root of lambda", power=0.5),
        stated.but("formula of one layer for two", of_two=_of_one_layer),
    )
    counter_example = "formula of one layer for two: with decay of each layer the equilibrium is another one"
    quick = False

    def measure(self, case: Case, variant: Variant) -> Measurement:
        rng = np.random.default_rng(case.seed)
        x, y = rng.normal(size=(N, D)), np.where(rng.permutation(N) % 2 == 0, 1.0, -1.0)
        data, part = Data(x, y), variant.part
        quantities, spreads = [], []
        for decay in DECAYS:
            R, f = ended(case, data, "W1 @ x", decay)
            ridge = np.linalg.solve(x.T @ x + 2.0 * decay * np.eye(D), x.T @ y)
            spreads.append(spread(f))
            quantities.append(
                Quantity(
                    f"rho at lambda = {decay:g}",
                    R,
                    float(_of_one_layer(f, part * decay)),
                    1e-8 * R,
                    route="flow at rest",
                    second=float(np.linalg.norm(ridge)),
                    second_route="ridge regression in closed form",
                )
            )
        order, bar = order_of(spreads)
        quantities.append(
            Quantity(
                "order of the margins' spread in lambda",
                order,
                variant.power,
                4e-3,
                error=bar,
                route="local orders at four decays, extrapolated",
            )
        )
        a, b, c = spreads[1:]
        first, second = 2 * b - a, 2 * c - b
        quantities.append(
            Quantity(
                "spread of the margins as lambda -> 0",
                (4 * second - first) / 3,
                0.0,
                1e-2 * c,
                altered=0.0,
                route="Richardson over decays",
            )
        )
        decay = 0.05
        R, f = ended(case, data, "W2 @ W1 @ x", decay)
        expected = variant.of_two(f, part * decay)
        quantities.append(
            Quantity("R of two layers at lambda = 0.05", R, float(expected), 1e-8 * R, route="flow at rest")
        )
        return Measurement.of(
            quantities, "flows are run for 40/lambda, where exp(-40) of the start is left; rtol 1e-10", spreads=spreads
        )
