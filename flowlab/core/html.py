"""Pieces of HTML: formulas as MathML, tables, parts that unfold.

Text is escaped unless it is `Markup`, which only the functions of this file and of those who put them together make:
what a user wrote stays text.
"""

import base64
import re
from collections.abc import Iterable, Sequence
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

from markupsafe import Markup

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
    body = Markup().join(
        Markup("<tr>{}</tr>").format(Markup().join(_cell(cell, head[i]) for i, cell in enumerate(row))) for row in rows
    )
    box = Markup(
        '<div class="wide" tabindex="0" role="region"'
        ' aria-label="{}"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
    )
    return box.format(caption, top, body)


def _cell(content: str, head: str) -> Markup:
    """A cell, which says what its column is: narrow screens show it in front, where there is no head above."""
    label = Markup(' data-label="{}"').format(head)
    if isinstance(content, Markup) and content.startswith("<td"):
        # As plain text, or the new part would be escaped.
        return Markup(str(content).replace("<td", f"<td{label}", 1))
    return Markup("<td{}>{}</td>").format(label, content)


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
