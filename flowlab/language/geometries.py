"""Geometries: where a block lives, and the metric in which it follows its gradient.

A geometry has a chart: a point θ of the block's space is the lift of z, and z is what moves. With the force
F = -∂L/∂θ (∂L/∂θ where the block ascends) the flow is θ' = M(θ)^{-1} F. Where M is the Hessian of a convex potential,
that is z' = F in the dual chart z = ∇Φ(θ): a mirror flow, which cannot leave the space whatever the accuracy, as the
replicator equation in p itself does. The symbolic, the numeric and the printed meaning stand in one class; `pace` is
held against `inverse_metric` through the derivative of the lift after every derivation.

The schemes of norms and directions are geometries of another kind, of (ρ, V): `weight_normalization` has the metric of
its own parametrisation, `fixed_norm` that of the sphere. They keep their own words.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from flowlab.core.arguments import line
from flowlab.core.errors import ShapeMismatch
from flowlab.core.registry import Registry
from flowlab.core.typing import Array, Namespace

geometries: Registry[type["Geometry"]] = Registry("geometry")

_OFF = 1e-9
"""How far a start may be off its space: what is left of roundings in a file of ten digits."""


@runtime_checkable
class Tape(Protocol):
    """Where equations are written; calling it applies an operation word to values."""

    def __call__(self, op: str, *args: Any, params: tuple[Any, ...] = ()) -> Any: ...

    def coefficient(self, tree: Any, known: Mapping[str, Any]) -> Any: ...


class Geometry(ABC):
    """The space of one block, its chart and its metric.

    Attributes:
        rank: of the block's array; None for any.
        square: whether the array is a square matrix.
        has_chart: whether z is another array than θ.
        has_idle_shift: whether adding one number to all of z changes no point, as the softmax has it.
        jumps: whether the lift jumps, so that descent is defined and a flow is not.
        told: what the start must be, in words.
        remedy: what to do where it is not.
        metric: the rate θ' by the point θ and the force F, in text and in LaTeX, with `{p}` and `{F}` in their places.
        chart: the lift of z in text and in LaTeX, with `{z}` in its place.
        chart_rate: the rate z', with `{z}` and `{F}` in their places; F itself in a dual chart.
        divergence_told: D(s, p) of the potential of a dual chart, with `{s}` and `{p}` in their places; empty without.
        why: where the metric is from, for the step of a derivation.
    """

    name: ClassVar[str]
    rank: ClassVar[int | None] = None
    square: ClassVar[bool] = False
    has_chart: ClassVar[bool] = True
    has_idle_shift: ClassVar[bool] = False
    jumps: ClassVar[bool] = False
    told: ClassVar[str] = "an array of finite numbers"
    remedy: ClassVar[str] = "start elsewhere"
    metric: ClassVar[tuple[str, str]]
    chart: ClassVar[tuple[str, str]] = ("{z}", "{z}")
    chart_rate: ClassVar[tuple[str, str]] = ("{F}", "{F}")
    divergence_told: ClassVar[tuple[str, str]] = ("", "")
    why: ClassVar[str]

    @abstractmethod
    def lift(self, xp: Namespace, z: Array) -> Array:
        """The point θ of a place z in the chart."""

    @abstractmethod
    def dual(self, xp: Namespace, theta: Array) -> Array:
        """A place z in the chart of a point θ."""

    @abstractmethod
    def inverse_metric(self, xp: Namespace, theta: Array, force: Array) -> Array:
        """θ' = M(θ)^{-1} F."""

    def pace(self, xp: Namespace, z: Array, theta: Array, force: Array) -> Array:
        """The rate z' under the force F at θ; F itself in a dual chart."""
        return force

    def lifted(self, tape: Tape, z: Any) -> Any:
        """`lift`, written on the tape of a derivation."""
        return z

    def paced(self, tape: Tape, z: Any, theta: Any, force: Any) -> Any:
        """`pace`, written on the tape of a derivation."""
        return force

    @property
    def has_divergence(self) -> bool:
        """Whether the metric is the Hessian of a potential, whose divergence `divergence` is."""
        return bool(self.divergence_told[0])

    def divergence(self, star: Array, theta: Array) -> Array:
        """D(θ*, θ) ≥ 0 of the potential Φ, a number; its rate is <θ - θ*, F>. Defined where `has_divergence`."""
        raise NotImplementedError

    def tangent(self, force: Array) -> Array:
        """The part of a force that moves a point."""
        return force - force.mean() if self.has_idle_shift else force

    def holds(self, theta: np.ndarray) -> bool:
        """Whether a point is in the space."""
        return True

    def require(self, name: str, theta: np.ndarray) -> None:
        """Refuse a start that is not in the space.

        Raises:
            ShapeMismatch: naming the block.
        """
        fits = (self.rank is None or theta.ndim == self.rank) and not (self.square and len(set(theta.shape)) > 1)
        if not fits or not self.holds(theta):
            got = f"the shape {theta.shape}" if not fits else _first(theta)
            raise ShapeMismatch(f"the block `{line(name)}` must be {self.told}, got {got}; {self.remedy}.")

    def drawn(self, xp: Namespace, normal: Array) -> Array:
        """A point of the space from an array of normal numbers, for tests."""
        return self.lift(xp, normal)

    # A geometry holds no values: two of one class are the same to the compiler's cache.
    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


