"""Run specifications: TOML checked against a published JSON schema, with errors that name the key and its line."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jsonschema

from flowlab.app.overrides import Change
from flowlab.app.schema import schema
from flowlab.core.errors import SpecError
from flowlab.core.registry import nearest
from flowlab.core.typing import Record

_LONGEST = 1_000_000
"""Bytes of a specification; beyond that it is another file, or a device that never ends."""

_FEW = 12
"""Words that one sentence can list."""

_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a table",
    "array": "a list",
}


@dataclass(frozen=True)
class _Source:
    """Where keys come from: the text of a file, and the changes of the command line, which name theirs."""

    path: Path
    text: str
    changes: tuple[Change, ...] = ()

    def error(self, what: str, keys: Sequence[str], *, quoted: bool = False) -> SpecError:
        """The error about a key, with its line or its option; `quoted` where the sentence names the key itself."""
        name, told = ".".join(keys), next((c for c in reversed(self.changes) if c.concerns(keys)), None)
        line = line_of(self.text, list(keys)) if told is None or len(keys) < len(told.keys) else None
        where = f"{self.path}{f', line {line}' if line else ''}" if told is None or line else f"--set {told.written}"
        return SpecError(f"{where}: {'' if quoted else f'`{name}` '}{what}.", name, line)


def read_spec(path: Path, changes: Sequence[str] = ()) -> Record:
    """Read and check a specification.

    Args:
        path: of a TOML file.
        changes: of its keys, such as `"start.seed=3"`, each typed as the schema has the key.

    Raises:
        SpecError: naming the key, its line or the change, and what to do.

    Example:
        `read_spec(Path("spec.toml"), ["start.seed=3", "verify.claims=P1,P2"])`
    """
    source = _Source(path, _text(path))
    try:
        spec, known = tomllib.loads(source.text), schema()
        for written in changes:
            change = Change.of(written, known)
            change.enter(spec)
            source = replace(source, changes=(*source.changes, change))
        _check_numbers(spec, source)
        found = complaint(spec, known)
        if found is not None:
            raise source.error(found[1], found[0], quoted=True)
    except RecursionError:
        raise SpecError(
            f"`{path}` nests tables or lists too deeply to be read; a specification needs three levels."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"`{path}` is not TOML: {error}{_hint(str(error), source.text)}.") from None
    except ValueError as error:
        # Python refuses to read integers of more than 4,300 digits.
        raise SpecError(f"`{path}` is not TOML: {str(error).split(';')[0]}; write a shorter number.") from None
    return spec


def complaint(spec: Record, known: Record) -> tuple[list[str], str] | None:
    """The first thing that the schema has against a specification: the keys that lead there and what is wrong, in words
    that name them; None where there is nothing.

    Args:
        spec: the specification.
        known: the schema.
    """
    found = sorted(
        jsonschema.Draft202012Validator(known).iter_errors(spec),
        key=lambda e: (list(map(str, e.absolute_path)), e.validator != "type", e.validator or ""),
    )
    return _told(found[0]) if found else None


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


def _check_numbers(value: object, source: _Source, keys: tuple[str, ...] = ()) -> None:
    """Refuse what TOML allows and no computer number holds: integers beyond 64 bits, and NaN."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            _check_numbers(inner, source, (*keys, str(key)))
    elif isinstance(value, float) and value != value:
        raise source.error("must be a number, got nan; write a finite value", keys)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise source.error("must lie between -2^63 and 2^63 - 1; write a smaller number", keys)


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


def _told(error: Any) -> tuple[list[str], str]:
    if error.validator == "anyOf":
        # Of the alternatives, the one whose kind of value it is tells what is wrong.
        meant = next((each for each in error.context if each.validator != "type"), None)
        if meant is not None:
            return _told(meant)
    keys = [str(part) for part in error.absolute_path]
    shown = f"`{'.'.join(keys)} = {error.instance!r}`"
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
    elif error.validator in ("type", "anyOf"):
        given = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        wanted = [kind if isinstance(kind, str) else kind["type"] for kind in given]
        what = f"{shown} must be {' or '.join(_TYPES[w] for w in wanted)}, not {_kind(error.instance)}"
    elif error.validator == "enum":
        what = f"{shown} is not known; {_instead(error.instance, error.validator_value)}"
    else:
        what = f"{shown} is not allowed: {error.message}"
    return keys, what


def _instead(name: object, known: list[str]) -> str:
    """What to write for an unknown word: the nearest of those there are, and all of them where they are few."""
    guess = nearest(str(name), known)
    told = f"use one of {', '.join(known)}" if len(known) <= _FEW else "see `flowlab list`"
    return f"did you mean `{guess}`? Else {told}" if guess else told


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
