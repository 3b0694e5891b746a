"""Named families of classes: a word registers itself where it is written, and is found by name."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Generic, TypeVar

from flowlab.core.errors import UnknownName

T = TypeVar("T")


def nearest(name: str, candidates: Sequence[str]) -> str | None:
    """The candidate most like `name`, or None if none is alike."""
    lowered = {c.lower(): c for c in candidates}
    found = get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.5)
    return lowered[found[0]] if found else None


def described(word: object) -> str:
    """What a word is, in one line: its title, or the first sentence of its docstring."""
    told = getattr(word, "title", None) or (getattr(word, "__doc__", None) or "").strip().split("\n\n")[0]
    return " ".join(told.split())


class Registry(Generic[T]):
    """A family of words under one kind name, such as "activation"."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._words: dict[str, T] = {}
        self._homes: dict[str, str] = {}

    def expect(self, homes: Mapping[str, str]) -> None:
        """Know these names, and no others, by the modules that register them; asking for a word imports its module."""
        self._homes = dict(homes)

    def home(self, name: str) -> str | None:
        """The module that registers a name, or has registered it; None for an unknown name."""
        return self._words[name].__module__ if name in self._words else self._homes.get(name)

    def register(self, name: str) -> Callable[[Any], Any]:
        """Class decorator: enter the class under `name` and set its `name` attribute."""

        def enter(word: Any) -> Any:
            if name in self._words or (name in self._homes and self._homes[name] != word.__module__):
                raise ValueError(f"the {self.kind} `{name}` is registered twice")
            if isinstance(word, type):
                word.name = name  # type: ignore[attr-defined]
            self._words[name] = word  # pyright: ignore[reportArgumentType]
            return word

        return enter

    def __getitem__(self, name: str) -> T:
        if name not in self:
            guess = nearest(str(name), self.names())
            hint = f" did you mean `{guess}`?" if guess else ""
            raise UnknownName(f"`{name}` is not a known {self.kind};{hint} Known: {', '.join(self.names())}.")
        if name not in self._words:
            import_module(self._homes[name])
        return self._words[name]

    def names(self) -> tuple[str, ...]:
        """All names, sorted; numbers in them by size, P3 before P20."""
        return tuple(
            sorted(
                {**self._homes, **self._words},
                key=lambda name: [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)],
            )
        )

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._words or name in self._homes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())
