"""Linear nets with a penalty ω Σ ‖W_k‖² whose critical points are known in closed form: events, branches, distances and
indices.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from scipy.optimize import brentq

Blocks = dict[str, np.ndarray]
NEAR = 1e-3
"""Stability is not compared closer to an event, nor events with what is further away."""


@dataclass
class Case:
    """A net, a range of penalties, and what is known of its critical points.

    Attributes:
        shapes: of the blocks.
        events: parameters and kinds, over all branches.
        branches: how many there are, modulo symmetry.
        closed: from weights and ω to the distance from the nearest closed form and the index there (None where that is
            not known).
    """

    name: str
    shapes: dict[str, tuple[int, int]]
    x: np.ndarray
    y: np.ndarray
    span: tuple[float, float]
    start: Blocks
    events: list[tuple[float, str]]
    branches: int
    closed: Callable[[Blocks, float], tuple[float, int | None]]
    text: str = field(init=False)

    def __post_init__(self) -> None:
        self.text = " @ ".join([*reversed(self.shapes), "x"])

    def blocks(self, u: Any) -> Any:
        """Weights of a row, in the order of the layers."""
        found, at = {}, 0
        for name, (m, n) in self.shapes.items():
            found[name] = u[at : at + m * n].reshape(m, n)
            at += m * n
        return found

    def objective(self, u: Any, omega: Any, xp: Any) -> Any:
        """The same by hand, for the other tools; of arrays, or of an object array of symbols."""
        out = self.x.T
        for block in self.blocks(u).values():
            out = block @ out
        return 0.5 * xp.sum((out - self.y.T) ** 2) + omega * xp.sum(u**2)

    @property
    def begin(self) -> np.ndarray:
        """The start as a row."""
        return np.concatenate([self.start[name].ravel() for name in self.shapes])


def matrix(spectrum: tuple[float, ...], h: int, seed: int, low: float) -> Case:
    """W2 W1 on whitened inputs."""
    s, d = np.array(spectrum), len(spectrum)
    rng = np.random.default_rng(seed)
    x, U, V = (np.linalg.qr(rng.normal(size=shape))[0] for shape in [(d + 4, d), (d, d), (d, d)])
    sets = [S for k in range(h + 1) for S in combinations(range(d), k)]
    # On the curve of S the value s_i passes where all of S have been passed before.
    events = [
        (s[i] / 2, "supercritical pitchfork")
        for S in sets
        if len(S) < h
        for i in range(d)
        if i not in S and s[i] > 2 * low and all(s[j] > s[i] for j in S)
    ]

    def closed(W: Blocks, omega: float) -> tuple[float, int | None]:
        M = U.T @ W["W2"] @ W["W1"] @ V
        held = np.clip(s - 2 * omega, 0, None)
        on = (np.diag(M) > 0.5 * held) & (held > 0)
        away = np.linalg.norm(M - np.diag(np.where(on, held, 0.0))) + np.linalg.norm(
            W["W2"].T @ W["W2"] - W["W1"] @ W["W1"].T
        )
        index = sum(
            (h - int(on.sum())) * (s[i] > 2 * omega) + int((on & (s < s[i])).sum()) for i in range(d) if not on[i]
        )
        return float(away), int(index)

    shapes = {"W1": (h, d), "W2": (d, h)}
    zeros = {name: np.zeros(shape) for name, shape in shapes.items()}
    name = f"{d} singular values, width {h}"
    return Case(
        name,
        shapes,
        x,
        x @ (V * s) @ U.T,
        (0.6 * s[0], low),
        zeros,
        events,
        sum(all(s[i] > 2 * low for i in S) for S in sets),
        closed,
    )


def scalar() -> Case:
    """(uv - 1)²/2 + ω (u² + v²), through ω = 0, where uv = 1 is a curve of minima, and beyond."""

    def closed(W: Blocks, w: float) -> tuple[float, int | None]:
        u, v = float(W["W1"][0, 0]), float(W["W2"][0, 0])
        known = [
            (max(abs(u), abs(v)), int(w < 0.5) + int(w < -0.5)),
            (max(abs(u - v), abs(u * u + 2 * w - 1)), int(w < 0)),
            (max(abs(u + v), abs(u * u + 2 * w + 1)), 1),
            (max(abs(w), abs(u * v - 1)), None),
        ]
        return min(known, key=lambda item: item[0])

    one, pitchfork = np.ones((1, 1)), "supercritical pitchfork"
    events = [(0.5, pitchfork), (0.0, "vertical"), (-0.5, pitchfork)]
    return Case(
        "2 layers, scalar",
        {"W1": (1, 1), "W2": (1, 1)},
        one,
        one,
        (0.75, -0.75),
        {"W1": 0 * one, "W2": 0 * one},
        events,
        5,
        closed,
    )


def cubic(b: float) -> Case:
    """Three layers of width one: from the origin's neighbour at small ω round the fold and back."""

    def closed(W: Blocks, w: float) -> tuple[float, int | None]:
        s = np.array([float(W[name][0, 0]) for name in ("W1", "W2", "W3")])
        size, q = float(np.abs(s).mean()), float(np.prod(s))
        if size < 1e-9:
            return size, 0
        away = float(np.ptp(np.abs(s))) + abs(2 * w * size - np.sign(q) * b * size**2 + size**5)
        # Of the Hessian's eigenvalues only that along (1, 1, 1) changes sign, at the fold.
        return away, int(size**3 < b / 4)

    top = (b / 4) ** (1 / 3)
    fold = 0.5 * (b * top - top**4)
    begin = brentq(lambda s: b * s - s**4 - fold, top, 2 * b)
    ones = {name: np.full((1, 1), begin) for name in ("W1", "W2", "W3")}
    shapes = dict.fromkeys(ones, (1, 1))
    one = np.ones((1, 1))
    return Case(
        f"3 layers, scalar, b = {b:g}", shapes, one, b * one, (fold / 2, 1.5 * fold), ones, [(fold, "fold")], 1, closed
    )


