"""Z7: two clocks: the support is reached at τ/|g|, and then the loss decays at a rate of K."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import USUAL, Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.zhou_ge2023.flows import SOURCE, induced, samples
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.errors import ClaimError
from flowlab.dynamics import integrate, log_loss_below, time
from flowlab.language.trajectory import Trajectory
from flowlab.lowering.lower import lower

SAMPLES, FEATURES = 4, 80
FAST, SLOW = 1e-3, 0.05
"""λ that the first stage is looked at with, where the second is far away, and that of the second."""
ALPHAS, REACHED = (1e-8, 1e-10), 0.01


@claim("Z7")
class TwoClocks(Claim):
    """In the first stage the gradient g of β stays what it was, and w = α e^{2|g| t} is of order one at τ/|g|.

    In the second the residual follows X K Xᵀ/n with K = 4(w² + u²) + λ², whose least eigenvalue is above that of
    λ² X Xᵀ/n by what the support adds.
    """

    title = "the support is reached at tau/|g|, and then the loss decays with the least eigenvalue of X K X^T/n"
    statement = (
        "The first entry of beta reaches 0.01 after tau/|g| plus a time that does not depend on alpha, tau = "
        "log(1/alpha)/2 and g the gradient at 0; at last the loss decays like exp(-2 mu t) with mu the least "
        "eigenvalue of X K X^T/n, K = 4(w^2 + u^2) + lambda^2."
    )
    latex = r"t = \tau/|g_i| + O(1), \qquad L \sim e^{-2\mu t}, \quad \mu = \lambda_{\min}(XKX^\top)/n"
    source = f"{SOURCE}; rates derived here"
    hypotheses = (own_instances,)
    stated = Variant(metric=lambda K: K, tau=0.5)
    mutants = (
        stated.but(USUAL, metric=lambda K: np.full_like(K, SLOW**2)),
        stated.but("tau = log(1/alpha)", tau=1.0),
        stated.but("half of K", metric=lambda K: 0.5 * K),
    )
    counter_example = "as usually stated: K = lambda^2"
    usual = "After the support is found, the rest relaxes at the rate lambda^2 sigma_min(X)^2/n."
    decisive = "the late rate of the loss over 2 mu: it is 1 for K at the limit, and more for lambda^2 alone"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        x, y = case.once("one weight", lambda: self._samples(case))
        times = [
            case.once(f"time to {REACHED} at {alpha:g}", lambda a=alpha: self._time(case, x, y, a)) for alpha in ALPHAS
        ]
        pace = float(np.abs(x.T @ y).max() / len(y))
        taken = (times[1] - times[0]) * pace / (variant.tau * np.log(ALPHAS[0] / ALPHAS[1]))
        rate, K = case.once("late rate", lambda: self._late(case, x, y))
        mu = float(np.linalg.eigvalsh((x * variant.metric(K)) @ x.T / len(y))[0])
        return Measurement.of(
            [
                Quantity("more time for a smaller alpha, over more tau/|g|", float(taken), 1.0, 0.008),
                Quantity("late rate of the loss", rate, 2.0 * mu, 0.008 * 2.0 * mu),
            ],
            "flows of beta in z; the rate is the slope of log L from e^-50 to e^-56",
            clocks={"support": times, "rest": 1.0 / rate},
        )

    @staticmethod
    def _samples(case: Case) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(case.seed)
        x = rng.normal(size=(SAMPLES, FEATURES))
        return x, x[:, 0] + 0.2 * rng.normal(size=SAMPLES)

    @staticmethod
    def _run(case: Case, x: np.ndarray, y: np.ndarray, alpha: float, lam: float, until: list) -> Trajectory:
        flow = induced(case, FEATURES, alpha, lam)
        path = integrate(lower(flow), flow.start, samples(x, y), until=until, rtol=1e-10, atol=1e-12)
        if not path.outcome.ok:
            raise ClaimError(f"the flow of beta ended early ({path.outcome}); try another seed.")
        return path

    def _time(self, case: Case, x: np.ndarray, y: np.ndarray, alpha: float) -> float:
        """When the first entry that grows has the size `REACHED`."""
        path = self._run(
            case, x, y, alpha, FAST, [time(1.6 * 0.5 * np.log(1 / alpha) * len(y) / np.abs(x.T @ y).max())]
        )
        grows = int(np.abs(x.T @ y).argmax())
        size = np.abs(path.dataset["rho"].values[:, 0] * path.dataset["V_beta"].values[:, grows])
        after = int(np.argmax(size > REACHED))
        t = np.exp(path.dataset["log_t"].values[after - 1 : after + 1])
        return float(np.interp(np.log(REACHED), np.log(size[after - 1 : after + 1]), t))

    def _late(self, case: Case, x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
        """The late rate, and K at the end."""
        path = self._run(case, x, y, ALPHAS[0], SLOW, [log_loss_below(-56.0), time(1e5)])
        rows = path.dataset["log_loss"].values
        late = rows < -50.0
        slope = np.polyfit(np.exp(path.dataset["log_t"].values[late]), rows[late], 1)[0]
        chart = induced(case, FEATURES, ALPHAS[0], SLOW).coordinate
        return -float(slope), np.asarray(chart.metric(np, chart.inverse(np, np.asarray(path.last.weights()["beta"]))))
