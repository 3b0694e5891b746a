"""Losses: one class carries the loss, its pull -∂ℓ/∂f, its margin, its symbolic meaning and its print.

Everything is evaluated in log space or in closed forms that keep their relative accuracy far in the tails: at a margin
of 1e5 the exponential loss is no longer a float64 number, but its logarithm is.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import sympy as sp

from flowlab.core.errors import DataError
from flowlab.core.namespaces import held
from flowlab.core.registry import Registry
from flowlab.core.typing import Array, Labels, Namespace, Number, Outputs, PerSample, Scalar

losses: Registry[type["Loss"]] = Registry("loss")

_TAIL = 30.0
"""Beyond this margin log(1 + e^-q) is e^-q (1 - e^-q/2) to all digits of float64."""


class Loss(ABC):
    """ℓ(f, y) of the outputs f of one sample.

    Attributes:
        labels: `"binary"` (±1), `"classes"` (0..C-1), `"targets"` (real numbers, ±1 among them), or `"none"`.
        has_residual: whether the loss is zero exactly where a `residual` is.
        is_quadratic: whether it is half the square of its residual.
    """

    name: ClassVar[str]
    labels: ClassVar[str]
    has_residual: ClassVar[bool] = False
    is_quadratic: ClassVar[bool] = False

    @property
    def classifies(self) -> bool:
        """Whether a positive margin classifies a sample: the loss falls to 0 as margins grow, not at finite outputs."""
        return self.labels in ("binary", "classes")

    @property
    def is_value(self) -> bool:
        """Whether the expression is the objective itself: no samples, no labels, and it may be negative."""
        return self.labels == "none"

    @property
    def has_one_output(self) -> bool:
        """Whether the loss is a function of y f, with one output f and y = ±1."""
        return self.labels == "binary"

    @property
    def compares_outputs(self) -> bool:
        """Whether the loss is a function of the differences f_y - f_j, with one output per class."""
        return self.labels == "classes"

    @abstractmethod
    def log_terms(self, xp: Namespace, f: Outputs, y: Labels) -> PerSample:
        """Log ℓ of every sample, (N,), from outputs (N, C) and labels."""

    @abstractmethod
    def pull(self, xp: Namespace, f: Outputs, y: Labels, log_scale: Scalar = 0.0) -> Outputs:
        """-∂ℓ/∂f divided by e^{log_scale}, of every sample, (N, C);
        with the log of the loss as scale it stays a number in the far tails.
        """

    def residual(self, xp: Namespace, f: Outputs, y: Labels) -> Array:
        """What the loss vanishes with, (N, C), for a loss that says so by `has_residual`."""
        raise TypeError(f'the loss "{self.name}" has no residual.')

    def level(self, xp: Namespace, log_loss: Array) -> Array | None:
        """The margin at which one sample alone has this loss, from its logarithm: ℓ^{-1}(L);
        None for losses without a tail.
        """
        return None

    def dual(self, shares: Array) -> Array | None:
        """d(α) with ℓ ≥ d(α) - Σ_j α_j m_j for margins m and every α ≥ 0 (Fenchel and Young); None if not known.

        Args:
            shares: α, (N, K), one per sample and margin f_y - f_j over a wrong class, or y f.

        Returns:
            (N,); minus infinity where α is out of range.
        """
        return None

    @abstractmethod
    def margins(self, xp: Namespace, f: Outputs, y: Labels) -> PerSample:
        """How far each sample is on its right side, (N,): positive where it is classified correctly."""

    @abstractmethod
    def symbolic(self, f: list[sp.Symbol], y: Any) -> sp.Expr:
        """ℓ as a SymPy expression of the outputs of one sample."""

    @abstractmethod
    def latex(self) -> str:
        """ℓ as LaTeX."""

    def log_loss(self, xp: Namespace, f: Outputs, y: Labels, reduction: str = "sum") -> Number:
        """Logarithm of the loss summed (or averaged) over samples; scalar."""
        terms = self.log_terms(xp, f, y)
        top = xp.max(terms)
        # All terms can be log 0 when a square loss is met exactly; the shift must stay finite.
        shift = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
        shift = held(xp, shift)
        with np.errstate(divide="ignore"):
            total = shift + xp.log(xp.exp(terms - shift).sum())
        return total - np.log(terms.shape[0]) if reduction == "mean" else total

    def total(self, xp: Namespace, f: Outputs, y: Labels, reduction: str = "sum") -> Number:
        """The loss itself, summed (or averaged) over samples, to be differentiated any number of times; scalar."""
        return xp.exp(self.log_loss(xp, f, y, reduction))

    def check_labels(self, data: Any) -> None:
        """Refuse data whose labels this loss cannot use.

        Raises:
            DataError: with the offending labels and what to do.
        """
        allowed = {"binary": ("binary",), "classes": ("classes",), "targets": ("targets", "binary")}
        if self.is_value or data.kind in allowed[self.labels]:
            return
        if data.kind == "none":
            raise DataError(f'the loss "{self.name}" must have labels, got data without; pass `fl.Data(x, y)`.')
        found = np.unique(np.asarray(data.y))
        shown = ", ".join(f"{v:g}" for v in found[:5]) + (", …" if len(found) > 5 else "")
        labels = f"{data.kind} {f'of shape {data.y.shape}' if data.y.ndim > 1 else shown}"
        zero_one = data.y.ndim == 1 and bool(np.isin(found, (0, 1)).all())
        wanted = {"binary": "labels -1 and +1", "classes": "integer classes 0..C-1", "targets": "real targets"}[
            self.labels
        ]
        other = {
            "binary": (
                "give 2*y - 1" if zero_one else 'choose two classes, or a loss for classes such as "cross_entropy"'
            ),
            "classes": 'say `Data(…, kind="classes")`, or use a binary loss such as "exponential"',
            "targets": "convert the labels to floats",
        }[self.labels]
        raise DataError(f'the loss "{self.name}" needs {wanted}, but the labels are {labels}; {other}.')


class _Binary(Loss):
    """A function of q = y f alone."""

    labels = "binary"

    def margins(self, xp: Namespace, f: Outputs, y: Labels) -> PerSample:
        return y * f[:, 0]


@losses.register("exponential")
class Exponential(_Binary):
    """e^{-y f}."""

    def log_terms(self, xp: Namespace, f: Outputs, y: Labels) -> PerSample:
        return -self.margins(xp, f, y)

    def level(self, xp: Namespace, log_loss: Array) -> Array | None:
        return -log_loss

    def dual(self, shares: Array) -> Array | None:
        return (shares + _entropy(shares)).sum(axis=1)

    def pull(self, xp: Namespace, f: Outputs, y: Labels, log_scale: Scalar = 0.0) -> Outputs:
        return (y * xp.exp(-self.margins(xp, f, y) - log_scale))[:, None]

    def symbolic(self, f: list[sp.Symbol], y: Any) -> sp.Expr:
        return sp.exp(-y * f[0])

    def latex(self) -> str:
        return r"e^{-y f}"


@losses.register("logistic")
class Logistic(_Binary):
    """log(1 + e^{-y f})."""

    def log_terms(self, xp: Namespace, f: Outputs, y: Labels) -> PerSample:
        return _log_softplus(xp, -self.margins(xp, f, y))

    def level(self, xp: Namespace, log_loss: Array) -> Array | None:
        return _softplus_level(xp, log_loss)

    def dual(self, shares: Array) -> Array | None:
        return _entropy(shares).sum(axis=1) + _entropy(1.0 - shares.sum(axis=1))

    def pull(self, xp: Namespace, f: Outputs, y: Labels, log_scale: Scalar = 0.0) -> Outputs:
        return (y * xp.exp(_log_sigmoid(xp, -self.margins(xp, f, y)) - log_scale))[:, None]

    def symbolic(self, f: list[sp.Symbol], y: Any) -> sp.Expr:
        return sp.log(1 + sp.exp(-y * f[0]))

    def latex(self) -> str:
        return r"\log(1 + e^{-y f})"


def _entropy(shares: Array) -> Array:
    """-α log α, elementwise; minus infinity below zero."""
    positive = np.where(shares > 0, shares, 1.0)
    return np.where(shares < 0, -np.inf, -shares * np.log(positive))


def _log_sigmoid(xp: Namespace, z: Array) -> Array:
    return -xp.logaddexp(xp.zeros_like(z), -z)


def _log_softplus(xp: Namespace, z: Array) -> Array:
    """Log log(1 + e^z), for z far below zero too."""
    low = z < -_TAIL
    # Both branches are finite everywhere, so that the unused one sends no NaN back.
    near = xp.where(low, xp.zeros_like(z), z)
    far = xp.where(low, z, xp.full_like(z, -_TAIL))
    return xp.where(low, far - xp.exp(far) / 2.0, xp.log(xp.logaddexp(xp.zeros_like(near), near)))


def _softplus_level(xp: Namespace, log_loss: Array) -> Array:
    """-log(e^L - 1) from log L; the two tails keep their digits."""
    near = xp.exp(xp.minimum(log_loss, xp.full_like(log_loss, 3.0)))
    high = xp.exp(xp.maximum(log_loss, xp.full_like(log_loss, 3.0)))
    safe = xp.maximum(near, xp.full_like(near, 1e-300))
    low = log_loss + xp.log(xp.expm1(safe) / safe)
    return -xp.where(log_loss > 3.0, high + xp.log1p(-xp.exp(-high)), low)


@losses.register("square")
class Square(Loss):
    """|f - y|^2/2; for labels ±1 this is (1 - y f)^2/2."""

    labels = "targets"
    has_residual = True
    is_quadratic = True

    def residual(self, xp: Namespace, f: Outputs, y: Labels) -> Array:
        return f - (y if y.ndim == 2 else y[:, None])

    def terms(self, xp: Namespace, f: Outputs, y: Labels) -> PerSample:
        """ℓ of every sample, (N,); a loss of the same residual states its own."""
        return (self.residual(xp, f, y) ** 2).sum(axis=1) / 2.0

    def log_terms(self, xp: Namespace, f: Outputs, y: Labels) -> PerSample:
        terms = self.terms(xp, f, y)
        # A test that NaN passes: NaN is not an exact fit.
        safe = xp.where(terms == 0, xp.ones_like(terms), terms)
        return xp.where(terms == 0, xp.full_like(terms, -np.inf), xp.log(safe))

    def total(self, xp: Namespace, f: Outputs, y: Labels, reduction: str = "sum") -> Number:
        # Through logarithms a sample that is fitted exactly would lose its second derivative.
        return self.terms(xp, f, y).sum() / (f.shape[0] if reduction == "mean" else 1)

    def pull(self, xp: Namespace, f: Outputs, y: Labels, log_scale: Scalar = 0.0) -> Outputs:
        return -self.residual(xp, f, y) * xp.exp(-xp.asarray(log_scale))

    def margins(self, xp: Namespace, f: Outputs, y: Labels) -> PerSample:
        return -xp.abs(self.residual(xp, f, y)).max(axis=1)

    def symbolic(self, f: list[sp.Symbol], y: Any) -> sp.Expr:
        targets = list(y) if hasattr(y, "__len__") else [y] * len(f)
        return sp.Add(*((a - b) ** 2 for a, b in zip(f, targets, strict=True))) / 2

    def latex(self) -> str:
        return r"\tfrac12 \lVert f - y\rVert^2"


class _Classes(Loss):
    """A function of the differences f_y - f_j."""

    labels = "classes"

    def gaps(self, xp: Namespace, f: Outputs, y: Labels) -> tuple[Array, Array]:
        """f_j - f_y, (N, C), and the mask of the label's own column."""
        own = xp.arange(f.shape[1])[None, :] == y[:, None]
        return f - xp.where(own, f, xp.zeros_like(f)).sum(axis=1, keepdims=True), own

    def log_others(self, xp: Namespace, f: Outputs, y: Labels) -> Array:
        """Log Σ_{j≠y} e^{f_j - f_y}, (N,)."""
        gaps, own = self.gaps(xp, f, y)
        masked = xp.where(own, xp.full_like(gaps, -np.inf), gaps)
        top = masked.max(axis=1, keepdims=True)
        top = held(xp, top)
        terms = xp.where(own, xp.zeros_like(gaps), xp.exp(xp.where(own, xp.zeros_like(gaps), gaps - top)))
        return top[:, 0] + xp.log(terms.sum(axis=1))

    def margins(self, xp: Namespace, f: Outputs, y: Labels) -> PerSample:
        gaps, own = self.gaps(xp, f, y)
        return -xp.where(own, xp.full_like(gaps, -np.inf), gaps).max(axis=1)

    def toward(self, xp: Namespace, weights: Array, own: Array) -> Array:
        """Pull each wrong class down by its weight and the right one up by their sum."""
        return xp.where(own, weights.sum(axis=1, keepdims=True), -weights)


