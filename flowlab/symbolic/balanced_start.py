"""Starts of linear chains whose layers are balanced: W_{j+1}^T W_{j+1} - W_j W_j^T is a number times the identity."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from flowlab.core.arguments import finite, guarded, line, must_be
from flowlab.core.errors import LanguageError, ShapeMismatch
from flowlab.core.precision import require_x64
from flowlab.core.seeds import checked_seed
from flowlab.core.typing import ArrayLike
from flowlab.language.arrays import numbers
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.symbolic.neighbours import adjacent

_HALVINGS = 200
"""Of an interval around a root: more than float64 tells apart."""


def chain(problem: Problem) -> tuple[str, ...]:
    """The blocks of a problem whose only product is W_N … W_1, from W_1 on.

    Raises:
        LanguageError: where blocks are no such chain.
    """
    above = {pair.inner: pair.outer for pair in adjacent(problem) if not pair.diagonal and pair.degree == 1}
    blocks = problem.network.weights
    first = next((w for w in blocks if w not in above.values()), blocks[0])
    found = [first]
    while found[-1] in above and len(found) < len(blocks):
        found.append(above[found[-1]])
    ranks = {len(problem.network.shapes[w]) for w in blocks}
    if set(found) != set(blocks) or ranks != {2}:
        raise LanguageError(
            f"a balanced state must be of a product of matrices, got the blocks {', '.join(blocks)} of"
            f" `{line(problem.network.text)}`, which are none; write `P = W2 @ W1` once and use it."
        )
    return tuple(found)


@guarded
def balanced_state(
    problem: Problem,
    product: ArrayLike,
    *,
    widths: Mapping[str, int] | None = None,
    imbalance: float | Sequence[float] = 0.0,
    seed: int | None = None,
) -> State:
    """Weights of a linear chain with a given product and balanced layers.

    With the singular values s of the product, layer j has the singular values √(q + c_1 + … + c_{j-1}) where the
    product of all is s; where all c are zero that is s^{1/N} (Arora, Cohen and Hazan 2018).

    Args:
        problem: whose blocks are the factors of one product W_N … W_1.
        product: W_N … W_1, (n, m); of the unit of the weights to the power N.
        widths: rows of hidden blocks, `{"W1": 4}`; the smaller side of the product where nothing is said.
        imbalance: c of W_{j+1}^T W_{j+1} - W_j W_j^T = c I, for all neighbours or one each from the input on.
        seed: of random orthogonal bases of the hidden layers; without it hidden layers have the singular vectors as
            their axes.

    Raises:
        LanguageError: where the blocks are no chain.
        ShapeMismatch: unless the product is a matrix, and every width at least its rank.

    Examples:
        >>> P, S0 = fl.weight("W2") @ fl.weight("W1"), fl.constant("S0")
        >>> problem = fl.Problem(fl.bures(P @ P.T + 0.3 * fl.eye, S0), "value")
        >>> start = fl.balanced_state(problem, product=[[1.0, 0.2], [0.0, 0.5]])
        >>> W1, W2 = start.weights()["W1"], start.weights()["W2"]
        >>> bool(abs(W1 @ W1.T - W2.T @ W2).max() < 1e-12)
        True
    """
    require_x64("balanced_state")
    blocks = chain(problem)
    target = numbers(product, "the product")
    if target.ndim != 2 or 0 in target.shape or not np.isfinite(target).all():
        raise ShapeMismatch(f"`product` must be a matrix of finite numbers, got the shape {target.shape}; pass W0.")
    U, s, Vt = np.linalg.svd(target, full_matrices=False)
    told = dict(widths or {})
    odd = next((w for w in told if w not in blocks[:-1]), None)
    if odd is not None:
        raise LanguageError(f"`widths` names `{line(odd)}`, which is no hidden layer; use {', '.join(blocks[:-1])}.")
    hidden = [told.get(w, _declared(problem, w) or len(s)) for w in blocks[:-1]]
    shifts = np.cumsum([0.0, *_imbalances(imbalance, len(blocks) - 1)])
    rank = int((s > len(s) * np.finfo(float).eps * s[0]).sum()) if s[0] else 0
    kept = min([len(s), *hidden])
    if kept < rank or (shifts.any() and any(h != kept for h in hidden)):
        what = f"all {kept}, as the identity is" if shifts.any() else f"at least {rank}, the rank of the product"
        raise ShapeMismatch(f"`widths` must be {what}, got {', '.join(map(str, hidden))}; change them.")
    sizes = np.sqrt(_squares(s[:kept], shifts))
    rng = None if seed is None else np.random.default_rng(checked_seed(seed))
    bases = [Vt.T[:, :kept], *(_basis(h, kept, rng) for h in hidden), U[:, :kept]]
    layers = [out * size @ into.T for size, (into, out) in zip(sizes, pairwise(bases), strict=True)]
    return State.from_weights(dict(zip(blocks, layers, strict=True)), per=problem.per)


def _declared(problem: Problem, block: str) -> int | None:
    """The number of rows that the network declares."""
    rows = problem.network.shapes[block][0]
    return rows if isinstance(rows, int) else None


def _imbalances(given: float | Sequence[float], count: int) -> list[float]:
    several = list(given) if isinstance(given, Sequence) else [given] * count
    if len(several) != count or not all(finite(c) for c in several):
        raise must_be("imbalance", given, f"a finite number, or {count} of them", "for example 0.0", ShapeMismatch)
    return [float(c) for c in several]


def _squares(s: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """The squared singular values of every layer, (N, r): q plus the shifts, with q so that their product is s²."""
    if not shifts.any():
        return np.repeat(s[None] ** (2.0 / len(shifts)), len(shifts), axis=0)
    low = np.full(len(s), -float(shifts.min()))
    high = low + np.ptp(shifts) + np.maximum(s, 1.0) ** 2
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        small = np.prod(middle[None] + shifts[:, None], axis=0) < s**2
        low, high = np.where(small, middle, low), np.where(small, high, middle)
    return np.maximum(0.5 * (low + high)[None] + shifts[:, None], 0.0)


def _basis(rows: int, columns: int, rng: np.random.Generator | None) -> np.ndarray:
    """Orthonormal columns."""
    if rng is None:
        return np.eye(rows, columns)
    return np.linalg.qr(rng.normal(size=(rows, columns)))[0]
