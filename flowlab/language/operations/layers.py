"""How a force on a covariance moves it where it is P P^T of a balanced product P: the word of end-to-end flows."""

from collections.abc import Sequence

from flowlab.core.typing import Array, Namespace, Params
from flowlab.language.operations.base import Operation, operations
from flowlab.language.types import Shapes, Type


def layer_squares(xp: Namespace, s: Array, depth: int, imbalance: float) -> Array:
    """The squares q_1 … q_N of the singular values of the layers, from those of their product; (N, n) from (n,).

    They have the product s and the steps q_{l+1} - q_l = c, which is zero or belongs to two layers.
    """
    s = xp.maximum(s, 0.0)
    if depth == 2 and imbalance:
        middle = xp.sqrt(0.25 * imbalance**2 + s)
        return xp.stack([middle - 0.5 * imbalance, middle + 0.5 * imbalance])
    return xp.broadcast_to(s ** (1.0 / depth), (depth, *s.shape))


@operations.register("through_layers")
class ThroughLayers(Operation):
    """Σ_j L_j B R_j S and its transpose, with functions L_j and R_j of the first operand S: the products of the squares
    of the layers above j and below it.
    """

    in_language = False
    reading = (
        "through_layers(S, B, N, c) is sum_{j=1..N} L_j @ B @ R_j @ S and its transpose, where L_j is the product of"
        " Q_l over l > j and R_j that over l < j, and the symmetric functions Q_1 … Q_N of S have the product S and the"
        " steps Q_{l+1} - Q_l = c I",
        r"$\operatorname{through\_layers}(S, B, N, c)$ is $\sum_{j=1}^N L_j B R_j S$ and its transpose, where $L_j$ is"
        r" the product of $Q_l$ over $l > j$ and $R_j$ that over $l < j$, and the symmetric functions $Q_1, \dots, Q_N$"
        r" of $S$ have the product $S$ and the steps $Q_{l+1} - Q_l = c\, \mathbf I$",
    )

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return Type(args[0].shape)

    def is_symmetric(self, args: Sequence[Type]) -> bool:
        return all(kind.symmetric for kind in args)

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return through_layers(xp, args[0], args[1], int(params[0]), float(params[1]))


def through_layers(xp: Namespace, S: Array, B: Array, depth: int, imbalance: float) -> Array:
    """`ThroughLayers` of a symmetric positive semidefinite S and a symmetric B, (n, n) each."""
    if depth == 1:
        return B @ S + S @ B
    values, U = xp.linalg.eigh(0.5 * (S + S.T))
    q = layer_squares(xp, values, depth, imbalance)
    # One operation for all layers: a program that names each of them takes as long to compile as it has layers.
    one = xp.ones_like(q[:1])
    below = xp.concatenate([one, xp.cumprod(q[:-1], axis=0)])
    above = xp.concatenate([one, xp.cumprod(q[:0:-1], axis=0)])[::-1]
    kernel = above.T @ (below * values)
    return U @ ((kernel + kernel.T) * (U.T @ B @ U)) @ U.T
