"""A mirror coordinate without closed forms, in numbers: dθ/dz = ∇g(θ) is integrated, and Φ*(z) = ∫ β dz with it.

Entries that start alike share one path of θ over z. It is integrated as far as it is asked for, by the rule of order 8
of Dormand and Prince with its interpolant of order 7.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp
from scipy.integrate import DOP853, OdeSolution

from flowlab.core.typing import Blocks, Namespace
from flowlab.symbolic.induced.closed_forms import numbers

_RTOL, _ATOL = 1e-13, 1e-15
"""Tolerance of a path, and what of its start is nothing."""
_STEPS = 2_000
"""Steps of a path at most: exponentials take some hundred from end to end of what numbers hold."""
_STILL = 1e-14
"""Relative change of weights in a step that brings them nowhere else: their path has come to rest."""
_LARGE = 1e120
"""Size of weights or Φ* at which a path has come to an end of what numbers hold."""
_ROUNDS = 80
"""Of Newton's method and halvings for z(β): all digits, whatever the interval."""


class Path:
    """θ(z) and Φ*(z) of one start, in one direction of z.

    Args:
        rate: of (θ, Φ*) over z.
        first: where it starts.
        sign: of z.
    """

    def __init__(self, rate: Callable[[float, np.ndarray], np.ndarray], first: np.ndarray, sign: float) -> None:
        self.sign = sign
        slope = np.abs(rate(0.0, first))
        nothing = _ATOL * np.maximum(np.abs(first), np.maximum(slope, np.abs(first).max()))
        # One number for each row, which the signature of the class does not tell.
        tolerances: Any = {"rtol": _RTOL, "atol": np.maximum(nothing, np.finfo(float).tiny)}
        with np.errstate(all="ignore"):
            self.solver = DOP853(rate, 0.0, first, sign * np.inf, **tolerances)
        self.places, self.pieces, self.rows = [0.0], [], [first]

    @property
    def ended(self) -> bool:
        """Whether there is nothing beyond the last place."""
        return self.solver.status != "running" or len(self.pieces) >= _STEPS

    @property
    def rests(self) -> bool:
        """Whether the last step has brought the weights nowhere else."""
        if len(self.rows) < 2:
            return False
        before, last = (row[:-1] for row in self.rows[-2:])
        return bool(np.abs(last - before).max() <= _STILL * np.abs(last).max())

    def extend(self, enough: Callable[[float, np.ndarray], bool]) -> None:
        """Go on until a place and the row there are enough, or to the end of the path."""
        with np.errstate(all="ignore"):
            while not self.ended and not enough(abs(self.places[-1]), self.rows[-1]):
                self.solver.step()
                row = np.asarray(self.solver.y)
                if self.solver.status == "failed" or not np.abs(row).max() <= _LARGE:
                    self.solver.status = "failed"
                    return
                self.places.append(float(self.solver.t))
                self.pieces.append(self.solver.dense_output())
                self.rows.append(row.copy())

    def at(self, size: np.ndarray) -> np.ndarray:
        """The rows at distances from 0, (rows, n); NaN beyond the end."""
        self.extend(lambda there, _: there >= size.max(initial=0.0))
        if not self.pieces:
            return np.where(size <= 0, self.rows[0][:, None], np.nan)
        found = OdeSolution(np.array(self.places), self.pieces)(self.sign * size)
        return np.where(size <= abs(self.places[-1]), found, np.nan)


