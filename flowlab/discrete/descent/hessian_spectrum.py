"""The spectrum of the Hessian of the objective in the weights, along a path."""

import numpy as np
import xarray as xr

from flowlab.core.arguments import count as counted
from flowlab.core.arguments import guarded, must_be
from flowlab.core.memory import require_memory
from flowlab.core.precision import require_x64
from flowlab.core.seeds import checked_seed
from flowlab.discrete.descent.sharpness import Curvature
from flowlab.discrete.kernel.tangent_kernel import samples_of
from flowlab.language.data import Data
from flowlab.language.result import Result
from flowlab.language.trajectory import Trajectory

KIND = "hessian"


@guarded
def hessian_spectrum(
    path: Trajectory, data: Data | None = None, *, count: int | None = None, rows: int = 50, seed: int = 0
) -> Result:
    """Eigenvalues of the Hessian of the objective, weight decay included, in the weights.

    Args:
        path: a flow, a descent or a training.
        data: its samples, where it was read from a file and does not hold them.
        count: eigenvalues at either end, by Lanczos' method on Hessian-vector products above 150 weights; by default
            the whole spectrum, from the whole matrix.
        rows: at most so many rows of the path, evenly spread, first and last among them.
        seed: of the first vector of Lanczos' method; the same seed gives the same bits.

    Returns:
        Of kind `"hessian"`: `eigenvalue` over `(row, rank)`, descending (dimensionless); over `row` the `log_t`, the
        `place` in the path and how many eigenvalues are `negative`, of those that are there. `whole` is 1 where the
        spectrum is.

    Raises:
        LanguageError, DataError, ShapeMismatch: for bad input; TooLarge: for a whole spectrum of too many weights.
        RunFailed: where the Hessian is not finite, or Lanczos' method does not converge.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [0.9, -1.2, 0.7, -0.4])
        >>> problem = fl.Problem("W2 @ tanh(W1 @ x)", loss="square", reduction="mean")
        >>> start = fl.initial_state(problem.network, data, widths={"W1": 2}, seed=0)
        >>> walk = fl.descend(problem, start, data, step=0.1, count=50)
        >>> found = fl.hessian_spectrum(walk, rows=3)
        >>> dict(found.dataset.eigenvalue.sizes)
        {'row': 3, 'rank': 6}
    """
    require_x64("hessian_spectrum")
    # The derivative of a coarse gradient is not symmetric, and no Hessian.
    path.problem.require_gradient("`hessian_spectrum`")
    samples, seed = samples_of(path, data), checked_seed(seed)
    curvature, places = Curvature(path.problem, samples, path.weights(0)), path.places(rows)
    if count is not None and counted("count", count, 1, 10) > curvature.size:
        raise must_be("count", count, f"an integer from 1 to {curvature.size}, the number of weights", "fewer")
    whole = count is None or 2 * count >= curvature.size
    if whole:
        require_memory(24 * curvature.size**2, f"the Hessian in {curvature.size} weights", "give a `count`")
    found, first, last = [], None, None
    for place in places:
        row = curvature.row(path.weights(int(place)))
        if whole:
            found.append(curvature.top(row, curvature.size, method="dense")[0])
            continue
        high, up = curvature.top(row, int(count or 1), seed=seed, first=first)
        low, down = curvature.top(row, int(count or 1), seed=seed, first=last, lowest=True)
        # Eigenvectors change little from row to row.
        first, last = up[:, 0], down[:, 0]
        found.append(np.concatenate([high, low[::-1]]))
    eigenvalue = np.array(found)
    table = xr.Dataset(
        {
            "eigenvalue": (("row", "rank"), eigenvalue),
            "negative": ("row", (eigenvalue < 0).sum(axis=1)),
            "log_t": ("row", path.dataset["log_t"].values[places]),
            "place": ("row", places),
            "whole": ((), np.asarray(int(whole))),
        }
    )
    return Result.of(KIND, table, path.problem, samples, count=count, rows=rows, seed=seed, of=path.kind)
