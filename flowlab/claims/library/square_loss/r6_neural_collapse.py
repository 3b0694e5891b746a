"""R6: neural collapse of unconstrained features."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.dynamics import time
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import initial_state
from flowlab.language.trajectory import Trajectory


@claim("R6")
class NeuralCollapse(Claim):
    """Unconstrained features under the square loss: an orthogonal frame with singular values in closed form."""

    title = "neural collapse of unconstrained features"
    statement = (
        "Balanced classes under |W H - Y|^2/(2N) + lambda_w |W|^2/2 + lambda_h |H|^2/2 collapse: all features of a "
        "class become equal. Class means become orthogonal, and a simplex once centred. Singular values of W H are "
        "sqrt(n) - N sqrt(lambda_w lambda_h). Those of W are the root of that times (lambda_h/lambda_w)^(1/4)."
    )
    latex = (
        r"\sigma(WH) = \sqrt n - N\sqrt{\lambda_w\lambda_h}, \quad \sigma(W)^2 = \sigma(WH)\sqrt{\lambda_h/\lambda_w}"
    )
    source = "Rangamani, Banburski-Fahey 2022; unconstrained features without bias"
    hypotheses = (own_instances,)
    stated = Variant(shrinkage=1.0, share=lambda w, h: np.sqrt(h / w), frame=lambda _: 0.0)
    mutants = (
        stated.but("no shrinkage", shrinkage=0.0),
        stated.but("a simplex without centring", frame=lambda classes: -1 / (classes - 1)),
        stated.but("equal shares of both layers", share=lambda *_: 1.0),
    )
    counter_example = "a simplex without centring: cosines of -1/(C - 1) need a bias or centred labels"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        classes, each, lam_w, lam_h = 3, 2, 0.05, 0.08
        n = classes * each
        path = case.once("features", lambda: self._flow(case, classes, each, lam_w, lam_h))
        W, H = (np.asarray(path.last.weights()[name]) for name in ("W", "H"))
        values = np.linalg.svd(W @ H, compute_uv=False)[:classes]
        sigma = np.sqrt(each) - variant.shrinkage * (n * np.sqrt(lam_w * lam_h))
        share = variant.share(lam_w, lam_h)
        means = H.reshape(-1, classes, each).mean(axis=2)
        within = float(np.abs(H.reshape(-1, classes, each) - means[:, :, None]).max() / np.abs(means).max())

        def cosines(m: np.ndarray) -> np.ndarray:
            unit = m / np.linalg.norm(m, axis=0)
            return (unit.T @ unit)[np.triu_indices(classes, 1)]

        raw, centred = cosines(means), cosines(means - means.mean(axis=1, keepdims=True))
        frame = variant.frame(classes)
        return Measurement.of(
            [
                *(
                    Quantity(f"singular value {i + 1} of W H", float(s), float(sigma), 1e-6, route="flow")
                    for i, s in enumerate(values)
                ),
                Quantity(
                    "largest singular value of W, squared",
                    float(np.linalg.norm(W, 2) ** 2),
                    float(np.sqrt(each) - n * np.sqrt(lam_w * lam_h)) * float(share),
                    1e-6,
                    route="flow",
                ),
                Quantity("spread of features within classes", within, 0.0, 1e-6, relation="<="),
                Quantity(
                    "cosine of class means farthest from that of the frame",
                    float(raw[np.abs(raw - frame).argmax()]),
                    frame,
                    1e-6,
                    route="flow",
                ),
                Quantity(
                    "cosine of centred class means", float(centred.mean()), -1 / (classes - 1), 1e-6, route="flow"
                ),
            ],
            "what decays slowest does so like e^(-lambda_w t): t = 500 leaves 1e-11",
        )

    @staticmethod
    def _flow(case: Case, classes: int, each: int, lam_w: float, lam_h: float) -> Trajectory:
        data = Data(
            np.eye(classes * each), np.repeat(np.eye(classes), each, axis=0), name=f"{classes} classes of {each}"
        )
        problem = Problem(
            "W @ H @ x", "square", reduction="mean", decay={"W": lam_w / 2, "H": lam_h / 2}, coordinates="weights"
        )
        start = initial_state(problem.network, data, widths={"H": 5}, seed=case.seed)
        return integrated(case, "features", problem, start, data, time(500.0), rtol=1e-10, atol=1e-12, solver="tsit5")
