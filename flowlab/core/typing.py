"""Types that annotations share: arrays with their shapes, weights by block, records that JSON stores.

A shape is written as in jaxtyping: `n` samples, `d` inputs, `c` outputs, `p` weights in one row; `...` is any number of axes.
Type checkers see the array alone. With FLOWLAB_SHAPES=1 in the environment, `import flowlab` checks shapes at every call, by beartype.
"""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from jaxtyping import Float, Num

if TYPE_CHECKING:
    import jax
    import numpy as np
    from jaxtyping import PyTree

    Array: TypeAlias = np.ndarray | jax.Array
    Scalar: TypeAlias = float | np.ndarray | jax.Array
else:
    # jaxtyping reads shape and dtype off the value; the classes of jax would load jax.
    Array = Any
    Scalar = Any
    PyTree = Any

Pieces: TypeAlias = Sequence[Array | Callable[[Array], Array] | None]
"""What is used in place of each kink: its slopes, a function of the pre-activation, or the activation itself (None)."""
Namespace: TypeAlias = ModuleType
"""Where the functions of arrays come from: numpy or jax.numpy."""
Blocks: TypeAlias = Mapping[str, Array]
"""Arrays by name of their weight block."""
Record: TypeAlias = dict[str, Any]
"""An object of JSON."""
Coordinates: TypeAlias = PyTree
"""What is integrated: (ρ, V) in polar coordinates, the blocks W in weight coordinates; a clock may put its own beside them."""

Samples: TypeAlias = Float[Array, "n d"]
Labels: TypeAlias = Num[Array, "n"] | Float[Array, "n c"]
Outputs: TypeAlias = Float[Array, "n c"]
PerSample: TypeAlias = Float[Array, "n"]
Row: TypeAlias = Float[Array, "p"]
