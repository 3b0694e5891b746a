"""Run specifications: TOML checked against a published JSON schema, with errors that name the key and its line."""

import json
import re
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema

from flowlab.core.errors import SpecError
from flowlab.core.registry import nearest
from flowlab.core.typing import Record

_LONGEST = 1_000_000
"""Bytes of a specification; beyond that it is another file, or a device that never ends."""

_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a table",
    "array": "a list",
}


def schema() -> Record:
    """The JSON schema of run specifications."""
    return json.loads(files("flowlab.app").joinpath("spec.schema.json").read_text(encoding="utf-8"))


def read_spec(path: Path) -> Record:
    """Read and check a specification.

    Raises:
        SpecError: naming the key, its line and what to do.
    """
    text = _text(path)
    try:
        spec = tomllib.loads(text)
        _check_numbers(spec, text, path)
        found = sorted(
            jsonschema.Draft202012Validator(schema()).iter_errors(spec),
            key=lambda e: (list(map(str, e.absolute_path)), e.validator or ""),
        )
        if found:
            raise _schema_error(found[0], text, path)
    except RecursionError:
        raise SpecError(
            f"`{path}` nests tables or lists too deeply to be read; a specification needs three levels."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"`{path}` is not TOML: {error}{_hint(str(error), text)}.") from None
    except ValueError as error:
        # Python refuses to read integers of more than 4,300 digits.
        raise SpecError(f"`{path}` is not TOML: {str(error).split(';')[0]}; write a shorter number.") from None
    return spec


def _text(path: Path) -> str:
    """The text of a file, without the byte-order mark that some editors put first."""
    try:
        with path.open("rb") as file:
            raw = file.read(_LONGEST + 1)
        if len(raw) > _LONGEST:
            raise SpecError(
                f"`{path}` must be a specification of at most {_LONGEST // 1_000_000} MB; pass a shorter one."
            )
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(f"`{path}` is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8.") from None
    except (OSError, ValueError) as error:
        raise SpecError(
            f"`{path}` cannot be read ({getattr(error, 'strerror', None) or error}); pass an existing TOML file."
        ) from None


def _check_numbers(value: object, text: str, path: Path, keys: tuple[str, ...] = ()) -> None:
    """Refuse what TOML allows and no computer number holds: integers beyond 64 bits, and NaN."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            _check_numbers(inner, text, path, (*keys, str(key)))
    elif isinstance(value, float) and value != value:
        raise _error("must be a number, got nan; write a finite value", keys, text, path)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise _error("must lie between -2^63 and 2^63 - 1; write a smaller number", keys, text, path)


def _hint(message: str, text: str) -> str:
    """What to do about a backslash, the usual reason why a path is not TOML."""
    at = re.search(r"line (\d+)", message)
    lines = text.splitlines()
    if at is None or int(at[1]) > len(lines) or "\\" not in lines[int(at[1]) - 1]:
        return ""
    return "; write a path with / or between single quotes"


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


def _schema_error(error: Any, text: str, path: Path) -> SpecError:
    keys = [str(part) for part in error.absolute_path]
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        odd = sorted(set(error.instance) - set(known))[0]
        keys.append(odd)
        guess = nearest(odd, known)
        what = (
            f"`{'.'.join(keys)}` is not a key of a specification;{f' did you mean `{guess}`?' if guess else ''} Known"
            f" here: {', '.join(known)}"
        )
    elif error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        keys.append(missing)
        what = f"`{'.'.join(keys)}` is missing; add it"
    elif error.validator == "type":
        wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        what = (
            f"`{'.'.join(keys)} = {error.instance!r}` must be {' or '.join(_TYPES[w] for w in wanted)}, not"
            f" {_kind(error.instance)}"
        )
    else:
        what = f"`{'.'.join(keys)} = {error.instance!r}` is not allowed: {error.message}"
    return _error(what, keys, text, path, quoted=True)


def _error(what: str, keys: Sequence[str], text: str, path: Path, *, quoted: bool = False) -> SpecError:
    """The error about a key, with its line; `quoted` where the sentence names the key itself."""
    line, name = line_of(text, list(keys)), ".".join(keys)
    subject = "" if quoted else f"`{name}` "
    return SpecError(f"{path}{f', line {line}' if line else ''}: {subject}{what}.", name, line)


def _kind(value: object) -> str:
    names = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        dict: "a table",
        list: "a list",
    }
    return names.get(type(value), type(value).__name__)
