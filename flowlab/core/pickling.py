"""Results between processes in memory, by pickle: arrays of jax go as those of numpy, and arrive with all their digits.

jax itself reads an array of float64 as one of float32 where float64 is off, and says nothing. Nothing that is stored is
a pickle.
"""

import dataclasses
from typing import Any

import numpy as np

from flowlab.core.precision import require_x64
from flowlab.core.typing import Record


def sent(self: Any) -> Record:
    """What is pickled of a module: its fields, those with arrays as arrays of numpy."""
    import jax

    def plain(leaf: Any) -> Any:
        return np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf

    return {name: jax.tree.map(plain, value) if name in _dynamic(self) else value for name, value in vars(self).items()}


def received(self: Any, state: Record) -> None:
    """Fill a module with what was pickled of it.

    Raises:
        PrecisionTooLow: in a process without float64.
    """
    import jax
    import jax.numpy as jnp

    require_x64(type(self).__name__)

    def back(leaf: Any) -> Any:
        return jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf

    for name, value in state.items():
        object.__setattr__(self, name, jax.tree.map(back, value) if name in _dynamic(self) else value)


def fields_only(self: Any) -> Record:
    """What is pickled of a dataclass whose cached properties hold compiled functions, which stay where they are."""
    return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}


def _dynamic(module: Any) -> set[str]:
    return {f.name for f in dataclasses.fields(module) if not f.metadata.get("static", False)}
