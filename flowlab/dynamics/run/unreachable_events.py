"""Events that no weights of a network can meet on given samples, each with what shows it.

Outputs are tied whatever the weights are: those of equal samples; of parallel ones where the network is homogeneous in
x; of opposite ones where it is even or odd; and all of them where it is a polynomial in x, so that they lie in the span
of its monomials. On such a subspace losses are convex functions of the outputs, and a dual point bounds them from
below.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations_with_replacement

import numpy as np
from scipy.optimize import minimize, nnls

from flowlab.core.errors import DataError
from flowlab.dynamics.conditions import Event, LogLossBelow, MarginGap, Separated
from flowlab.language.data import Data
from flowlab.language.inputs import AsFunction, as_function
from flowlab.language.losses import Loss
from flowlab.language.problem import Problem

_TOUCHING = 1e-13
"""A convex combination of samples of length one that is this close to zero is not told from zero."""
_MOST = 5_000
"""Samples times classes up to which all of them are looked at together: what takes longer is left to the run."""
_ROUND = 1e-10
"""Residuals below this part of the targets may be round-off."""
_POWERS = np.finfo(float).tiny, np.finfo(float).max
"""Powers of lengths are kept in here: one that underflows is of small outputs, not of outputs that vanish."""
_FAINT = 1e-7
"""Samples with a share of the loss below this one are left out of a dual point: they add less than is granted."""
_FARTHEST, _CLOSELY = 60.0, {"maxiter": 300, "ftol": 1e-15, "gtol": 1e-10}
"""Weights of scaled features beyond which a sample's share of the loss counts no more; and stops of the minimiser."""
_GRANTED = 1e-6
"""A level is refused where it is below a bound by more than this, in the logarithm."""


@dataclass(frozen=True)
class Tie:
    """Samples whose outputs are multiples of one output, whatever the weights are.

    Attributes:
        rows: the samples.
        factors: the multiples; zero where the output vanishes.
        why: what ties the outputs, in words that follow the samples.
    """

    rows: np.ndarray
    factors: np.ndarray
    why: str

    @property
    def equal(self) -> bool:
        """Whether the samples themselves are equal."""
        return self.why == "equal"


def refuse(event: Event, problem: Problem, data: Data) -> None:
    """Refuse an event that is shown to be out of reach.

    Raises:
        DataError: with the samples that show it, counted from 1, or the bound.
    """
    if not isinstance(event, Separated | MarginGap | LogLossBelow) or (
        data.kind == "targets" and not isinstance(event, LogLossBelow)
    ):
        return
    facts = as_function(problem.network.nodes)
    inputs = np.asarray(data.flat, dtype=float)
    groups = ties(facts, inputs)
    features = monomials(facts, inputs, _MOST if data.n * (data.n_classes or 1) <= _MOST else 0)
    if isinstance(event, LogLossBelow):
        _bounded(event, problem, data, groups, features, facts)
        return
    for group in groups:
        if group.equal:
            conflict(event, data, group)
    rest, used = (np.inf, 0) if features is None else certificate(features, data)
    if facts.monomials is not None and rest < _TOUCHING:
        how = (
            "linearly separable"
            if facts.monomials == (1, 1)
            else f"separable by a polynomial of degree {facts.monomials[1]}"
        )
        raise DataError(
            f"`{event.name}` can never be met: the data are not {how} (a convex combination of {used} y_n x_n is 0,"
            f" to {rest:.1g}); use `log_time` or hidden units."
        )
    for group in groups:
        conflict(event, data, group)


def ties(facts: AsFunction, x: np.ndarray) -> list[Tie]:
    """Groups of samples: those that are not alone, and those whose outputs vanish."""
    lead = np.array([row[np.flatnonzero(row)[0]] if row.any() else 0.0 for row in x])
    homogeneous = facts.degree is not None and facts.degree > 0
    side = np.where(lead < 0, -1.0, 1.0) if facts.parity else np.ones(len(x))
    size = np.where(lead == 0, 1.0, np.abs(lead)) if homogeneous else np.ones(len(x))
    with np.errstate(over="ignore", under="ignore"):
        # Quotients that are equal round to one number; so what is one direction is in one group, and little else.
        keys = x * side[:, None] / size[:, None] + 0.0
        factors = np.clip(size ** float(facts.degree or 0), *_POWERS) * np.where(
            side < 0, float(facts.parity or 1), 1.0
        )
    # What is homogeneous, or odd, is zero at zero.
    vanishes = facts.vanishes or homogeneous or facts.parity == -1
    _, names, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    groups = np.split(np.argsort(names.ravel(), kind="stable"), np.cumsum(counts)[:-1])
    found = []
    for rows in [group for group in groups if len(group) > 1 or (vanishes and lead[group[0]] == 0)]:
        if vanishes and lead[rows[0]] == 0:
            found.append(Tie(rows, np.zeros(len(rows)), "zero, where the network is zero whatever its weights"))
            continue
        rows = rows[[_parallel(x[rows[0]], x[row]) for row in rows]] if homogeneous and len(rows) > 1 else rows
        equal = (x[rows] == x[rows[0]]).all()
        same = "equal" if facts.parity == 1 else "opposite too"
        why = (
            "multiples of one another, and so are their outputs without biases"
            if homogeneous
            else f"opposite, and their outputs are {same}"
        )
        why = "equal" if equal else why
        found.append(Tie(rows, factors[rows], why))
    return found


