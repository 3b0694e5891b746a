"""Types that annotations share: arrays with their shapes, weights by block, what JSON stores.

A shape is written as in jaxtyping: `n` samples, `d` inputs, `c` outputs. Type checkers see the
array alone. With FLOWLAB_SHAPES=1 in the environment, `import flowlab` has beartype check kinds and shapes at every
call.
"""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from jaxtyping import Float, Num


class Kind(type):
    """The class of names that stand for values of other classes: `holds` says which, and by default all."""

    def __instancecheck__(cls, value: object) -> bool:
        return cls.holds(value)

    @staticmethod
    def holds(_: object) -> bool:
        """Whether a value is of the kind."""
        return True


def _is_array(value: object) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


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
    class Array(metaclass=Kind):
        """An array of numpy or jax, or one that jax traces; at component depth, the sum of an array of symbols."""

        @staticmethod
        def holds(value: object) -> bool:
            return _is_array(value) or type(value).__module__.startswith("sympy.")

    class Scalar(metaclass=Kind):
        """A number, or an array of one; where equations are derived, a number of sympy."""

        @staticmethod
        def holds(value: object) -> bool:
            return _is_array(value) or isinstance(value, int | float) or type(value).__module__.startswith("sympy.")

    class ArrayLike(metaclass=Kind):
        """What numpy makes an array of."""

        @staticmethod
        def holds(value: object) -> bool:
            return _is_array(value) or isinstance(value, int | float | list | tuple)

    class Namespace(metaclass=Kind):
        """Where the functions of arrays come from: numpy, jax.numpy, or what stands in for them on symbols."""

        @staticmethod
        def holds(value: object) -> bool:
            return hasattr(value, "exp") and hasattr(value, "sqrt")

    class PyTree(metaclass=Kind):
        """Arrays in containers that jax knows, of any form."""

    class Json(metaclass=Kind):
        """What JSON stores."""

        @staticmethod
        def holds(value: object) -> bool:
            return isinstance(value, str | int | float | Sequence | Mapping | None)


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that beartype holds against its annotations; an int is a float there, as for type checkers."""
    from beartype import BeartypeConf, beartype

    return beartype(conf=BeartypeConf(is_pep484_tower=True))(function)


@runtime_checkable
class Samples(Protocol):
    """Inputs and labels of samples, as `Data` and batches of it have them."""

    @property
    def inputs(self) -> "Given": ...

    @property
    def y(self) -> Array: ...


Given: TypeAlias = Array | Mapping[str, Array]
"""What the data give: the only input (n, d), or inputs (n, ...) and constants by name."""
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

Outputs: TypeAlias = Float[Array, "n c"]
Labels: TypeAlias = Num[Array, "n"] | Float[Array, "n c"]
PerSample: TypeAlias = Float[Array, "n"]
Number: TypeAlias = Float[Array, ""]
