"""Write the manifest of the library and one README per paper, from the claims: `python -m flowlab.claims.readme`."""

import json
import re
from importlib import import_module
from pkgutil import walk_packages

from flowlab.claims.claim import claims
from flowlab.claims.manifest import FILE, LIBRARY, PACKAGE, Entry, entries, packs

COMMAND = "python -m flowlab.claims.readme"


def manifest() -> str:
    """What `manifest.json` must say: this imports every module of the library and lists what it registers."""
    # A claim that has moved is registered from where it stands now.
    claims.expect({})
    package = import_module(PACKAGE)
    for module in walk_packages(package.__path__, f"{PACKAGE}."):
        import_module(module.name)
    told = {}
    for name in claims:
        word = claims[name]
        if word.__module__.startswith(f"{PACKAGE}."):
            pack, module = word.__module__.removeprefix(f"{PACKAGE}.").split(".")
            told[name] = Entry(pack, module, word.title)._asdict()
    claims.expect({name: entry.home for name, entry in entries().items()})
    ordered = sorted(told.items(), key=lambda item: item[1]["pack"])
    return json.dumps(dict(ordered), indent=1, ensure_ascii=False) + "\n"


def readme(paper: str, ids: tuple[str, ...]) -> str:
    """The README of one paper: its citation, and a table of its claims."""
    lines = [
        f"# {paper}",
        "",
        _plain(import_module(f"{PACKAGE}.{paper}").__doc__),
        "",
        f"`{COMMAND}` writes this file.",
        "",
        "| claim | statement | hypotheses | wrong variants | file |",
        "|---|---|---|---|---|",
        *(_row(name) for name in ids),
    ]
    own = {entries()[name].module for name in ids}
    for file in sorted((LIBRARY / paper).glob("*.py")):
        if file.stem not in {"__init__", *own}:
            told = _escaped(_plain(import_module(f"{PACKAGE}.{paper}.{file.stem}").__doc__))
            lines += ["", f"[`{file.name}`]({file.name}), which claims use: {told}"]
    return "\n".join(lines) + "\n"


def _row(name: str) -> str:
    word = claims[name]
    file = f"{word.__module__.rsplit('.', 1)[1]}.py"
    hypotheses = "; ".join(each.words for each in word.hypotheses) or "none"
    variants = "; ".join(str(each) for each in word.mutants)
    cells = (name, word.statement, hypotheses, variants)
    return f"| {' | '.join(_escaped(cell) for cell in cells)} | [`{file}`]({file}) |"


def _plain(text: str | None) -> str:
    """The first paragraph of a docstring on one line."""
    return " ".join((text or "").split("\n\n")[0].split())


def _escaped(text: str) -> str:
    """Text whose formulas Markdown leaves alone, code aside."""
    parts = re.split(r"(`[^`']*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([|*<~\\])", r"\\\1", part) for part in parts)


if __name__ == "__main__":
    FILE.write_text(manifest(), encoding="utf-8")
    entries.cache_clear()
    for paper, ids in packs().items():
        (LIBRARY / paper / "README.md").write_text(readme(paper, ids), encoding="utf-8")
