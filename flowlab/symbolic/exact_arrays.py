"""Programs on arrays of symbols or exact numbers: the part of an array namespace that operations need there."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, cast

import numpy as np
import sympy as sp

from flowlab.core.errors import MissingRule
from flowlab.core.typing import Namespace
from flowlab.language.operations import operations
from flowlab.symbolic.program import Program

AS_NUMPY = frozenset(("arange", "broadcast_to", "concatenate", "einsum", "pad", "stack", "zeros", "zeros_like"))
"""Functions of numpy that move entries, multiply them and add them up, whatever entries are."""


class SymbolArrays:
    """The part of an array namespace that operations need, on object arrays of SymPy expressions."""

    __name__ = "sympy"
    inf = sp.oo
    sqrt = staticmethod(np.vectorize(sp.sqrt, otypes=[object]))
    exp = staticmethod(np.vectorize(sp.exp, otypes=[object]))

    @staticmethod
    def ones(shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:  # noqa: ARG004 (the signature of numpy.ones)
        """Exact ones."""
        return np.full(shape, sp.Integer(1), dtype=object)

    @staticmethod
    def exact(number: Fraction) -> sp.Expr:
        """A fraction without roundings."""
        return sp.Rational(number.numerator, number.denominator)

    def where(self, places: np.ndarray, these: Any, others: Any) -> np.ndarray:
        """A choice by places; symbols have no values to choose by."""
        if places.dtype != bool:
            return self.__getattr__("where")(places, these, others)
        return np.where(places, these, others)

    def __getattr__(self, name: str) -> Any:
        if name in AS_NUMPY:
            return getattr(np, name)
        told = f"the function `{name}` has no symbolic meaning at component depth"
        raise MissingRule(f"{told}; define `symbolic` on the class of the operation.")


SYMBOLIC = SymbolArrays()
"""What operations get in place of numpy to be written out in symbols."""


def evaluate(program: Program, given: Mapping[tuple[str, str], np.ndarray], xp: SymbolArrays) -> list[Any]:
    """The value of every line on arrays of exact numbers or symbols, by what operations mean there."""
    env: list[Any] = []
    for value in program.values:
        if value.given is not None:
            env.append(given[value.given, value.params[0]])
            continue
        args = [np.asarray(env[i], dtype=object) for i in value.args]
        types = [program.values[i].type for i in value.args]
        env.append(operations[value.op]().symbolic(cast(Namespace, xp), args, types, value.type, value.params))
    return env
