"""Changes of a specification on the command line: `--set start.seed=3`, typed as the schema has the key."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flowlab.core.errors import SpecError
from flowlab.core.typing import Json, Record


@dataclass(frozen=True)
class Change:
    """One key and what it becomes.

    Attributes:
        written: as it stood on the command line.
        keys: the tables that lead to the key, and the key.
        value: what it becomes.
    """

    written: str
    keys: tuple[str, ...]
    value: Json

    @classmethod
    def of(cls, written: str, schema: Record) -> "Change":
        """The change that a text such as `start.seed=3` stands for.

        Raises:
            SpecError: for a text without a key and a value.
        """
        name, equals, text = written.partition("=")
        keys = tuple(part.strip() for part in name.split("."))
        if not equals or not all(keys):
            raise SpecError(f"`--set` must be a key and its value, got `{written}`; write for example start.seed=3.")
        return cls(written, keys, _value(text.strip(), _node(keys, schema), schema))

    def enter(self, spec: Record) -> None:
        """Put the value in place; tables that are missing are made.

        Raises:
            SpecError: where the key lies below a value that is no table.
        """
        for i, key in enumerate(self.keys[:-1], 1):
            spec = spec.setdefault(key, {})
            if not isinstance(spec, dict):
                above = ".".join(self.keys[:i])
                raise SpecError(f"--set {self.written}: `{above}` is no table; set `{above}` itself.", above)
        spec[self.keys[-1]] = self.value

    def concerns(self, keys: Sequence[str]) -> bool:
        """Whether an error about some keys may be of this change: it lies at, below or above what was changed."""
        least = min(len(keys), len(self.keys))
        return tuple(keys[:least]) == self.keys[:least]


def _node(keys: Sequence[str], schema: Record) -> Record:
    """What the schema says of a key; nothing for one that it does not know."""
    node = schema
    for key in keys:
        inner = next((part for part in _parts(node, schema) if part.get("type") == "object"), {})
        node = inner.get("properties", {}).get(key) or inner.get("additionalProperties") or {}
    return node


def _parts(node: Record, schema: Record) -> list[Record]:
    """The alternatives of a node, with what it refers to in place of the reference."""
    if "$ref" in node:
        for part in node["$ref"].removeprefix("#/").split("/"):
            schema = schema[part]
        return [schema]
    return list(node.get("anyOf", [node]))


def _value(text: str, node: Record, schema: Record) -> Any:
    """The value of a text: words need no quotes where the schema has text, nor lists their brackets."""
    types = [kind for part in _parts(node, schema) for kind in _several(part.get("type", []))]
    read = _toml(text)
    if types == ["string"]:
        return read if isinstance(read, str) else text
    if read is not None:
        return read
    if "array" in types:
        items = node.get("items", {})
        return [_value(part.strip(), items, schema) for part in text.split(",") if part.strip()]
    return text


def _several(kind: str | list[str]) -> list[str]:
    return [kind] if isinstance(kind, str) else kind


def _toml(text: str) -> Any:
    """A value as TOML writes it; None for other text."""
    try:
        found = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return None
    # A text of several lines may hold more than one value.
    return found["value"] if list(found) == ["value"] else None
