"""B13: the end-to-end flow of the covariance and of its spectrum."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.library.brechet2023.end_to_end_by_hand import by_hand, solved, spectrum_rate
from flowlab.claims.library.brechet2023.flows import LAYERS, built_path, problem, product
from flowlab.claims.library.brechet2023.generators import Generator, generator, given_generator
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated, worst
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.dynamics import integrate, time
from flowlab.language.data import Data
from flowlab.language.state import State
from flowlab.lowering.lower import lower
from flowlab.symbolic.balanced_start import balanced_state
from flowlab.symbolic.end_to_end import end_to_end

SPREAD = (2.0, 0.4, 1.1, 0.9)
"""Eigenvalues of a start that commutes with the target, over those of the target, in turn."""


@claim("B13")
class EndToEnd(Claim):
    """Covariances of balanced layers have a flow of their own, and so have their eigenvalues where they commute."""

    title = "the end-to-end flow of the covariance"
    statement = (
        "From balanced layers the covariance S = W W^T has dS/dt = -2 sum_j [S^((N-j)/N) (I - T) S^(1+(j-1)/N) + "
        "transpose], with T the transport map from S + tau to the target. Where S commutes with the target its "
        "eigenvalues have ds/dt = -4 N s^(2 - 1/N) (1 - sqrt(lambda/(s + tau))). One layer without noise is the "
        "geodesic flow, L(t) = L(0) exp(-4 t)."
    )
    latex = (
        r"\dot\Sigma = -2 \sum_{j=1}^N \Sigma^{\frac{N-j}{N}} (I - T) \Sigma^{1 + \frac{j-1}{N}} + (\cdot)^\top, \quad "
        r"\dot s = -4 N s^{2 - 1/N} \bigl(1 - \sqrt{\lambda/(s + \tau)}\bigr)"
    )
    source = "Bréchet et al. 2023, after Arora, Cohen, Hazan 2018; closed form in the covariance derived here"
    hypotheses = (given_generator("flow", square=True),)
    # How many terms, the root of powers, and the rate; layers and a factor of the spectrum; the fall of a geodesic.
    stated = Variant(more=0, rate=1.0, layers=0, fall=4.0)
    mutants = (
        stated.but("half of the rate", rate=0.5),
        stated.but("one layer more in the exponents", more=1),
        stated.but("the spectrum of one layer more", layers=1),
        stated.but("half the rate of the geodesic", fall=2.0),
    )
    counter_example = "the spectrum of one layer more: faster, and with another power"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        told, own = generator(case), case.flow is None
        path = built_path(case) if own else case.flow
        products, rows = told.products(path), path.places(6)[1:]
        times = np.exp(path.dataset["log_t"].values[rows])
        N, covariances = told.depth, products @ products.transpose(0, 2, 1)
        witness = solved(
            covariances[0], times, lambda s: variant.rate * by_hand(s, told.root, told.tau, N, N + variant.more)
        )
        apart = worst(_gap(a, b) for a, b in zip(covariances[rows], witness, strict=True))
        size, bound = float(np.linalg.norm(witness[0])), max(1e-8, 100.0 * path.rtol)
        quantities = [
            Quantity("covariance of the layers from the formula", apart, 0.0, bound, relation="<="),
            Quantity(
                "length of the covariance",
                float(np.linalg.norm(covariances[rows[0]])),
                size,
                bound * size,
                route="layers",
            ),
            *self._commuting(case, told, variant),
            self._geodesic(case, told, products[0], variant),
        ]
        if own:
            alone = case.once("covariance flow", lambda: self._own(told.data, covariances[0], float(times[0])))
            gap = _gap(covariances[rows[0]], alone)
            quantities.append(Quantity("covariance of the layers from its own flow", gap, 0.0, 1e-9, relation="<="))
        return Measurement.of(quantities, "flows are compared at five rows, and held to their tolerance")

    @staticmethod
    def _commuting(case: Case, told: Generator, variant: Variant) -> list[Quantity]:
        """The flow of the same layers from a covariance that commutes with the target."""
        values, omega = told.spectrum, told.basis
        sizes = values * np.resize(SPREAD, len(values))
        start = balanced_state(told.problem, product=(omega * np.sqrt(sizes)) @ omega.T)
        end = 0.5 / float(np.abs(spectrum_rate(sizes, values, told.tau, told.depth) / sizes).max())
        run = integrated(case, "spectrum", told.problem, start, told.data, time(end), rtol=1e-12, atol=1e-14)
        P = told.product(run.last.weights())
        wanted = solved(
            sizes, np.array([end]), lambda s: spectrum_rate(s, values, told.tau, told.depth + variant.layers)
        )[0]
        apart = _gap(omega.T @ P @ P.T @ omega, np.diag(wanted))
        return [Quantity("eigenvalues from their own equation", apart, 0.0, 1e-8, relation="<=")]

    @staticmethod
    def _geodesic(case: Case, told: Generator, W: np.ndarray, variant: Variant) -> Quantity:
        """The flow of one layer without noise, to the target."""
        single, samples = problem(1, 0.0), Data(S0=told.target)
        start = balanced_state(single, product=W)
        path = integrated(case, "geodesic", single, start, samples, time(1.5), rtol=1e-12, atol=1e-14)
        L, times = path.dataset["objective"].values, np.exp(path.dataset["log_t"].values)
        off = float(np.abs(L / L[0] * np.exp(variant.fall * times) - 1).max())
        return Quantity("loss of one layer times exp(4 t), less one", off, 0.0, 1e-10, relation="<=")

    @staticmethod
    def _own(samples: Data, first: np.ndarray, end: float) -> np.ndarray:
        P = product(LAYERS)
        field = lower(end_to_end(problem(LAYERS), P @ P.T))
        start = State.from_weights({"Sigma": first})
        path = integrate(field, start, samples, until=time(end), rtol=1e-12, atol=1e-14)
        return np.asarray(path.last.weights()["Sigma"])


def _gap(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))