def require_in_space(spaces: Mapping[str, Geometry], weights: Mapping[str, Array]) -> None:
    """Refuse a start whose blocks are not in the spaces of their geometries; ShapeMismatch."""
    for name, space in spaces.items():
        space.require(name, np.asarray(weights[name]))


def _first(theta: np.ndarray) -> str:
    """The first numbers of an array."""
    flat = ", ".join(f"{v:.6g}" for v in theta.ravel()[:4])
    return f"[{flat}{', …' if theta.size > 4 else ''}]"


def _gained(star: Array, theta: Array) -> Array:
    """The entries of star log(star/theta), infinite where theta is zero."""
    with np.errstate(divide="ignore"):
        return star * (np.log(np.where(star > 0, star, 1.0)) - np.log(theta))


class InPlace(Geometry):
    """Spaces whose points are integrated themselves, without a chart."""

    has_chart = False

    def lift(self, xp: Namespace, z: Array) -> Array:
        return z

    def dual(self, xp: Namespace, theta: Array) -> Array:
        return theta

    def pace(self, xp: Namespace, z: Array, theta: Array, force: Array) -> Array:
        return self.inverse_metric(xp, theta, force)


@geometries.register("euclid")
class Euclid(InPlace):
    """All arrays, with the metric of plain gradient flow."""

    metric = ("{F}", "{F}")
    divergence_told = ("|{p} - {s}|^2/2", r"\tfrac12 \lVert {p} - {s}\rVert^2")
    why = "the metric of plain gradient flow"

    def inverse_metric(self, xp: Namespace, theta: Array, force: Array) -> Array:
        return force

    def divergence(self, star: Array, theta: Array) -> Array:
        return 0.5 * ((theta - star) ** 2).sum()


@geometries.register("simplex")
class Simplex(Geometry):
    """Probability vectors with the metric of Fisher and Rao, in the chart p = softmax(z); its flow is the replicator
    equation (Shahshahani 1979).
    """

    rank = 1
    has_idle_shift = True
    told = "a vector of probabilities above zero with the sum 1"
    remedy = "divide positive numbers by their sum"
    metric = ("{p} * ({F} - <{p}, {F}>)", r"{p} \odot ({F} - \langle {p}, {F}\rangle)")
    chart = ("softmax({z})", r"\operatorname{{softmax}}({z})")
    divergence_told = ("KL({s}|{p})", r"\operatorname{{KL}}({s} \,\|\, {p})")
    why = "the metric of Fisher and Rao, $<dtheta, dtheta/theta>$, in the chart $theta = softmax(z)$"

    def lift(self, xp: Namespace, z: Array) -> Array:
        grown = xp.exp(z - xp.max(z))
        return grown / grown.sum()

    def dual(self, xp: Namespace, theta: Array) -> Array:
        return xp.log(theta)

    def inverse_metric(self, xp: Namespace, theta: Array, force: Array) -> Array:
        return theta * (force - (theta * force).sum())

    def divergence(self, star: Array, theta: Array) -> Array:
        return _gained(star, theta).sum()

    def lifted(self, tape: Tape, z: Any) -> Any:
        return tape("softmax", z)

    def holds(self, theta: np.ndarray) -> bool:
        return bool((theta > 0).all()) and abs(float(theta.sum()) - 1.0) <= _OFF


