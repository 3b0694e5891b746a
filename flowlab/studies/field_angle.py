"""`field_angle`: the angle between a coarse gradient and the true one along a run, and how much of the Jacobian is curl
(Yin et al. 2019; claims Q5, Q6).
"""

from collections.abc import Sequence

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
_RESTS, _TOLERANCES = 1e-12, 100.0
"""Part of the largest velocity of a run below which one is roundings, whose angles tell nothing; and how many relative
tolerances of an integrated run count as that.
"""


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
        block, in radians; `share`, the antisymmetric part of the coarse Jacobian over the symmetric one. NaN where a
        velocity vanishes, or is so small beside its largest along the run that it is roundings or the solver's error.

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
    of = {"angle": blocks} | {f"angle_{w}": (w,) for w in blocks}
    pairs = [
        tuple({w: np.asarray(v) for w, v in rate(dict(path.weights(int(place)))).items()} for rate in rates)
        for place in at
    ]
    least = max(_RESTS, _TOLERANCES * path.provenance.get("settings", {}).get("rtol", 0.0))
    moving = {name: _moving(pairs, some, least) for name, some in of.items()}
    found = {
        name: [
            _angle(pair[0], pair[1], some) if moves else np.nan for pair, moves in zip(pairs, moving[name], strict=True)
        ]
        for name, some in of.items()
    }
    found["share"] = [
        curl.share(path.state(int(place)), given) if moves else np.nan
        for place, moves in zip(at, moving["angle"], strict=True)
    ]
    columns = {name: ("row", np.array(values)) for name, values in found.items()}
    dataset = xr.Dataset(columns | {"log_t": ("row", path.dataset["log_t"].values[at])})
    return Result.of(KIND, dataset, path.problem, given, rows=rows, true=true.signature)


def _flat(velocity: Blocks, blocks: tuple[str, ...]) -> np.ndarray:
    return np.concatenate([np.ravel(velocity[w]) for w in blocks])


def _moving(pairs: Sequence[tuple[Blocks, ...]], blocks: tuple[str, ...], least: float) -> np.ndarray:
    """At which rows both velocities of some blocks are more than a part of the largest one, (rows,)."""
    sizes = np.array([[np.linalg.norm(_flat(each, blocks)) for each in pair] for pair in pairs])
    return (sizes > least * np.nanmax(sizes, axis=0, initial=0.0)).all(axis=1)


def _angle(a: Blocks, b: Blocks, blocks: tuple[str, ...]) -> float:
    """The angle of two velocities in some blocks, by both chords."""
    u, v = (_flat(z, blocks) for z in (a, b))
    u, v = u / np.linalg.norm(u), v / np.linalg.norm(v)
    return float(2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v)))
