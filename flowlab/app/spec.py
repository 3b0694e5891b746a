"""Run specifications: TOML checked against a published JSON schema, with errors that name the key and its line."""

import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema

from flowlab.core.errors import SpecError
from flowlab.core.registry import nearest

_TYPES = {"string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false", "object": "a table", "array": "a list"}


def schema() -> dict[str, Any]:
    """The JSON schema of run specifications."""
    return json.loads(files("flowlab.app").joinpath("spec.schema.json").read_text(encoding="utf-8"))


def read_spec(path: Path) -> dict[str, Any]:
    """Read and check a specification.

    Raises:
        SpecError: naming the key, its line and what to do.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"`{path}` cannot be read ({getattr(error, 'strerror', None) or error}); give an existing TOML file.") from None
    try:
        spec = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"`{path}` is not TOML: {error}.") from None
    found = sorted(jsonschema.Draft202012Validator(schema()).iter_errors(spec), key=lambda e: (list(map(str, e.absolute_path)), e.validator or ""))
    if found:
        raise _told(found[0], text, path)
    return spec


def line_of(text: str, keys: list[str]) -> int | None:
    """The line of a key, by following tables and dotted or inline keys in the text."""
    table: list[str] = []
    best: tuple[int, int] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[([^\[\]]+)\]", line)
        if header:
            table = [part.strip().strip("\"'") for part in header.group(1).split(".")]
            depth = len(table) if keys[: len(table)] == table else 0
        else:
            key = re.match(r"\s*([\w.\"'-]+)\s*=(.*)", line)
            if not key:
                continue
            full = [*table, *(part.strip("\"'") for part in key.group(1).split("."))]
            depth = len(full) if keys[: len(full)] == full else 0
            rest = keys[depth:]
            if depth and rest and re.search(rf"\b{re.escape(rest[0])}\b\s*=", key.group(2)):
                depth += 1
        if depth and (best is None or depth > best[0]):
            best = (depth, number)
    return best[1] if best else None


def _told(error: Any, text: str, path: Path) -> SpecError:
    keys = [str(part) for part in error.absolute_path]
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        odd = sorted(set(error.instance) - set(known))[0]
        keys.append(odd)
        guess = nearest(odd, known)
        what = f"`{'.'.join(keys)}` is not a key of a specification;{f' did you mean `{guess}`?' if guess else ''} Known here: {', '.join(known)}"
    elif error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        keys.append(missing)
        what = f"`{'.'.join(keys)}` is missing; add it"
    elif error.validator == "type":
        wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        what = f"`{'.'.join(keys)} = {error.instance!r}` must be {' or '.join(_TYPES[w] for w in wanted)}, not {_kind(error.instance)}"
    else:
        what = f"`{'.'.join(keys)} = {error.instance!r}` is not allowed: {error.message}"
    line = line_of(text, keys)
    return SpecError(f"{path}{f', line {line}' if line else ''}: {what}.", ".".join(keys), line)


def _kind(value: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", dict: "a table", list: "a list"}
    return names.get(type(value), type(value).__name__)
