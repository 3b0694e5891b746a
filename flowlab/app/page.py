"""Pieces of a self-contained HTML page: formulas as MathML, tables, parts that unfold. Nothing is fetched from anywhere."""

import base64
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

_STYLE = """
:root { --ink: #1b1b1b; --soft: #5c5c5c; --line: #d9d9d9; --paper: #ffffff; --band: #f5f6f8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --soft: #a8a8a8; --line: #3d3d3d; --paper: #161616; --band: #202226; }
  figure img { background: #fff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 68rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
a { color: #0b57d0; } td ul { margin: .3rem 0 0; padding-left: 1.1rem; color: var(--soft); }
@media (prefers-color-scheme: dark) { a { color: #8ab4f8; } }
.wide { overflow-x: auto; } .wide:focus-visible, summary:focus-visible, a:focus-visible { outline: 3px solid #0072b2; outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; } th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: normal; } td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.soft { color: var(--soft); } .answer { font-weight: 600; white-space: nowrap; }
.holds::before { content: "\\2713\\00a0"; } .refuted::before { content: "\\2717\\00a0"; } .undecided::before { content: "?\\00a0"; }
.holds { color: #00704f; } .refuted { color: #b34700; } .undecided { color: #705500; }
@media (prefers-color-scheme: dark) { .holds { color: #4fd1a5; } .refuted { color: #ff9a5c; } .undecided { color: #f0c75e; } }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; } summary { padding: .5rem .8rem; cursor: pointer; }
details > div { scroll-margin-top: 3.2rem; padding: .1rem .8rem .8rem; background: var(--band); }
math[display=block] { margin: .6rem 0; padding: .2rem 0; overflow-x: auto; overflow-y: hidden; max-width: 100%; }
mtd[columnalign=left] { text-align: left; } mtd[columnalign=right] { text-align: right; } mtable[displaystyle=true] mtd { padding: .25rem 0; }
figure { margin: 1rem 0; } figure img { max-width: 100%; height: auto; } code { font-size: .9em; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1rem; }
"""

_MATH = re.compile(r"(\$[^$]*\$|`[^`]*`)")
_SHOWN = re.compile(r"\\begin\{(equation\*?|align\*?|gather\*?|multline\*?)\}(.*?)\\end\{\1\}|\\\[(.*?)\\\]", re.DOTALL)
_FORM = re.compile(r"\\textbf\{([^{}]*)\}|\\texttt\{((?:[^{}]|\\[{}])*)\}|\\emph\{([^{}]*)\}")


def math(latex: str, *, display: bool = False) -> str:
    """A formula as MathML, with its LaTeX kept for those who copy it; a formula that cannot be read is shown as it stands."""
    from latex2mathml.converter import convert

    text = re.sub(r"\\(?:label|tag)\{[^{}]*\}|\\notag|\\nonumber", "", latex).strip()
    # Sizes of brackets are given by hand in LaTeX; MathML stretches by itself.
    text = re.sub(r"\\(?:[bB]igg?)(?:[lrm])?(?=[^a-zA-Z])|\\(?:[bB]igg?)[lrm](?=\\)", "", text)
    text = re.sub(r"\\(?:tfrac|dfrac)", r"\\frac", text)
    # Of environments of several lines the converter knows those with these names.
    text = re.sub(r"(\\(?:begin|end))\{aligned\}", r"\1{split}", text)
    text = re.sub(r"(\\(?:begin|end))\{gathered\}", r"\1{matrix}", text)
    # Names of functions that it does not know.
    text = re.sub(r"\\arg(?![a-zA-Z])", r"\\operatorname{arg}", text)
    try:
        made = convert(text, display="block" if display else "inline")
    except Exception:
        # The converter raises errors of many kinds for what it does not know.
        return f"<code>{escape(latex)}</code>"
    return made.replace("<math ", f'<math alttext="{escape(latex, quote=True)}" ', 1)


def prose(text: str) -> str:
    """Text with formulas between dollar signs and code between backticks, and the LaTeX that flowlab writes around them."""
    out = []
    for piece in _MATH.split(text):
        if piece[:1] == "$" and len(piece) > 2:
            out.append(math(piece[1:-1]))
        elif piece[:1] == "`" and len(piece) > 2:
            out.append(f"<code>{escape(piece[1:-1])}</code>")
        else:
            plain = escape(piece)
            out.append(_unescaped(_FORM.sub(_formed, plain)))
    return "".join(out)


def _formed(found: re.Match[str]) -> str:
    strong, code, soft = found.groups()
    return f"<b>{strong}</b>" if strong is not None else f"<code>{code}</code>" if code is not None else f"<em>{soft}</em>"


def _unescaped(text: str) -> str:
    return re.sub(r"\\([_&%#{}$])", r"\1", text).replace(r"\noindent", "").replace(r"\par", "").replace(r"\medskip", "").replace("~", "\u00a0")


def tex(text: str) -> str:
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
    return "\n".join([*out, *_paragraphs(text[at:])])


def _paragraphs(text: str) -> list[str]:
    return [f"<p>{prose(part)}</p>" for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    """A table in a box that scrolls sideways on narrow screens, also by keyboard; cells are HTML."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(f"<tr>{''.join(cell if cell.startswith('<td') else f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption, quote=True)}"><table><thead><tr>{top}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>")  # fmt: skip


def number(value: float | None, digits: int = 6) -> str:
    """A cell with a number."""
    return f'<td class="number">{"–" if value is None or value != value else f"{value:.{digits}g}"}</td>'


def unfolding(head: str, body: str, name: str = "") -> str:
    """A part that unfolds; `head` and `body` are HTML. A link to what is inside opens it, which one to the part itself would not."""
    return f"<details><summary>{head}</summary><div{f' id={chr(34)}{escape(name, quote=True)}{chr(34)}' if name else ''}>{body}</div></details>"


def answer(word: str, code: str = "") -> str:
    """An answer, told by sign, word and colour."""
    return f'<span class="answer {word}">{word}</span>{f" <span class=soft>({escape(code)})</span>" if code else ""}'


def picture(path: Path, told: str) -> str:
    """A PNG or SVG file set into the page."""
    kind = {"svg": "svg+xml"}.get(path.suffix[1:], path.suffix[1:])
    code = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<figure><img src="data:image/{kind};base64,{code}" alt="{escape(told, quote=True)}"><figcaption class="soft">{escape(told)}</figcaption></figure>'


def page(title: str, body: str) -> str:
    """The whole page."""
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(title)}</title>"
            # A data address, or browsers ask the disk for an icon and tell of its absence.
            f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head>\n'
            f'<body><main><h1>{escape(title)}</h1>\n{body}\n</main></body></html>\n')  # fmt: skip
