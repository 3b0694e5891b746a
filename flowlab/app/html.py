"""Pieces of a self-contained HTML page: formulas as MathML, tables, parts that unfold. The page fetches and runs
nothing.

Text is escaped unless it is `Markup`, which only the functions of this file and of `report` make: what a user wrote
stays text.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

from markupsafe import Markup

_STYLE = """
:root { --ink: #1b1b1b; --soft: #5c5c5c; --line: #d9d9d9; --paper: #ffffff; --band: #f5f6f8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --soft: #a8a8a8; --line: #3d3d3d; --paper: #161616; \
--band: #202226; }
  figure img { background: #fff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 68rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2.2rem; \
border-bottom: 1px solid var(--line); }
a { color: #0b57d0; } td ul { margin: .3rem 0 0; padding-left: 1.1rem; color: var(--soft); }
@media (prefers-color-scheme: dark) { a { color: #8ab4f8; } }
.wide { overflow-x: auto; } \
.wide:focus-visible, summary:focus-visible, a:focus-visible { outline: 3px solid #0072b2; outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; } th, td { text-align: left; vertical-align: top; \
padding: .3rem .6rem .3rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: normal; } td.number { font-variant-numeric: tabular-nums; \
white-space: nowrap; }
.soft { color: var(--soft); } .answer { font-weight: 600; white-space: nowrap; }
.holds::before { content: "\\2713\\00a0"; } .refuted::before { content: "\\2717\\00a0"; } \
.undecided::before { content: "?\\00a0"; }
.holds { color: #00704f; } .refuted { color: #b34700; } .undecided { color: #705500; }
@media (prefers-color-scheme: dark) { .holds { color: #4fd1a5; } .refuted { color: #ff9a5c; } \
.undecided { color: #f0c75e; } }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; } summary { padding: .5rem .8rem; \
cursor: pointer; }
details > div { scroll-margin-top: 3.2rem; padding: .1rem .8rem .8rem; background: var(--band); }
math[display=block] { margin: .6rem 0; padding: .2rem 0; overflow-x: auto; overflow-y: hidden; max-width: 100%; }
mtd[columnalign=left] { text-align: left; } mtd[columnalign=right] { text-align: right; } \
mtable[displaystyle=true] mtd { padding: .25rem 0; }
figure { margin: 1rem 0; } figure img { max-width: 100%; height: auto; } code { font-size: .9em; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1rem; }
"""

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "img-src data:",
        f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
"""What a browser may load and run: pictures set into the page and this one style sheet, no script and nothing from
elsewhere.
"""

_MATH = re.compile(r"(\$[^$]*\$|`[^`]*`)")
_SHOWN = re.compile(r"\\begin\{(equation\*?|align\*?|gather\*?|multline\*?)\}(.*?)\\end\{\1\}|\\\[(.*?)\\\]", re.DOTALL)
_FORM = re.compile(r"(\\(?:textbf|texttt|emph)\{(?:[^{}\\]|\\.)*\})")
_TAGS = {r"\textbf": Markup("<b>{}</b>"), r"\texttt": Markup("<code>{}</code>"), r"\emph": Markup("<em>{}</em>")}
_ACTIVE = ("href", "style", "class", "id", "src")
"""Attributes that LaTeX commands such as `\\href` may set; formulas of the theory need none of them."""


def math(latex: str, *, display: bool = False) -> Markup:
    """A formula as MathML, with its LaTeX kept for those who copy it; a formula that cannot be read is
    shown as code.
    """
    from latex2mathml.converter import convert_to_element

    text = re.sub(r"\\(?:label|tag)\{[^{}]*\}|\\notag|\\nonumber", "", latex).strip()
    # Sizes of brackets are set by hand in LaTeX; MathML stretches by itself.
    text = re.sub(r"\\(?:[bB]igg?)(?:[lrm])?(?=[^a-zA-Z])|\\(?:[bB]igg?)[lrm](?=\\)", "", text)
    text = re.sub(r"\\(?:tfrac|dfrac)", r"\\frac", text)
    # Of environments of several lines the converter knows those with these names.
    text = re.sub(r"(\\(?:begin|end))\{aligned\}", r"\1{split}", text)
    text = re.sub(r"(\\(?:begin|end))\{gathered\}", r"\1{matrix}", text)
    # Names of functions that it does not know.
    text = re.sub(r"\\arg(?![a-zA-Z])", r"\\operatorname{arg}", text)
    try:
        made = convert_to_element(text, display="block" if display else "inline")
    except Exception:
        # The converter raises errors of many kinds for what it does not know.
        return Markup("<code>{}</code>").format(latex)
    for part in made.iter():
        # The converter writes characters as HTML references; the serialiser below escapes whatever they stand for.
        part.text = part.text and unescape(part.text)
        for name in [name for name in part.attrib if name in _ACTIVE or name.startswith("on")]:
            del part.attrib[name]
    made.set("alttext", latex)
    return Markup(ElementTree.tostring(made, encoding="unicode"))


def prose(text: str) -> Markup:
    """Text with formulas between dollar signs and code between backticks, and the LaTeX that flowlab writes around
    them.
    """
    out = Markup()
    for piece in _MATH.split(text):
        if piece[:1] == "$" and len(piece) > 2:
            out += math(piece[1:-1])
        elif piece[:1] == "`" and len(piece) > 2:
            out += _TAGS[r"\texttt"].format(piece[1:-1])
        else:
            for part in _FORM.split(piece):
                command, brace, inner = part.partition("{")
                out += _TAGS[command].format(_plain(inner[:-1])) if brace and command in _TAGS else _plain(part)
    return out


def _plain(text: str) -> str:
    """Text without the LaTeX commands that flowlab writes into it."""
    return (
        re.sub(r"\\([_&%#{}$])", r"\1", text)
        .replace(r"\noindent", "")
        .replace(r"\par", "")
        .replace(r"\medskip", "")
        .replace("~", "\u00a0")
    )


def tex(text: str) -> Markup:
    """A LaTeX fragment of paragraphs and displayed formulas, as flowlab's derivations print it."""
    out, at = [], 0
    for found in _SHOWN.finditer(text):
        out += _paragraphs(text[at : found.start()])
        kind, body = found[1] or "", found[2] if found[2] is not None else found[3]
        if kind.startswith(("align", "gather")):
            inner = "aligned" if kind.startswith("align") else "gathered"
            body = rf"\begin{{{inner}}}{body}\end{{{inner}}}"
        out.append(math(body, display=True))
        at = found.end()
    return Markup("\n").join([*out, *_paragraphs(text[at:])])


def _paragraphs(text: str) -> list[Markup]:
    return [Markup("<p>{}</p>").format(prose(part)) for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> Markup:
    """A table in a box that scrolls sideways on narrow screens, also by keyboard; `number` makes a cell of its own."""
    top = Markup().join(Markup('<th scope="col">{}</th>').format(cell) for cell in head)
    body = Markup().join(Markup("<tr>{}</tr>").format(Markup().join(map(_cell, row))) for row in rows)
    box = Markup(
        '<div class="wide" tabindex="0" role="region"'
        ' aria-label="{}"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
    )
    return box.format(caption, top, body)


def _cell(content: str) -> Markup:
    return (
        content if isinstance(content, Markup) and content.startswith("<td") else Markup("<td>{}</td>").format(content)
    )


def number(value: float | None, digits: int = 6) -> Markup:
    """A cell with a number."""
    return Markup('<td class="number">{}</td>').format(
        "–" if value is None or value != value else f"{value:.{digits}g}"
    )


def unfolding(head: str, body: str, name: str = "") -> Markup:
    """A part that unfolds. A link to what is inside opens it, which one to the part itself would not."""
    anchor = Markup(' id="{}"').format(name) if name else ""
    return Markup("<details><summary>{}</summary><div{}>{}</div></details>").format(head, anchor, body)


def answer(word: str, code: str = "") -> Markup:
    """An answer, shown by sign, word and colour."""
    return Markup('<span class="answer {0}">{0}</span>{1}').format(word, soft(f" ({code})") if code else "")


def soft(text: str) -> Markup:
    """Text of less weight."""
    return Markup('<span class="soft">{}</span>').format(text)


def picture(path: Path, label: str) -> Markup:
    """A PNG or SVG file set into the page."""
    kind = {"svg": "svg+xml"}.get(path.suffix[1:], path.suffix[1:])
    code = base64.b64encode(path.read_bytes()).decode("ascii")
    return Markup(
        '<figure><img src="data:image/{0};base64,{1}" alt="{2}"><figcaption class="soft">{2}</figcaption></figure>'
    ).format(kind, code, label)


def page(title: str, body: str) -> str:
    """The whole page; only `Markup` is not escaped."""
    # A data address, or browsers ask the disk for an icon and report its absence.
    whole = Markup(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<title>{title}</title><link rel="icon" href="data:,"><style>{style}</style></head>\n'
        "<body><main><h1>{title}</h1>\n{body}\n</main></body></html>\n"
    ).format(policy=_POLICY, title=title, style=Markup(_STYLE), body=body)
    return str(whole)


__all__ = ["Markup", "answer", "math", "number", "page", "picture", "prose", "soft", "table", "tex", "unfolding"]
