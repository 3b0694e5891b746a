"""Deep linear nets under the Bures-Wasserstein loss: instances and flows by derivation; what is written by hand bears
witness alone.
"""

from typing import Any

import numpy as np
from scipy.linalg import expm
from scipy.optimize import brentq

from flowlab.claims.case import Case
from flowlab.claims.sample_problems import integrated
from flowlab.dynamics import time
from flowlab.language.composed import bures
from flowlab.language.data import Data
from flowlab.language.expr import Expr, constant, eye, weight
from flowlab.language.problem import Problem
from flowlab.language.trajectory import Trajectory
from flowlab.late.richardson import power as power_law
from flowlab.symbolic.balanced_start import balanced_state

SPECTRUM, TAU, LAYERS = np.array([5.0, 3.0, 1.5, 0.7]), 0.3, 3
SIX, RANK = np.array([5.0, 3.0, 2.2, 1.5, 1.1, 0.7]), 3
"""Eigenvalues of a larger target, and the bottleneck that it is met with."""
SMALLEST, MARGIN = 0.463, 0.559
"""σ_min of the start, and c = sqrt(λ_min) - sqrt(L_τ(0)): a start with both is built."""


def product(depth: int) -> Expr:
    """W_N … W_1, shared by all that use it."""
    P = weight("W1")
    for i in range(2, depth + 1):
        P = weight(f"W{i}") @ P
    return P


def problem(depth: int, tau: float = TAU) -> Problem:
    """The squared Bures-Wasserstein distance of W W^T + τ I from a target, as an objective."""
    P = product(depth)
    return Problem(bures(P @ P.T + tau * eye if tau else P @ P.T, constant("S0")), "value")


def basis(case: Case, size: int = 4) -> np.ndarray:
    """Eigenvectors of the target, drawn by the seed."""
    return np.linalg.qr(np.random.default_rng(case.seed).normal(size=(size, size)))[0]


def target(case: Case, spectrum: np.ndarray = SPECTRUM) -> np.ndarray:
    """The target covariance."""
    omega = basis(case, len(spectrum))
    made = (omega * spectrum) @ omega.T
    return 0.5 * (made + made.T)


def data(case: Case, spectrum: np.ndarray = SPECTRUM) -> Data:
    """The target as data."""
    return Data(S0=target(case, spectrum))


def whole(weights: Any) -> np.ndarray:
    """The product of weights by block."""
    made = np.asarray(weights["W1"])
    for i in range(2, len(weights) + 1):
        made = np.asarray(weights[f"W{i}"]) @ made
    return made


def power(a: np.ndarray, p: float) -> np.ndarray:
    """A symmetric positive definite matrix to a power."""
    values, vectors = np.linalg.eigh(a)
    return (vectors * values**p) @ vectors.T


def distance(W: np.ndarray, root: np.ndarray, tau: float = TAU) -> float:
    """Squared Bures distance of W W^T + τ from the target with this root.

    As ‖(I - T)(W W^T + τ)^{1/2}‖² with the transport map T, of which no digits are lost near zero; a sum of traces is
    left where W W^T has no inverse.
    """
    now = W @ W.T + tau * np.eye(len(W))
    values, inner = np.linalg.eigvalsh(now), root @ now @ root
    if values[0] <= 1e-12 * values[-1]:
        nuclear = np.linalg.svd(root @ W, compute_uv=False).sum() if not tau else np.trace(power(inner, 0.5))
        return float(np.trace(now) + np.trace(root @ root) - 2 * nuclear)
    moved = power(now, 0.5) - root @ power(inner, -0.5) @ root @ power(now, 0.5)
    return float((moved * moved).sum())


def gradient(W: np.ndarray, root: np.ndarray, tau: float = TAU) -> np.ndarray:
    """dL_τ/dW = 2 (W - R [R (W W^T + τ) R]^(-1/2) R W); without τ, with the polar factor of R W."""
    if not tau:
        u, s, vt = np.linalg.svd(root @ W, full_matrices=False)
        kept = s > 1e-10 * s[0]
        return 2 * (W - root @ u[:, kept] @ vt[kept])
    inner = root @ (W @ W.T + tau * np.eye(len(W))) @ root
    return 2 * (W - root @ power(inner, -0.5) @ root @ W)


