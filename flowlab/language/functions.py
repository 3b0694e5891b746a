"""Function words for expressions written with Python operators: `W2 @ relu(W1 @ x)`."""

from flowlab.language.activations import activations
from flowlab.language.exact_numbers import Number
from flowlab.language.expr import Expr
from flowlab.language.operations import function_words, is_function, operations
from flowlab.language.parser import apply, maximum

__all__ = ["Word", "maximum"]


class Word:
    """A function word: applied to an expression it gives an expression."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.__doc__ = (activations if name in activations else operations)[name].__doc__ or ""

    def __call__(self, z: Expr, *numbers: Number) -> Expr:
        return apply(self.name, z, *numbers)

    def __repr__(self) -> str:
        return f"flowlab.{self.name}"


def names() -> tuple[str, ...]:
    """All function words, sorted: the registered activations, and the operations that are written as functions."""
    return function_words()


def __getattr__(name: str) -> Word:
    # Every registered word is one from then on; adding one touches its own file alone.
    if is_function(name):
        return Word(name)
    raise AttributeError(f"`{name}` is not a function word")