@geometries.register("orthant")
class Orthant(Geometry):
    """Positive arrays with the metric Σ dθ²/θ, in the chart θ = e^z: multiplicative updates."""

    told = "an array of numbers above zero"
    remedy = "start from positive numbers"
    metric = ("{p} * {F}", r"{p} \odot {F}")
    chart = ("exp({z})", r"\exp({z})")
    divergence_told = (
        "sum({s} * log({s}/{p}) - {s} + {p})",
        r"\textstyle\sum \bigl({s} \log({s}/{p}) - {s} + {p}\bigr)",
    )
    why = "the metric $<dtheta, dtheta/theta>$ of positive arrays, in the chart $theta = exp(z)$"

    def lift(self, xp: Namespace, z: Array) -> Array:
        return xp.exp(z)

    def dual(self, xp: Namespace, theta: Array) -> Array:
        return xp.log(theta)

    def inverse_metric(self, xp: Namespace, theta: Array, force: Array) -> Array:
        return theta * force

    def divergence(self, star: Array, theta: Array) -> Array:
        return (_gained(star, theta) - star + theta).sum()

    def lifted(self, tape: Tape, z: Any) -> Any:
        return tape("activation", z, params=("exp",))

    def holds(self, theta: np.ndarray) -> bool:
        return bool((theta > 0).all())


@geometries.register("sphere")
class Sphere(InPlace):
    """Arrays of length 1 with the metric of the space around them; their flow keeps any length."""

    told = "an array of length 1"
    remedy = "divide it by its length"
    metric = ("{F} - <{p}, {F}> {p}/|{p}|^2", r"{F} - \langle {p}, {F}\rangle {p}/\lVert {p}\rVert^2")
    why = "the metric of the space around the sphere, so that the part of the force along it drops out"

    def inverse_metric(self, xp: Namespace, theta: Array, force: Array) -> Array:
        return force - ((theta * force).sum() / (theta * theta).sum()) * theta

    def paced(self, tape: Tape, z: Any, theta: Any, force: Any) -> Any:
        along = tape("inner", theta, force, params=("block",))
        known = {"a": along, "b": tape("inner", theta, theta, params=("block",))}
        share = tape.coefficient(("*", "a", ("^", "b", Fraction(-1))), known)
        return tape("sub", force, tape("row_scale", share, theta))

    def holds(self, theta: np.ndarray) -> bool:
        return abs(float((theta * theta).sum()) - 1.0) <= _OFF

    def drawn(self, xp: Namespace, normal: Array) -> Array:
        return normal / xp.sqrt((normal * normal).sum())


class _Positive(Geometry):
    """Symmetric matrices with eigenvalues above zero."""

    rank, square = 2, True
    told = "a symmetric positive definite matrix"
    remedy = "start from A @ A.T with A of full rank"

    def holds(self, theta: np.ndarray) -> bool:
        return bool(np.abs(theta - theta.T).max() <= _OFF * np.abs(theta).max()) and bool(
            np.linalg.eigvalsh(theta)[0] > 0
        )


@geometries.register("bures_wasserstein")
class BuresWasserstein(_Positive):
    """Covariances with the metric of Bures and Wasserstein, in the chart Σ = z zᵀ: Euclidean flow of a root."""

    metric = ("({F} + {F}^T) {p} + {p} ({F} + {F}^T)", r"({F} + {F}^\top) {p} + {p} ({F} + {F}^\top)")
    chart = ("{z} {z}^T", r"{z} {z}^\top")
    chart_rate = ("({F} + {F}^T) {z}", r"({F} + {F}^\top) {z}")
    why = "the metric of Bures and Wasserstein, which is the Euclidean one of a root $z$ with $theta = z z^T$"

    def lift(self, xp: Namespace, z: Array) -> Array:
        return z @ z.T

    def dual(self, xp: Namespace, theta: Array) -> Array:
        return xp.linalg.cholesky(theta)

    def inverse_metric(self, xp: Namespace, theta: Array, force: Array) -> Array:
        both = force + force.T
        return both @ theta + theta @ both

    def pace(self, xp: Namespace, z: Array, theta: Array, force: Array) -> Array:
        return (force + force.T) @ z

    def lifted(self, tape: Tape, z: Any) -> Any:
        return tape("matmul", z, tape("transpose", z))

    def paced(self, tape: Tape, z: Any, theta: Any, force: Any) -> Any:
        return tape("matmul", tape("add", force, tape("transpose", force)), z)


