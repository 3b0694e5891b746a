"""L5: how fast the loss falls and the norm grows, with the sharp constant."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import claim
from flowlab.claims.library.lyu2020.flows import HORIZON, OnHomogeneousFlows, flows
from flowlab.claims.quantity import Quantity
from flowlab.claims.verdict import Measurement
from flowlab.core.errors import ClaimError


@claim("L5")
class Rates(OnHomogeneousFlows):
    """L = Θ(1/(t (log t)^{2-2/K})), ‖θ‖ = Θ((log t)^{1/K})."""

    title = "rates of loss and norm"
    statement = (
        "Late, |theta| grows like (log t)^(1/K) and L t (log t)^(2-2/K) tends to 1/(K^2 g^(2/K)), g the limit of min q/|theta|^K; "
        "for deep linear nets g = gamma K^(-K/2)."
    )
    latex = r"\lVert\theta\rVert = \Theta((\log t)^{1/K}), \qquad L\,t\,(\log t)^{2-2/K} \to \frac{1}{K^2 \gamma^{2/K}}"
    source = "Lyu and Li 2020, theorem on rates; the constant is flowlab's P11"
    mutants = ("exponent 2/K", "degree + 1", "constant without K^2")
    counter_example = "exponent 2/K: the growth of a net of half the degree"

    def measure(self, case: Case, mutant: str | None = None) -> Measurement:
        from flowlab.discrete.svm import hard_margin
        from flowlab.dynamics.asymptotics import asymptotics

        found = []
        for which, data, path in flows(case, ("deep", "smooth"), HORIZON):
            K = float(path.problem.network.symmetry.joint_degree) + (1.0 if mutant == "degree + 1" else 0.0)
            told = case.once(f"lyu limits {which}", lambda path=path: asymptotics(path))
            first = path.dataset["block"].values.tolist()[0]
            if not {f"exponent rho_{first}", "q"} <= set(told.limits):
                raise ClaimError(f"{which} does not go far enough for limits; integrate further.")
            late = told[f"exponent rho_{first}"].late
            value, bar = (late.value, late.error) if late else (np.nan, np.nan)
            power = 2.0 / K if mutant == "exponent 2/K" else 1.0 / K
            found.append(Quantity(f"exponent of the norm of {first}, {which}", value, power, 4e-3 / K, bar, route="extrapolated along log 1/L"))
            q = told["q"].late
            theta = np.sqrt((path.dataset["rho"].values[-1] ** 2).sum())
            if which == "deep":
                g = 1.0 / float(np.linalg.norm(hard_margin(np.asarray(data.x), np.asarray(data.y)).w)) / 2.0
            else:
                # No closed form: the margin of the last row, which is as far from its limit as 1/log t.
                end = path.dataset.isel(step=-1)
                g = float(end["min_margin"]) * float(np.exp(end["log_R"])) / theta ** float(path.problem.network.symmetry.joint_degree)
            constant = (1.0 if mutant == "constant without K^2" else K**2) * g ** (2.0 / K)
            value, bar = (np.exp(q.value), np.exp(q.value) * q.error) if q else (np.nan, np.nan)
            found.append(Quantity(f"L t (log t)^(2 - 2/K), {which}", value, 1.0 / constant, 4e-3 / constant, bar, route="extrapolated along log 1/L"))
        return Measurement.of(found, "less than half a per cent; limits are extrapolated and carry their bars")
