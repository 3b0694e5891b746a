"""What a run keeps an eye on: quantities that the theory says are kept, or move one way only.

Loss and smoothed margin are watched at every accepted step, inside the compiled loop; conserved quantities on stored
rows. A monitor never ends a run: what it saw travels with the result, in `path.monitors`, with the bound it is held
against.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from flowlab.core.typing import Array, Namespace, Record
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
    if not any(problem.decay.values()):
        found["loss"] = _verdict(max(rise, 0.0), rtol, "largest rise of log L in a step")
        if problem.is_homogeneous or problem.network.symmetry.joint_degree is not None:
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
    problem: Problem, laws: Sequence[Any], rho: Mapping[str, np.ndarray], V: Mapping[str, np.ndarray], rtol: float
) -> Record:
    """Drift of every conserved quantity over stored rows, relative to the size of what it is a difference of.

    Args:
        problem: what was run.
        laws: of the derivation.
        rho: norms of each group, (S,).
        V: directions, with a leading axis over rows.
        rtol: relative tolerance of the run.
    """
    count = len(next(iter(V.values())))
    if count < 2:
        # One row has nowhere to drift to.
        return {}
    at = np.unique(np.linspace(0, count - 1, min(count, _ROWS)).astype(int))
    found = {}
    for law in laws:
        a, b = law.blocks
        if law.kind.startswith("norm"):
            pair = [_norm(problem, law.kind, k, np.asarray(rho[k])[at]) for k in (a, b)]
            drift = np.abs((pair[0] - pair[1]) - (pair[0][0] - pair[1][0])) / np.maximum(
                np.maximum(np.abs(pair[0]), np.abs(pair[1])), 1e-300
            )
            if law.kind == "norm-log":
                drift = np.abs((pair[0] - pair[1]) - (pair[0][0] - pair[1][0]))
        else:
            values = _balance_drift(
                problem, law, [np.asarray(rho[k])[at] for k in (a, b)], [np.asarray(V[k])[at] for k in (a, b)]
            )
            if values is None:
                continue
            drift = values
        found[f"{'equal_growth' if law.kind.startswith('norm') else 'balance'} {a} {b}"] = _verdict(
            float(np.max(drift)), rtol, f"drift of {law.text}"
        )
    return found


def _norm(problem: Problem, kind: str, block: str, rho: np.ndarray) -> np.ndarray:
    kappa = float(problem.degrees[block] or 1)
    return rho**2 / kappa if kind == "norm-square" else np.log(rho) / kappa


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
    seen = _imbalance(law, scales[0] / float(law.degree), V[0], scales[1], V[1] if V[1].ndim == 3 else V[1][:, None, :])
    # Of directions the imbalance itself is compared: the factor leaves float64 once ρ is some tens.
    shrinks = np.exp(log_factor[0] - log_factor)
    return np.abs(seen - seen[0] * shrinks[:, None]).max(axis=1) / np.maximum(np.maximum(*scales), 1e-300)


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
