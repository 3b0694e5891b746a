"""Values whose slope is declared rather than derived: surrogates of what jumps, and values that are held."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from flowlab.core.typing import Array, Namespace, Params
from flowlab.language.input_facts import AsFunction
from flowlab.language.operations.base import (
    Channel,
    Exponents,
    Handle,
    Operation,
    Sign,
    Tape,
    operations,
)
from flowlab.language.types import Shapes, Type

_REASON = "its slope is not that of its value, so Euler's identity does not hold"


class Surrogate(Operation):
    """An operation with the value of its first operand and a slope of its own."""

    called = True
    inlined = True
    own_slope = True

    def degree(self, exps: Exponents, args: Sequence[Any], params: Params) -> Any:
        for arg in args:
            exps.require_zero(arg, _REASON)
        return exps.zero()

    def polynomial_degree(self, parts: Sequence[int], params: Params) -> int | None:
        return parts[0]

    def as_function(self, parts: Sequence[AsFunction], params: Params) -> AsFunction:
        return parts[0]

    def channels(self, args: Sequence[Type], params: Params) -> tuple[Channel, ...]:
        return ()

    def signs(self, args: Sequence[Sign], params: Params) -> Sign:
        return args[0]


@operations.register("coarse")
class Coarse(Surrogate):
    """The value of its first operand with the slope of its second: `coarse(step(z), relu(z))` steps, and is
    differentiated as a ReLU is.

    Both must have one shape. `fl.coarse(fl.step, fl.relu)(z)` is the same in Python, `coarse(step, relu)(z)` in text.
    A flow through it is no gradient flow (Yin et al. 2019, "straight-through estimator").

    Examples:
        >>> net = fl.Network("a @ coarse(step, relu)(W @ x)")
        >>> net.outputs({"W": np.eye(2), "a": np.ones(2)}, np.array([[-1.0, 2.0]])).tolist()
        [[1.0]]
        >>> net.is_gradient
        False
    """

    operands = (2, 2)
    alike = True

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        a, b = args
        what = f"`{told}` needs a value and a slope of one shape"
        if a.sampled != b.sampled:
            shapes.clash(a, b, what, operands)
        shapes.match(a, b, what, operands)
        return a

    def reaches(self, args: Sequence[Sign], params: Params) -> list[bool]:
        return [False, True]

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        if xp.__name__ == "numpy":
            return args[0]
        return _substituted()(*args)

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: Params) -> Any:
        return args[0]

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        return [None, cot]


@operations.register("stop")
class Stop(Surrogate):
    """The value of its operand, without a slope: what it is made of is held.

    Examples:
        >>> net = fl.Network("stop(W @ x) * (W @ x)")
        >>> np.asarray(net.outputs({"W": np.eye(3)}, np.array([[-1.0, 0.0, 2.0]]))).round(4).tolist()
        [[1.0, 0.0, 4.0]]
    """

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return args[0]

    def reaches(self, args: Sequence[Sign], params: Params) -> list[bool]:
        return [False]

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        if xp.__name__ == "numpy":
            return args[0]
        from jax.lax import stop_gradient

        return stop_gradient(args[0])

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: Params) -> Any:
        return args[0]

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        return [None]


@cache
def _substituted() -> Callable[[Array, Array], Array]:
    """A value with the slope of another, as jax has it: this is what certificates hold pull-backs against."""
    import jax

    made = jax.custom_jvp(lambda value, _: value)
    made.defjvp(lambda primals, tangents: (primals[0], tangents[1]))
    return made
