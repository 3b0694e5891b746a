"""The flows that the claims of Lyu and Li, and of Ji and Telgarsky, are checked on: the one given, one of the problem
given, or flows of nets of our own.

Losses are sums over samples here, ℓ(q) = exp(-φ(q)) with an exponential tail, and log(1/L) stands for ℓ^{-1}(L), as in
the general form of the theory.
"""

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.hypotheses import (
    Hypothesis,
    exponential_tail,
    homogeneous,
    hypothesis,
    labels_fit,
    plain_flow,
    subject,
)
from flowlab.claims.sample_problems import integrated, samples_for, samples_of, separable
from flowlab.core.errors import ClaimError
from flowlab.core.typing import Array, Blocks
from flowlab.discrete.margin.max_margin import MaxMargin, max_margin
from flowlab.discrete.margin.svm import certify_separable
from flowlab.dynamics import integrate, log_time
from flowlab.language.data import Data
from flowlab.language.network import Network
from flowlab.language.problem import Problem
from flowlab.language.state import initial_state
from flowlab.language.trajectory import Trajectory
from flowlab.lowering.lower import lower
from flowlab.symbolic.derive import derive

HORIZON = 1e6
SHORT = 30.0
"""log t up to which a given problem is run where a statement is about rows, not limits; flows with kinks get there in
seconds.
"""
NETS = {
    "smooth": ("W2 @ relu(W1 @ x)**2", {"W1": 5}),
    "deep": ("W2 @ W1 @ x", {"W1": 3}),
    "three layers": ("W3 @ W2 @ W1 @ x", {"W1": 3, "W2": 3}),
}


def flow(case: Case, which: str) -> tuple[Data, Trajectory]:
    """Data and late flow of one of `NETS`; the case's own data are used where they have two classes."""
    text, widths = NETS[which]
    data = case.data if case.data is not None else separable(8, 3, case.seed)
    problem = Problem(Network(text), coordinates="weights")
    start = initial_state(problem.network, data, widths=widths, seed=case.seed)
    return data, integrated(case, f"lyu {which}", problem, start, data, log_time(HORIZON))


def late_flow(*which: str) -> Hypothesis:
    """Late gradient flow of some of `NETS` under the exponential loss, on separable data with labels ±1, as these nets
    then do.
    """
    texts = [NETS[name][0] for name in which]

    def unmet(case: Case) -> str | None:
        p = case.problem
        if p is not None and p.network.text not in texts:
            return f"it is checked on flows of {' and '.join(texts)}, and the network is {p.network.text[:120]}"
        if p is not None and p.loss.name != "exponential":
            return f"it is checked on flows of the exponential loss, and the loss is {p.loss.name}"
        if p is not None and (any(p.decay.values()) or p.scheme.name != "gradient_flow"):
            return "it is about gradient flow without weight decay"
        if case.data is not None and case.data.kind != "binary":
            return "labels are not ±1"
        return _inseparable(case)

    nets = " or ".join(f"`{text}`" for text in texts)
    return Hypothesis(
        f"gradient flow of {nets} under the exponential loss without weight decay, separable samples", unmet
    )


@hypothesis("gradient flow without weight decay of a homogeneous network, under a loss with an exponential tail")
def homogeneous_flow(case: Case) -> str | None:
    """Gradient flow of any homogeneous network under a loss with an exponential tail, from where every sample can be on
    its right side.
    """
    p = subject(case)
    if p is not None:
        return homogeneous(p) or exponential_tail(p) or plain_flow(p) or labels_fit(case, p)
    return labels_fit(case) or _inseparable(case)


def _inseparable(case: Case) -> str | None:
    if case.data is None or certify_separable(np.asarray(case.data.x), np.asarray(case.data.y)).separable:
        return None
    return "no hyperplane through 0 separates the data"


def flows(
    case: Case, own: tuple[str, ...] = ("smooth", "deep"), horizon: float = SHORT
) -> list[tuple[str, Data, Trajectory]]:
    """Name, data and flow of what a statement is checked on: the flow given, or one of the problem given up to log t =
    `horizon`, or those of `own` nets.

    Raises:
        ClaimError: if a flow has fewer than three rows with L < ℓ(0), where the theory begins.
    """
    if case.flow is not None:
        runs = [("the given flow", case.data, case.flow)]
    elif case.problem is not None:
        runs = [_of_problem(case, horizon)]
    else:
        return [(which, *flow(case, which)) for which in own]
    for name, data, path in runs:
        if data is None:
            raise ClaimError("the flow has no samples; pass them with it.")
        if not (levels(path)["level"] > 0).sum() >= 3:
            raise ClaimError(
                f"L < ℓ(0) at fewer than three rows of {name}, and the statement is about what comes after; integrate "
                "further."
            )
    return runs


