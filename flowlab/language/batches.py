"""The arguments of a batch: several states or data, one by one, and whether they are of one form."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from flowlab.core.errors import FlowlabError, LanguageError, ShapeMismatch
from flowlab.core.typing import Record
from flowlab.language.data import Data
from flowlab.language.norm_groups import groups, has_rows
from flowlab.language.problem import Problem
from flowlab.language.state import LARGEST_NORM, SMALLEST_NORM, State, is_batch

_OFF = 1e-12
"""Directions this far from unit length are brought back to it, as in single runs."""


@contextmanager
def of_run(number: int) -> Generator[None]:
    """What is refused here is refused with the number of the run."""
    try:
        yield
    except FlowlabError as error:
        raise type(error)(f"run {number} of the batch: {error}") from None


def asks_for_batch(start: object, *others: object) -> bool:
    """Whether any argument is one of several lanes."""
    return is_batch(start) or any(isinstance(each, list | tuple | range) for each in (start, *others))


def each_start(start: State | Sequence[State]) -> list[State]:
    """The states of a batch, one by one."""
    if not is_batch(start):
        return each("start", start)
    leaves, form = jax.tree.flatten(start)
    arrays = [np.asarray(leaf) for leaf in leaves]
    lengths = sorted({len(leaf) for leaf in arrays})
    if len(lengths) > 1 or not lengths[0]:
        raise ShapeMismatch(
            f"arrays of a batch of starts must share a leading axis of one run or more, got lengths"
            f" {', '.join(map(str, lengths))}; make it with `initial_state(…, seed=range(8))`."
        )
    return [jax.tree.unflatten(form, [leaf[i] for leaf in arrays]) for i in range(lengths[0])]


def each(name: str, value: object) -> list[Any]:
    """A value, or several, as a list."""
    several = list(value) if isinstance(value, list | tuple | range) else [value]
    if not several:
        raise LanguageError(f"`{name}` must have at least one entry, got an empty list; pass one for each run.")
    return several


def for_each(**given: Sequence[Any]) -> list[list[Any]]:
    """What is given once, given to each lane; the first that is given several times says how many there are.

    Raises:
        LanguageError: for numbers of entries that do not fit.
    """
    of, lanes = next(((name, len(several)) for name, several in given.items() if len(several) > 1), ("start", 1))
    for name, several in given.items():
        if len(several) not in (1, lanes):
            raise LanguageError(
                f"`{name}` must have one entry per run, got {len(several)} beside {lanes} of `{of}`; give one, or as"
                " many."
            )
    # Lanes that share a value hold the same object.
    return [list(several) * (lanes if len(several) == 1 else 1) for several in given.values()]


def alike(starts: Sequence[State], data: Sequence[Data | None]) -> None:
    """Refuse starts or data of different forms; ShapeMismatch."""
    for what, several, of in (("start", starts, form_of), ("data", data, form_of)):
        forms = [of(each) for each in several]
        for i, form in enumerate(forms):
            if form != forms[0]:
                name, first, other = next(
                    (name, forms[0].get(name, "none"), form.get(name, "none"))
                    for name in [*forms[0], *form]
                    if forms[0].get(name) != form.get(name)
                )
                raise ShapeMismatch(
                    f"`{what}` must have one form in all runs of a batch, got {name} {first} in run 0 and {other} in"
                    f" run {i}; run those of each form on their own."
                )


def form_of(value: State | Data | None) -> Record:
    """Shapes and kind of a state or of data, in words."""
    if isinstance(value, State):
        blocks = {**{f"norm {k}": v for k, v in value.rho.items()}, **{f"block {k}": v for k, v in value.V.items()}}
        return {"grouping": value.per} | {f"{k} of shape": np.shape(v) for k, v in blocks.items()}
    if value is None:
        return {}
    shapes = {f"{k} of shape": np.shape(v) for k, v in {**value.given, "y": value.y}.items()}
    return {"kind": value.kind, "classes": value.n_classes} | shapes


def in_range(problem: Problem, starts: Sequence[State]) -> tuple[np.ndarray, np.ndarray]:
    """Whether norms and directions of each start are in range, and whether its directions are not of unit length."""
    leaves = [jax.tree.leaves(start) for start in starts]
    typed = np.array([all(leaf.dtype == np.float64 for leaf in each) for each in leaves])
    fine, off = typed, np.zeros(len(starts), bool)
    with np.errstate(over="ignore", invalid="ignore"):
        for name in starts[0].rho:
            sizes = np.stack([np.asarray(start.rho[name], dtype=float).ravel() for start in starts])
            within = ((sizes >= SMALLEST_NORM) & (sizes <= LARGEST_NORM)).all(axis=1)
            fine = fine & within
        for blocks in groups(list(starts[0].V), problem.per).values():
            squares = []
            for name in blocks:
                values = np.stack([np.asarray(start.V[name], dtype=float) for start in starts]) ** 2
                rows = values.shape[1] if has_rows(values.shape[1:], problem.per) else 1
                squares.append(values.reshape(len(starts), rows, -1).sum(axis=2))
            lengths = np.sqrt(sum(squares))
            fine = fine & (np.isfinite(lengths) & (lengths > 0)).all(axis=1)
            off = off | (np.abs(lengths - 1.0) > _OFF).any(axis=1)
    return fine, off
