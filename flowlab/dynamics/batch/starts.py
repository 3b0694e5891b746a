"""The arguments of a batch, sorted by lanes and checked before anything is computed."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from flowlab.core.errors import LanguageError
from flowlab.core.typing import Record
from flowlab.dynamics.run.validation import check, unit
from flowlab.language.batches import alike, each, each_start, for_each, in_range, of_run
from flowlab.language.data import Data
from flowlab.language.defects import can_fail
from flowlab.language.given_data import required
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.lowering.vector_field import VectorField


@dataclass(frozen=True)
class Lanes:
    """What every lane is to run.

    Attributes:
        fields, starts, data: one for each lane.
        shared: whether all lanes have the same field, and the same data.
    """

    fields: list[VectorField]
    starts: list[State]
    data: list[Data]
    shared: tuple[bool, bool]


def lanes_of(
    field: VectorField | Sequence[VectorField],
    start: State | Sequence[State],
    data: Data | Sequence[Data] | None,
) -> Lanes:
    """Fields, starts and data of all lanes.

    Raises:
        LanguageError, ShapeMismatch, DataError: for what is no batch, naming the lane.
    """
    starts, fields, several = each_start(start), each("field", field), each("data", data)
    _of_one_kind(fields)
    given = [required(fields[0].problem, one) for one in several]
    alike(starts, given)
    shared = len(fields) == 1, len(given) == 1
    starts, fields, given = for_each(start=starts, field=fields, data=given)
    return Lanes(fields, starts, given, shared)


def _of_one_kind(fields: Sequence[VectorField]) -> None:
    """Refuse fields that are no batch."""
    problems = [field.problem for field in fields]
    for i, problem in enumerate(problems):
        first, other = _kind(problems[0]), _kind(problem)
        if first != other:
            key = next(key for key in sorted({*first, *other}) if first.get(key) != other.get(key))
            raise LanguageError(
                f"problems of a batch must differ in `rates` and `decay` alone, got another {key} in run {i}; run those"
                " of each kind on their own."
            )
    forms = [
        (type(one), getattr(one, "program", None), [np.shape(leaf) for leaf in jax.tree.leaves(one)]) for one in fields
    ]
    for i, form in enumerate(forms):
        if form != forms[0]:
            raise LanguageError(
                f"fields of a batch must have the same equations, got others in run {i}; give all of them learning"
                " rates, or none."
            )


def _kind(problem: Problem) -> Record:
    """What problems of one batch have in common."""
    told = {key: value for key, value in problem.describe().items() if key not in ("rates", "decay")}
    return told | {"set of blocks with decay": sorted(w for w, c in problem.decay.items() if c)}


def checked_starts(lanes: Lanes, rtol: float, atol: float, max_steps: int) -> list[State]:
    """Starts that can be run, with unit directions where the scheme has them so.

    All numbers are looked at together; a start that does not pass, and the first of each, is checked as a single one.

    Raises:
        LanguageError, ShapeMismatch, DataError: naming the run.
    """
    problem = lanes.fields[0].problem
    starts = lanes.starts
    fine, off = in_range(problem, starts)
    # What is asked of points of a geometry, of matrices and of labels is asked of each.
    alone = bool(problem.geometry) or can_fail(problem.network)
    for i, start in enumerate(starts):
        if i == 0 or alone or not fine[i] or not lanes.shared[1]:
            with of_run(i):
                check(lanes.fields[i], start, lanes.data[i], rtol, atol, max_steps)
    if not problem.scheme.unit:
        return [_plain(start) for start in starts]
    return [_plain(unit(lanes.fields[i], start) if off[i] else start) for i, start in enumerate(starts)]


def _plain(start: State) -> State:
    """A start of numpy arrays of float64."""
    if all(type(leaf) is np.ndarray or type(leaf) is np.float64 for leaf in jax.tree.leaves(start)):
        return start
    return jax.tree.map(lambda leaf: np.asarray(leaf, dtype=np.float64), start)
