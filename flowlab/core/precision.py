"""float64 is demanded where numbers begin, and never switched on behind the user's back."""

from flowlab.core.errors import PrecisionTooLow
from flowlab.core.programs import release_programs


def require_x64(where: str) -> None:
    """Refuse to go on in float32. Every verb that computes asks this first, so compiled programs are counted here too.

    Raises:
        PrecisionTooLow: with the line to add.
    """
    import jax

    if not jax.config.read("jax_enable_x64"):
        raise PrecisionTooLow(
            f"`{where}` needs float64 but jax computes in float32; "
            'add `jax.config.update("jax_enable_x64", True)` before the first array is made.'
        )
    release_programs()
