"""Arguments of a run, checked before anything is computed."""

from numbers import Real

import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.arguments import must_be
from flowlab.core.errors import ShapeMismatch
from flowlab.core.memory import require_memory
from flowlab.language.data import Data
from flowlab.language.geometries import require_in_space
from flowlab.language.norm_groups import inner, scaled
from flowlab.language.state import LARGEST_NORM, SMALLEST_NORM, State, names_match, out_of_range, shapes_match
from flowlab.language.trajectory_table import weights_of
from flowlab.lowering.vector_field import VectorField

FINEST = 1e-14
"""Some tens of units in the last place: a relative tolerance below it asks for digits that are not there."""
COPIES = 12
"""Arrays of the size of a state that a step holds: the state, seven stages, the error, the next state, a copy on the
host, a stored row.
"""


def check(field: VectorField, start: State, data: Data, rtol: float, atol: float, max_steps: int) -> None:
    """Refuse what cannot be run.

    Raises:
        LanguageError, ShapeMismatch, DataError: with the offending value and what to do.
    """
    problem = field.problem
    if type(max_steps) is not int or max_steps < 1:
        raise must_be("max_steps", max_steps, "an integer from 1 on", "for example 100_000")
    for name, value in (("rtol", rtol), ("atol", atol)):
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < 1:
            raise must_be(name, value, "a number between 0 and 1", "for example 1e-8")
    if rtol < FINEST:
        raise must_be("rtol", rtol, f"at least {FINEST:g}, which float64 can hold a step to", "a larger one")
    names_match(start, problem.network)
    if start.per != problem.per:
        raise ShapeMismatch(
            f"norms of the state must be per {problem.per}, got per {start.per}; make it with `initial_state(…,"
            f" per={problem.per!r})`."
        )
    for leaf in jax.tree.leaves(start):
        if leaf.dtype != jnp.float64:
            raise ShapeMismatch(f"the state must be of float64, got {leaf.dtype}; make it from float64 weights.")
    for name, norm in start.rho.items():
        size = np.asarray(norm)
        if not (np.isfinite(size) & (size >= 0)).all():
            odd = float(size[~(np.isfinite(size) & (size >= 0))].flat[0])
            raise ShapeMismatch(
                f"the norm `{name}` must be finite and not below zero, got {odd:g}; start from other weights."
            )
        if problem.coordinates == "polar" and not (size > 0).all():
            way = 'use `coordinates="weights"`' if problem.scheme.is_gradient_flow else "start from other weights"
            raise ShapeMismatch(
                f"the norm `{name}` must be above zero in polar coordinates, where a zero block has no direction, got"
                f" 0; {way}."
            )
        for each in (float(size[size > 0].min(initial=1.0)), float(size.max(initial=1.0))):
            if not SMALLEST_NORM <= each <= LARGEST_NORM:
                raise ShapeMismatch(out_of_range(name, "the norm", each))
    require_in_space(problem.geometry, weights_of(problem, start))
    problem.loss.check_labels(data)
    shapes_match(start, problem.network, data)


def fits(start: State, data: Data, dense: bool) -> None:
    """Refuse a run that cannot fit into memory: a lower bound on what its steps hold at one time, before anything is
    compiled.

    Args:
        start: norms and directions.
        data: samples.
        dense: whether steps factorise a whole Jacobian.

    Raises:
        TooLarge: with the memory it needs.
    """
    unknowns = sum(int(leaf.size) for leaf in jax.tree.leaves(start))
    units = sum(int(V.shape[0]) for V in start.V.values() if V.ndim)
    numbers = COPIES * unknowns + data.n * units + (2 * unknowns**2 if dense else 0)
    require_memory(
        8 * numbers, f"a run with {unknowns} unknowns", "use smaller widths" + (', or solver="tsit5"' if dense else "")
    )


def unit(field: VectorField, start: State) -> State:
    """The start with unit directions, if the scheme has them so; untouched when they are unit already."""
    if not field.problem.scheme.unit:
        return start
    # In numpy: an eager operation of jax costs more than these arrays do.
    V = {w: np.asarray(v) for w, v in start.V.items()}
    units = scaled({k: 1.0 / np.sqrt(n) for k, n in inner(V, V, start.per).items()}, V, start.per)
    off = max(float(np.max(np.abs(units[w] - V[w]))) for w in V)
    return (
        State(rho=start.rho, V={w: jnp.asarray(v) for w, v in units.items()}, per=start.per) if off > 1e-12 else start
    )
