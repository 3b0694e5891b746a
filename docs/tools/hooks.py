"""What the site makes of its pages: formulas as MathML, and pages that are read off the package and its folders."""

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# Pages are made of this tree, whatever is installed.
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import reference
from mkdocs.structure.files import File, Files

from flowlab.core.html import math

_FENCED = re.compile(r"^( *)(```+|~~~+)(.*?)\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"\$`([^`]+)`\$")
_FETCHED = re.compile(
    r"<!-- Load mathjax -->.*?<!-- End of mathjax configuration -->|<script type=\"module\">.*?</script>", re.DOTALL
)
"""Scripts of notebooks for formulas and diagrams: results show formulas as MathML."""
_INNER = re.compile(r'(href="(?![a-z]+:)[^"#]+)\.md(#[^"]*)?"')
_NUMBER = re.compile(r"\\tag\{([^{}]*)\}")
_KEPT = "formula{}of{}page"
_ASKED = re.compile(r"^<!-- (names|words|figures): (\w+) -->$", re.MULTILINE)


def on_files(files: Files, config: Any) -> Files:
    """Derivations, examples and the list of changes become pages where they stand; they have no copy."""
    made = {"changes.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")}
    for path in sorted((ROOT / "derivations" / "rendered").glob("*.md")):
        made[f"theory/derivations/{path.name}"] = path.read_text(encoding="utf-8")
    told = (ROOT / "derivations" / "README.md").read_text(encoding="utf-8")
    made["theory/derivations/index.md"] = told.replace("(rendered/", "(")
    made |= {f"examples/{name}.md": text for name, text in reference.examples(ROOT / "examples").items()}
    for place, text in made.items():
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lists of names are filled in, and formulas set aside: Markdown would read their signs as its own."""
    markdown = _ASKED.sub(lambda asked: reference.asked(*asked.groups()), markdown)
    page.formulas = []

    def keep(latex: str, display: bool) -> str:
        page.formulas.append(shown(latex, display))
        return _KEPT.format(len(page.formulas) - 1, "x")

    def set_aside(text: str) -> str:
        return _INLINE.sub(lambda m: keep(m[1], False), text)

    out, at = [], 0
    for block in _FENCED.finditer(markdown):
        is_formula = block[3].strip() == "math"
        out += [
            set_aside(markdown[at : block.start()]),
            f"\n{block[1]}{keep(block[4], True)}\n" if is_formula else block[0],
        ]
        at = block.end()
    return "".join([*out, set_aside(markdown[at:])])


def shown(latex: str, display: bool) -> str:
    """A formula, with its number beside it where it has one."""
    number, formula = _NUMBER.search(latex), math(latex, display=display)
    return f'<span class="numbered">{formula}<span>({number[1]})</span></span>' if number else str(formula)


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Formulas come back, and notebooks lose what they would fetch; a formula that cannot be read stops the build."""
    if page.file.src_uri.endswith(".ipynb"):
        html = _INNER.sub(lambda m: f'{m[1]}.html{m[2] or ""}"', _FETCHED.sub("", html))
    for place, formula in enumerate(getattr(page, "formulas", [])):
        if "<math" not in formula:
            raise ValueError(f"{page.file.src_uri}: the formula {formula} cannot be shown")
        html = html.replace(_KEPT.format(place, "x"), formula)
    return html
