"""Types that annotations share: arrays with their shapes, weights by block, what JSON stores.

A shape is written as in jaxtyping: `n` samples, `d` inputs, `c` outputs, `p` weights in one row. Type checkers see the
array alone. With FLOWLAB_SHAPES=1 in the environment, `import flowlab` has beartype check kinds and shapes at every
call.
"""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType, NoneType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from jaxtyping import Float, Num

if TYPE_CHECKING:
    import jax
    import numpy as np
    from jaxtyping import PyTree
    from numpy.typing import ArrayLike as _NumpyLike

    Namespace: TypeAlias = ModuleType
    Array: TypeAlias = np.ndarray | jax.Array
    Scalar: TypeAlias = float | np.ndarray | jax.Array
    ArrayLike: TypeAlias = _NumpyLike | jax.Array
    Json: TypeAlias = str | int | float | bool | Sequence["Json"] | Mapping[str, "Json"] | None
else:
    # The classes of jax would load jax, so a value is known by what it has.
    class _Kind(type):
        libraries = ()

        def __instancecheck__(cls, value: object) -> bool:
            made = all(hasattr(value, name) for name in cls.names) or isinstance(value, cls.others)
            return made or type(value).__module__.split(".")[0] in cls.libraries

    class Array(metaclass=_Kind):
        """An array of numpy or jax, or one that jax traces; at component depth, the sum of an array of symbols."""

        names, others, libraries = ("shape", "dtype"), (), ("sympy",)

    class Scalar(metaclass=_Kind):
        """A number, or an array of one."""

        names, others = Array.names, (int, float)

    class ArrayLike(metaclass=_Kind):
        """What numpy makes an array of."""

        names, others = Array.names, (int, float, list, tuple)

    class Namespace(metaclass=_Kind):
        """Where the functions of arrays come from: numpy, jax.numpy, or what stands in for them on symbols."""

        names, others = ("exp", "sqrt"), ()

    class PyTree(metaclass=_Kind):
        """Arrays in containers that jax knows, of any form."""

        names, others = (), ()

    class Json(metaclass=_Kind):
        """What JSON stores."""

        names, others = ("__json__",), (str, int, float, bool, Sequence, Mapping, NoneType)


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that beartype holds against its annotations; an int is a float there, as for type checkers."""
    from beartype import BeartypeConf, beartype

    return beartype(conf=BeartypeConf(is_pep484_tower=True))(function)


@runtime_checkable
class Samples(Protocol):
    """Inputs (n, d) and labels of samples, as `Data` and batches of it have them."""

    @property
    def x(self) -> Array: ...

    @property
    def y(self) -> Array: ...


Blocks: TypeAlias = Mapping[str, Array]
"""Arrays by name of their weight block."""
Pieces: TypeAlias = Sequence[Array | Callable[[Array], Array] | None]
"""What is used in place of each kink: its slopes, a function of the pre-activation, or the activation itself (None)."""
Coordinates: TypeAlias = PyTree
"""What is integrated: (ρ, V) in polar coordinates, the blocks W in weight coordinates;
a clock may put its own beside them.
"""
Params: TypeAlias = tuple[Any, ...]
"""What an operation is one of a family by: names, numbers, shapes."""
Record: TypeAlias = dict[str, Any]
"""An object of JSON, to be read."""

Inputs: TypeAlias = Float[Array, "n d"]
Outputs: TypeAlias = Float[Array, "n c"]
Labels: TypeAlias = Num[Array, "n"] | Float[Array, "n c"]
PerSample: TypeAlias = Float[Array, "n"]
Number: TypeAlias = Float[Array, ""]
Row: TypeAlias = Float[Array, "p"]
