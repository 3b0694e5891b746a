"""`neurons`: what the units of a two-layer network in the plane do along a flow, next to the samples and to another
solution.

A unit a_i σ(w_i·x) is drawn as the vector |a_i| w_i: its direction says which samples it can see, its length how much
it adds. Where no sample makes a unit active it stays as it is, and the flow ends at a KKT point of less than the
largest margin (P18).
"""

import numpy as np
import xarray as xr

from flowlab.core.arguments import guarded
from flowlab.core.errors import DataError, LanguageError
from flowlab.core.typing import Array, Record
from flowlab.discrete.margin.max_margin import MaxMargin
from flowlab.language.data import Data
from flowlab.language.result import Result
from flowlab.language.state import State
from flowlab.language.trajectory import Trajectory


@guarded
def neurons(path: Trajectory, data: Data | None = None, *, best: MaxMargin | None = None) -> Result:
    """Units over the plane along a path, as a result that the figure `neurons` draws.

    Args:
        path: of a network with one block (h, 2) and one of h outgoing weights, on samples with two features.
        data: the samples, for a path that was loaded without them.
        best: the margin problem's solution to hold it against.

    Returns:
        Of kind `"neurons"`: `neuron`, |a_i| w_i over Σ_j |a_j| ‖w_j‖, over (`step`, `unit`, `axis`); `sign` of a_i at
        the end; `margin`, min_n q_n/‖θ‖² over `step`, with `log_t`; `x` over (`sample`, `axis`), `y`. With `best`:
        `best_neuron`, `best_margin`.

    Raises:
        LanguageError: for other networks; DataError: without data, or with others than those of the path.

    Examples:
        >>> data = fl.Data([[1.0, 0.25], [-1.0, 0.25]], [1.0, 1.0], kind="binary")
        >>> problem = fl.Problem("a @ relu(W @ x)", coordinates="weights")
        >>> start = fl.State.from_weights({"W": [[0.05, 1.0], [0.1, -1.0]], "a": [1.0, 1.0]})
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(2.0))
        >>> fl.neurons(path).dataset.neuron.dims
        ('step', 'unit', 'axis')
    """
    data = data if data is not None else path.data
    if data is None:
        raise DataError("the path must have its data, got none; pass them, `neurons(path, data)`.")
    if data.sha256() != path.provenance["data"]["sha256"]:
        raise DataError("`data` must be the samples of the path, got others; pass the same ones.")
    inner, outer = _blocks(path)
    weights = [path.problem.scheme.weights(np, *_plain(path.state(i)), path.problem.per) for i in range(len(path))]
    units = np.array([_units(w[inner], w[outer]) for w in weights])
    squares = np.array([sum(float((np.asarray(v) ** 2).sum()) for v in w.values()) for w in weights])
    ds = path.dataset
    # Two layers of degree one: R = ρ_1 ρ_2.
    with np.errstate(over="ignore"):
        margin = ds["min_margin"].values * np.exp(ds["log_R"].values - np.log(squares))
    entries: Record = {
        "neuron": (("step", "unit", "axis"), units),
        "sign": ("unit", np.sign(np.ravel(weights[-1][outer]))),
        "log_t": ("step", ds["log_t"].values),
        "margin": ("step", margin),
        "x": (("sample", "axis"), np.asarray(data.x)),
        "y": ("sample", np.asarray(data.y, dtype=np.float64)),
    }
    if best is not None:
        V = best.V
        entries["best_neuron"] = (("best_unit", "axis"), _units(np.asarray(V[inner]), np.asarray(V[outer])))
        total = sum(float((np.asarray(v) ** 2).sum()) for v in V.values())
        entries["best_margin"] = ((), np.asarray(float(best.margin) / total))
    own = {k: path.provenance[k] for k in ("seed", "settings") if k in path.provenance}
    return Result.of("neurons", xr.Dataset(entries), path.problem, data, path=own)


def _blocks(path: Trajectory) -> tuple[str, str]:
    """The inner and the outer block."""
    shapes = {name: path.dataset[f"V_{name}"].shape[1:] for name in path.problem.network.weights}
    for inner, shape in shapes.items():
        for outer, other in shapes.items():
            if (
                inner != outer
                and len(shapes) == 2
                and len(shape) == 2
                and shape[1] == 2
                and other in ((shape[0],), (1, shape[0]))
            ):
                return inner, outer
    raise LanguageError(
        f"`{path.problem.network.text[:80]}` on these data must have units in the plane; use two layers and two"
        " features."
    )


def _units(W: Array, a: Array) -> np.ndarray:
    """|a_i| w_i over their sum of lengths, (h, 2)."""
    units = np.abs(np.ravel(a))[:, None] * np.asarray(W)
    return units / np.linalg.norm(units, axis=1).sum()


def _plain(state: State) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    return {k: np.asarray(v) for k, v in state.rho.items()}, {k: np.asarray(v) for k, v in state.V.items()}
