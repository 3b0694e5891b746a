"""Largest margins of two-layer ReLU networks of unbounded width: where both layers learn, and where only the outer one
does.

A network without bias whose neurons are a signed measure ν on the unit sphere answers f(x) = ∫ relu(θ·x) dν(θ). Two
balls of measures:

    variation    γ₁ = max min_n y_n f(x_n) over total mass |ν| ≤ 1: what both layers can reach (a linear program)
    kernel       γ₂ = the same over ν = h τ with ∫ h² dτ ≤ 1, τ uniform of mass 1: what the outer layer alone can reach
                 (a quadratic program)

(L. Chizat, F. Bach, "Implicit bias of gradient descent for wide two-layer neural networks trained with the logistic
loss", COLT 2020; C1, C2.) As ∫ |h| dτ ≤ (∫ h² dτ)^½, γ₂ ≤ γ₁. A finite network θ = (a, W) has Σ |a_j| ‖w_j‖ ≤ ‖θ‖²/2,
so its joint margin min_n q_n/‖θ‖² is at most γ₁/2. Without bias f(x) - f(-x) is linear in x, so that some labels have
γ = 0; weights of samples that show it are the answer's `alpha`.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import linprog, nnls

from flowlab.core.arguments import guarded
from flowlab.core.display import displayed
from flowlab.core.errors import DataError, RunFailed, UnknownName
from flowlab.core.seeds import checked_seed
from flowlab.language.data import Data

NORMS = ("variation", "kernel")
_GAP, _ROUNDS = 1e-10, 400
_STARTS, _ASCENT = 64, 200


@dataclass(frozen=True)
@displayed
class WideMargin:
    """The largest margin of a network of unbounded width, between two bounds.

    Attributes:
        norm: `"variation"` (γ₁) or `"kernel"` (γ₂).
        margin: reached by `outputs`; in units of the inputs. Zero where no measure separates the labels.
        upper: no measure of the ball has a larger margin than this, if `certified`; else none was found. Where the
            kernel's margin is zero this is the least margin that its eigenvalues in float64 can tell from zero, about
            1e-7 of the inputs.
        alpha: weights of samples, (N,), non-negative with sum 1, that show it: upper = the norm dual to the ball of
            Σ α_n y_n relu(θ·x_n).
        directions: unit neurons, (M, d), and `masses`, their signed masses, (M,): empty for the kernel.
        outputs: f(x_n) of the best measure, (N,).
        certified: whether the search over all neurons was exhaustive: d ≤ 2, and always for the kernel.
        rounds: linear programs that were solved.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> found = fl.wide_margin(data)
        >>> found.certified, found.margin <= found.upper
        (True, True)
    """

    norm: str
    margin: float
    upper: float
    alpha: np.ndarray
    directions: np.ndarray
    masses: np.ndarray
    outputs: np.ndarray
    certified: bool
    rounds: int

    @property
    def gap(self) -> float:
        """Upper bound less margin, over the upper bound; 0 where both are zero."""
        return (self.upper - self.margin) / self.upper if self.upper > 0 else 0.0

    def weights(self) -> dict[str, np.ndarray]:
        """A finite network `W2 @ relu(W1 @ x)` that has this margin, its layers balanced, ‖θ‖² = 2: `W1` (M, d) and
        `W2` (1, M).

        Raises:
            DataError: for the kernel, whose best measure has infinitely many neurons.
        """
        if self.norm == "kernel":
            raise DataError('the best measure of the kernel norm has infinitely many neurons; use norm="variation".')
        root = np.sqrt(np.abs(self.masses))
        return {"W1": root[:, None] * self.directions, "W2": (np.sign(self.masses) * root)[None, :]}

    def __str__(self) -> str:
        shown = (
            f"largest margin {self.margin:.12g} of the {self.norm} norm, at most {self.upper:.12g} (gap {self.gap:.1e})"
        )
        told = "" if self.norm == "kernel" else f", {len(self.masses)} neurons, {self.rounds} linear programs"
        return shown + told + ("" if self.certified else "; neurons were searched from many starts, not exhaustively")


@guarded
def wide_margin(data: Data, *, norm: str = "variation", seed: int = 0) -> WideMargin:
    """The largest margin of a two-layer ReLU network of unbounded width.

    Args:
        data: labels ±1; inputs (N, d).
        norm: the ball, `"variation"` or `"kernel"`.
        seed: of the starts of the search for neurons, in three dimensions or more.

    Raises:
        UnknownName: for another norm; DataError: for other labels, or inputs that are all zero; RunFailed: if a linear
            program fails.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> round(fl.wide_margin(data).margin, 4), round(fl.wide_margin(data, norm="kernel").margin, 4)
        (0.4052, 0.2656)
    """
    if norm not in NORMS:
        raise UnknownName(f"`norm={norm!r}` is not known; use one of {', '.join(NORMS)}.")
    if data.kind != "binary":
        raise DataError(f"labels must be -1 and +1, got the kind {data.kind!r}; use such labels.")
    others = [name for name in data.given if name != "x"]
    if others or data.x.ndim != 2:
        told = ", ".join(f"`{name}`" for name in data.given)
        raise DataError(f"`wide_margin` must have the inputs `x`, (N, d), alone, got {told}; leave the others out.")
    x, y = np.asarray(data.x, dtype=np.float64), np.asarray(data.y, dtype=np.float64)
    if not x.any():
        raise DataError("inputs must not all be zero; pass some that are not.")
    # Whole powers of two change no digit, and squares of inputs near one fit in float64.
    power = int(np.frexp(np.abs(x).max())[1])
    x = np.ldexp(x, -power)
    size = float(np.linalg.norm(x, axis=1).max())
    found = (
        _kernel(x, y) if norm == "kernel" else _variation(x / size, y, size, np.random.default_rng(checked_seed(seed)))
    )
    margin, upper = (float(np.ldexp(v, power)) for v in (found.margin, found.upper))
    # Bounds that are roundings of zero may stay so.
    if not (np.finfo(float).tiny <= upper or found.upper <= 1e-13) or upper == np.inf:
        raise DataError(f"margins near 2^{power} do not fit in float64; scale the inputs to sizes near one.")
    return replace(found, margin=margin, upper=upper, outputs=np.ldexp(found.outputs, power))


def arc_cosine(x: np.ndarray) -> np.ndarray:
    """∫ relu(θ·x) relu(θ·x') dτ(θ) over the uniform measure of mass 1 on the sphere, (N, N): ‖x‖‖x'‖ (sin φ + (π - φ)
    cos φ)/(2π d).
    """
    lengths = np.linalg.norm(x, axis=1)
    unit = x / np.where(lengths > 0, lengths, 1.0)[:, None]
    # φ from the half angle: the cosine alone loses half the digits of small angles.
    apart = np.linalg.norm(unit[:, None, :] - unit[None, :, :], axis=2)
    together = np.linalg.norm(unit[:, None, :] + unit[None, :, :], axis=2)
    phi = 2.0 * np.arctan2(apart, together)
    return lengths[:, None] * lengths * (np.sin(phi) + (np.pi - phi) * np.cos(phi)) / (2.0 * np.pi * x.shape[1])


def _kernel(x: np.ndarray, y: np.ndarray) -> WideMargin:
    values, vectors = np.linalg.eigh(arc_cosine(x))
    # Eigenvalues of the size of round-off were zero, and margins below its square root are not told from zero.
    noise = 8.0 * len(x) * np.finfo(float).eps * values[-1]
    z = y[:, None] * (vectors * np.sqrt(np.where(values > noise, values, 0.0)))
    # The point of the hull of the z nearest to 0, by active sets: a multiple of the solution of this problem.
    scale = float(np.sqrt(values[-1]))
    found, _ = nnls(np.vstack([z.T / scale, np.ones(len(z))]), np.r_[np.zeros(z.shape[1]), 1.0], maxiter=100 * len(z))
    alpha = found / found.sum()
    w = z.T @ alpha
    upper = float(np.linalg.norm(w))
    blind = float(np.sqrt(noise))
    margins = z @ w / upper if upper > blind else np.zeros(len(z))
    if margins.min() <= 0:
        upper, margins = max(upper, blind), np.zeros(len(z))
    nothing = np.zeros((0, x.shape[1]))
    return WideMargin(
        "kernel", float(max(margins.min(), 0.0)), upper, alpha, nothing, np.zeros(0), y * margins, True, 0
    )


def _variation(x: np.ndarray, y: np.ndarray, size: float, rng: np.random.Generator) -> WideMargin:
    n, d = x.shape
    exhaustive = d <= 2
    # Both signs of every sample, to begin with.
    lengths = np.linalg.norm(x, axis=1)
    theta = np.vstack([x[lengths > 0] / lengths[lengths > 0, None], -x[lengths > 0] / lengths[lengths > 0, None]])
    best: tuple[float, np.ndarray, np.ndarray] = (0.0, np.zeros(len(theta)), np.full(n, 1.0 / n))
    upper, alpha_of_upper, rounds = np.inf, best[2], 0
    for rounds in range(1, _ROUNDS + 1):  # noqa: B007
        lower, masses, alpha = _master(theta, x, y)
        best = (lower, masses, alpha)
        top, new = _price(alpha * y, x, theta[masses != 0], rng)
        # A search that is not exhaustive may miss the best neuron, and of several such bounds the least is the least to
        # be trusted.
        if top < upper or not exhaustive:
            upper, alpha_of_upper = top, alpha
        if upper - lower <= _GAP * upper or upper <= 1e-13:
            break
        fresh = new[np.min(np.linalg.norm(new[:, None] - theta[None], axis=2), axis=1) > 1e-12] if len(new) else new
        if not len(fresh):
            break
        theta = np.vstack([theta, fresh])
    lower, masses, _ = best
    used = np.abs(masses) > 1e-14
    masses, kept = (
        np.pad(masses, (0, len(theta) - len(masses)))[: len(theta)],
        np.pad(used, (0, len(theta) - len(used))),
    )
    masses, theta = masses[kept], theta[kept]
    outputs = np.maximum(theta @ x.T, 0.0).T @ masses
    margin = float((y * outputs).min()) if len(masses) else 0.0
    if upper <= 1e-13 or margin <= 0:
        margin, upper = 0.0, (0.0 if upper <= 1e-13 else upper)
    return WideMargin(
        "variation", size * margin, size * upper, alpha_of_upper, theta, masses, size * outputs, exhaustive, rounds
    )


def _master(theta: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """The best measure on some neurons: its margin, masses, and the weights of samples that show it."""
    phi = y[:, None] * np.maximum(x @ theta.T, 0.0)
    n, m = phi.shape
    # Unknowns: positive and negative parts of the masses, and the margin.
    cost = np.r_[np.zeros(2 * m), -1.0]
    rows = np.vstack([np.hstack([-phi, phi, np.ones((n, 1))]), np.r_[np.ones(2 * m), 0.0]])
    solver: Any = linprog
    found = solver(
        cost,
        A_ub=rows,
        b_ub=np.r_[np.zeros(n), 1.0],
        bounds=[(0, None)] * (2 * m) + [(None, None)],
        method="highs-ds",
        options=_TIGHT,
    )
    if found.status != 0:
        raise RunFailed(
            f"the linear program of {m} neurons was not solved ({found.message}); scale the inputs to sizes near one."
        )
    alpha = np.maximum(-found.ineqlin.marginals[:n], 0.0)
    return float(found.x[-1]), found.x[:m] - found.x[m : 2 * m], alpha / alpha.sum()


_TIGHT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


def _price(b: np.ndarray, x: np.ndarray, near: np.ndarray, rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """The largest |Σ b_n relu(θ·x_n)| over unit θ, and neurons that have nearly it."""
    if x.shape[1] == 1:
        theta = np.array([[1.0], [-1.0]])
    elif x.shape[1] == 2:
        theta = _arcs(b, x)
    else:
        theta = _ascend(b, x, near, rng)
    sizes = np.abs(np.maximum(theta @ x.T, 0.0) @ b)
    order = np.argsort(-sizes)
    chosen = order[: max(4, 2 * x.shape[1])]
    return float(sizes[order[0]]), theta[chosen]


def _arcs(b: np.ndarray, x: np.ndarray) -> np.ndarray:
    """All candidates in the plane: the ends of arcs on which the same samples are active, and the best directions
    inside of them.
    """
    some = np.linalg.norm(x, axis=1) > 0
    x, b = x[some], b[some]
    angles = np.arctan2(x[:, 1], x[:, 0])
    ends = np.unique(np.mod(np.concatenate([angles + 0.5 * np.pi, angles - 0.5 * np.pi]), 2.0 * np.pi))
    middle = 0.5 * (ends + np.r_[ends[1:], ends[0] + 2.0 * np.pi])
    half = 0.5 * (np.r_[ends[1:], ends[0] + 2.0 * np.pi] - ends)
    inside = np.column_stack([np.cos(middle), np.sin(middle)])
    v = ((inside @ x.T > 0) * b) @ x
    found = [np.column_stack([np.cos(ends), np.sin(ends)])]
    for sign in (1.0, -1.0):
        to = np.arctan2(sign * v[:, 1], sign * v[:, 0])
        off = np.mod(to - middle + np.pi, 2.0 * np.pi) - np.pi
        within = np.abs(off) <= half
        found.append(np.column_stack([np.cos(to), np.sin(to)])[within])
    return np.vstack(found)


def _ascend(b: np.ndarray, x: np.ndarray, near: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ends of ascents of ±Σ b_n relu(θ·x_n) on the sphere, from random directions, from samples and from neurons in
    use.
    """
    lengths = np.linalg.norm(x, axis=1)
    begins = np.vstack(
        [_rows(rng.normal(size=(_STARTS * x.shape[1], x.shape[1]))), x[lengths > 0] / lengths[lengths > 0, None], near]
    )
    theta = np.vstack([begins, begins])
    sign = np.r_[np.ones(len(begins)), -np.ones(len(begins))]

    def value(at: np.ndarray) -> np.ndarray:
        return sign * (np.maximum(at @ x.T, 0.0) @ b)

    step, now = np.full(len(theta), 1.0), value(theta)
    for _ in range(_ASCENT):
        v = sign[:, None] * (((theta @ x.T > 0) * b) @ x)
        v -= (v * theta).sum(axis=1, keepdims=True) * theta
        size = np.linalg.norm(v, axis=1, keepdims=True)
        tried = _rows(theta + step[:, None] * v / np.where(size > 0, size, 1.0))
        then = value(tried)
        better = then > now
        theta, now = np.where(better[:, None], tried, theta), np.where(better, then, now)
        step = np.where(better, np.minimum(1.5 * step, 1.0), 0.5 * step)
        if (step < 1e-13).all():
            break
    # Inside of a cell the best direction is known in closed form.
    for _ in range(3):
        v = sign[:, None] * (((theta @ x.T > 0) * b) @ x)
        size = np.linalg.norm(v, axis=1, keepdims=True)
        tried = np.where(size > 0, v / np.where(size > 0, size, 1.0), theta)
        then = value(tried)
        theta, now = np.where((then > now)[:, None], tried, theta), np.maximum(then, now)
    return theta


def _rows(v: np.ndarray) -> np.ndarray:
    size = np.linalg.norm(v, axis=1, keepdims=True)
    return v / np.where(size > 0, size, 1.0)
