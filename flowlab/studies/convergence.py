"""`convergence`: the constants that a flow's direction and loss approach, next to the limits that theory gives them.

Directions (exponential tail; D. Soudry et al. 2018; P8): the predictor ρ v of a linear net has ρ ‖v - v*‖ → C* = ‖P
w̃‖, where y_n x_n·w̃ = -log α_n on the support vectors, Σ α_n y_n x_n is the hard-margin vector and P projects across
it. Components across all support vectors keep what the start gave them; they are separate. The proof is for K = 1; a
deep linear net, whose layers become of rank one, is compared with the same constant. Loss (P10, P11): r = ‖∇L‖²/(L²
(log 1/L)^{2-2/K}) → K² γ^{2/K} with γ = lim min_n q_n/‖θ‖^K, and L t (log t)^{2-2/K} → 1/(K² γ^{2/K}).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from flowlab.core.arguments import guarded
from flowlab.core.typing import Array, Blocks, Given, Record, Scalar
from flowlab.discrete.margin.directional_limit import Limit, limit
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.result import Result
from flowlab.language.trajectory import Trajectory

_RANK = 1e-9


@guarded
def convergence(path: Trajectory, data: Data | None = None) -> Result:
    """Constants along a path, and their limits, as a result that the figures `direction_constant` and `loss_constant`
    draw.

    Args:
        path: of a homogeneous network under a loss with an exponential tail, past separation; r and its limit are those
            of gradient flow.
        data: the samples, for a path that was loaded without them.

    Returns:
        Of kind `"convergence"`, over `step`: `log_t`, `log_R`, `distance` ‖V - V*‖ from the KKT point that `limit`
        finds; for networks that are linear in x with the hard-margin vector as limit `scaled`, ρ ‖v - v*‖ of the
        predictor ρ v, and `scaled_span`, the same within the span of the support vectors; for others `scaled` is R
        times the distance, and `scaled_span` nan; `rate` r and `loss_constant` L t (log t)^{2-2/K}, nan where L ≥ 1 or
        t ≤ 1. Numbers: `constant` C*, `spans`, whether the support vectors span all directions, `rate_limit`,
        `loss_limit`, `margin` γ, `decided`. A limit that is not known is nan.

    Raises:
        FlowlabError: as `limit` does.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(1e4))
        >>> found = fl.convergence(path)
        >>> found.kind, bool(abs(found.dataset.scaled[-1] / found.dataset.constant - 1) < 1e-2)
        ('convergence', True)
    """
    found = limit(path, data)
    data = data if data is not None else path.data
    assert data is not None
    problem, ds = path.problem, path.dataset
    K = float(problem.network.symmetry.joint_degree or 1)
    log_t, log_R, log_loss = (ds[name].values for name in ("log_t", "log_R", "log_loss"))
    with np.errstate(over="ignore"):
        R = np.exp(log_R)
    constant, scaled, within, spans = _across(path, data, found)
    power = 2.0 - 2.0 / K
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        slope = _slopes(path, data)
        rate = np.where(log_loss < 0, slope / (-log_loss) ** power, np.nan)
        late = np.exp(log_loss + log_t + power * np.log(log_t))
        late = np.where((log_t > 0) & (log_loss < 0), late, np.nan)
    plain = problem.scheme.is_gradient_flow
    target = K * K * found.joint_margin ** (2.0 / K) if plain or K == 1 else np.nan
    columns = {
        "log_t": (log_t, "log of flow time t"),
        "log_R": (log_R, "log of the product of norms"),
        "distance": (found.distance, "distance of directions from the KKT point"),
        "scaled": (
            scaled if np.isfinite(constant) else R * found.distance,
            "norm times distance of the predictor, or R times that of the directions",
        ),
        "scaled_span": (within, "norm times distance of the predictor within the span of the support vectors"),
        "rate": (rate, "squared gradient over L^2 (log 1/L)^(2-2/K)"),
        "loss_constant": (late, "L t (log t)^(2-2/K)"),
    }
    numbers = {
        "constant": constant,
        "spans": spans,
        "rate_limit": target,
        "loss_limit": 1.0 / target if plain else np.nan,
        "margin": found.joint_margin,
        "degree": K,
        "decided": found.decided,
    }
    entries: Record = {
        k: ("step", np.asarray(v), {"units": "dimensionless", "long_name": told}) for k, (v, told) in columns.items()
    }
    dataset = xr.Dataset(entries | {k: ((), np.asarray(v)) for k, v in numbers.items()})
    own = {k: path.provenance[k] for k in ("seed", "rtol", "atol", "settings") if k in path.provenance}
    return Result.of("convergence", dataset, problem, data, path=own, reason=found.reason)


def _across(path: Trajectory, data: Data, found: Limit) -> tuple[float, np.ndarray, np.ndarray, bool]:
    """C*, ρ ‖v - v*‖ of the predictor f(x) = ρ v·x in all directions and within the span of the support vectors, and
    whether these span everything.

    nan where the network is not linear in x, or its limit is not the hard-margin vector of its support (that of
    diagonal networks is not).
    """
    none = (float("nan"), np.full(len(path), np.nan), np.full(len(path), np.nan), False)
    if not path.problem.loss.has_one_output or not all(isinstance(n, int) for n in found.support):
        return none
    beta = _predictors(path, data)
    star = _predictor(path.problem, found.V, data)
    if beta is None or star is None or not np.linalg.norm(star) > 0:
        return none
    star = star / np.linalg.norm(star)
    x, y = np.asarray(data.x), np.asarray(data.y)
    support: Any = list(found.support)
    rows = x[support] * y[support][:, None]
    lead = found.multipliers @ rows
    if np.linalg.norm(lead / np.linalg.norm(lead) - star) > 1e-8 or not (found.multipliers > 0).all():
        return none
    _, sizes, right = np.linalg.svd(rows)
    span = right[: int((sizes > _RANK * sizes[0]).sum())]
    # Least squares: dependent support vectors have unequal multipliers that fit, or there is no such vector.
    offset, _, rank, _ = np.linalg.lstsq(rows, -np.log(found.multipliers), rcond=None)
    if np.abs(rows @ offset + np.log(found.multipliers)).max() > 1e-8:
        return none
    apart = beta - np.linalg.norm(beta, axis=1)[:, None] * star
    constant = float(np.linalg.norm(offset - (offset @ star) * star))
    return constant, np.linalg.norm(apart, axis=1), np.linalg.norm(apart @ span.T, axis=1), bool(rank == x.shape[1])


def _predictors(path: Trajectory, data: Data) -> np.ndarray | None:
    """β of every row where f(x) = β·x, (S, d), else None."""
    rows = []
    for i in range(len(path)):
        state = path.state(i)
        found = _predictor(
            path.problem, path.problem.scheme.weights(np, _plain(state.rho), _plain(state.V), path.problem.per), data
        )
        if found is None:
            return None
        rows.append(found)
    return np.array(rows)


def _predictor(problem: Problem, weights: Blocks, data: Data) -> np.ndarray | None:
    if set(problem.network.roles) - set(problem.network.weights) != {"x"} or len(problem.network.inputs["x"]) != 1:
        return None
    x = np.asarray(data.x)
    plain = {k: np.asarray(w) for k, w in weights.items()}
    unit = np.ravel(problem.network.outputs(plain, np.eye(x.shape[1]), np))
    outputs = np.ravel(problem.network.outputs(plain, x, np))
    if len(unit) != x.shape[1] or np.abs(x @ unit - outputs).max() > 1e-10 * max(
        float(np.abs(x).max() * np.abs(unit).max()), 1e-300
    ):
        return None
    return unit


def _slopes(path: Trajectory, data: Data) -> np.ndarray:
    """‖∇L‖²/L² of every row, by autodiff of log L, which is a number where L has underflowed, (S,)."""
    problem = path.problem.objective_only
    rows = []
    for i in range(len(path)):
        state = path.state(i)
        rows.append(
            {
                k: np.asarray(w)
                for k, w in path.problem.scheme.weights(
                    np, _plain(state.rho), _plain(state.V), path.problem.per
                ).items()
            }
        )
    stacked = {k: jnp.asarray(np.stack([row[k] for row in rows])) for k in rows[0]}
    return np.asarray(_squared(problem, stacked, data.inputs, data.y))


def _plain(blocks: Blocks) -> dict[str, np.ndarray]:
    return {k: np.asarray(v) for k, v in blocks.items()}


@eqx.filter_jit
def _squared(problem: Problem, weights: Blocks, x: Given, y: Array) -> Scalar:
    def one(w: Blocks) -> Scalar:
        g = jax.grad(lambda u: problem.loss.log_loss(jnp, problem.network.outputs(u, x, jnp), y, problem.reduction))(w)
        return sum((leaf**2).sum() for leaf in jax.tree_util.tree_leaves(g))

    return jax.vmap(one)(weights)
