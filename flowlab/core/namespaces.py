"""Array namespaces: whether one is jax, and what differs there."""

from typing import Any

from flowlab.core.typing import Array, Namespace


class _Traced:
    """The functions of jax.numpy, for programs that are written down and not compiled: a sum over windows stays one.

    Its name is another one, so that words take the way that is the same for every library of arrays.
    """

    __name__ = "traced"

    def __getattr__(self, name: str) -> Any:
        import jax.numpy as jnp

        return getattr(jnp, name)


TRACED = _Traced()
"""What words get in place of numpy where the primitives that they are made of are read off."""


def writes(xp: Namespace) -> bool:
    """Whether arrays of a namespace can be written into; those of jax and traced ones cannot."""
    return xp.__name__ not in ("jax.numpy", "traced")


def is_jax(xp: Namespace) -> bool:
    """Whether arrays of a namespace are traced and compiled."""
    return xp.__name__ == "jax.numpy"


def held(xp: Namespace, value: Array) -> Array:
    """A shift that cancels, so that nothing is differentiated through it."""
    if not is_jax(xp):
        return value
    from jax import lax

    return lax.stop_gradient(value)
