"""Function words for expressions written with Python operators: `W2 @ relu(W1 @ x)`."""

from flowlab.language.activations import activations
from flowlab.language.expr import FEATURES, Expr, Number
from flowlab.language.parser import apply, maximum

__all__ = ["Word", "maximum"]


class Word:
    """A function word: applied to an expression it gives an expression."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.__doc__ = (activations[name].__doc__ or "") if name in activations else f"The {name} over features."

    def __call__(self, z: Expr, *numbers: Number) -> Expr:
        return apply(self.name, z, *numbers)

    def __repr__(self) -> str:
        return f"flowlab.{self.name}"


def names() -> tuple[str, ...]:
    """All function words, sorted: what is registered as an activation, and what acts over features."""
    return tuple(sorted({*activations.names(), *FEATURES}))


def __getattr__(name: str) -> Word:
    # Every registered activation is a word; adding one touches its own file alone.
    if name in activations or name in FEATURES:
        return Word(name)
    raise AttributeError(f"`{name}` is not a function word")
