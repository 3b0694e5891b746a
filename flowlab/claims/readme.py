"""Write the README of every paper of the library from the registry: `python -m flowlab.claims.readme`."""

import re
from importlib import import_module
from pathlib import Path

from flowlab.claims.claim import claims, load_library

LIBRARY = Path(__file__).parent / "library"
_PACKAGE = "flowlab.claims.library"
COMMAND = "python -m flowlab.claims.readme"


def packs() -> dict[str, tuple[str, ...]]:
    """The packs of the library, one per paper and folder, with the ids of their claims."""
    load_library()
    ids: dict[str, tuple[str, ...]] = {}
    for name in claims:
        module = claims[name].__module__
        if module.startswith(f"{_PACKAGE}."):
            folder = module.removeprefix(f"{_PACKAGE}.").split(".")[0]
            ids[folder] = (*ids.get(folder, ()), name)
    return dict(sorted(ids.items()))


def readme(paper: str, ids: tuple[str, ...]) -> str:
    """The README of one paper: its citation, and a table of its claims."""
    lines = [
        f"# {paper}",
        "",
        _plain(import_module(f"{_PACKAGE}.{paper}").__doc__),
        "",
        f"`{COMMAND}` writes this file.",
        "",
        "| claim | statement | hypotheses | wrong variants | file |",
        "|---|---|---|---|---|",
        *(_row(name) for name in ids),
    ]
    if (LIBRARY / paper / "flows.py").is_file():
        shared = _plain(import_module(f"{_PACKAGE}.{paper}.flows").__doc__)
        lines += ["", f"[`flows.py`](flows.py), which several claims use: {_escaped(shared)}"]
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
    for paper, ids in packs().items():
        (LIBRARY / paper / "README.md").write_text(readme(paper, ids), encoding="utf-8")
