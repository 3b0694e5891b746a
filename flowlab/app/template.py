"""The specification that `flowlab init` writes: every key of the schema, the usual ones set, the others as comments."""

import json
from textwrap import wrap

from flowlab.app.schema import schema
from flowlab.core.typing import Json, Record

LIVE = {
    "network": ("expression", "widths"),
    "problem": ("loss",),
    "data": ("source", "seed"),
    "start": ("seed",),
    "integrate": ("until", "rtol"),
    "verify": ("claims",),
    "figures": ("names",),
}
"""Keys that are set; the others stand beside them as comments."""
HEAD = """\
## A specification of flowlab. Run it by
##
##     flowlab run {name} --out out
##
## and change a key for one run by `--set start.seed=3`. Lines with one # show what else can be
## said. For completion in an editor that knows JSON schemas, write the schema beside this file,
## `flowlab list schema > flowlab.schema.json`, and make this the first line:
##
##     #:schema ./flowlab.schema.json
"""
_WIDE = 96


def specification(name: str = "spec.toml") -> str:
    """A commented specification that runs as it stands.

    Args:
        name: of the file, as its first lines call it.
    """
    told = schema()
    parts = [_section(table, node, told) for table, node in told["properties"].items()]
    return "\n".join([HEAD.format(name=name), *parts])


def _section(table: str, node: Record, told: Record) -> str:
    live = LIVE.get(table, ())
    off = "" if live else "# "
    keys = node.get("properties")
    if keys is None:
        ((name, entries),) = node["examples"][0].items()
        rows = [f"# {key} = {toml(value)}" for key, value in entries.items()]
        return "\n".join([*_comment(node["description"]), f"# [{table}.{name}]", *rows, ""])
    lines = [*_comment(node["description"]), f"{off}[{table}]"]
    for key, about in keys.items():
        lines += ["", *_comment(about["description"] + _choices(about, told))]
        lines.append(f"{'' if key in live else '# '}{key} = {toml(_example(about))}")
    return "\n".join([*lines, ""])


def _choices(about: Record, told: Record) -> str:
    """The words that a key may have, where a line or two can hold them."""
    if "$ref" not in about:
        return ""
    known = told["$defs"][about["$ref"].rpartition("/")[2]]["enum"]
    return f": {', '.join(known)}"


def _example(about: Record) -> Json:
    return about["examples"][0] if "examples" in about else about["default"]


def _comment(text: str) -> list[str]:
    return [f"## {line}" for line in wrap(text, _WIDE - 3)]


def toml(value: Json) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value, ensure_ascii=False)