@geometries.register("affine_invariant")
class AffineInvariant(InPlace, _Positive):
    """Covariances with the metric tr (Σ^{-1} dΣ)², which no change of basis alters."""

    metric = ("{p} ({F} + {F}^T) {p} / 2", r"\tfrac12\, {p} ({F} + {F}^\top) {p}")
    why = "the metric tr $(theta^{-1} dtheta)^2$, which no change of basis alters"

    def inverse_metric(self, xp: Namespace, theta: Array, force: Array) -> Array:
        return 0.5 * theta @ (force + force.T) @ theta

    def paced(self, tape: Tape, z: Any, theta: Any, force: Any) -> Any:
        both = tape("scale", tape("add", force, tape("transpose", force)), params=(Fraction(1, 2),))
        return tape("matmul", theta, tape("matmul", both, theta))

    def drawn(self, xp: Namespace, normal: Array) -> Array:
        return normal @ normal.T + xp.eye(len(normal))


class _Grid(Geometry):
    """Numbers on a grid, one scale for the whole array, in the chart of full-precision weights (BinaryConnect).

    The lift is the gradient of a convex potential wherever it has one, so that descent of z by gradients at the lifted
    weights is mirror descent; it jumps, and no flow is defined.
    """

    jumps = True
    metric = ("0", "0")
    why = "a grid of numbers, in the chart of weights before they are rounded"

    @abstractmethod
    def codes(self, xp: Namespace, z: Array) -> Array:
        """The whole numbers that a scale makes weights of, nearest to z with the scale that fits them best."""

    def lift(self, xp: Namespace, z: Array) -> Array:
        codes = self.codes(xp, z)
        square = (codes * codes).sum()
        # The scale of the least squares: z - s c is across c. Without a code there is nothing to scale.
        return xp.where(square > 0, (z * codes).sum() / xp.where(square > 0, square, 1.0), 0.0) * codes

    def dual(self, xp: Namespace, theta: Array) -> Array:
        return theta

    def inverse_metric(self, xp: Namespace, theta: Array, force: Array) -> Array:
        return xp.zeros_like(force)


@geometries.register("binary")
class Binary(_Grid):
    """One scale times ±1, the nearest such array: mean |z| sign(z), the gradient of ‖z‖₁²/(2n)."""

    chart = ("mean(|{z}|) sign({z})", r"\operatorname{{mean}}(|{z}|)\, \operatorname{{sign}}({z})")

    def codes(self, xp: Namespace, z: Array) -> Array:
        return xp.where(z < 0, -1.0, 1.0)


@geometries.register("ternary")
class Ternary(_Grid):
    """One scale times -1, 0 or 1, the nearest such array: of all numbers k of largest entries the best one is kept."""

    chart = ("s round({z}/s)", r"s \operatorname{{round}}({z}/s)")

    def codes(self, xp: Namespace, z: Array) -> Array:
        size = xp.sort(xp.abs(z).reshape(-1))[::-1]
        # With the k largest entries kept, what the nearest array explains of |z|^2 is (their sum)^2/k.
        best = xp.argmax(xp.cumsum(size) ** 2 / xp.arange(1, size.size + 1))
        return xp.where(xp.abs(z) >= size[best], xp.sign(z), 0.0)


@geometries.register("two_bit")
class TwoBit(_Grid):
    """One scale times -3, -1, 1 or 3, the nearest such array: of all numbers k of entries that get a 3 the best one."""

    chart = ("s q({z}/s), q in {{-3, -1, 1, 3}}", r"s\, q({z}/s), \; q \in \{{\pm 1, \pm 3\}}")

    def codes(self, xp: Namespace, z: Array) -> Array:
        size = xp.sort(xp.abs(z).reshape(-1))[::-1]
        sums, k = xp.concatenate([xp.zeros(1), xp.cumsum(size)]), xp.arange(size.size + 1)
        # With the k largest entries at 3 and the others at 1, what is explained of |z|^2 is (c.z)^2/|c|^2.
        best = xp.argmax((2 * sums + sums[-1]) ** 2 / (8 * k + size.size))
        large = xp.where(best > 0, size[xp.maximum(best - 1, 0)], xp.inf)
        return xp.where(z < 0, -1.0, 1.0) * xp.where(xp.abs(z) >= large, 3.0, 1.0)
