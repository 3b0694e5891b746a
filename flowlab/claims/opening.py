"""`open`: anything that the package has stored, whatever it is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flowlab.claims.verdict import Verdict
from flowlab.core.arguments import guarded, tail
from flowlab.core.errors import LanguageError, OutputError
from flowlab.core.files import is_folder
from flowlab.core.hashing import unsealed
from flowlab.core.typing import Record
from flowlab.studies.storage import load, results
from flowlab.symbolic.equations import FlowEquations


def _equations(path: Path) -> FlowEquations:
    return FlowEquations.from_json(path.read_text(encoding="utf-8"))


def _record(path: Path) -> Record:
    return unsealed(path.read_text(encoding="utf-8"))


_KINDS: tuple[tuple[set[str], Callable[[Path], Any]], ...] = (
    ({"answer", "evidence", "id"}, Verdict.load),
    ({"equations", "signature", "steps"}, _equations),
    ({"outcome", "spec", "log_t"}, _record),
    ({"points", "ends"}, _record),
    ({"points"}, load),
    ({"counts", "verdicts"}, _record),
)
"""What a JSON file of the package must have, and how it is read; the first that fits."""


@guarded
def open(path: str | Path) -> Any:
    """Read what was stored: a trajectory, another result, critical points, a verdict, equations, a summary.

    Args:
        path: a file, or the folder of a run or of other results.

    Returns:
        What the file holds, as it was saved; summaries as dictionaries. Of a folder a list of the results in it, of a
        run its flow first.

    Raises:
        OutputError: if there is nothing, or it is damaged, or was stored by something else.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(3.0))
        >>> saved = path.save("trajectory.nc")
        >>> fl.open("trajectory.nc").outcome.kind
        'done'
    """
    place = Path(path)
    if is_folder(place) and place.suffix != ".zarr":
        return results(place)
    return _json(place) if place.suffix == ".json" else load(place)


def _json(place: Path) -> Any:
    """What a JSON file holds, by the keys that it has."""
    try:
        keys = set(json.loads(place.read_text(encoding="utf-8")))
        found = next((read for needed, read in _KINDS if needed <= keys), None)
        if found is not None:
            return found(place)
        raise ValueError("none of its keys are those of a result")
    except (OSError, ValueError, KeyError, TypeError, LanguageError, RecursionError) as error:
        raise OutputError(
            f"`{tail(place)}` must be a stored result, got {type(error).__name__}: {error}; pass what `save` wrote."
        ) from None
