"""Function words for expressions written with Python operators: `W2 @ relu(W1 @ x)`."""

from collections.abc import Callable
from typing import overload

from flowlab.core.errors import LanguageError
from flowlab.language import composed as _composed
from flowlab.language import penalties as _penalties
from flowlab.language.activations import activations
from flowlab.language.calls import Argument, apply
from flowlab.language.expr import Expr
from flowlab.language.operations import function_words, is_function, operations
from flowlab.language.operations.base import Option, composed

_REGISTERS = (_composed, _penalties)


class Word:
    """A function word: applied to expressions it gives an expression, applied to words a function of expressions, so
    that `coarse(step, relu)(z)` is `coarse(step(z), relu(z))`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        known = activations if name in activations else composed if name in composed else operations
        self.__doc__ = known[name].__doc__ or ""

    @overload
    def __call__(self, *arguments: "Word") -> "Composite": ...
    @overload
    def __call__(self, *arguments: Argument, **options: Option | float) -> Expr: ...
    def __call__(self, *arguments: "Argument | Word", **options: Option | float) -> "Expr | Composite":
        words = [word for word in arguments if isinstance(word, Word)]
        if words and len(words) == len(arguments) and not options:
            return lambda *parts: self(*(word(*parts) for word in words))
        plain = [part for part in arguments if not isinstance(part, Word)]
        if words:
            told = f"`{self.name}` must be called with expressions or with functions, got both"
            raise LanguageError(f"{told}; write `{words[0].name}(z)` for `{words[0].name}`.")
        return apply(self.name, *plain, **options)

    def __repr__(self) -> str:
        return f"flowlab.{self.name}"


Composite = Callable[..., Expr]
"""A function of expressions that words make of one another."""


def names() -> tuple[str, ...]:
    """All function words, sorted: activations, operations that are written as functions, and what is composed of
    them.
    """
    return function_words()


def __getattr__(name: str) -> Word:
    # Every registered word is one from then on; adding one touches its own file alone.
    if is_function(name):
        return Word(name)
    raise AttributeError(f"`{name}` is not a function word")
