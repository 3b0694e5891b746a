"""B13: the end-to-end flow of the covariance and of its spectrum."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.brechet2023.end_to_end_by_hand import by_hand, solved, spectrum_rate
from flowlab.claims.library.brechet2023.flows import (
    LAYERS,
    SPECTRUM,
    TAU,
    basis,
    built_path,
    data,
    power,
    problem,
    product,
    target,
    whole,
)
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.dynamics import integrate, time
from flowlab.language.state import State
from flowlab.lowering.lower import lower
from flowlab.symbolic.balanced_start import balanced_state
from flowlab.symbolic.end_to_end import end_to_end

SIZES = np.array([2.0, 0.4, 1.1, 0.9])


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
    hypotheses = (own_instances,)
    stated = Variant(covariance=by_hand, spectrum=spectrum_rate, fall=4.0)
    mutants = (
        stated.but("half of the rate", covariance=lambda s, R: 0.5 * by_hand(s, R)),
        stated.but("one layer more in the exponents", covariance=lambda s, R: by_hand(s, R, root_of=LAYERS + 1)),
        stated.but("the spectrum of one layer", spectrum=lambda s: -4 * s * (1 - np.sqrt(SPECTRUM / (s + TAU)))),
        stated.but("half the rate of the geodesic", fall=2.0),
    )
    counter_example = "the spectrum of one layer: three times as slow, and without the power"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        path, root = built_path(case), power(target(case), 0.5)
        t = np.exp(path.dataset["log_t"].values)
        row = int(np.argmin(abs(t - 1.0)))
        W0, W = (whole(path.state(i).weights()) for i in (0, row))
        own = case.once("covariance flow", lambda: self._own(case, W0, float(t[row])))
        sigma = W @ W.T
        witness = solved(W0 @ W0.T, float(t[row]), lambda s: variant.covariance(s, root))
        omega = basis(case)
        prob, P0 = problem(LAYERS), (omega * np.sqrt(SIZES)) @ omega.T
        start = balanced_state(prob, product=P0)
        run = integrated(case, "spectrum", prob, start, data(case), time(0.4), rtol=1e-12, atol=1e-14)
        P = whole(run.last.weights())
        sizes = solved(SIZES, 0.4, variant.spectrum)
        single = balanced_state(problem(1, 0.0), product=W0)
        told = integrated(case, "geodesic", problem(1, 0.0), single, data(case), time(1.5), rtol=1e-12, atol=1e-14)
        L, times = told.dataset["objective"].values, np.exp(told.dataset["log_t"].values)
        off = float(np.abs(L / L[0] * np.exp(variant.fall * times) - 1).max())
        size = float(np.linalg.norm(witness))
        return Measurement.of(
            [
                Quantity("covariance of the layers from its own flow", _gap(sigma, own), 0.0, 1e-9, relation="<="),
                Quantity("covariance of the layers from the formula", _gap(sigma, witness), 0.0, 1e-8, relation="<="),
                Quantity("length of the covariance", float(np.linalg.norm(sigma)), size, 1e-8 * size, route="layers"),
                Quantity(
                    "eigenvalues from their own equation",
                    _gap(omega.T @ P @ P.T @ omega, np.diag(sizes)),
                    0.0,
                    1e-8,
                    relation="<=",
                ),
                Quantity("loss of one layer times exp(4 t), less one", off, 0.0, 1e-10, relation="<="),
            ],
            "all flows are integrated to 1e-12 over a time in which the covariance changes by factors of order one",
        )

    def _own(self, case: Case, W0: np.ndarray, end: float) -> np.ndarray:
        P = product(LAYERS)
        field = lower(end_to_end(problem(LAYERS), P @ P.T))
        start = State.from_weights({"Sigma": W0 @ W0.T})
        path = integrate(field, start, data(case), until=time(end), rtol=1e-12, atol=1e-14)
        return np.asarray(path.last.weights()["Sigma"])


def _gap(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))