def _parallel(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether one is a multiple of the other, in rationals."""
    if np.array_equal(a, b):
        return True
    if not (np.array_equal(a != 0, b != 0) and np.isfinite(a).all() and np.isfinite(b).all()):
        return False
    left, right = ([Fraction(float(v)) for v in row[row != 0]] for row in (a, b))
    return all(p * right[0] == q * left[0] for p, q in zip(left, right, strict=True))


def conflict(event: Event, data: Data, group: Tie) -> None:
    """Refuse where labels of tied samples cannot all be met.

    Raises:
        DataError: with two samples, or the one that is zero.
    """
    y = np.asarray(data.y)[group.rows]
    if not group.factors.any():
        raise DataError(
            f"`{event.name}` can never be met: sample {group.rows[0] + 1} is {group.why}; remove it, or give the"
            " network a bias."
        )
    # What two samples of one group need of their outputs: the same, or the opposite.
    up = group.factors > 0
    heads = [np.flatnonzero(side)[0] for side in (up, ~up) if side.any()]
    pairs = [
        (head, i)
        for side, head in zip([s for s in (up, ~up) if s.any()], heads, strict=True)
        for i in np.flatnonzero(side & (y != y[head]))
    ]
    told = "differ"
    if not pairs and len(heads) == 2 and y[heads[0]] == y[heads[1]]:
        pairs, told = [(min(heads), max(heads))], "are the same"
    if pairs:
        i, j = (int(group.rows[k]) + 1 for k in pairs[0])
        bias = "" if group.equal else ", or use a network with a bias"
        raise DataError(
            f"`{event.name}` can never be met: the samples {i} and {j} are {group.why}, but their labels {told}; "
            f"remove one of them{bias}."
        )


def monomials(facts: AsFunction, x: np.ndarray, most: int) -> np.ndarray | None:
    """Monomials that the outputs are combinations of, (N, K) with K ≤ `most`; None where f is not such a polynomial.

    Columns of x are put to scale first, which leaves the span what it is. None also where a sample underflows.
    """
    if facts.monomials is None:
        return None
    low, high = facts.monomials
    d = x.shape[1]
    count = sum(math.comb(d + k - 1, k) for k in range(low, high + 1))
    if not most or count > most:
        return None
    size = np.abs(x).max(axis=0, initial=0.0)
    x = x / np.where(size > 0, size, 1.0)
    with np.errstate(under="ignore"):
        columns = [
            np.prod(x[:, list(chosen)], axis=1)
            for k in range(low, high + 1)
            for chosen in combinations_with_replacement(range(d), k)
        ]
    features = np.stack(columns, axis=1)
    return features if (features.any(axis=1) | ~x.any(axis=1)).all() else None


def signed(features: np.ndarray, y: np.ndarray, classes: int) -> np.ndarray:
    """Margins by the weights of features, y φ or (e_y - e_j) ⊗ φ for every wrong j: (N, 1, K) or (N, C - 1, C K)."""
    if not classes:
        return (y[:, None] * features)[:, None, :]
    own = np.eye(classes)[y]
    away = own[:, None, :] - np.eye(classes)[None, :, :]
    wrong = away[y[:, None] != np.arange(classes)].reshape(len(y), classes - 1, classes)
    return (wrong[:, :, :, None] * features[:, None, None, :]).reshape(len(y), classes - 1, -1)


def _classes(data: Data) -> int:
    return int(data.n_classes or 0) if data.kind == "classes" else 0


def certificate(features: np.ndarray, data: Data) -> tuple[float, int]:
    """How close to zero a convex combination of signed features is, and of how many: at zero no w separates (Gordan).

    Which samples some w separates does not depend on their lengths, so each has length one here: a short one is not
    zero.
    """
    z = signed(features, np.asarray(data.y), _classes(data))
    z = z.reshape(-1, z.shape[-1])
    z = z / np.maximum(np.abs(z).max(axis=1, keepdims=True), np.finfo(float).tiny)
    z = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1.0)
    weights, _ = nnls(np.vstack([z.T, np.ones(len(z))]), np.r_[np.zeros(z.shape[1]), 1.0], maxiter=30 * len(z))
    total = weights.sum()
    return (float(np.linalg.norm(weights @ z) / total) if total > 0 else np.inf), int((weights > 0).sum())


def _bounded(
    event: LogLossBelow, problem: Problem, data: Data, groups: list[Tie], features: np.ndarray | None, facts: AsFunction
) -> None:
    """Refuse a level of the loss below a bound.

    Raises:
        DataError: with the bound, and the samples it comes from where they are tied.
    """
    off = math.log(data.n) if problem.reduction == "mean" else 0.0
    level, y = float(event.level), np.asarray(data.y)
    each = [(lowest(problem.loss, group.factors[:, None], y[group.rows], data), group) for group in groups]
    told = [(bound, group) for bound, group in each if bound > -np.inf]
    if told:
        bound = float(np.logaddexp.reduce([bound for bound, _ in told])) - off
        if level < bound - _GRANTED:
            group = max(told, key=lambda pair: pair[0])[1]
            rows = [str(n + 1) for n in group.rows[:3]]
            names = f"sample {rows[0]} is" if len(rows) == 1 else f"samples {', '.join(rows)} are"
            raise DataError(
                f"`{event.name}({level:g})` can never be met: {names} {group.why}, so the log loss is at least"
                f" {bound:.6g}; use a higher level or other data."
            )
    if features is None or facts.monomials is None:
        return
    if problem.loss.classifies and certificate(features, data)[0] >= _TOUCHING:
        return
    bound = lowest(problem.loss, features, y, data) - off
    if level < bound - _GRANTED:
        how = "linear network" if facts.monomials == (1, 1) else f"polynomial of degree {facts.monomials[1]}"
        raise DataError(
            f"`{event.name}({level:g})` can never be met: no {how} has a log loss below {bound:.6g} on these data; "
            "use a higher level or hidden units."
        )


def lowest(loss: Loss, basis: np.ndarray, y: np.ndarray, data: Data) -> float:
    """A lower bound of the log of the summed loss over outputs B G; minus infinity where none was found.

    Args:
        loss: of the problem.
        basis: B, (N, K).
        y: labels of the samples.
        data: for the number of classes.
    """
    if not loss.classifies:
        targets = y if y.ndim == 2 else y[:, None]
        rest = targets - basis @ np.linalg.lstsq(basis, targets, rcond=None)[0]
        rest = rest - basis @ np.linalg.lstsq(basis, rest, rcond=None)[0]
        size = np.linalg.norm(targets)
        # A residual bounds the loss where it is orthogonal to every column; where lstsq dropped one it is not.
        shown = (np.abs(basis.T @ rest) <= _ROUND * (np.abs(basis).T @ np.abs(rest))).all(axis=0)
        rest = np.where(shown, rest, 0.0)
        return float(loss.log_loss(np, targets - rest, targets)) if np.linalg.norm(rest) > _ROUND * size else -np.inf
    classes = _classes(data)
    width = classes or 1
    if basis.size * width * width > 100 * _MOST:
        return -np.inf
    scale = np.abs(basis).max(axis=0)
    B = basis / np.where(scale > 0, scale, 1.0)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        f = B @ flat.reshape(-1, width)
        value = loss.log_loss(np, f, y)
        return float(value), -(B.T @ loss.pull(np, f, y, value)).ravel()

    with np.errstate(all="ignore"):
        start = np.zeros(B.shape[1] * width)
        best = minimize(
            objective,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=[(-_FARTHEST, _FARTHEST)] * len(start),
            options=_CLOSELY,
        )
        pull = loss.pull(np, B @ best.x.reshape(-1, width), y)
    shares = -pull[y[:, None] != np.arange(width)].reshape(len(y), -1) if classes else y[:, None] * pull
    # A dual point has Σ α z = 0; what is hardly missed is left out first, so that the projection turns none negative.
    z, strong = signed(B, y, classes), shares > _FAINT * shares.max()
    alphas = np.zeros_like(shares)
    alphas[strong] = shares[strong] - z[strong] @ np.linalg.lstsq(z[strong], shares[strong], rcond=None)[0]
    # Where all can be met there is no such point but zero, and round-off is not one.
    if (np.abs(alphas[strong] @ z[strong]) > _TOUCHING * len(y) * (np.abs(alphas[strong]) @ np.abs(z[strong]))).any():
        return -np.inf
    bound = loss.dual(alphas)
    total = float(bound.sum()) if bound is not None else -np.inf
    return math.log(total) if np.isfinite(total) and total > 0 else -np.inf