@losses.register("cross_entropy")
class CrossEntropy(_Classes):
    """-log softmax(f)_y."""

    def log_terms(self, xp: Namespace, f: Outputs, y: Labels) -> PerSample:
        return _log_softplus(xp, self.log_others(xp, f, y))

    def level(self, xp: Namespace, log_loss: Array) -> Array | None:
        return _softplus_level(xp, log_loss)

    def dual(self, shares: Array) -> Array | None:
        return _entropy(shares).sum(axis=1) + _entropy(1.0 - shares.sum(axis=1))

    def pull(self, xp: Namespace, f: Outputs, y: Labels, log_scale: Scalar = 0.0) -> Outputs:
        gaps, own = self.gaps(xp, f, y)
        # Softmax of the wrong classes; the right one gets their sum, not 1 - p, which would lose the tail.
        top = held(xp, xp.maximum(gaps.max(axis=1, keepdims=True), xp.zeros_like(gaps[:, :1])))
        log_total = top + xp.log(xp.exp(gaps - top).sum(axis=1, keepdims=True))
        return self.toward(xp, xp.where(own, xp.zeros_like(gaps), xp.exp(gaps - log_total - log_scale)), own)

    def symbolic(self, f: list[sp.Symbol], y: Any) -> sp.Expr:
        return sp.log(sp.Add(*(sp.exp(a) for a in f))) - f[int(y)]

    def latex(self) -> str:
        return r"-\log \frac{e^{f_y}}{\sum_j e^{f_j}}"


