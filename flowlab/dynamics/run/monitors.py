"""What a run keeps an eye on: quantities that the theory says are kept, or move one way only.

Loss and smoothed margin are watched at every accepted step, inside the compiled loop; conserved quantities on stored
rows. A monitor never ends a run: what it saw travels with the result, in `path.monitors`, with the bound it is held
against.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from flowlab.core.typing import Array, Blocks, Namespace, Record
from flowlab.language.data import Data
from flowlab.language.norm_groups import inner
from flowlab.language.problem import Problem

_ROWS = 200
"""Rows on which conserved quantities are looked at; the last one always is."""
_ALLOWED = 100.0
"""A conserved quantity may move by this many relative tolerances."""
_PROBES = 32
"""Vectors that a balance of layers is looked at through; all signs of one row cancel for all of them by chance in one
of 2^32 cases.
"""


def log_smoothed_margin(xp: Namespace, problem: Problem, log_loss: Array, log_R: Array, n: int) -> Array:
    """Log of ℓ^{-1}(L)/R with L the summed loss; -inf as long as it is not positive. It never falls once it is there
    (Lyu and Li 2020; claim P14).
    """
    level = problem.loss.level(xp, log_loss + (np.log(n) if problem.reduction == "mean" else 0.0))
    if level is None:
        return xp.full_like(log_loss, -np.inf)
    positive = level > 0
    return xp.where(positive, xp.log(xp.where(positive, level, xp.ones_like(level))) - log_R, -np.inf)


def monotone(problem: Problem, rise: float, fall: float, rtol: float) -> Record:
    """Verdicts on the loss and the smoothed margin, from the largest steps in the wrong direction."""
    found = {}
    # Along a coarse gradient, and where somebody ascends, the loss may rise.
    if problem.is_gradient and not any(problem.decay.values()):
        told = (
            "largest rise of the objective in a step, as a part of it"
            if problem.loss.is_value
            else "largest rise of log L in a step"
        )
        found["loss"] = _verdict(max(rise, 0.0), rtol, told)
        symmetry = problem.network.symmetry
        # Learning rates are a metric of the weights, in which a common norm is another one; norms of blocks stay.
        if symmetry.is_multihomogeneous or (symmetry.joint_degree is not None and not problem.is_rated):
            found["smoothed_margin"] = _verdict(
                max(fall, 0.0), rtol, "largest fall of the log of the smoothed margin in a step, after separation"
            )
    return found


def moved(found: Record, problem: Problem, log_loss: np.ndarray, log_R: np.ndarray, n: int) -> Record:
    """The verdicts of `monotone` that some step could have broken: rows (S,) of a run of n samples say whether there
    was one.
    """
    rows = {
        "loss": len(log_loss),
        "smoothed_margin": int(np.isfinite(log_smoothed_margin(np, problem, log_loss, log_R, n)).sum()),
    }
    return {name: verdict for name, verdict in found.items() if rows[name] > 1}


def put_right(kept: float, rtol: float) -> Record:
    """Verdict on what a run has put right of its units, where it does (see `flowlab.lowering.unit_balance`): what they
    would have drifted by, at most.
    """
    return (
        {
            "units": _verdict(
                kept, rtol, "sum over steps of what was put right of the balance of units, as a part of the weights"
            )
        }
        if kept
        else {}
    )


def conserved(
    problem: Problem,
    laws: Sequence[Any],
    rho: Mapping[str, np.ndarray],
    V: Mapping[str, np.ndarray],
    rtol: float,
    log_t: np.ndarray | None = None,
    data: Data | None = None,
) -> Record:
    """Drift of every conserved quantity over stored rows, relative to the size of what it is a difference of.

    Args:
        problem: what was run.
        laws: of the derivation.
        rho: norms of each group, (S,).
        V: directions, with a leading axis over rows.
        rtol: relative tolerance of the run.
        log_t: log of time, (S,), which laws that weight decay shrinks are held against.
        data: what was run on, from which laws of games find the equilibrium that they measure from.
    """
    count = len(next(iter(V.values())))
    if count < 2:
        # One row has nowhere to drift to.
        return {}
    at = looked_at(count)
    r, v = ({k: np.asarray(rows)[at] for k, rows in blocks.items()} for blocks in (rho, V))
    t = None if log_t is None else np.asarray(log_t)[at]
    return {
        name: _verdict(float(np.max(drift)), rtol, f"drift of {law.text}")
        for name, law, drift in drifts(problem, laws, r, v, t, data)
    }


def looked_at(count: int) -> np.ndarray:
    """The rows of `count` on which conserved quantities are looked at."""
    return np.unique(np.linspace(0, count - 1, min(count, _ROWS)).astype(int))


def drifts(
    problem: Problem,
    laws: Sequence[Any],
    rho: Mapping[str, np.ndarray],
    V: Mapping[str, np.ndarray],
    log_t: np.ndarray | None = None,
    data: Data | None = None,
) -> Iterator[tuple[str, Any, np.ndarray]]:
    """Of every conserved quantity its name, the law, and its drift from the first row on, (S,); arguments as for
    `conserved`, at the rows that are looked at.
    """
    sums = [(law, around) for law in laws if law.has_parts and (around := law.around(problem, data)) is not None]
    if sums:
        yield from _of_parts(problem, sums, _rows(rho), _rows(V), None if log_t is None else np.exp(log_t))
    for law in laws:
        if law.has_parts:
            continue
        a, b = law.blocks
        if law.kind.startswith("norm"):
            first, second = (_norm(law.kind, float(share), rho[k]) for k, share in zip((a, b), law.shares, strict=True))
            drift = np.abs((first - second) - (first[0] - second[0]))
            if law.kind != "norm-log":
                drift = drift / np.maximum(np.maximum(np.abs(first), np.abs(second)), 1e-300)
            yield f"equal_growth {a} {b}", law, drift
            continue
        values = _balance_drift(problem, law, [rho[k] for k in (a, b)], [V[k] for k in (a, b)])
        if values is not None:
            yield f"balance {a} {b}", law, values


def _rows(blocks: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Rows of arrays, one dictionary each."""
    count = len(next(iter(blocks.values())))
    return [{k: np.asarray(v[i]) for k, v in blocks.items()} for i in range(count)]


