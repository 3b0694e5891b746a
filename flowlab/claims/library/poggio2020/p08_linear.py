"""P8: one layer on separable data, where every constant of the late flow is known."""

from typing import Any

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.quantity import Quantity
from flowlab.claims.verdict import Measurement
from flowlab.core.errors import ClaimError

HORIZON = 1e6
"""log t to which linear nets are run: what is of order 1/log t has fallen to 1e-6 there."""


EARLIEST = 2e4
"""log t from which on a given flow may show limits to the half per cent that errors of one per cent need."""
_SETTLED = 20.0
"""Transients have died out where their exponent has grown to this."""


def only_block(path: Any) -> str:
    """The name of the single layer."""
    return path.problem.network.weights[0]


def machine(data: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """w_svm, the support, its multipliers and the bounded part w~ of Soudry et al. (2018): x_n w~ = -log α_n on the support, in its span."""
    from flowlab.discrete.margin.svm import hard_margin

    z = np.asarray(data.x) * np.asarray(data.y)[:, None]
    found = hard_margin(z, np.ones(len(z)))
    support = np.flatnonzero(found.alpha > 0)
    return found.w, support, found.alpha[support], np.linalg.lstsq(z[support], -np.log(found.alpha[support]), rcond=None)[0]


def slowest(data: Any) -> float:
    """The rate λ of the slowest transient, which falls like exp(-λ log t).

    On the support it is the least eigenvalue of Σ α_n x_n x_n^T in its span, off it the least x_n·w_svm - 1.
    """
    z = np.asarray(data.x) * np.asarray(data.y)[:, None]
    w, support, alpha, _ = machine(data)
    rows = np.sqrt(alpha)[:, None] * z[support]
    on = np.linalg.svd(rows, compute_uv=False)[: np.linalg.matrix_rank(z[support])] ** 2
    off = np.delete(z @ w - 1.0, support)
    return float(min(on.min(), off.min(initial=np.inf)))


def linear(case: Case) -> tuple[Any, Any]:
    """The data and the late flow of one linear layer, the given one where there is one; shared by the claims about it.

    Raises:
        ClaimError: if the given flow ends before its transients have died out.
    """
    from flowlab.claims.sample_problems import integrated, separable
    from flowlab.dynamics import log_time
    from flowlab.language.problem import Problem
    from flowlab.language.state import initial_state

    if case.path is not None:
        end, needed = float(case.path.dataset["log_t"].values[-1]), max(EARLIEST, 2.0 * _SETTLED / slowest(case.data))
        if end < needed:
            raise ClaimError(f"the given flow ends at log t = {end:.4g}, and limits of these data are seen from {needed:.2g} on; integrate further.")
        return case.data, case.path
    data = case.data if case.data is not None else separable(8, 3, case.seed)
    problem = Problem("W1 @ x" if case.problem is None else case.problem.network, coordinates="weights")
    start = initial_state(problem.network, data, seed=case.seed)
    return data, integrated(case, "linear", problem, start, data, log_time(HORIZON))


@claim("P8")
class LateLinearFlow(Claim):
    """ρ ~ log t/γ, ρ‖v - v*‖ → C* = ‖P_⊥ w~‖, a margin gap of order 1/log t, L t → 1/γ²."""

    title = "constants of the late flow of one layer"
    statement = (
        "On separable data with exponential loss a single layer has rho/log t -> 1/gamma, rho |v - v*| -> |P_perp w~|, "
        "rho (gamma - margin) -> max_n log alpha_n + gamma v* w~, and L t -> 1/gamma^2."
    )
    latex = (
        r"\rho/\log t \to 1/\gamma, \quad \rho\,\lVert v - v^*\rVert \to \lVert P_\perp \tilde w\rVert, \quad "
        r"\rho\,(\gamma - \min_n \bar f_n) \to \max_n \log\alpha_n + \gamma \langle v^*, \tilde w\rangle, \quad L\,t \to 1/\gamma^2"
    )
    source = "Poggio, Banburski, Liao 2020; constants after Soudry et al. 2018"
    mutants = ("first power of the margin", "bounded part of another seed", "all multipliers equal")
    counter_example = "all multipliers equal: then w~ has no part across v*, and the constant would vanish"

    def hypotheses(self, case: Case) -> str | None:
        from flowlab.claims.library.poggio2020.p09_directions import one_layer

        return one_layer(case)

    def measure(self, case: Case, mutant: str | None = None) -> Measurement:
        data, path = linear(case)
        w, support, alpha, bounded = machine(data)
        if mutant == "all multipliers equal":
            rows = np.asarray(data.x)[support] * np.asarray(data.y)[support, None]
            bounded = np.linalg.lstsq(rows, -np.log(np.full(len(alpha), alpha.mean())), rcond=None)[0]
        if mutant == "bounded part of another seed":
            bounded = np.random.default_rng(case.seed).permutation(bounded) * 1.5
        gamma, v = 1.0 / float(np.linalg.norm(w)), w / np.linalg.norm(w)
        end = path.dataset.isel(step=-1)
        log_t, rho = float(end["log_t"]), float(end["rho"][0])
        z = np.asarray(data.x)[support] * np.asarray(data.y)[support, None]
        # Off the span of the support w~ depends on the start and on all samples; the constant is about its part inside.
        onto = np.linalg.pinv(z) @ z
        V = onto @ np.asarray(path.last.V[only_block(path)]).ravel()
        across = float(np.linalg.norm(bounded - v * (v @ bounded)))
        along = float(np.log(alpha).max() + gamma * (v @ bounded))
        power = 1.0 if mutant == "first power of the margin" else 2.0
        # What a limit lacks at log t falls like 1/log t; the constants in front are a few units.
        late, route = 20.0 / log_t, f"flow at log t = {log_t:.3g}"
        # The next orders of what is large on some data: v* w~ in the norm, and half of γ² |P_perp w~|² in the gap, with w~ as it is off the support too.
        W = np.asarray(path.last.weights()[only_block(path)]).ravel()
        second, third = float(abs(v @ bounded)) / log_t, (gamma * _across(W, v)) ** 2 / log_t
        return Measurement.of(
            [
                Quantity("rho/log t", rho / log_t, 1.0 / gamma, late * max(1.0, 1.0 / gamma) + 2 * second, route=route),
                Quantity("rho |v - v*|", rho * float(np.linalg.norm(V - v)), across, late * max(1.0, across), route=route,
                         second=_across(onto @ W, v), second_route="part of the weights across v*"),
                Quantity("rho (gamma - margin)", rho * (gamma - float(end["min_margin"])), along, late * max(1.0, along) + third, route=route),
                Quantity("L t", float(np.exp(log_t + end["log_loss"])), gamma**-power, 1e-7 * gamma**-2, route=route),
            ],
            "limits are missed by a few units of 1/log t, and L t by roundings of exponents of size log t",
            gamma=gamma, support=support.tolist(), log_t=log_t,
            **({} if case.data is not None else {"differs": "C* = .16070 and L t = 5.2581596315 were measured on eight samples that are not recorded; here "
                                                            "the constants are those of a draw of its own, each against its closed form"}),
        )  # fmt: skip



def _across(W: np.ndarray, v: np.ndarray) -> float:
    return float(np.linalg.norm(W - v * (v @ W)))
