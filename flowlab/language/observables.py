"""Observables of a user's own along a run: functions of the weights, evaluated at every row that is kept.

An observable is a function of one argument, the weights by block as read-only numpy arrays, and returns a number or an
array of one shape. It is evaluated on the rows once the run has ended, so it costs no step, and a run that is taken up
again gives the same bits. It is tried at the start before the first step. Where it fails later, its value there is NaN
and the trajectory says so; everything else is kept.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from flowlab.core.arguments import guarded, line, short
from flowlab.core.errors import DataError, LanguageError
from flowlab.core.memory import require_memory
from flowlab.core.typing import ArrayLike, Blocks, Record
from flowlab.language.data import Data
from flowlab.language.problem import Problem

Observables: TypeAlias = Mapping[str, Callable[[Blocks], ArrayLike]]
"""Functions of the weights by block, by name."""
PREFIX = "observed_"
"""What a column of a trajectory is called before the name of its observable."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_ROWS = 2_000
"""Rows that a run keeps, at most."""


class Failure(Exception):
    """What is wrong with one value of an observable, in words."""


class Observed(NamedTuple):
    """Values of observables, with a leading axis over rows, and where each of them failed: `rows` (how many), `first`
    and `why`.
    """

    values: dict[str, np.ndarray]
    failures: dict[str, Record]

    def told(self) -> str:
        """A sentence on the observables that failed; empty where none did."""
        return " ".join(
            f"The observable `{name}` failed at {each['rows']} rows, from row {each['first']} on: {each['why']}."
            for name, each in self.failures.items()
        )

    def columns(self) -> dict[str, tuple[tuple[str, ...], np.ndarray, str]]:
        """Variables of a trajectory."""
        return {
            PREFIX + name: (
                ("step", *(f"{PREFIX}{name}_{i}" for i in range(values.ndim - 1))),
                values,
                f"observable {name}",
            )
            for name, values in self.values.items()
        }


class Observers(NamedTuple):
    """Functions of the weights that have been tried at the start, and the shapes of their values."""

    functions: Observables
    shapes: dict[str, tuple[int, ...]]

    @classmethod
    def of(cls, observe: Observables | None, weights: Blocks) -> "Observers":
        """Functions that work at the start.

        Args:
            observe: functions of the weights, or None.
            weights: at the start, by block.

        Raises:
            LanguageError: for a name that is not an identifier, and for a function that raises there, or returns
                anything but finite numbers.
            TooLarge: if its values do not fit into memory.
        """
        shapes = {}
        for name, function in (observe or {}).items():
            if not _NAME.fullmatch(name):
                raise LanguageError(
                    f"an observable must be named by letters, digits and `_`, got `{line(name, 40)}`; pass for example"
                    ' `observe={"test_error": f}`.'
                )
            try:
                shapes[name] = _value(function, weights).shape
            except Failure as why:
                raise LanguageError(
                    f"`observe[{name!r}]` must return finite numbers, but at the start {why}; mend the function."
                ) from None
            require_memory(8 * _ROWS * int(np.prod(shapes[name])), f"the observable `{name}` of shape {shapes[name]}")
        return cls(dict(observe or {}), shapes)

    def along(self, rows: Iterable[Blocks]) -> Observed:
        """The values at the weights of every row; an interrupt leaves NaN in the rows that follow."""
        values: dict[str, list[np.ndarray]] = {name: [] for name in self.functions}
        failures: dict[str, Record] = {}
        stopped = ""
        for i, weights in enumerate(rows):
            for name, function in self.functions.items():
                try:
                    found = _value(function, weights, self.shapes[name], stopped)
                except (Failure, KeyboardInterrupt) as error:
                    if isinstance(error, KeyboardInterrupt):
                        stopped = "it was interrupted"
                    found = np.full(self.shapes[name], np.nan)
                    failed = failures.setdefault(name, {"rows": 0, "first": i, "why": str(error) or stopped})
                    failed["rows"] += 1
                values[name].append(found)
        return Observed({name: np.stack(column) for name, column in values.items()}, failures)


def _value(
    function: Callable[[Blocks], ArrayLike],
    weights: Blocks,
    shape: tuple[int, ...] | None = None,
    stopped: str = "",
) -> np.ndarray:
    """The value of an observable as float64; Failure where it has none, or one of another shape."""
    if stopped:
        raise Failure(stopped)
    given = {name: np.array(w) for name, w in weights.items()}
    for each in given.values():
        each.setflags(write=False)
    try:
        with np.errstate(all="ignore"):
            returned: Any = function(given)
            found = np.asarray(returned)
    except Exception as error:
        # A function of a user may raise anything.
        raise Failure(f"it raised {type(error).__name__} ({short(str(error), 100)})") from None
    if found.dtype.kind not in "biuf" or found.size == 0:
        raise Failure(f"it returned {short(returned, 40)}, of type {type(returned).__name__}")
    if shape is not None and found.shape != shape:
        raise Failure(f"it returned the shape {found.shape} instead of {shape}")
    found = found.astype(np.float64)
    if not np.isfinite(found).all():
        raise Failure(f"it returned {found[~np.isfinite(found)].flat[0]}")
    return found


@guarded
def held_out(problem: Problem, data: Data, *, name: str = "test") -> dict[str, Callable[[Blocks], float]]:
    """Observables on samples that are held out of training.

    Args:
        problem: network and loss; weight decay does not count.
        data: samples that the run does not see, with the features and the kind of labels of those it does.
        name: what the observables are called by.

    Returns:
        `<name>_loss`, the loss averaged over the samples; and `<name>_error`: the share of samples that are not on
        their right side, or for real targets the root of the mean of |f - y|². Both are dimensionless.

    Raises:
        DataError: for labels that the loss does not take, or features that the network does not.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> test = fl.Data([[0.9, 0.1], [-0.7, 0.3]], [1, -1])
        >>> field = fl.lower(fl.derive(problem))
        >>> path = fl.integrate(field, start, data, until=fl.log_time(3.0), observe=fl.held_out(problem, test))
        >>> float(path.observed["test_error"][-1])
        0.0
    """
    problem.loss.check_labels(data)
    problem.network.require_given(data.shapes)
    network, loss, (x, y) = problem.network, problem.loss, data.in_numpy
    if isinstance(network.input_dim, int) and network.input_dim != data.d:
        raise DataError(
            f"`data` must have {network.input_dim} features, as the network has, got {data.d}; pass other samples."
        )

    def mean_loss(weights: Blocks) -> float:
        return float(np.exp(loss.log_loss(np, network.outputs(weights, x, np), y, "mean")))

    def error(weights: Blocks) -> float:
        outputs = network.outputs(weights, x, np)
        if data.kind == "binary":
            return float((y * outputs[:, 0] <= 0).mean())
        if loss.classifies:
            return float((loss.margins(np, outputs, y) <= 0).mean())
        return float(np.sqrt((loss.residual(np, outputs, y) ** 2).sum(axis=1).mean()))

    return {f"{name}_loss": mean_loss, f"{name}_error": error}
