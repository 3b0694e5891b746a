"""Functions of expressions that are composed of other words; a new one is a function in this file or a user's own."""

from fractions import Fraction

from flowlab.core.errors import LanguageError
from flowlab.language.calls import apply
from flowlab.language.expr import Expr, alike, eye
from flowlab.language.operations.base import Option, composed, operations

BY_ROUNDING = 0.0
"""What a normalisation adds to a mean square where nothing else is said: nothing, so that scales drop out exactly."""


@composed.register("maximum")
def maximum(*parts: Expr) -> Expr:
    """The entrywise largest of several expressions, as a maxout unit or max-pooling has it (Goodfellow et al. 2013).

    It is written with the words there are, max(a, b) = b + relu(a - b), one after another; where two are equal the
    slope is the later one's.

    Raises:
        LanguageError: for fewer than two expressions, or what is none.

    Examples:
        >>> net = fl.Network("maximum(W @ x, x**2)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[1.0, 0.0, 4.0]]
    """
    if len(parts) < 2:
        raise LanguageError("`maximum` compares expressions, got one; write for example `maximum(W1 @ x, W2 @ x)`.")
    largest = parts[0]
    for part in parts[1:]:
        largest = part + Expr("activation", (largest - part,), ("relu",))
    return largest


@composed.register("max_pool")
def max_pool(z: Expr, size: int, stride: int | None = None, axes: int = 1) -> Expr:
    """The largest entry of every window of `size` positions along the last axis, or the last two with `axes=2`.

    Windows follow one another unless `stride` says otherwise; what does not fill a window at the end is left out. The
    kinks where two entries are equal are followed as those of `maximum`.

    Examples:
        >>> net = fl.Network("max_pool(W @ x, 2)")
        >>> np.asarray(net.outputs({"W": np.eye(4)}, np.array([[-1.0, 1.0, 2.0, 4.0]]))).round(4).tolist()
        [[1.0, 4.0]]
    """
    width, step, over = _count("max_pool", "size", size), _count("max_pool", "stride", stride or size), axes
    if over not in (1, 2):
        raise LanguageError(f"`max_pool` must go over 1 or 2 axes, got {over}; leave `axes` out for one.")
    if width == 1:
        return apply("window", z, 0, 1, step, over)
    return maximum(*(apply("window", z, place, width, step, over) for place in range(width ** int(over))))


@composed.register("avg_pool")
def avg_pool(z: Expr, size: int, stride: int | None = None, axes: int = 1) -> Expr:
    """The mean of every window of `size` positions along the last axis, or the last two with `axes=2`.

    Windows follow one another unless `stride` says otherwise; what does not fill a window at the end is left out.

    Examples:
        >>> net = fl.Network("avg_pool(W @ x, 2)")
        >>> np.asarray(net.outputs({"W": np.eye(4)}, np.array([[-1.0, 1.0, 2.0, 4.0]]))).round(4).tolist()
        [[0.0, 3.0]]
    """
    width, step = _count("avg_pool", "size", size), _count("avg_pool", "stride", stride or size)
    if axes not in (1, 2):
        raise LanguageError(f"`avg_pool` must go over 1 or 2 axes, got {axes}; leave `axes` out for one.")
    made = apply("window", z, 0, width, step, axes)
    for place in range(1, width ** int(axes)):
        made = made + apply("window", z, place, width, step, axes)
    return made / width ** int(axes)


@composed.register("sqrt")
def sqrt(z: Expr) -> Expr:
    """The square root of what is never negative, entrywise; its slope at 0 is not finite.

    Examples:
        >>> net = fl.Network("sqrt(relu(W @ x))")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 4.0, 9.0]]))).round(4).tolist()
        [[0.0, 2.0, 3.0]]
    """
    return z ** Fraction(1, 2)


@composed.register("reciprocal")
def reciprocal(z: Expr) -> Expr:
    """1 / z entrywise.

    Examples:
        >>> net = fl.Network("reciprocal(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 4.0, 2.0]]))).round(4).tolist()
        [[-1.0, 0.25, 0.5]]
    """
    return z**-1


@composed.register("layer_norm")
def layer_norm(z: Expr, eps: float = BY_ROUNDING) -> Expr:
    """Every vector along the last axis with mean 0 and mean square 1 (Ba, Kiros and Hinton 2016).

    Examples:
        >>> net = fl.Network("layer_norm(W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[-1.069, -0.2673, 1.3363]]
    """
    return apply("rms_norm", apply("center", z), -1, eps)


