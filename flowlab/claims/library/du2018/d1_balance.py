"""D1, D2, D3: what gradient flow conserves between layers, and what descent keeps of it when it factorises a matrix."""

from typing import Any

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.quantity import Quantity
from flowlab.claims.verdict import Measurement

NET = "W3 @ W2 @ leaky_relu(W1 @ x, 0.5)"
"""Between W2 and W3 the net is linear, between W1 and W2 homogeneous unit by unit."""


@claim("D1")
class Balance(Claim):
    """Three conserved differences: of squared norms, of every unit's in and out, of Gram matrices where nothing is between."""

    title = "gradient flow keeps layers as balanced as they are"
    statement = (
        "Gradient flow conserves |W_k|_F^2 - |W_{k+1}|_F^2 between homogeneous layers, the difference of squared in- and out-going norms of every (leaky) "
        "ReLU unit, "
        "and the matrix W_k W_k^T - W_{k+1}^T W_{k+1} between linear layers, but not that matrix across an activation."
    )
    latex = r"\frac{d}{dt}\bigl(\lVert W_k\rVert_F^2 - \lVert W_{k+1}\rVert_F^2\bigr) = 0, \quad \frac{d}{dt}\bigl(W_kW_k^\top - W_{k+1}^\top W_{k+1}\bigr) = 0"
    source = "Du, Hu, Lee 2018, theorems 2.1 to 2.3 and corollary 2.1"
    mutants = ("sums of squared norms", "the whole matrix across an activation", "single entries of a unit")
    counter_example = "the whole matrix across an activation: off its diagonal it moves"
    quick = False

    def hypotheses(self, case: Case) -> str | None:
        return own_instances(case)

    def measure(self, case: Case, mutant: str | None = None) -> Measurement:
        start, path = case.once("balance", lambda: self._flow(case))
        before, after = ({k: np.asarray(w) for k, w in s.weights().items()} for s in (start, path.last))

        def change(law: Any) -> float:
            return float(np.abs(np.asarray(law(after)) - np.asarray(law(before))).max())

        def gram(w: dict[str, np.ndarray], k: int) -> np.ndarray:
            return w[f"W{k}"] @ w[f"W{k}"].T - w[f"W{k + 1}"].T @ w[f"W{k + 1}"]

        sign = 1.0 if mutant == "sums of squared norms" else -1.0
        unit: Any = lambda w: np.diag(gram(w, 1))  # noqa: E731
        if mutant == "the whole matrix across an activation":
            unit = lambda w: gram(w, 1)  # noqa: E731
        if mutant == "single entries of a unit":
            unit = lambda w: w["W1"][:, 0] ** 2 - w["W2"][0] ** 2  # noqa: E731
        norms: Any = lambda w: [(w[f"W{k}"] ** 2).sum() + sign * (w[f"W{k + 1}"] ** 2).sum() for k in (1, 2)]  # noqa: E731
        return Measurement.of(
            [
                Quantity("change of the differences of squared norms", change(norms), 0.0, 1e-7, relation="<="),
                Quantity("change of the differences by unit", change(unit), 0.0, 1e-7, relation="<="),
                Quantity("change of the matrix between linear layers", change(lambda w: gram(w, 2)), 0.0, 1e-8, relation="<="),
                Quantity("change of the weights themselves", change(lambda w: w["W1"]), 1e-3, 0.0, relation=">="),
            ],
            "local errors of 1e-9 over the flow, and over its passages through kinks",
        )  # fmt: skip

    @staticmethod
    def _flow(case: Case) -> tuple[Any, Any]:
        from flowlab.claims.instances import integrated
        from flowlab.dynamics import time
        from flowlab.language.data import Data
        from flowlab.language.problem import Problem
        from flowlab.language.state import initial_state

        rng = np.random.default_rng(case.seed)
        data = Data(rng.normal(size=(5, 3)), rng.normal(size=5), name=f"regression seed={case.seed}", kind="targets")
        problem = Problem(NET, "square", coordinates="weights", reduction="mean")
        start = initial_state(problem.network, data, widths={"W1": 4, "W2": 3}, seed=case.seed)
        return start, integrated(case, "balance flow", problem, start, data, time(2.0), rtol=1e-9, atol=1e-11, solver="tsit5")


def factorised(target: np.ndarray, U: np.ndarray, V: np.ndarray, steps: np.ndarray) -> dict[str, Any]:
    """Descent on |U V^T - target|^2/2 with given steps: losses, and Frobenius norms of U^T U - V^T V, before and after each."""
    losses, gaps = [], []
    for step in [*steps.tolist(), 0.0]:
        E = U @ V.T - target
        losses.append(0.5 * float((E * E).sum()))
        gaps.append(float(np.linalg.norm(U.T @ U - V.T @ V)))
        U, V = U - step * E @ V, V - step * E.T @ U
    return {"losses": np.array(losses), "gaps": np.array(gaps), "U": U, "V": V}


