"""`field_angle`: the angle between a coarse gradient and the true one along a run, and how much of the Jacobian is curl
(Yin et al. 2019; claims Q5, Q6).
"""

import jax
import numpy as np
import xarray as xr

from flowlab.core.arguments import guarded
from flowlab.core.errors import DataError, LanguageError
from flowlab.core.typing import Blocks
from flowlab.language.data import Data
from flowlab.language.result import Result
from flowlab.language.trajectory import Trajectory
from flowlab.lowering.lower import lower
from flowlab.symbolic.equations import FlowEquations

KIND = "field angle"


@guarded
def field_angle(
    path: Trajectory, flow: FlowEquations, true: FlowEquations, data: Data | None = None, *, rows: int = 100
) -> Result:
    """Angles between two flows along a run, as a result that the figure `field_angle` draws.

    Args:
        path: the run, of either flow.
        flow: the coarse flow.
        true: the flow to compare with, of the same blocks: `fl.derive(pop.exact)`.
        data: samples or constants, for a path that was loaded without them.
        rows: at most so many rows of the path, evenly spread.

    Returns:
        Of kind `"field angle"`, over `row`: `log_t`; `angle` of both velocities and `angle_<block>` of those of every
        block, in radians, NaN where one vanishes; `share`, the antisymmetric part of the coarse Jacobian over the
        symmetric one.

    Raises:
        LanguageError: for flows of other blocks; DataError: without data.

    Examples:
        >>> net = fl.Network("v @ coarse(step, relu)(X @ w)", inputs={"X": ("m", "n")})
        >>> pop = fl.population(net, teacher={"v": [0.8, 0.3], "w": [1.0, 0.0]})
        >>> flow, true = fl.derive(pop), fl.derive(pop.exact)
        >>> start = fl.State.from_weights({"v": [0.5, 0.1], "w": [0.6, 0.8]})
        >>> path = fl.integrate(fl.lower(flow), start, pop.data, until=fl.time(1.0))
        >>> bool(fl.field_angle(path, flow, true, rows=3).dataset.angle.max() < np.pi / 2)
        True
    """
    blocks = path.problem.network.weights
    for each in (flow, true):
        if set(each.problem.network.weights) != set(blocks):
            told = ", ".join(each.problem.network.weights)
            raise LanguageError(f"both flows must have the blocks of the path ({', '.join(blocks)}), got {told}.")
    given = data if data is not None else path.data
    if given is None:
        raise DataError("the path must have its data, got none; pass them, `field_angle(path, flow, true, data)`.")
    samples: Data = given
    at = path.places(rows)
    curl, fields = flow.curl(), [lower(each) for each in (flow, true)]
    rates = [jax.jit(lambda w, field=field: field.rate(0.0, w, samples)) for field in fields]
    found: dict[str, list[float]] = {name: [] for name in ("angle", "share", *(f"angle_{w}" for w in blocks))}
    for place in at:
        weights = path.weights(int(place))
        coarse, exact = ({w: np.asarray(v) for w, v in rate(dict(weights)).items()} for rate in rates)
        found["angle"].append(_angle(coarse, exact, blocks))
        for w in blocks:
            found[f"angle_{w}"].append(_angle(coarse, exact, (w,)))
        found["share"].append(curl.share(path.state(int(place)), given))
    columns = {name: ("row", np.array(values)) for name, values in found.items()}
    dataset = xr.Dataset(columns | {"log_t": ("row", path.dataset["log_t"].values[at])})
    return Result.of(KIND, dataset, path.problem, given, rows=rows, true=true.signature)


def _angle(a: Blocks, b: Blocks, blocks: tuple[str, ...]) -> float:
    """The angle of two velocities in some blocks, by both chords."""
    u, v = (np.concatenate([np.ravel(z[w]) for w in blocks]) for z in (a, b))
    size, other = np.linalg.norm(u), np.linalg.norm(v)
    if not (size > 0 and other > 0):
        return float("nan")
    u, v = u / size, v / other
    return float(2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v)))
