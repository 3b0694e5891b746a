"""The tangent kernel K = J Jᵀ of the outputs in the weights, at a state and along a path (Jacot, Gabriel and Hongler
2018).

Under gradient flow of Σ_n ℓ(f_n) the outputs move by df/dt = K (-∂ℓ/∂f), so a kernel that stays as it is at the start
makes training linear. Along a path its change, its turn and its alignment with the labels tell how far it is from that.
"""

from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from flowlab.core.arguments import count as counted
from flowlab.core.arguments import guarded
from flowlab.core.errors import DataError, RunFailed, ShapeMismatch
from flowlab.core.memory import require_memory
from flowlab.core.precision import require_x64
from flowlab.core.typing import Array, ArrayLike, Blocks, Given
from flowlab.discrete.critical.sphere_product import Layout, blocks
from flowlab.discrete.descent.sharpness import Curvature
from flowlab.language.data import Data
from flowlab.language.network import Network
from flowlab.language.problem import Problem
from flowlab.language.result import Result
from flowlab.language.state import State, names_match, shapes_match
from flowlab.language.trajectory import Trajectory
from flowlab.language.trajectory_table import weights_of

KIND = "kernel"


@guarded
def tangent_kernel(
    network: Network | Problem | str,
    at: State | Mapping[str, ArrayLike],
    data: Data,
    *,
    others: Data | None = None,
) -> np.ndarray:
    """Inner products of the gradients of outputs in the weights, ⟨∂f_i(x_n)/∂W, ∂f_j(x_m)/∂W⟩.

    Args:
        network: a network or a problem, whose scheme says what a state stands for.
        at: a state, or weights by block.
        data: samples n.
        others: samples m; by default the same.

    Returns:
        (N, M) for one output, else (N, C, M, C); dimensionless. On kinks the slopes are those of the activations.

    Raises:
        ShapeMismatch: for weights that are not the network's, or samples that it does not take.
        TooLarge: if the gradients of all outputs do not fit into memory.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [0.9, -1.2, 0.7, -0.4])
        >>> problem = fl.Problem("W2 @ tanh(W1 @ x)", loss="square", reduction="mean")
        >>> start = fl.initial_state(problem.network, data, widths={"W1": 2}, seed=0)
        >>> K = fl.tangent_kernel(problem, start, data)
        >>> K.shape, bool(abs(K - K.T).max() < 1e-12)
        ((4, 4), True)
    """
    require_x64("tangent_kernel")
    problem = network if isinstance(network, Problem) else Problem(network)
    state = at if isinstance(at, State) else State.from_weights(at)
    names_match(state, problem.network)
    shapes_match(state, problem.network, data)
    plain = {name: np.asarray(w) for name, w in state.weights().items()}
    weights = weights_of(problem, state) if isinstance(at, State) and isinstance(network, Problem) else plain
    _, left = jacobian(problem, weights, data)
    right = left
    if others is not None:
        shapes_match(state, problem.network, others)
        _, right = jacobian(problem, weights, others)
    require_memory(8 * len(left) * len(right), f"a kernel between {len(left)} and {len(right)} outputs")
    outputs = len(left) // data.n
    found = left @ right.T
    return found if outputs == 1 else found.reshape(data.n, outputs, -1, outputs)