def _of_problem(case: Case, horizon: float) -> tuple[str, Data, Trajectory]:
    """A flow of the given network and loss; its rows are flow wherever it ends."""
    p, data = case.problem, samples_for(case, separable(8, 3, case.seed))

    def make() -> Trajectory:
        problem = Problem(p.network, p.loss.name, coordinates="weights", reduction=p.reduction)
        start = initial_state(problem.network, data, default_width=4, seed=case.seed)
        field = case.once(f"field {problem.signature}", lambda: lower(derive(problem)))
        plain = Data(data.x, data.y, name="samples", kind=data.kind)
        return replace(
            integrate(field, start, plain, until=log_time(horizon), seed=case.seed, max_steps=5_000), data=data
        )

    return p.network.text, data, case.once(f"lyu given {horizon:g}", make)


def own(case: Case) -> bool:
    """Whether a statement is checked on nets of our own, whose flows are known to go far."""
    return case.flow is None and case.problem is None


def levels(path: Trajectory) -> dict[str, np.ndarray]:
    """Of every row: ℓ^{-1}(L) of the summed loss, ‖θ‖, the degree K of all weights, and the smallest margin q."""
    ds, problem = path.dataset, path.problem
    theta = np.sqrt((ds["rho"].values ** 2).sum(axis=1))
    summed = ds["log_loss"].values + (np.log(samples_of(path).n) if problem.reduction == "mean" else 0.0)
    q = ds["min_margin"].values * np.exp(ds["log_R"].values)
    degree = float(problem.network.symmetry.joint_degree or 0)
    return {
        "level": np.asarray(problem.loss.level(np, summed)),
        "theta": theta,
        "K": np.array(degree),
        "q": q,
        "log_t": ds["log_t"].values,
    }


def tied(path: Trajectory, data: Data, rows: list[int]) -> list[dict[str, float]]:
    """Of some rows, by autodiff of log L: log L, ‖∇L‖²/L², ν/L = ⟨θ, -∇L⟩/L, ‖θ‖, Σ ⟨-∂ℓ_n/∂f_n, f_n⟩/L, and ℓ^{-1}(L)
    with its slope in log(1/L).
    """
    problem, x, y = path.problem, jnp.asarray(data.x), jnp.asarray(data.y)
    key = f"{problem.objective_only.signature} {data.n}"
    if key not in _COMPILED:

        def level_of_loss(weights: Blocks, x: Array, y: Array) -> Array:
            return problem.loss.log_loss(jnp, problem.network.outputs(weights, x, jnp), y)

        _COMPILED[key] = (
            jax.jit(jax.value_and_grad(level_of_loss)),
            jax.jit(jax.value_and_grad(lambda level: problem.loss.level(jnp, level))),
        )
    slope_of, level_of = _COMPILED[key]
    records = []
    for i in rows:
        weights = {k: np.asarray(v) for k, v in path.state(i).weights().items()}
        log_loss, slope = slope_of(weights, x, y)
        g = {k: -np.asarray(v) for k, v in slope.items()}
        level, gain = level_of(log_loss)
        f = np.asarray(problem.network.outputs(weights, np.asarray(data.x), np))
        pull = problem.loss.pull(np, f, np.asarray(data.y), float(log_loss))
        records.append(
            {
                "log_loss": float(log_loss),
                "slope": sum(float((v**2).sum()) for v in g.values()),
                "nu": sum(float((weights[k] * g[k]).sum()) for k in g),
                "theta": float(np.sqrt(sum(float((w**2).sum()) for w in weights.values()))),
                "pull": float((pull * f).sum()),
                "level": float(level),
                "gain": -float(gain),
            }
        )
    return records


_COMPILED: dict[str, tuple[Callable[..., tuple[Array, Blocks]], Callable[..., tuple[Array, Array]]]] = {}


def after(path: Trajectory, count: int = 40) -> list[int]:
    """Rows spread over those with L < ℓ(0), the last among them."""
    rows = np.flatnonzero(~(levels(path)["level"] <= 0))
    return sorted({int(i) for i in rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]})


def largest_fall(level: np.ndarray, log_size: np.ndarray) -> float:
    """The largest relative fall of log(1/L)/size from row to row, from where L < 1 on; negative where it only rises."""
    first = int(np.argmax(level > 0)) if (level > 0).any() else len(level)
    if len(level) - first < 3:
        return float("nan")
    if (level[first:] <= 0).any():
        # The loss came back above one.
        return float("inf")
    # The logarithm of the quotient: sizes themselves reach no limit that floats have.
    logs = np.log(level[first:]) - log_size[first:]
    return float((-np.diff(logs)).max())


def seen(case: Case) -> list[tuple[str, list[dict[str, float]], float, int]]:
    """Of every flow: its name, what is known at rows, the degree of all its weights, and N."""
    return [
        (
            name,
            case.once(f"lyu rates {name}", lambda data=data, path=path: tied(path, data, after(path))),
            float(path.problem.network.symmetry.joint_degree or 0),
            data.n,
        )
        for name, data, path in flows(case)
    ]


def roundings(row: dict[str, float]) -> float:
    """What float64 leaves unknown of exponentials of outputs, relative: some roundings of their exponents."""
    return 64.0 * np.finfo(float).eps * max(1.0, abs(row["log_loss"]))


def best(case: Case, which: str) -> MaxMargin:
    """The KKT point beside the end of a flow."""
    data, path = flow(case, which)
    return case.once(f"lyu best {which}", lambda: max_margin(path.problem, data, near=path.last))