def low_rank(seed: int, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A target (8, 6) of this rank with singular values near one, and small factors to begin with."""
    rng = np.random.default_rng(seed)
    u, v = (np.linalg.qr(rng.normal(size=(n, rank)))[0] for n in (8, 6))
    return u @ np.diag(np.linspace(1.0, 0.6, rank)) @ v.T, 0.05 * rng.normal(size=(8, rank)), 0.05 * rng.normal(size=(6, rank))


@claim("D2")
class ShrinkingSteps(Claim):
    """Steps η_t = c/(t + 1)^(1/2 + δ): factors stay balanced, stay bounded, and reach the global minimum."""

    title = "descent with shrinking steps keeps two factors balanced"
    statement = (
        "Descent on |U V^T - M|^2/2 from small factors with steps O(t^-(1/2 + delta)) stays within |U^T U - V^T V| <= epsilon, with |U|^2, |V|^2 bounded "
        "by a multiple of |M|, "
        "and its loss goes to zero; the change of U^T U - V^T V is of second order in the steps."
    )
    latex = r"\lVert U_t^\top U_t - V_t^\top V_t\rVert_F \le \epsilon, \quad U_tV_t^\top \to M"
    source = "Du, Hu, Lee 2018, theorem 3.1"
    mutants = ("large unbalanced factors", "change of first order", "no bound from balance")
    counter_example = "large unbalanced factors: the gap that is there stays"

    def hypotheses(self, case: Case) -> str | None:
        return own_instances(case)

    def measure(self, case: Case, mutant: str | None = None) -> Measurement:
        target, U, V = low_rank(case.seed, 3)
        steps = 0.3 * (np.arange(1, 4001) + 10.0) ** -0.55 * 10.0**0.55
        tilt = 8.0 if mutant == "large unbalanced factors" else 1.0
        run = case.once(f"shrinking {tilt:g}", lambda: factorised(target, tilt * U, V, steps))
        changes = []
        for n in (100, 200, 400, 800, 1600):
            each = case.once(f"equal steps {n}", lambda n=n: factorised(target, 10 * U, 10 * V, np.full(n, 4.0 / n)))
            changes.append(abs(each["gaps"][-1] - each["gaps"][0]))
        slopes = np.diff(-np.log2(np.array(changes)))
        once = 2 * slopes[1:] - slopes[:-1]
        # At a fixed time the changes of second order of 1/eta steps add up to first order.
        wanted = 0.0 if mutant == "change of first order" else 1.0
        size = float(max(np.linalg.norm(run["U"]) ** 2, np.linalg.norm(run["V"]) ** 2))
        bound = 0.2 if mutant == "no bound from balance" else 5.0
        return Measurement.of(
            [
                Quantity("loss at the end", float(run["losses"][-1]), 0.0, 1e-8, relation="<="),
                Quantity("largest |U^T U - V^T V|", float(run["gaps"].max()), 0.0, 0.2, relation="<="),
                Quantity("larger squared norm over that of M", size / float(np.linalg.norm(target)), bound, 0.0, relation="<="),
                Quantity("order in the step of the change by a fixed time", float(once[-1]), wanted, 6e-3, error=min(float(abs(once[-1] - once[-2])),
                         3e-3), route="descent"),
            ],
            "a fifth, of factors whose Gram matrices have norm 1.4; the order is extrapolated from steps halved four times",
            gaps=[float(run["gaps"][0]), float(run["gaps"][-1])],
        )  # fmt: skip


@claim("D3")
class RankOneRate(Claim):
    """Rank one and a constant step: a linear rate, 2 (1 - η s)^2 in the end."""

    title = "rank one with a constant step converges linearly"
    statement = (
        "Descent on |u v^T - s u* v*^T|^2/2 from small factors with a constant step goes to a global minimum at a linear rate; in the end the loss falls "
        "by (1 - eta r)^2 per step, r the smaller of |u|^2 and |v|^2."
    )
    latex = r"L_{k+1}/L_k \to (1 - \eta\,\min(\lVert u_\infty\rVert^2, \lVert v_\infty\rVert^2))^2"
    source = "Du, Hu, Lee 2018, theorem 3.2 (linear rate); its value is the slowest mode of the linearised descent"
    mutants = ("balanced factors", "the sum of both", "a step too large")
    counter_example = "a step too large: eta (|u|^2 + |v|^2) above 2 has no rest at the minimum"

    def hypotheses(self, case: Case) -> str | None:
        return own_instances(case)

    def measure(self, case: Case, mutant: str | None = None) -> Measurement:
        target, U, V = low_rank(case.seed, 1)
        U, V = 8.0 * U, 2.0 * V
        step = 0.9 if mutant == "a step too large" else 0.05
        run = case.once(f"rank one {step:g}", lambda: factorised(target, U, V, np.full(800, step)))
        kept = np.flatnonzero(run["losses"] > 1e-24)
        late = int(kept[-1])
        rate = float(np.log(run["losses"][late] / run["losses"][late - 20]) / 20)
        a, b = float((run["U"] ** 2).sum()), float((run["V"] ** 2).sum())
        slow = {"balanced factors": 1.0, "the sum of both": a + b}.get(mutant or "", min(a, b))
        expected = 2 * float(np.log(abs(1 - 0.05 * slow)))
        return Measurement.of(
            [
                Quantity("loss at the end", float(run["losses"][-1]), 0.0, 1e-12, relation="<="),
                Quantity("late log L(k+1)/L(k)", rate, expected, 2e-3 * abs(expected), route="descent"),
            ],
            "the next mode has died out when the loss is 1e-24",
            squares=[a, b],
        )