@composed.register("batch_norm")
def batch_norm(z: Expr, eps: float = BY_ROUNDING) -> Expr:
    """Every feature with mean 0 and mean square 1 over the samples (Ioffe and Szegedy 2015).

    Examples:
        >>> net = fl.Network("batch_norm(W @ x)")
        >>> net.outputs({"W": np.eye(1)}, np.array([[1.0], [3.0]])).tolist()
        [[-1.0], [1.0]]
    """
    return apply("rms_norm", apply("center", z, "samples"), "samples", eps)


@composed.register("group_norm")
def group_norm(z: Expr, groups: int, eps: float = BY_ROUNDING) -> Expr:
    """A vector whose groups of neighbouring entries have mean 0 and mean square 1 each (Wu and He 2018).

    Examples:
        >>> net = fl.Network("group_norm(W @ x, 2)")
        >>> np.asarray(net.outputs({"W": np.eye(4)}, np.array([[-1.0, 1.0, 2.0, 4.0]]))).round(4).tolist()
        [[-1.0, 1.0, -1.0, 1.0]]
    """
    return apply("flatten", layer_norm(apply("split", z, _count("group_norm", "groups", groups)), eps))


@composed.register("outer")
def outer(a: Expr, b: Expr) -> Expr:
    """The matrix a b^T of two vectors.

    Examples:
        >>> net = fl.Network("x @ (outer(a, b) @ x)")
        >>> net.outputs({"a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0])}, np.array([[1.0, 1.0]])).tolist()
        [[21.0]]
    """
    return apply("einsum", "i,j->ij", a, b)


@composed.register("bures")
def bures(A: Expr, B: Expr) -> Expr:
    """The squared Bures-Wasserstein distance of two covariances: trace A + trace B - 2 trace (B^1/2 A B^1/2)^1/2.

    Where A is written as `P @ P.T`, its last term is the nuclear norm of B^1/2 P, which has a gradient at rank loss
    too (Brechet, Papagiannouli, An and Montufar 2023).

    Examples:
        >>> P, S0 = fl.weight("P"), fl.constant("S0")
        >>> net = fl.Network(fl.bures(P @ P.T, S0))
        >>> float(net.outputs({"P": np.diag([1.0, 2.0])}, {"S0": np.eye(2)}).ravel()[0])
        1.0
    """
    R, P = apply("root", B), square_of(A)
    common = apply("trace", apply("root", R @ A @ R)) if P is None else apply("nuclear", R @ P)
    return apply("trace", A) + apply("trace", B) - 2 * common


@composed.register("frobenius")
def frobenius(A: Expr, B: Expr) -> Expr:
    """The squared Frobenius distance of two matrices, |A - B|^2.

    Examples:
        >>> P, S0 = fl.weight("P"), fl.constant("S0")
        >>> net = fl.Network(fl.frobenius(P @ P.T, S0))
        >>> float(net.outputs({"P": np.diag([1.0, 2.0])}, {"S0": np.eye(2)}).ravel()[0])
        9.0
    """
    gap = A - B
    return apply("trace", gap @ gap.T)


@composed.register("kullback_leibler")
def kullback_leibler(A: Expr, B: Expr) -> Expr:
    """The Kullback-Leibler divergence of the normal law with covariance A from that with covariance B, both centred.

    Examples:
        >>> P, S0 = fl.weight("P"), fl.constant("S0")
        >>> net = fl.Network(fl.kullback_leibler(P @ P.T, S0))
        >>> round(float(net.outputs({"P": np.eye(2)}, {"S0": np.eye(2)}).ravel()[0]), 6)
        0.0
    """
    gap = apply("trace", apply("inverse", B) @ A - eye)
    return (gap + apply("logdet", B) - apply("logdet", A)) / 2


def square_of(A: Expr) -> Expr | None:
    """P where a matrix is written as `P @ P.T`; None where it is not."""
    if not A.args or not operations[A.op].composes:
        return None
    P, Q = A.args
    return P if Q.args and operations[Q.op].turns and alike(P, Q.args[0]) else None


def _count(word: str, name: str, value: Option | float) -> int:
    if value is None or isinstance(value, str) or int(value) != value or value < 1:
        raise LanguageError(f"`{name}` of `{word}` must be an integer from 1 on, got {value}; write for example 2.")
    return int(value)
