"""Two one-parameter families of critical points: over unit directions as the norm grows, and over all weights as a
penalty falls.

Both are zeros of the gradient of F(u, p) in u, on a product of spheres or in flat space. Directions along which a
symmetry of the network moves u are projected out: they are not in the basis, so that what is singular is singular
for a reason of the problem.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import least_squares, minimize

from flowlab.core.arguments import array
from flowlab.core.errors import LanguageError, NotHomogeneous
from flowlab.core.memory import require_memory
from flowlab.core.precision import require_x64
from flowlab.core.typing import ArrayLike
from flowlab.discrete.critical.constrained_problem import RESIDUAL, Constrained, weight_count
from flowlab.discrete.critical.sphere_product import Layout, blocks
from flowlab.discrete.critical.symmetries import Symmetries
from flowlab.discrete.descent.sharpness import Curvature
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State, initial_state

_ORBIT = 1e-6
"""An orbit whose tangent vectors are shorter, in units of weights, is a point."""


_NEAR, _NULL = 1e-7, 1e-6
"""Ends of searches with a larger relative gradient are not critical; curvatures below that share of the largest
are zero.
"""


class Family(ABC):
    """Zeros of ∂_u F(u, p).

    Attributes:
        name: of the parameter, as it is stored: `"log_norm"`, `"decay"` or `"log_decay"`.
        layout: blocks and their shapes, in the order of a row u, (P,).
        symmetries: of the network.
    """

    name: str
    layout: Layout
    symmetries: Symmetries
    problem: Problem
    data: Data

    @abstractmethod
    def value(self, u: np.ndarray, p: float) -> float:
        """F."""

    @abstractmethod
    def gradient(self, u: np.ndarray, p: float) -> np.ndarray:
        """∂_u F in all coordinates, tangent, (P,)."""

    @abstractmethod
    def slope(self, u: np.ndarray, p: float) -> np.ndarray:
        """∂_p ∂_u F, tangent, (P,)."""

    @abstractmethod
    def hessian(self, u: np.ndarray, p: float, basis: np.ndarray) -> np.ndarray:
        """The Riemannian Hessian in a tangent basis (P, m): (m, m)."""

    @abstractmethod
    def tangents(self, u: np.ndarray) -> np.ndarray:
        """An orthonormal basis of all tangent directions, (P, m)."""

    @abstractmethod
    def project(self, u: np.ndarray) -> np.ndarray:
        """The nearest row that is allowed, (P,)."""

    @abstractmethod
    def measure(self, u: np.ndarray, p: float) -> float:
        """What gradients are compared with."""

    def resolution(self, p: float) -> float:
        """Zeros with a larger tangent gradient, relative to `measure`, are none."""
        return RESIDUAL

    def unit(self, p: float) -> float:
        """A size of curvature below which all directions are flat."""
        return 0.0

    @abstractmethod
    def weights(self, u: np.ndarray, p: float) -> dict[str, np.ndarray]:
        """Weights by block."""

    @abstractmethod
    def row(self, start: State | Mapping[str, ArrayLike]) -> np.ndarray:
        """The row of a state, or of weights by block, (P,)."""

    def basis(self, u: np.ndarray) -> np.ndarray:
        """An orthonormal basis of the tangent directions that leave the orbit of the symmetries, (P, m)."""
        tangents = self.tangents(u)
        along = self.symmetries.orbit(u, smallest=_ORBIT) @ tangents
        if not len(along):
            return tangents
        _, sizes, rows = np.linalg.svd(along)
        return tangents @ rows[int((sizes > 0.5).sum()) :].T

    def log_loss(self, u: np.ndarray, p: float) -> float:
        """Logarithm of the data loss."""
        return float(np.asarray(self.problem.log_loss(self.weights(u, p), self.data, np)))

    def margin(self, u: np.ndarray, p: float) -> float:
        """Smallest margin of the normalised directions; nan for losses of targets, and without weights."""
        if not self.problem.loss.classifies:
            return float("nan")
        W = self.weights(u, p)
        log_R = (
            float(np.asarray(self.problem.log_product(W, np))) if all(np.any(w) for w in W.values()) else float("nan")
        )
        return float(np.min(np.asarray(self.problem.margins(W, self.data, np)))) * float(np.exp(-log_R))


def require_curvature(problem: Problem, data: Data, widths: Mapping[str, int] | None) -> None:
    """Refuse a path whose second derivatives do not fit into memory; TooLarge before any weight is drawn."""
    weights = weight_count(problem, data, widths)
    # The Hessian, a basis, and their product.
    require_memory(3 * 8 * weights**2, f"the curvature of a path in {weights} weights", "use smaller widths")


class Norms(Family):
    """Directions, with p = log R: all norms grow in proportion."""

    name = "log_norm"

    def __init__(self, con: Constrained) -> None:
        self.con, self.layout, self.problem, self.data = con, con.spheres.layout, con.problem, con.data
        self.symmetries = con.symmetries
        one = con.random(np.random.default_rng(0))

        def log_product(factor: float) -> float:
            return float(np.asarray(con.problem.log_product(blocks(self.layout, factor * con.spheres.radii * one), np)))

        # R grows like this power of a factor common to all norms.
        self.start, self.degree = log_product(1.0), log_product(np.e) - log_product(1.0)
        if not self.degree > 0:
            raise NotHomogeneous(
                f"`{con.problem.network.text[:120]}` must be homogeneous, so that outputs grow with a norm R; use"
                " `penalty_path`."
            )
        self._last = (self.start, con)

    def at(self, p: float) -> Constrained:
        """The constrained problem at R = e^p."""
        if self._last[0] != p:
            self._last = (p, self.con.scaled(float(np.exp((p - self.start) / self.degree))))
        return self._last[1]

    def value(self, u: np.ndarray, p: float) -> float:
        return self.at(p).value(u)

    def gradient(self, u: np.ndarray, p: float) -> np.ndarray:
        return self.con.spheres.tangent(u, self.at(p).gradient(u))

    def slope(self, u: np.ndarray, p: float) -> np.ndarray:
        return self.con.spheres.tangent(u, self.at(p).growth(u)) / self.degree

    def hessian(self, u: np.ndarray, p: float, basis: np.ndarray) -> np.ndarray:
        return self.at(p).riemannian(u, basis)

    def tangents(self, u: np.ndarray) -> np.ndarray:
        return self.con.spheres.basis(u)

    def project(self, u: np.ndarray) -> np.ndarray:
        return self.con.spheres.project(u)

    def measure(self, u: np.ndarray, p: float) -> float:
        con = self.at(p)
        return con.measure(con.gradient(u))

    def unit(self, p: float) -> float:
        # Where a unit rests for all samples on its wrong side what is left of the others may vanish exponentially.
        return 1e-3 * self.at(p).typical

    def resolution(self, p: float) -> float:
        # Outputs R f(V) know a rounding of V to R times as many digits less.
        return max(RESIDUAL, 100.0 * np.finfo(float).eps * float(np.exp(p)))

    def weights(self, u: np.ndarray, p: float) -> dict[str, np.ndarray]:
        return blocks(self.layout, u * self.at(p).spheres.radii)

    def row(self, start: State | Mapping[str, ArrayLike]) -> np.ndarray:
        return self.con.row(start)


class Penalties(Family):
    """All weights, with the penalty ω Σ_k ‖W_k‖² added to the loss; p = ω, or log ω."""

    def __init__(self, problem: Problem, data: Data, widths: Mapping[str, int] | None, logarithmic: bool) -> None:
        require_x64("penalty_path")
        problem.loss.check_labels(data)
        if any(problem.decay.values()):
            raise LanguageError(
                f"the problem must have no `decay`, which the path varies, got {problem.decay}; make it without."
            )
        self.problem, self.data, self.logarithmic = problem.objective_only, data, logarithmic
        self.name = "log_decay" if logarithmic else "decay"
        require_curvature(problem, data, widths)
        like = initial_state(problem.network, data, widths=widths, seed=0)
        self.layout = tuple((name, tuple(np.shape(v))) for name, v in like.V.items())
        self.symmetries = Symmetries(problem.network, self.layout, data.d)
        self.loss = Curvature(self.problem, data, like.weights())
        if self.loss.layout != self.layout:
            raise AssertionError(f"blocks lie in the order {self.loss.layout}, not {self.layout}")

    def _penalty(self, p: float) -> float:
        return float(np.exp(p)) if self.logarithmic else p

    def value(self, u: np.ndarray, p: float) -> float:
        return self.loss.value(u) + self._penalty(p) * float(u @ u)

    def gradient(self, u: np.ndarray, p: float) -> np.ndarray:
        return self.loss.gradient(u) + 2.0 * self._penalty(p) * u

    def slope(self, u: np.ndarray, p: float) -> np.ndarray:
        return 2.0 * u * (self._penalty(p) if self.logarithmic else 1.0)

    def hessian(self, u: np.ndarray, p: float, basis: np.ndarray) -> np.ndarray:
        return basis.T @ self.loss.hessian(u) @ basis + 2.0 * self._penalty(p) * np.eye(basis.shape[1])

    def tangents(self, u: np.ndarray) -> np.ndarray:
        return np.eye(self.loss.size)

    def project(self, u: np.ndarray) -> np.ndarray:
        return u

    def descend(self, p: float, rng: np.random.Generator) -> np.ndarray:
        """A minimum at p from small random weights, (P,)."""
        eye = np.eye(self.loss.size)
        begin = rng.normal(size=self.loss.size) / np.sqrt(self.loss.size)
        slopes: Any = {"jac": lambda u: self.gradient(u, p), "hess": lambda u: self.hessian(u, p, eye)}
        return minimize(lambda u: self.value(u, p), begin, method="trust-exact", options={"gtol": 1e-10}, **slopes).x

    def critical(self, p: float, starts: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Critical points at p, distinct modulo symmetry, (P,) each: the origin, where it is one, and what searches end
        at, by growing objective.

        A quarter of the searches go down; the others look for zeros of the gradient, every second of them among what a
        symmetry leaves fixed. Of points that are not isolated one is kept for every value of the objective.
        """
        eye, found = np.eye(self.loss.size), [np.zeros(self.loss.size)]
        down = [self.descend(p, rng) for _ in range(max(1, starts // 4))]
        size = max(1.0, *(float(np.linalg.norm(u)) for u in down))
        exact: Any = lambda u: self.hessian(u, p, eye)  # noqa: E731
        for k in range(starts - len(down)):
            begin = size * rng.uniform(0.2, 1.5) * rng.normal(size=self.loss.size) / np.sqrt(self.loss.size)
            begin = self.symmetries.images.fixed(begin, rng) if k % 2 else begin
            down.append(
                least_squares(lambda u: self.gradient(u, p), begin, exact, method="lm", xtol=1e-15, gtol=1e-15).x
            )
        ends = [u for u in [found.pop(), *down] if np.linalg.norm(self.gradient(u, p)) <= _NEAR * self.measure(u, p)]
        values = [self.value(u, p) for u in ends]
        for k in [0, *(1 + np.argsort(values[1:]))] if ends else ():
            basis = self.basis(ends[k])
            curvatures = np.abs(np.linalg.eigvalsh(self.hessian(ends[k], p, basis)))
            isolated = curvatures.min(initial=np.inf) > _NULL * curvatures.max(initial=0.0)
            scale = 1.0 + float(np.linalg.norm(ends[k]))
            alike = [u for u in found if abs(self.value(u, p) - values[k]) <= 1e-9 * max(1.0, abs(values[k]))]
            if not any(not isolated or self.symmetries.distance(u, ends[k]) <= 1e-5 * scale for u in alike):
                found.append(ends[k])
        return found

    @cached_property
    def _typical(self) -> float:
        rng = np.random.default_rng(0)
        found = [np.linalg.norm(self.loss.gradient(rng.normal(size=self.loss.size))) for _ in range(4)]
        return float(np.median(found))

    def measure(self, u: np.ndarray, p: float) -> float:
        # In units of the penalty where it alone is left: at small ω both forces are small and what counts is their
        # difference.
        return max(2.0 * abs(self._penalty(p)) * float(np.linalg.norm(u)), self.unit(p))

    def unit(self, p: float) -> float:
        return 1e-3 * self._typical * (self._penalty(p) if self.logarithmic else 1.0)

    def weights(self, u: np.ndarray, p: float) -> dict[str, np.ndarray]:
        return blocks(self.layout, u)

    def row(self, start: State | Mapping[str, ArrayLike]) -> np.ndarray:
        W = (
            start.weights()
            if isinstance(start, State)
            else {name: array(f"start[{name!r}]", v) for name, v in start.items()}
        )
        for name, shape in self.layout:
            if name not in W or np.shape(W[name]) != shape:
                raise LanguageError(
                    f"`{name}` of the start must have the shape {shape}, got {np.shape(W.get(name, ()))}; pass"
                    " `widths`, or another start."
                )
        return np.concatenate([np.ravel(np.asarray(W[name], dtype=np.float64)) for name, _ in self.layout])
