"""What a language of source text is: how it writes each primitive, and a whole function."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

from flowlab.core.errors import UnloweredNode
from flowlab.core.registry import Registry
from flowlab.symbolic.source.lines import Atom, Line, Listing, Ref

languages: Registry[type["Language"]] = Registry("language of source")
_FUNCTIONS = ("sqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh", "ceil", "floor")
_SIGNS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "gt": ">",
    "ge": ">=",
    "lt": "<",
    "le": "<=",
    "eq": "==",
    "ne": "!=",
}
"""Functions and signs of single entries that are called alike everywhere, by primitive."""


def alike(function: str, sign: str) -> dict[str, str]:
    """Forms of what is called alike everywhere: `function` has `{}` for its name, `sign` for the sign."""
    return {name: function.format(name) for name in _FUNCTIONS} | {k: sign.format(v) for k, v in _SIGNS.items()}


class Language(ABC):
    """One language: a class with a rule for each primitive; what it has no rule for is refused by name.

    Attributes:
        comment: what starts a comment.
        elementwise: expressions of single entries by primitive: `{0}` is the first operand, `{y}` a parameter.
        reductions: words of sum, product, maximum and minimum over axes, by primitive, as `reduced` takes them.
        helpers: functions that lines may call, by name: those that a source calls are written above it.
    """

    name: ClassVar[str]
    comment: ClassVar[str] = "#"
    elementwise: ClassVar[Mapping[str, str]] = {}
    reductions: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    helpers: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def number(self, value: float | int | bool) -> str:
        """A number that stands in a line."""

    @abstractmethod
    def entrywise(self, line: Line, form: str) -> str:
        """The line of a primitive of single entries, from its form in `elementwise`."""

    @abstractmethod
    def function(self, listing: Listing, body: list[str]) -> str:
        """A whole function around its lines, without the helpers."""

    def reduced(self, line: Line, *words: str) -> str:
        """The line of a reduction, from its words in `reductions`; for languages that have some."""
        raise self._refusal(line)

    def atom(self, atom: Atom) -> str:
        """An operand; a number below zero in brackets."""
        if isinstance(atom, Ref):
            return atom.name
        told = self.number(atom)
        return f"({told})" if told.startswith("-") else told

    def line(self, line: Line) -> str:
        """One line of source.

        Raises:
            UnloweredNode: for a primitive that the language has no rule for.
        """
        if line.primitive in self.elementwise:
            return self.entrywise(line, self.elementwise[line.primitive])
        if line.primitive in self.reductions:
            return self.reduced(line, *self.reductions[line.primitive])
        rule: Callable[[Line], str] | None = getattr(self, f"write_{line.primitive}", None)
        if rule is None:
            raise self._refusal(line)
        return rule(line)

    def _refusal(self, line: Line) -> UnloweredNode:
        return UnloweredNode(
            f"the word `{line.word}` is made of `{line.primitive}`, for which the language of source"
            f' "{self.name}" has no rule; define `write_{line.primitive}` on its class.'
        )

    def source(self, listing: Listing) -> str:
        """The source text of a function from state, data and parameters to rates.

        Raises:
            UnloweredNode: for a primitive that the language has no rule for.
        """
        body: list[str] = []
        for line in listing.lines:
            body += [f"{self.comment} {line.told}"] if line.told else []
            body += self.line(line).splitlines()
        whole = self.function(listing, body)
        used = [text.strip() for name, text in self.helpers.items() if name in whole]
        return "\n\n".join([*used, whole]) + "\n"

    def head(self, listing: Listing) -> list[str]:
        """What a reader must know of the function, in lines."""
        told = ", ".join(f"{ref.name} {_sized(ref)}" for ref in listing.arguments)
        return [
            f"The rates of {', '.join(ref.name for ref in listing.state)} in flow time, as flowlab derives them.",
            told,
        ]


def _sized(ref: Ref) -> str:
    return "(scalar)" if not ref.shape else "(" + " x ".join(map(str, ref.shape)) + ")"