def constants(L0: float, spectrum: np.ndarray = SPECTRUM, tau: float = TAU) -> tuple[float, float, float]:
    """K, c and C_0 of the bound, from the loss at the start; c is zero where the start is too far for the theorem."""
    size, smallest = 2 * (L0 + spectrum.sum()), spectrum.min()
    c = max(float(np.sqrt(smallest) - np.sqrt(L0)), 0.0)
    return float(np.sqrt(tau * smallest) / (2 * size**2)), c, float(size)


def late_rate(depth: int, tau: float = TAU, smallest: float = SPECTRUM[-1]) -> float:
    """4 N (λ_min - τ)^{2 - 1/N}/λ_min: the rate of the loss along the slowest mode of a full-rank minimum."""
    return float(4 * depth * (smallest - tau) ** (2 - 1 / depth) / smallest)


def fitted_rate(t: np.ndarray, away: np.ndarray, floor: float, ceiling: float) -> tuple[float, float]:
    """The limit of -d log away²/dt with its error bar, from the late rows with a distance between two levels.

    `away` is the distance of the covariance from rest along one mode, (rows,): ω^T Σ ω less its limit, ω the
    eigenvector of the smallest eigenvalue of the target. In eigenvectors of the target the entries of a covariance
    near rest move each at a rate of its own, and the loss is a sum of their squares; in the loss itself the slowest
    one may be hidden for long. Where away = c e^{-rt/2} (1 + b e^{-rt/2} + …), t is -2 log(away)/r plus a series in
    away, and its slope is extrapolated to away = 0.
    """
    size = np.abs(away)
    rises = np.flatnonzero((np.diff(size) >= 0) & (size[1:] > floor))
    kept = (floor < size) & (ceiling > size) & (np.arange(len(size)) > (rises[-1] if len(rises) else -1))
    # Times in units of the last one: nothing overflows.
    unit = float(t[kept].max(initial=1.0))
    found = power_law(1 / size[kept], np.exp(t[kept] / unit), powers=(1, 2, 3, 4), logs=False)
    rate = 2 / (found.value * unit)
    return rate, rate * found.error / abs(found.value)


def built_start(case: Case) -> np.ndarray:
    """A product with the two constants that stand behind printed numbers."""
    rng = np.random.default_rng(case.seed)
    omega = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    root = (omega * np.sqrt(SPECTRUM)) @ omega.T
    skew = rng.normal(size=(4, 4))
    turned = omega @ expm(0.03 * (skew - skew.T))
    right = np.linalg.qr(rng.normal(size=(4, 4)))[0]

    def start(scale: float) -> np.ndarray:
        sizes = np.append(scale * np.sqrt(SPECTRUM[:3] - TAU), SMALLEST)
        return turned @ np.diag(sizes) @ right.T

    goal = (np.sqrt(SPECTRUM[-1]) - MARGIN) ** 2
    scale: Any = brentq(lambda s: distance(start(s), root) - goal, 0.5, 1.0, xtol=1e-15)
    return start(scale)


def built_path(case: Case) -> Trajectory:
    """The flow of three balanced layers from that start."""
    prob = problem(LAYERS)
    start = balanced_state(prob, product=built_start(case), seed=case.seed)
    settings = {"rtol": 1e-12, "atol": 1e-14, "solver": "tsit5"}
    return integrated(case, "bures flow", prob, start, data(case), time(7.0), **settings)


def flow(case: Case) -> dict[str, np.ndarray]:
    """Times, products and losses of that flow, with the root of the target."""

    def read() -> dict[str, np.ndarray]:
        path = built_path(case)
        W = np.stack([whole(path.state(i).weights()) for i in range(len(path))])
        root = power(target(case), 0.5)
        t = np.exp(path.dataset["log_t"].values)
        return {"t": t, "W": W, "loss": path.dataset["objective"].values, "root": root}

    return case.once("bures rows", read)