@losses.register("multiclass_exponential")
class MulticlassExponential(_Classes):
    """sum_{j != y} e^{-(f_y - f_j)}."""

    def log_terms(self, xp: Namespace, f: Outputs, y: Labels) -> PerSample:
        return self.log_others(xp, f, y)

    def level(self, xp: Namespace, log_loss: Array) -> Array | None:
        return -log_loss

    def dual(self, shares: Array) -> Array | None:
        return (shares + _entropy(shares)).sum(axis=1)

    def pull(self, xp: Namespace, f: Outputs, y: Labels, log_scale: Scalar = 0.0) -> Outputs:
        gaps, own = self.gaps(xp, f, y)
        return self.toward(
            xp, xp.where(own, xp.zeros_like(gaps), xp.exp(xp.where(own, xp.zeros_like(gaps), gaps - log_scale))), own
        )

    def symbolic(self, f: list[sp.Symbol], y: Any) -> sp.Expr:
        return sp.Add(*(sp.exp(f[j] - f[int(y)]) for j in range(len(f)) if j != int(y)))

    def latex(self) -> str:
        return r"\sum_{j\neq y} e^{-(f_y - f_j)}"


@losses.register("value")
class Value(Loss):
    """f, the output itself, which is to fall."""

    labels = "none"

    def log_terms(self, xp: Namespace, f: Outputs, y: Array) -> PerSample:
        # An objective below zero has no logarithm, which NaN says.
        with np.errstate(divide="ignore", invalid="ignore"):
            return xp.log(f[:, 0])

    def total(self, xp: Namespace, f: Outputs, y: Array, reduction: str = "sum") -> Number:
        return f.sum()

    def pull(self, xp: Namespace, f: Outputs, y: Array, log_scale: Scalar = 0.0) -> Outputs:
        return -xp.ones_like(f) * xp.exp(-xp.asarray(log_scale))

    def margins(self, xp: Namespace, f: Outputs, y: Array) -> PerSample:
        # There are no samples, so nothing has a margin.
        return xp.full_like(f[:, 0], np.nan)

    def symbolic(self, f: list[sp.Symbol], y: Any) -> sp.Expr:
        return sp.Add(*f)

    def latex(self) -> str:
        return "f"
