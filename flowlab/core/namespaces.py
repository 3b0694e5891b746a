"""Array namespaces: whether one is jax, and what differs there."""

from flowlab.core.typing import Array, Namespace


def is_jax(xp: Namespace) -> bool:
    """Whether arrays of a namespace are traced and compiled."""
    return xp.__name__ == "jax.numpy"


def held(xp: Namespace, value: Array) -> Array:
    """A shift that cancels, so that nothing is differentiated through it."""
    if not is_jax(xp):
        return value
    from jax import lax

    return lax.stop_gradient(value)
