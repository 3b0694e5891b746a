"""Pages of the reference, read off the table of public names and the registries of words."""

import ast
from inspect import unwrap
from pathlib import Path

from flowlab.core.public import HOMES, words
from flowlab.core.registry import described


def examples(folder: Path) -> dict[str, str]:
    """A page for every example: what it does, its command, its code."""
    made = {}
    for path in sorted(folder.glob("*.py")):
        code = path.read_text(encoding="utf-8")
        told = (ast.get_docstring(ast.parse(code)) or "").split("\n\n")[0].replace("\n", " ")
        title = path.stem.replace("_", " ").capitalize()
        made[path.stem] = f"# {title}\n\n{told}\n\n```text\npython examples/{path.name}\n```\n\n```python\n{code}```\n"
    return made


def asked(kind: str, of: str) -> str:
    """What stands in place of `<!-- kind: of -->`."""
    return {"names": names, "words": word_entries, "figures": figure_table}[kind](of)


def names(room: str) -> str:
    """Every public name whose home is in a room."""
    homes = {module: told for module, told in HOMES.items() if module.split(".")[1] == room}
    return "\n".join(_entry(f"{module}.{name}", f"fl.{name}") for module, told in homes.items() for name in told)


def word_entries(family: str) -> str:
    """Every function word of a family: `activations`, `operations` or `composed`."""
    from flowlab.language.activations import activations
    from flowlab.language.operations.base import composed, operations

    known = {"activations": activations, "composed": composed, "operations": operations}
    # The same order in which the names are looked up when a word is called.
    first = next(iter(known))
    made = []
    for name in words():
        home = next(f for f in known if name in known[f])
        if home == family or (first, family) == (home, ""):
            value = unwrap(known[home][name])
            made.append(_entry(f"{value.__module__}.{value.__qualname__}", f"fl.{name}", bare=isinstance(value, type)))
    return "\n".join(made)


def figure_table(_all: str) -> str:
    """Every registered figure, with what it shows and of what."""
    from flowlab.figures import figures, load_library

    load_library()
    rows = [f"| `{name}` | {described(figures[name])} | {figures[name].of} |" for name in figures]
    return "\n".join(["| figure | what it shows | of |", "|---|---|---|", *rows])


def _entry(path: str, heading: str, bare: bool = False) -> str:
    """One entry of mkdocstrings; `bare` leaves out the members and the signature of a class."""
    options = {"heading": heading, "toc_label": heading}
    lines = [f"::: {path}", "    options:", *(f'      {key}: "{value}"' for key, value in options.items())]
    return "\n".join(
        [
            *lines,
            *(
                ["      members: false", "      separate_signature: false", "      show_signature: false"]
                if bare
                else []
            ),
            "",
        ]
    )
