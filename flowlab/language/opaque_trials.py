"""What trials at random float64 weights show of a function of jax: how it reads samples, its scalings, its kinks.

Scaling block k by c^{e_k} gives c^κ f at all weights exactly if Σ_k e_k ⟨W_k, ∂f/∂W_k⟩ = κ f there. One random state
gives one such equation in (e, κ); the null space of many of them, in small fractions, is the set of scalings. Each of
them is then tried at further states and at factors far from 1. A trial proves nothing: it refutes, or finds no
exception.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from flowlab.core.arguments import short
from flowlab.core.errors import LanguageError, ShapeMismatch
from flowlab.language.opaque_function import OpaqueFunction, attempted

_BATCH = 3
"""Samples of a state; enough for every output to meet several inputs."""
_SPREAD = 1.0
"""Of the logarithms of norms: blocks differ by up to e², so that a clip or a constant in a norm shows."""
_ZERO = 1e-9
"""Of a singular value or a gap, relative to the terms it is made of: 1e5 roundings above none, and below 1e-8."""
_FRACTIONS, _CLOSE = 12, 1e-6
"""Largest denominator of an exponent, and how near its fraction must be; two such fractions are 1/132 apart."""
_FACTORS = (0.25, 3.0)
"""Far from 1 on both sides, and no powers of each other."""
_FURTHER = 4
"""States at which a scaling is tried that other states have shown."""
_MORE = 12
"""Equations beyond twice the number of unknowns, of which every one alone refutes a wrong scaling."""


@dataclass(frozen=True)
class Facts:
    """What trials show of a function.

    Attributes:
        output_shape: `(C,)`, or `()` where every sample has one number.
        degrees: κ as a linear form in the exponents of blocks, one coefficient for each.
        ties: linear forms in the exponents that must be zero for f to scale by a power of c.
        moved: whether the output depends on a block.
        kinked: whether a jump of the slope was found.
        states: at how many states all this was tried.
    """

    output_shape: tuple[int, ...]
    degrees: tuple[Fraction, ...] = ()
    ties: tuple[tuple[Fraction, ...], ...] = ()
    moved: tuple[bool, ...] = ()
    kinked: bool = False
    states: int = 0


class State(NamedTuple):
    """Blocks, and inputs and constants, in the order of a function."""

    blocks: tuple[np.ndarray, ...]
    given: tuple[np.ndarray, ...]

    def scaled(self, factors: Sequence[float]) -> "State":
        """The same with every block multiplied."""
        return State(tuple(f * b for f, b in zip(factors, self.blocks, strict=True)), self.given)


def drawn(function: OpaqueFunction, seed: int, samples: int = _BATCH) -> State:
    """A random state: blocks with entries of size 1/√fan-in, times factors of their own; inputs of size about 1."""
    rng = np.random.default_rng([seed, 17])

    def sized(shape: tuple[int, ...], several: tuple[int, ...] = ()) -> np.ndarray:
        return rng.normal(size=(*several, *shape)) / np.sqrt(shape[-1] if shape else 1)

    blocks = tuple(np.sqrt(2.0) * sized(s) * np.exp(rng.uniform(-_SPREAD, _SPREAD)) for s in function.blocks.values())
    inputs = tuple(sized(shape, (samples,)) * np.exp(rng.uniform(-0.3, 0.3)) for shape in function.inputs.values())
    return State(blocks, inputs + tuple(sized(shape) for shape in function.constants.values()))


def examined(function: OpaqueFunction) -> Facts:
    """Everything that trials show.

    Raises:
        LanguageError: if the outputs are no numbers of float64, mix samples, do not depend on a block, or have no
            derivative.
        ShapeMismatch: if they are not one number or one vector for every sample.
    """
    shape = _output_shape(function)
    _in_float64(function)
    _unmixed(function)
    count = len(function.blocks)
    rows, moved = _equations(function, 2 * (count + 1) + _MORE)
    basis = _confirmed(function, _fractions(_null_space(rows)))
    degrees, ties = _relations(basis, count)
    return Facts(shape, degrees, ties, tuple(moved), kinked(function), len(rows) + _FURTHER * len(_FACTORS))


def _output_shape(function: OpaqueFunction) -> tuple[int, ...]:
    import jax

    out = attempted(function.name, lambda: jax.eval_shape(function.raw, *function.structs(_BATCH)))
    wanted = f"`{function.name}` must return one array of shape (N, C) or (N,)"
    if not hasattr(out, "shape") or not hasattr(out, "dtype"):
        raise ShapeMismatch(f"{wanted}, got a value of type {type(out).__name__}; return the outputs alone.")
    if len(out.shape) not in (1, 2) or out.shape[0] != _BATCH or 0 in out.shape:
        got = tuple("N" if i == 0 and size == _BATCH else size for i, size in enumerate(out.shape))
        raise ShapeMismatch(f"{wanted}, got {short(got)}; return a number or a vector for every sample.")
    if out.dtype != np.float64:
        raise LanguageError(
            f"`{function.name}` must return outputs of float64, got {out.dtype}, "
            f"{'which has few digits' if out.dtype.kind == 'f' else 'which has no derivative'}; return real numbers."
        )
    return tuple(out.shape[1:])


def _in_float64(function: OpaqueFunction) -> None:
    low = next((t for t in function.dtypes() if t in ("float32", "float16", "bfloat16")), None)
    if low is not None:
        raise LanguageError(
            f"`{function.name}` must compute in float64, got a value of {low} inside it; make its arrays and the "
            "results of its conversions float64."
        )


def _values(function: OpaqueFunction, state: State) -> np.ndarray:
    """Outputs at a state.

    Raises:
        LanguageError: if one is not finite.
    """
    out = np.asarray(attempted(function.name, lambda: function.outputs(*state)))
    if not np.isfinite(out).all():
        raise LanguageError(
            f"`{function.name}` must be finite at random weights and inputs of ordinary size, got "
            f"{out[~np.isfinite(out)].flat[0]:g}; guard its logarithms, roots and quotients."
        )
    return out


def _unmixed(function: OpaqueFunction) -> None:
    """Refuse a function whose output of one sample changes with another one."""
    if not function.batched:
        return
    for seed in range(2):
        state, other = drawn(function, seed), drawn(function, seed + 100)
        changed = list(state.given)
        for i in range(len(function.inputs)):
            changed[i] = np.concatenate([other.given[i][:1], state.given[i][1:]])
        before, after = _values(function, state)[1:], _values(function, State(state.blocks, tuple(changed)))[1:]
        if np.abs(after - before).max() > _ZERO * np.abs(before).max():
            raise LanguageError(
                f"`{function.name}` must give every sample an output of its own, as losses are sums over samples, got "
                "outputs that change with other samples; pass `batched=False` if it reads one sample."
            )


def _equations(function: OpaqueFunction, count: int) -> tuple[np.ndarray, list[bool]]:
    """One equation in (e, κ) per state, in units of its largest term; and which blocks move the output.

    Raises:
        LanguageError: if no block does, or a derivative is not finite.
    """
    rows: list[np.ndarray] = []
    moved = [False] * len(function.blocks)
    # In a narrow deep net with kinks a state may be dead; twice as many are tried.
    for seed in range(2 * count):
        state = drawn(function, seed)
        out = _values(function, state)
        cotangent = np.random.default_rng([seed, 18]).normal(size=out.shape)
        slope = np.asarray(attempted(function.name, lambda: function.pull(*state, cotangent)))  # noqa: B023
        if not np.isfinite(slope).all():
            raise LanguageError(
                f"`{function.name}` must have finite derivatives at random weights, got "
                f"{slope[~np.isfinite(slope)][0]:g}; guard its roots and quotients on both branches."
            )
        parts = [slope[function.part(k)] for k in range(len(function.blocks))]
        moved = [m or bool(part.any()) for m, part in zip(moved, parts, strict=True)]
        radial = [float(b.ravel() @ part) for b, part in zip(state.blocks, parts, strict=True)]
        along = float((cotangent * out).sum())
        terms = [float(np.linalg.norm(b) * np.linalg.norm(p)) for b, p in zip(state.blocks, parts, strict=True)]
        largest = max(abs(along), *terms)
        if largest:
            rows.append(np.array([*radial, -along]) / largest)
        if len(rows) == count:
            break
    if not any(moved):
        raise LanguageError(
            f"`{function.name}` must depend on its parameters, got outputs whose slopes in every block are 0; let it"
            " read `params`, and round nothing."
        )
    if len(rows) < count:
        raise LanguageError(
            f"`{function.name}` must move at most random weights, got a derivative of 0 at {2 * count - len(rows)} of "
            f"{2 * count} states; widen its layers."
        )
    return np.array(rows), moved


def _null_space(rows: np.ndarray) -> np.ndarray:
    """Vectors (e, κ) that every equation allows, one a row."""
    _, sizes, right = np.linalg.svd(rows, full_matrices=True)
    rank = int((sizes > _ZERO * np.sqrt(len(rows))).sum())
    return right[rank:]


def _fractions(vectors: np.ndarray) -> list[list[Fraction]]:
    """The reduced basis of their span, in small fractions; a vector that is in none is left out."""
    work, place = vectors.copy(), 0
    for column in range(work.shape[1] - 1):
        if place == len(work):
            break
        best = place + int(np.abs(work[place:, column]).argmax())
        if abs(work[best, column]) < _CLOSE:
            continue
        work[[place, best]] = work[[best, place]]
        work[place] /= work[place, column]
        others = np.arange(len(work)) != place
        work[others] -= work[others, column, None] * work[place]
        place += 1
    found = [[Fraction(float(v)).limit_denominator(_FRACTIONS) for v in row] for row in work[:place]]
    return [
        exact
        for exact, row in zip(found, work, strict=False)
        if np.abs(np.array([float(v) for v in exact]) - row).max() < _CLOSE
    ]


def _confirmed(function: OpaqueFunction, basis: list[list[Fraction]]) -> list[list[Fraction]]:
    """The scalings that hold at further states, for factors far from 1."""
    kept = []
    for vector in basis:
        *exponents, kappa = map(float, vector)
        good = True
        for seed in range(_FURTHER):
            state = drawn(function, 1_000 + seed)
            before = _values(function, state)
            for c in _FACTORS:
                after = np.asarray(function.outputs(*state.scaled([c**e for e in exponents])))
                good = good and bool(np.abs(after - c**kappa * before).max() <= _ZERO * c**kappa * np.abs(before).max())
        if good:
            kept.append(vector)
    return kept


def _relations(
    basis: list[list[Fraction]], count: int
) -> tuple[tuple[Fraction, ...], tuple[tuple[Fraction, ...], ...]]:
    """κ as a form in the exponents, and the forms that vanish on the basis: every other exponent in terms of leads."""
    leads = [next(i for i, v in enumerate(vector) if v) for vector in basis]
    degrees = [Fraction(0)] * count
    for lead, vector in zip(leads, basis, strict=True):
        degrees[lead] = vector[-1]
    ties = []
    for block in (k for k in range(count) if k not in leads):
        tie = [Fraction(0)] * count
        tie[block] = Fraction(1)
        for lead, vector in zip(leads, basis, strict=True):
            tie[lead] = -vector[block]
        ties.append(tuple(tie))
    return tuple(degrees), tuple(ties)


_LINES, _HALVINGS = 4, 36
"""Segments that are searched, and halvings of each: to a width of 1.5e-11."""
_JUMP = 1e-6
"""Of a slope, relative to it, within that width; a smooth slope changes by about 1e-11."""


def kinked(function: OpaqueFunction) -> bool:
    """Whether the slope jumps somewhere on a segment between two random states.

    Of every segment the half is kept on which the slope changes more; a kink that is found is one, and one that is not
    found may exist.
    """
    for seed in range(_LINES):
        start, end = drawn(function, 2_000 + seed), drawn(function, 3_000 + seed)
        cotangent = np.random.default_rng([seed, 19]).normal(size=_values(function, start).shape)

        def slope(t: float) -> np.ndarray:
            blocks = tuple((1 - t) * a + t * b for a, b in zip(start.blocks, end.blocks, strict=True))  # noqa: B023
            return np.asarray(function.pull(blocks, start.given, cotangent))  # noqa: B023

        low, high = 0.0, 1.0
        at_low, at_high = slope(low), slope(high)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            here = slope(middle)
            if np.linalg.norm(here - at_low) > np.linalg.norm(at_high - here):
                high, at_high = middle, here
            else:
                low, at_low = middle, here
        if np.linalg.norm(at_high - at_low) > _JUMP * np.linalg.norm(at_high):
            return True
    return False
