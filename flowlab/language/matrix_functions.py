"""Functions of symmetric matrices and of singular values, in numpy and in jax, where they can be differentiated again.

In jax a derivative is the solution of a linear equation, and not a derivative of eigenvectors: that one is infinite
where two eigenvalues meet, though the function has none of it.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from flowlab.core.namespaces import writes
from flowlab.core.typing import Array, Namespace

RANK = 1e-10
"""Part of the largest singular value up to which one counts as zero: what roundings leave of it stays far below in the
thousands of steps of a run.
"""


def root(xp: Namespace, A: Array) -> Array:
    """The positive semidefinite root R of a symmetric matrix, R R = A; negative eigenvalues count as zero."""
    return _of_jax()["root"](A) if not writes(xp) else _root(np, A)


def lyapunov(xp: Namespace, R: Array, D: Array) -> Array:
    """The solution X of R X + X R = D for a symmetric positive definite R."""
    return _of_jax()["lyapunov"](R, D) if not writes(xp) else _lyapunov(np, R, D)


def nuclear(xp: Namespace, A: Array) -> Array:
    """The sum of the singular values."""
    return _of_jax()["nuclear"](A) if not writes(xp) else np.linalg.svd(A, compute_uv=False).sum(axis=-1)


def polar(xp: Namespace, A: Array) -> Array:
    """The compact polar factor U V^T of A = U S V^T, over the singular values that are not zero."""
    return _of_jax()["polar"](A) if not writes(xp) else _polar(np, A)[0]


def logdet(xp: Namespace, A: Array) -> Array:
    """The logarithm of the determinant; NaN where that is negative."""
    sign, size = xp.linalg.slogdet(A)
    return xp.where(sign > 0, size, xp.nan)


def _turned(A: Array) -> Array:
    return A.swapaxes(-1, -2)


def _spectrum(xp: Namespace, A: Array) -> tuple[Array, Array]:
    return xp.linalg.eigh(0.5 * (A + _turned(A)))


def _root(xp: Namespace, A: Array) -> Array:
    values, U = _spectrum(xp, A)
    return (U * xp.sqrt(xp.maximum(values, 0.0))[..., None, :]) @ _turned(U)


def _lyapunov(xp: Namespace, R: Array, D: Array) -> Array:
    values, U = _spectrum(xp, R)
    return U @ ((_turned(U) @ D @ U) / (values[..., :, None] + values[..., None, :])) @ _turned(U)


def _polar(xp: Namespace, A: Array) -> tuple[Array, Array, Array, Array, Array]:
    """The factor, U, the singular values, which of them are not zero, and V^T."""
    U, s, Vt = xp.linalg.svd(A, full_matrices=False)
    kept = s > RANK * s.max(axis=-1, keepdims=True)
    return (U * kept[..., None, :]) @ Vt, U, s, kept, Vt


def _polar_slope(xp: Namespace, A: Array, dA: Array) -> Array:
    """The derivative of the polar factor along changes that keep the rank."""
    _, U, s, kept, Vt = _polar(xp, A)
    inverse = xp.where(kept, 1.0 / xp.where(kept, s, 1.0), 0.0)
    both = kept[..., :, None] & kept[..., None, :]
    sums = xp.where(both, s[..., :, None] + s[..., None, :], 1.0)
    inside = _turned(U) @ dA @ _turned(Vt)
    turning = xp.where(both, (inside - _turned(inside)) / sums, 0.0)
    own, far = (U * kept[..., None, :]) @ _turned(U), (_turned(Vt) * kept[..., None, :]) @ Vt
    left, right = xp.eye(A.shape[-2]) - own, xp.eye(A.shape[-1]) - far
    # What leaves the column space, what leaves the row space, and what turns within both.
    return (
        U @ turning @ Vt
        + left @ dA @ (_turned(Vt) * inverse[..., None, :]) @ Vt
        + (U * inverse[..., None, :]) @ _turned(U) @ dA @ right
    )


@cache
def _of_jax() -> dict[str, Callable[..., Any]]:
    """The functions for compiled programs, with their derivatives."""
    import jax
    import jax.numpy as jnp

    @jax.custom_jvp
    def lyapunov(R: Array, D: Array) -> Array:
        return _lyapunov(jnp, R, D)

    @lyapunov.defjvp
    def _(at: tuple[Array, Array], move: tuple[Array, Array]) -> tuple[Array, Array]:
        (R, D), (dR, dD) = at, move
        X = lyapunov(R, D)
        return X, lyapunov(R, dD - dR @ X - X @ dR)

    @jax.custom_jvp
    def root(A: Array) -> Array:
        return _root(jnp, A)

    @root.defjvp
    def _(at: tuple[Array], move: tuple[Array]) -> tuple[Array, Array]:
        R = root(at[0])
        return R, lyapunov(R, move[0])

    @jax.custom_jvp
    def polar(A: Array) -> Array:
        return _polar(jnp, A)[0]

    @polar.defjvp
    def _(at: tuple[Array], move: tuple[Array]) -> tuple[Array, Array]:
        return polar(at[0]), _polar_slope(jnp, at[0], move[0])

    @jax.custom_jvp
    def nuclear(A: Array) -> Array:
        return jnp.linalg.svd(A, compute_uv=False).sum(axis=-1)

    @nuclear.defjvp
    def _(at: tuple[Array], move: tuple[Array]) -> tuple[Array, Array]:
        return nuclear(at[0]), (polar(at[0]) * move[0]).sum(axis=(-1, -2))

    return {"root": root, "lyapunov": lyapunov, "polar": polar, "nuclear": nuclear}
