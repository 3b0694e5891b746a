"""The linearised model f_lin(W) = f(W_0) + J(W_0)(W - W_0) and its own gradient flow, beside the flow of the network.

With weight decay ω_g on groups g of blocks its flow stays at W_g(t) = e^{-2 ω_g t} W_g(0) + J_gᵀ α_g(t), so that one
number per output and group is integrated: dα_g/dt = -2 ω_g α_g + p, with the pull p = -∂L/∂f at f_lin. Without decay
there is one group, and for the square loss a closed form in the eigenvalues of K = J Jᵀ. Else α is integrated in
log(1 + t) by a method that turns implicit where it is stiff, which takes late times in few steps.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy.integrate import LSODA

from flowlab.core.arguments import array, guarded, must_be
from flowlab.core.display import displayed
from flowlab.core.errors import LanguageError
from flowlab.core.memory import require_memory
from flowlab.core.precision import require_x64
from flowlab.core.typing import ArrayLike
from flowlab.discrete.descent.sharpness import Curvature
from flowlab.discrete.kernel.tangent_kernel import jacobian
from flowlab.language.data import Data
from flowlab.language.network import Network
from flowlab.language.problem import Problem
from flowlab.language.result import Result
from flowlab.language.state import State, names_match, shapes_match
from flowlab.language.trajectory import Outcome, Trajectory
from flowlab.language.trajectory_table import weights_of

KIND = "linearised"
_RTOL, _ATOL, _MOST = 1e-9, 1e-12, 100_000
_LATEST = 600.0
"""Log t up to which t is a float64 with room for what it is multiplied by."""


@dataclass(frozen=True)
@displayed
class LinearFlow:
    """Gradient flow of a linearised model at given times.

    Attributes:
        time: as far as it went, (S,).
        outputs: f_lin at the samples, (S, N, C).
        rows: all weights, (S, P).
        outcome: how it ended.
    """

    time: np.ndarray
    outputs: np.ndarray
    rows: np.ndarray
    outcome: Outcome


@dataclass(frozen=True)
@displayed
class Linearised:
    """The linearised model of a problem at a state, from `linearise`.

    Attributes:
        problem: network, loss, reduction and decay.
        data: samples.
        row: the weights that it is linearised at, (P,).
        initial: outputs there, (N, C).
        jacobian: their derivatives, (N C, P).
        curvature: the objective in rows of weights.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [0.9, -1.2, 0.7, -0.4])
        >>> problem = fl.Problem("W2 @ tanh(W1 @ x)", loss="square", reduction="mean")
        >>> start = fl.initial_state(problem.network, data, widths={"W1": 2}, seed=0)
        >>> model = fl.linearise(problem, start, data)
        >>> model.jacobian.shape
        (4, 6)
    """

    problem: Problem
    data: Data
    row: np.ndarray
    initial: np.ndarray
    jacobian: np.ndarray
    curvature: Curvature

    @guarded
    def outputs(self, weights: Mapping[str, ArrayLike]) -> np.ndarray:
        """f(W_0) + J(W_0)(W - W_0) at the samples, (N, C).

        Raises:
            ShapeMismatch: for weights that are not the network's.
        """
        other = State.from_weights(weights)
        names_match(other, self.problem.network)
        shapes_match(other, self.problem.network, self.data)
        moved = self.curvature.row({name: np.asarray(w) for name, w in weights.items()}) - self.row
        return self.initial + (self.jacobian @ moved).reshape(self.initial.shape)

    @guarded
    def flow(self, times: Sequence[float]) -> LinearFlow:
        """Gradient flow of the linearised model.

        Args:
            times: growing, the first at or above 0 (dimensionless).

        Raises:
            LanguageError: for other times.
        """
        t = array("times", times)
        if t.ndim != 1 or not len(t) or not (np.isfinite(t).all() and t[0] >= 0 and (np.diff(t) > 0).all()):
            raise must_be("times", np.ravel(t).tolist(), "finite, growing and at or above 0", "for example [0.0, 1.0]")
        groups = self._groups()
        shrinks = np.exp(-2.0 * np.array([decay for decay, _ in groups])[:, None] * t)
        alpha, outcome = self._closed(t) if self._has_closed_form else self._integrated(groups, t)
        good = len(alpha)
        rows = np.zeros((good, len(self.row)))
        for g, (_, own) in enumerate(groups):
            rows += shrinks[g, :good, None] * np.where(own, self.row, 0.0)
            rows += (alpha[:, g] @ self.jacobian) * own
        outputs = self.initial.ravel() + (rows - self.row) @ self.jacobian.T
        return LinearFlow(t[:good], outputs.reshape(good, *self.initial.shape), rows, outcome)

    @guarded
    def beside(self, path: Trajectory, *, rows: int = 200) -> Result:
        """The flow of the network beside the flow of its linearised model.

        Args:
            path: a flow or a training of this problem from this state, or a descent in units of flow time.
            rows: at most so many of its rows, evenly spread.

        Returns:
            Of kind `"linearised"`, over `row`: `log_t`; `distance`, the root mean square over samples and outputs of
            f - f_lin, and `moved`, that of f - f(W_0); `weight_distance` ‖W - W_lin‖/‖W_0‖; and `log_loss` over
            `(row, model)`. Rows beyond log t = 600, or beyond where the linear flow ended, are left out;
            `provenance["settings"]` has its outcome.

        Raises:
            LanguageError: for a path of another problem, other samples or another start.
        """
        if path.problem.objective_only != self.problem.objective_only or (
            path.data is not None and path.data.sha256() != self.data.sha256()
        ):
            raise LanguageError("`path` must be of the linearised problem and its samples, got others; pass its flow.")
        first = self.curvature.row(path.weights(0))
        if np.linalg.norm(first - self.row) > 1e-9 * np.linalg.norm(self.row):
            raise LanguageError(
                "`path` must start where the model is linearised, got another start; pass `path.state(0)`."
            )
        log_t = path.dataset["log_t"].values
        places = path.places(rows)
        places = places[log_t[places] <= _LATEST]
        linear = self.flow(np.exp(log_t[places]).tolist())
        places = places[: len(linear.time)]
        (x, y), loss = self.data.in_numpy, self.problem.loss
        weights = [path.weights(int(i)) for i in places]
        f = np.array([self.problem.network.outputs(w, x, np) for w in weights])
        moved = np.array([self.curvature.row(w) for w in weights]) - linear.rows
        reduced = self.problem.reduction
        logs = [
            [float(loss.log_loss(np, each, y, reduced)) for each in pair]
            for pair in zip(f, linear.outputs, strict=True)
        ]
        table = xr.Dataset(
            {
                "log_t": ("row", log_t[places]),
                "place": ("row", places),
                "distance": ("row", np.sqrt(((f - linear.outputs) ** 2).mean(axis=(1, 2)))),
                "moved": ("row", np.sqrt(((f - self.initial) ** 2).mean(axis=(1, 2)))),
                "weight_distance": ("row", np.linalg.norm(moved, axis=1) / np.linalg.norm(self.row)),
                "log_loss": (("row", "model"), np.array(logs)),
                "model": ("model", np.array(["network", "linearised"])),
            }
        )
        return Result.of(KIND, table, self.problem, self.data, rows=rows, of=path.kind, outcome=str(linear.outcome))

    @property
    def _has_closed_form(self) -> bool:
        return self.problem.loss.is_quadratic and not any(self.problem.decay.values())

    def _groups(self) -> list[tuple[float, np.ndarray]]:
        """Every coefficient of decay, and which weights have it, (P,)."""
        decay = np.concatenate(
            [np.full(int(np.prod(shape)), self.problem.decay[name]) for name, shape in self.curvature.layout]
        )
        return [(float(value), decay == value) for value in np.unique(decay)]

    def _closed(self, t: np.ndarray) -> tuple[np.ndarray, Outcome]:
        """α of the square loss, (S, 1, N C): Q (e^{-cλt} - 1)/λ Qᵀ (f(W_0) - y), with c = 1/N for means."""
        residual = self.problem.loss.residual(np, self.initial, np.asarray(self.data.y)).ravel()
        values, Q = np.linalg.eigh(self.jacobian @ self.jacobian.T)
        c = 1.0 / self.data.n if self.problem.reduction == "mean" else 1.0
        # A kernel has no eigenvalue below 0, and (e^{-cλt} - 1)/λ is -ct where λ is 0.
        values = np.maximum(values, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            factors = np.where(values > 0, np.expm1(-c * np.outer(t, values)) / values, -c * t[:, None])
        alpha = (factors * (Q.T @ residual)) @ Q.T
        return alpha[:, None], Outcome("done", f"the time {t[-1]:g} was reached, in closed form.")

    def _integrated(self, groups: Sequence[tuple[float, np.ndarray]], t: np.ndarray) -> tuple[np.ndarray, Outcome]:
        """α of any loss, (S, G, N C), as far as it goes."""
        size = len(groups) * self.initial.size
        require_memory(8 * 4 * size**2, f"the Jacobian of a flow of {size} numbers", "use fewer samples")
        problem, y = self.problem, np.asarray(self.data.y)
        parts = [self.jacobian * own for _, own in groups]
        kernels = np.stack([part @ self.jacobian.T for part in parts])
        starts = np.stack([part @ self.row for part in parts])
        decay = np.array([value for value, _ in groups])
        scale = 1.0 / self.data.n if problem.reduction == "mean" else 1.0

        def rate(s: float, alpha: np.ndarray) -> np.ndarray:
            t, alpha = np.expm1(s), alpha.reshape(len(groups), -1)
            u = self.initial.ravel() + np.expm1(-2.0 * decay * t) @ starts + np.einsum("gab,gb->a", kernels, alpha)
            pull = scale * np.ravel(problem.loss.pull(np, u.reshape(self.initial.shape), y))
            found = np.ravel((1.0 + t) * (pull - 2.0 * decay[:, None] * alpha))
            if not np.isfinite(found).all():
                # LSODA would try ever smaller steps.
                raise FloatingPointError
            return found

        rows, outcome = _followed(rate, np.zeros(size), np.log1p(t))
        return rows.reshape(-1, len(groups), self.initial.size), outcome


def _followed(
    rate: Callable[[float, np.ndarray], np.ndarray], y: np.ndarray, s: np.ndarray
) -> tuple[np.ndarray, Outcome]:
    """The solution of y' = rate(s, y) from s = 0 at growing places, (S, Y), as far as it goes. Compiling an implicit
    method of diffrax takes a hundred times longer than these few hundred steps.
    """
    rows, kind = [y for at in s if at == 0.0], "stalled"
    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        warnings.simplefilter("ignore")
        try:
            # SciPy's constructors dispatch in a way that type checkers do not follow.
            made: Any = LSODA
            solver = made(rate, 0.0, y, max(float(s[-1]), 1e-300), rtol=_RTOL, atol=_ATOL)
            for _ in range(_MOST):
                if len(rows) == len(s):
                    break
                solver.step()
                if solver.status == "failed":
                    break
                between, at = solver.dense_output(), s[len(rows) :]
                rows += [between(each) for each in at[at <= solver.t]]
            else:
                kind = "budget"
        except FloatingPointError:
            kind = "nonfinite"
    if len(rows) == len(s):
        return np.array(rows), Outcome("done", f"the time {np.expm1(s[-1]):g} was reached.")
    reached = f"after the time {np.expm1(s[len(rows) - 1]):g}" if rows else "at once"
    told = f"the flow of the linearised model could not be followed {reached}."
    return np.array(rows).reshape(len(rows), len(y)), Outcome(kind, told)


@guarded
def linearise(problem: Problem | Network | str, at: State, data: Data) -> Linearised:
    """The linearised model of a problem at a state.

    Args:
        problem: under gradient flow; a network, or its text, stands for the square loss.
        at: the state to linearise at.
        data: samples.

    Returns:
        The model: `.outputs(weights)`, `.flow(times)`, and `.beside(path)`, which the figure `linearised` draws.

    Raises:
        LanguageError: for a scheme other than gradient flow; ShapeMismatch, DataError, TooLarge: for bad input.
        RunFailed: where outputs or gradients are not finite.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [0.9, -1.2, 0.7, -0.4])
        >>> problem = fl.Problem("W2 @ tanh(W1 @ x)", loss="square", reduction="mean")
        >>> start = fl.initial_state(problem.network, data, widths={"W1": 2}, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.time(1.0))
        >>> beside = fl.linearise(problem, start, data).beside(path)
        >>> beside.kind
        'linearised'
    """
    require_x64("linearise")
    problem = problem if isinstance(problem, Problem) else Problem(problem, "square")
    if not problem.scheme.is_gradient_flow:
        raise LanguageError(
            f'`problem` must have the scheme "gradient_flow", got "{problem.scheme.name}"; a linearised flow is one of'
            " weights."
        )
    problem.require_plain("`linearise`")
    names_match(at, problem.network)
    problem.loss.check_labels(data)
    shapes_match(at, problem.network, data)
    weights = weights_of(problem, at)
    f, J = jacobian(problem, weights, data)
    curvature = Curvature(problem, data, weights)
    return Linearised(problem, data, curvature.row(weights), f.reshape(data.n, -1), J, curvature)