class Quadrature:
    """The mirror coordinate of a node whose entries have weights of their own; for numpy alone.

    Args:
        entry: one entry, in the symbols of its weights and constants.
        weights: their names.
        values: weights at the start and constants, by name, in the shape of β.
    """

    noise = 1e-11
    """Relative error of Φ*."""

    def __init__(self, entry: sp.Expr, weights: tuple[str, ...], values: Blocks) -> None:
        self.entry, self.names = entry, weights
        self.shape = np.shape(next(iter(values.values())))
        self.slopes = [sp.diff(entry, sp.Symbol(w, real=True)) for w in weights]
        table = np.stack([np.broadcast_to(v, self.shape).ravel() for v in values.values()], axis=1)
        kinds, self.kind = np.unique(table.astype(np.float64), axis=0, return_inverse=True)
        self.starts = [dict(zip(values, row, strict=True)) for row in kinds]

    @cached_property
    def paths(self) -> list[tuple[Path, Path]]:
        """The paths of every start, up and down."""
        return [(self._path(start, 1.0), self._path(start, -1.0)) for start in self.starts]

    def _path(self, start: Blocks, sign: float) -> Path:
        def rate(_: float, row: np.ndarray) -> np.ndarray:
            values = {**start, **dict(zip(self.names, row, strict=False))}
            return np.array([*(numbers(np, slope, values) for slope in self.slopes), numbers(np, self.entry, values)])

        return Path(rate, np.array([*(start[w] for w in self.names), 0.0]), sign)

    def _rows(self, z: np.ndarray) -> np.ndarray:
        """θ and Φ* at z, (weights + 1, …)."""
        flat, kind = np.ravel(z), self.kind.ravel()
        out = np.full((len(self.names) + 1, flat.size), np.nan)
        for i, both in enumerate(self.paths):
            for path in both:
                some = (kind == i) & ((flat >= 0) if path.sign > 0 else (flat < 0))
                if some.any():
                    out[:, some] = path.at(np.abs(flat[some]))
        return out.reshape(-1, *self.shape)

    def _values(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        held = {c: np.array([start[c] for start in self.starts])[self.kind.ravel()] for c in self.starts[0]}
        return {**{c: v.reshape(self.shape) for c, v in held.items()}, **dict(zip(self.names, rows, strict=False))}

    def beta(self, xp: Namespace, z: Any) -> np.ndarray:
        """β(z), in the shape of z; NaN outside of where θ(z) exists."""
        return numbers(np, self.entry, self._values(self._rows(z))) + np.zeros(self.shape)

    def metric(self, xp: Namespace, z: Any) -> np.ndarray:
        """K = dβ/dz."""
        values = self._values(self._rows(z))
        return np.asarray(sum(numbers(np, slope, values) ** 2 for slope in self.slopes)) + np.zeros(self.shape)

    def conjugate(self, xp: Namespace, z: Any) -> np.ndarray:
        """Φ*(z) of every entry; infinite outside of where θ(z) exists."""
        found = self._rows(z)[-1]
        return np.where(np.isnan(found), np.inf, found)

    def potential(self, xp: Namespace, beta: Any) -> np.ndarray:
        """Φ(β) = z β - Φ*(z) of every entry; infinite for β that is not reached."""
        z = self.inverse(np, beta)
        return np.where(np.isnan(z), np.inf, z * beta - self.conjugate(np, z))

    def theta(self, xp: Namespace, z: Any) -> dict[str, np.ndarray]:
        """The weights at z, by block."""
        return dict(zip(self.names, self._rows(z), strict=False))

    def inverse(self, xp: Namespace, beta: Any) -> np.ndarray:
        """z(β), by Newton's method between two places of the path; NaN for β that is not reached."""
        beta = np.asarray(beta, dtype=np.float64)
        low, high = (v.reshape(self.shape) for v in self._between(beta.ravel()))
        z = 0.5 * (low + high)
        for _ in range(_ROUNDS):
            over, slope = self.beta(np, z) - beta, self.metric(np, z)
            low, high = np.where(over < 0, z, low), np.where(over > 0, z, high)
            with np.errstate(all="ignore"):
                next_z = z - over / slope
            next_z = np.where((next_z >= low) & (next_z <= high), next_z, 0.5 * (low + high))
            if np.all((next_z == z) | np.isnan(z)):
                break
            z = next_z
        return z

    def _between(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Neighbouring places of the paths with β between them, (n,) each."""
        low, high = np.full(beta.size, np.nan), np.full(beta.size, np.nan)
        for i, (start, both) in enumerate(zip(self.starts, self.paths, strict=True)):
            begin = float(numbers(np, self.entry, start))
            for path in both:
                some = (self.kind.ravel() == i) & ((beta >= begin) if path.sign > 0 else (beta < begin))
                if not some.any():
                    continue
                far = path.sign * np.abs(beta[some] - begin).max() + begin

                def beyond(_: float, row: np.ndarray, far: float = far, path: Path = path, i: int = i) -> bool:
                    return path.rests or bool(path.sign * (self._one(self.starts[i], row) - far) >= 0)

                path.extend(beyond)
                known = path.sign * np.array([self._one(start, row) for row in path.rows])
                at = np.searchsorted(known, path.sign * beta[some], side="left")
                inside = at < len(known)
                ends = np.array([path.places[max(k - 1, 0)] for k in at]), np.append(path.places, np.nan)[at]
                low[some], high[some] = (np.where(inside, v, np.nan) for v in ends[:: int(path.sign)])
        return low, high

    def _one(self, start: Mapping[str, Any], row: np.ndarray) -> float:
        """β of one start at a row of its path."""
        return float(numbers(np, self.entry, {**start, **dict(zip(self.names, row, strict=False))}))