def samples(n: int, d: int, h: int, seed: int) -> Case:
    """One output on inputs that are not whitened: a pitchfork at 2ω = ‖Xᵀy‖, and the minimum (XᵀX + 2ω/s²) β = Xᵀy with
    ‖β‖ = s².
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    y = (x @ rng.normal(size=d) + 0.3 * rng.normal(size=n))[:, None]
    G, b = x.T @ x, (x.T @ y)[:, 0]
    size = float(np.linalg.norm(b))

    def closed(W: Blocks, w: float) -> tuple[float, int | None]:
        if max(float(np.abs(block).max()) for block in W.values()) < 1e-9:
            return 0.0, h * (2 * w < size)
        beta = (W["W2"] @ W["W1"])[0]
        near = np.linalg.solve(np.linalg.norm(beta) * G + 2 * w * np.eye(d), np.linalg.norm(beta) * b)
        return float(np.linalg.norm(beta - near) + np.linalg.norm(W["W2"].T @ W["W2"] - W["W1"] @ W["W1"].T)), 0

    shapes = {"W1": (h, d), "W2": (1, h)}
    zeros = {name: np.zeros(shape) for name, shape in shapes.items()}
    return Case(
        f"{n} samples, d = {d}, width {h}",
        shapes,
        x,
        y,
        (0.6 * size, 0.05 * size),
        zeros,
        [(size / 2, "supercritical pitchfork")],
        2,
        closed,
    )


def judged(case: Case, events: list[tuple[float, str]], points: list[tuple[np.ndarray, float, bool]]) -> dict[str, Any]:
    """Events against those that exist, points (row, ω, stable) against closed forms."""
    left, errors, right = list(case.events), [], 0
    spurious = 0
    for p, kind in events:
        near = min(left, key=lambda item: abs(item[0] - p), default=None)
        if near is None or abs(near[0] - p) > NEAR:
            spurious += 1
            continue
        left.remove(near)
        errors.append(abs(near[0] - p))
        right += near[1] == kind
    low, high = min(case.span), max(case.span)
    away, wrong, compared = 0.0, 0, 0
    for row, p, stable in points:
        if not low - 1e-9 <= p <= high + 1e-9:
            continue
        distance, index = case.closed(case.blocks(row), p)
        away = max(away, distance)
        if index is not None and all(abs(p - w) > NEAR * (1 + abs(w)) for w, _ in case.events):
            compared += 1
            wrong += (index == 0) != stable
    return {
        "events": len(errors),
        "of": len(case.events),
        "types": right,
        "spurious": spurious,
        "error": max(errors, default=None),
        "away": away,
        "wrong": int(wrong),
        "points": compared,
    }
