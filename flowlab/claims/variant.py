"""Variants of a statement: the statement itself, and wrong ones, as values that `measure` reads."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from flowlab.core.errors import ClaimError


class Variant:
    """The parts of a statement that wrong variants replace: numbers, functions, instances. Frozen; parts are
    attributes.

    Attributes:
        name: of the wrong variant; empty for the statement itself.
        parts: what `measure` reads, by name.

    Example:
        stated = Variant(power=2)
        mutants = (stated.but("cubes instead of squares", power=3),)
    """

    __slots__ = ("name", "parts")
    name: str
    parts: Mapping[str, Any]

    def __init__(self, /, **parts: object) -> None:
        object.__setattr__(self, "name", "")
        object.__setattr__(self, "parts", MappingProxyType(parts))

    def but(self, name: str, /, **changes: object) -> "Variant":
        """The wrong variant of this name, with some parts replaced.

        Raises:
            ClaimError: for a part that the statement lacks, or a variant that changes nothing.
        """
        unknown = sorted(changes.keys() - self.parts.keys())
        if unknown or not changes:
            known = ", ".join(self.parts) or "nothing"
            raise ClaimError(f"the variant `{name}` must replace parts of the statement ({known}), got {unknown}.")
        other = Variant(**{**self.parts, **changes})
        object.__setattr__(other, "name", name)
        return other

    def __getattr__(self, part: str) -> Any:
        try:
            return self.parts[part]
        except KeyError:
            raise AttributeError(f"the statement has no part `{part}`; it has {', '.join(self.parts)}") from None

    def __setattr__(self, part: str, value: object) -> None:
        raise AttributeError(f"`{part}` cannot be set: variants are frozen; use `but`.")

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"Variant({self.name!r}, {dict(self.parts)!r})"
