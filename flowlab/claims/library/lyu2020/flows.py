"""The flows that the claims of Lyu and Li, and of Ji and Telgarsky, are checked on: a smooth net of degree 3, and deep linear ones of degrees 2 and 3."""

from typing import Any, ClassVar

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim

HORIZON = 1e6
NETS = {"smooth": ("W2 @ relu(W1 @ x)**2", {"W1": 5}), "deep": ("W2 @ W1 @ x", {"W1": 3}), "three layers": ("W3 @ W2 @ W1 @ x", {"W1": 3, "W2": 3})}


def flow(case: Case, which: str) -> tuple[Any, Any]:
    """Data and late flow of one of `NETS`; the case's own data are used where they have two classes."""
    from flowlab.claims.instances import integrated, separable
    from flowlab.dynamics import log_time
    from flowlab.language.network import Network
    from flowlab.language.problem import Problem
    from flowlab.language.state import initial_state

    text, widths = NETS[which]
    data = case.data if case.data is not None else separable(8, 3, case.seed)
    problem = Problem(Network(text), coordinates="weights")
    start = initial_state(problem.network, data, widths=widths, seed=case.seed)
    return data, integrated(case, f"lyu {which}", problem, start, data, log_time(HORIZON))


class OnLateFlows(Claim):
    """A claim about late flows of some of `NETS`: under the exponential loss, on data with labels ±1 that a hyperplane separates, as these nets then do."""

    nets: ClassVar[tuple[str, ...]] = ("smooth", "deep")

    def hypotheses(self, case: Case) -> str | None:
        from flowlab.discrete.svm import certify_separable

        p, texts = case.problem, [NETS[name][0] for name in self.nets]
        if p is not None and p.network.text not in texts:
            return f"it is checked on flows of {' and '.join(texts)}, and the network is {p.network.text[:120]}"
        if p is not None and p.loss.name != "exponential":
            return f"it is checked on flows of the exponential loss, and the loss is {p.loss.name}"
        if p is not None and (any(p.decay.values()) or p.scheme.name != "gradient_flow"):
            return "it is about gradient flow without weight decay"
        if case.data is None:
            return None
        if case.data.kind != "binary":
            return "labels are not ±1"
        fine = certify_separable(np.asarray(case.data.x), np.asarray(case.data.y)).separable
        return None if fine else "no hyperplane through 0 separates the data"


def levels(path: Any) -> dict[str, np.ndarray]:
    """Of every row: log 1/L, ‖θ‖, the degree K of all weights together, N, and the smallest margin q."""
    ds = path.dataset
    theta = np.sqrt((ds["rho"].values ** 2).sum(axis=1))
    degree = float(path.problem.network.symmetry.joint_degree)
    q = ds["min_margin"].values * np.exp(ds["log_R"].values)
    return {"level": -ds["log_loss"].values, "theta": theta, "K": np.array(degree), "q": q, "log_t": ds["log_t"].values}


def rates(path: Any, data: Any, i: int) -> dict[str, float]:
    """Of one row, by autodiff: L, ‖∇L‖², ν = ⟨θ, -∇L⟩, ‖θ‖, Σ e^{-q} q, all in units in which L is as it is; for rows that float64 holds."""
    from flowlab.language.autodiff import velocity

    state = path.state(i)
    weights = {k: np.asarray(v) for k, v in state.weights().items()}
    g = {k: np.asarray(v) for k, v in velocity(path.problem, weights, data).items()}
    q = np.asarray(path.problem.margins(weights, data, np))
    return {
        "L": float(np.exp(-q).sum()), "slope": sum(float((v**2).sum()) for v in g.values()), "nu": sum(float((weights[k] * g[k]).sum()) for k in g),
        "theta": float(np.sqrt(sum(float((w**2).sum()) for w in weights.values()))), "pull": float((np.exp(-q) * q).sum()),
    }  # fmt: skip


def early(path: Any, count: int = 40) -> list[int]:
    """Rows spread over those with L < 1 whose loss float64 holds without loss of digits."""
    level = -path.dataset["log_loss"].values
    rows = np.flatnonzero((level > 0) & (level < 200.0))
    return sorted({int(i) for i in rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]})