def _of_parts(
    problem: Problem,
    laws: Sequence[tuple[Any, Blocks]],
    rho: list[dict[str, np.ndarray]],
    V: list[dict[str, np.ndarray]],
    t: np.ndarray | None,
) -> Iterator[tuple[str, Any, np.ndarray]]:
    """Drift of laws that are sums of parts, each with what it is measured from, at rows (S,) of norms, directions and
    times, relative to the size of the blocks that make the largest part.
    """
    if not problem.scheme.is_gradient_flow and not _has_unit_length(problem, V):
        return
    weights = [problem.scheme.weights(np, r, v, problem.per) for r, v in zip(rho, V, strict=True)]
    shapes = {w: np.shape(v) for w, v in weights[0].items()}
    for law, around in laws:
        if not law.fits(shapes) or (law.shrinks and t is None):
            continue
        first, drift = law.seen({**weights[0], **around}, _probes), np.zeros(len(weights))
        for i, row in enumerate(weights):
            W = {**row, **around}
            expected = first if t is None else first * np.exp(-law.shrinks * (t[i] - t[0])) if law.shrinks else first
            here = law.seen(W, _probes)
            if np.isinf(here).any():
                # A probability that is rounded to zero is infinitely far from any equilibrium.
                continue
            drift[i] = float(np.max(np.abs(here - expected), initial=0.0)) / max(law.scale(W), 1e-300)
        yield f"law {law.text}", law, drift


def _has_unit_length(problem: Problem, V: list[dict[str, np.ndarray]]) -> bool:
    lengths = (v for row in V for v in inner(row, row, problem.per).values())
    return all(float(np.max(np.abs(np.asarray(length) - 1.0))) <= 2e-9 for length in lengths)


def _norm(kind: str, share: float, rho: np.ndarray) -> np.ndarray:
    return rho**2 / share if kind == "norm-square" else np.log(rho) / share


def _balance_drift(problem: Problem, law: Any, rho: list[np.ndarray], V: list[np.ndarray]) -> np.ndarray | None:
    weights = problem.scheme.is_gradient_flow
    if (
        not weights
        and not problem.scheme.unit
        and max(float(np.abs((v**2).reshape(len(v), -1).sum(axis=1) - 1.0).max()) for v in V) > 2e-9
    ):
        return None
    log_factor = np.zeros(len(rho[0])) if weights else problem.scheme.balance_log_factor(np, rho[0])
    if log_factor is None:
        return None
    scales = [r**2 if weights else np.ones_like(r) for r in rho]
    parts = [scale / float(share) for scale, share in zip(scales, law.shares, strict=True)]
    # The degree is no part of the size that a drift is relative to.
    sizes = [float(law.degree) * parts[0], parts[1]]
    seen = _imbalance(law, parts[0], V[0], parts[1], V[1] if V[1].ndim == 3 else V[1][:, None, :])
    # Of directions the imbalance itself is compared: the factor leaves float64 once ρ is some tens.
    shrinks = np.exp(log_factor[0] - log_factor)
    return np.abs(seen - seen[0] * shrinks[:, None]).max(axis=1) / np.maximum(np.maximum(*sizes), 1e-300)


def _imbalance(law: Any, a: np.ndarray, inner: np.ndarray, b: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """What of a W_1 W_1^T - b W_2^T W_2 is compared, with an axis of rows in front.

    The diagonal, (rows, width); or what all of it does to some vectors, (rows, width probes). No matrix of the size
    width² is made.
    """
    if law.kind == "balance-diagonal":
        return a[:, None] * np.einsum("tij,tij->ti", inner, inner) - b[:, None] * np.einsum("tij,tij->tj", outer, outer)
    probes = _probes(inner.shape[1])
    first, second = inner @ (inner.swapaxes(1, 2) @ probes), outer.swapaxes(1, 2) @ (outer @ probes)
    return (a[:, None, None] * first - b[:, None, None] * second).reshape(len(inner), -1)


@cache
def _probes(width: int) -> np.ndarray:
    """Vectors that show a matrix (width, width): all unit vectors up to `_PROBES`, else random signs, to which a row
    answers by about its length.
    """
    return np.eye(width) if width <= _PROBES else np.random.default_rng(0).choice([-1.0, 1.0], size=(width, _PROBES))


def _verdict(worst: float, rtol: float, told: str) -> Record:
    bound = _ALLOWED * rtol
    return {"worst": worst, "bound": bound, "holds": bool(worst <= bound), "what": told}