def jacobian(problem: Problem, weights: Blocks, data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of all samples, (N C,), sample by sample, and their derivatives in one row of all weights, (N C, P).

    Raises:
        TooLarge: if they do not fit into memory; RunFailed: where they are not finite.
    """
    curvature = Curvature(problem, data, weights)
    outputs = data.outputs if problem.network.output_shape else 1
    what = f"the gradients of {data.n * outputs} outputs in {curvature.size} weights"
    # The rows, and the matrix of unit vectors that they are pulled back from.
    require_memory(8 * data.n * outputs * (curvature.size + data.n * outputs), what)
    f, J = (np.asarray(a) for a in _jacobian(curvature.problem, curvature.layout, data.inputs, curvature.row(weights)))
    if not (np.isfinite(f).all() and np.isfinite(J).all()):
        raise RunFailed("outputs or their gradients are not finite at these weights; look at the outcome of the path.")
    return f, J


@eqx.filter_jit
def _jacobian(problem: Problem, layout: Layout, x: Given, row: Array) -> tuple[Array, Array]:
    f, pull = jax.vjp(lambda w: jnp.ravel(problem.network.outputs(blocks(layout, w), x, jnp)), row)
    return f, jax.lax.map(lambda e: pull(e)[0], jnp.eye(f.size))


def samples_of(path: Trajectory, data: Data | None) -> Data:
    """The samples of a path, as given or as it holds them.

    Raises:
        DataError: where there are none; ShapeMismatch: for others than those of the path.
    """
    found = data if data is not None else path.data
    if found is None:
        raise DataError("the trajectory must have its samples, got none; pass them as `data`.")
    shapes_match(path.state(0), path.problem.network, found)
    return found


@guarded
def kernel_along(path: Trajectory, data: Data | None = None, *, rows: int = 50, count: int = 10) -> Result:
    """The tangent kernel along a path: how it changes, turns, and aligns with the labels.

    Args:
        path: a flow, a descent or a training.
        data: samples; by default those of the path, which a path that was read from a file does not hold.
        rows: at most so many rows of the path, evenly spread, first and last among them.
        count: largest eigenvalues that are kept of every kernel.

    Returns:
        Of kind `"kernel"`, over `row`: `log_t`, `place`; `change` ‖K - K_0‖/‖K_0‖; `turn` 1 - ⟨K, K_0⟩/(‖K‖ ‖K_0‖),
        which does not see its size; `alignment` ⟨K, y yᵀ⟩/(‖K‖ ‖y‖²) (Cristianini et al. 2001), with y ±1, targets, or
        centred indicators of classes; `trace`; and `eigenvalue` over `(row, rank)`, descending. All dimensionless, with
        Frobenius norms.

    Raises:
        DataError, ShapeMismatch, LanguageError, TooLarge: for bad input.
        RunFailed: where a kernel is not finite, or zero.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [0.9, -1.2, 0.7, -0.4])
        >>> problem = fl.Problem("W2 @ tanh(W1 @ x)", loss="square", reduction="mean")
        >>> start = fl.initial_state(problem.network, data, widths={"W1": 2}, seed=0)
        >>> walk = fl.descend(problem, start, data, step=0.1, count=50)
        >>> found = fl.kernel_along(walk, rows=3)
        >>> bool(found.dataset.change[0] == 0)
        True
    """
    require_x64("kernel_along")
    samples, count = samples_of(path, data), counted("count", count, 1, 10)
    places = path.places(rows)
    y = _targets(samples)
    size = samples.n * (samples.outputs if path.problem.network.output_shape else 1)
    if len(y) != size:
        raise ShapeMismatch(
            f"labels must have one number for each of {size} outputs, got {len(y)}; pass other samples."
        )
    columns: dict[str, list[float]] = {name: [] for name in ("change", "turn", "alignment", "trace")}
    eigenvalues, first = [], np.zeros(0)
    for place in places:
        _, J = jacobian(path.problem, path.weights(int(place)), samples)
        K = J @ J.T
        norm = float(np.linalg.norm(K))
        if not 0 < norm < np.inf:
            raise RunFailed(
                f"the tangent kernel at row {place} has the norm {norm:g}; choose a path without such rows."
            )
        first = K if not len(eigenvalues) else first
        scale = float(np.linalg.norm(first))
        columns["change"].append(float(np.linalg.norm(K - first)) / scale)
        # Of unit matrices the squared distance is twice one minus the cosine, without its cancellation.
        columns["turn"].append(0.5 * float(np.linalg.norm(K / norm - first / scale)) ** 2)
        columns["alignment"].append(float(y @ K @ y) / (norm * float(y @ y)))
        columns["trace"].append(float(np.trace(K)))
        eigenvalues.append(np.linalg.eigvalsh(K)[::-1][:count])
    variables = {name: ("row", np.array(values)) for name, values in columns.items()}
    variables |= {"log_t": ("row", path.dataset["log_t"].values[places]), "place": ("row", places)}
    table = xr.Dataset(variables | {"eigenvalue": (("row", "rank"), np.array(eigenvalues))})
    return Result.of(KIND, table, path.problem, samples, rows=rows, count=count, of=path.kind)


def _targets(data: Data) -> np.ndarray:
    """What outputs are to align with, (N C,): ±1, targets, or centred indicators of classes."""
    y = np.asarray(data.y)
    if data.kind != "classes":
        return np.ravel(y).astype(np.float64)
    indicators = np.eye(data.outputs)[y]
    return np.ravel(indicators - indicators.mean(axis=1, keepdims=True))
