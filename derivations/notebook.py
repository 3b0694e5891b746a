"""A derivation as a list of statements that are checked when they are made, and its Markdown and LaTeX.

An equation that fails its check raises at once, so that a text which exists is a text whose steps hold. Prose refers to
an earlier equation by its label in square brackets; a label that has not been shown yet is refused, which keeps
arguments from running in circles. `[name:label]` is an equation of another derivation, which the appendix of all
derivations resolves and demands to come earlier. Measured sizes stay out of the text: they differ between machines,
bounds do not.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from flowlab.core.errors import DerivationMismatch, LanguageError

Check = Callable[[], float] | float

_ESCAPES = {c: f"\\{c}" for c in "_&%#{}"}
_ESCAPES |= {
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
_PIECES = re.compile(r"(\$[^$]*\$|`[^`]*`)")
_LABEL = re.compile(r"\[(?:([a-z_]+):)?([a-z-]+)\]")


class Derivation:
    """One derivation.

    Args:
        title: its heading.
        source: where the result is published, and its number in flowlab's list of claims.

    Attributes:
        sizes: what every check measured, by label.
        cites: equations of other derivations that the text leans on, as (name, label).
    """

    def __init__(self, title: str, source: str) -> None:
        self.title, self.source = title, _line(source)
        self.sizes: dict[str, float] = {}
        self.cites: list[tuple[str, str]] = []
        self._numbers: dict[str, int] = {}
        self._items: list[tuple[str, ...]] = [("say", f"Source: {self.source}")]

    def section(self, title: str) -> None:
        """Start a section."""
        self._items.append(("section", self._refer(title)))

    def say(self, text: str) -> None:
        """A paragraph; formulas stand between dollar signs, `[label]` becomes the number of that equation."""
        self._items.append(("say", self._refer(text)))

    def define(self, label: str, latex: str, text: str) -> None:
        """A numbered definition; there is nothing in it to check."""
        self._number(label)
        self._items += [("say", self._refer(text)), ("math", _line(latex), label)]

    def equation(self, label: str, latex: str, reason: str, *, check: Check, bound: float, how: str) -> None:
        """A numbered equation with its reason.

        Args:
            label: the name that later text refers to it by.
            latex: the equation.
            reason: why it holds, told before it.
            check: a size, or what computes it; zero where the equation holds exactly.
            bound: the largest size that passes.
            how: what the check compares, told after the equation.

        Raises:
            DerivationMismatch: naming the label, the size and the bound.
        """
        size = float(check() if callable(check) else check)
        # Written so that a NaN fails.
        if not size <= bound:
            raise DerivationMismatch(
                f'the step `{label}` of "{self.title}" is off by {size:.2e}, its bound is {bound:g} ({_line(how)}).',
                label,
                size,
            )
        told = self._refer(reason)
        self._number(label)
        self.sizes[label] = size
        self._items += [
            ("say", told),
            ("math", _line(latex), label),
            ("check", f"{self._refer(how)}, {_power(bound)}."),
        ]

    @property
    def labels(self) -> tuple[str, ...]:
        """Of all numbered equations, in their order."""
        return tuple(self._numbers)

    def _number(self, label: str) -> None:
        if label in self._numbers:
            raise LanguageError(f'the label `{label}` is taken in "{self.title}"; every equation has its own.')
        self._numbers[label] = len(self._numbers) + 1

    def _refer(self, text: str) -> str:
        """The text on one line, once all labels in it are known; they become numbers when it is rendered."""

        def known(match: re.Match[str]) -> str:
            name, label = match.groups()
            if name is not None:
                self.cites.append((name, label))
            elif label not in self._numbers:
                raise LanguageError(
                    f'`[{label}]` is no earlier equation of "{self.title}"; known: {", ".join(self._numbers)}.'
                )
            return match.group()

        return _cited(_line(text), known)

    def markdown(self) -> str:
        """The text as Markdown with the mathematics that code hosts display."""

        def number(match: re.Match[str]) -> str:
            name, label = match.groups()
            return f"({self._numbers[label]})" if name is None else f"(`{label}` of [{name}]({name}.md))"

        out = [f"# {self.title}"]
        for kind, text, *rest in self._items:
            if kind == "section":
                out.append(f"## {text}")
            elif kind == "math":
                out.append(f"```math\n{text} \\tag{{{self._numbers[rest[0]]}}}\n```")
            else:
                # $`…`$ instead of $…$: otherwise Markdown eats backslashes before the formula is read.
                told = "".join(f"$`{p[1:-1]}`$" if p[:1] == "$" else p for p in _PIECES.split(_cited(text, number)))
                out.append(f"> Checked: {told}" if kind == "check" else told)
        return "\n\n".join(out) + "\n"

    def latex(self) -> str:
        """The text as a LaTeX document that needs amsmath alone."""

        def number(match: re.Match[str]) -> str:
            name, label = match.groups()
            return f"({self._numbers[label]})" if name is None else f"(`{label}` of `{name}`)"

        body = self._body("section*", number, lambda label: f"\\tag{{{self._numbers[label]}}}")
        return _document([rf"\title{{{_prose(self.title)}}}", *_UNDATED], [r"\maketitle", r"\sloppy", *body])

    def part(self, name: str) -> list[str]:
        """The text as lines of a section of a larger LaTeX document,
        whose equations are labelled `name:label` and numbered there.
        """

        def link(match: re.Match[str]) -> str:
            return rf"$\eqref{{{match.group(1) or name}:{match.group(2)}}}$"

        # The reference stands between dollar signs only so that its braces count as a formula and are not escaped.
        body = self._body("subsection", link, lambda label: rf"\label{{{name}:{label}}}")
        return [rf"\section{{{_prose(self.title)}}}", *body]

    def _body(self, heading: str, refer: Callable[[re.Match[str]], str], mark: Callable[[str], str]) -> list[str]:
        out = []
        for kind, text, *rest in self._items:
            if kind == "math":
                out.append(f"\\begin{{equation}}\n{text} {mark(rest[0])}\n\\end{{equation}}")
                continue
            told = _prose(_cited(text, refer))
            if kind == "section":
                out.append(rf"\{heading}{{{told}}}")
            else:
                out.append(rf"{{\footnotesize Checked: {told}\par}}\medskip" if kind == "check" else told + "\n")
        return out


def appendix(derivations: Sequence[tuple[str, Derivation]]) -> str:
    """All derivations as the appendix sections of one LaTeX document, with equation numbers that are unique in it.

    Args:
        derivations: by name, in the order of reading.

    Raises:
        LanguageError: for a reference to an equation of another derivation that there is not, or that comes later.
    """
    known: set[tuple[str, str]] = set()
    for name, derivation in derivations:
        for cited in derivation.cites:
            if cited not in known:
                raise LanguageError(
                    f'`[{":".join(cited)}]` in "{derivation.title}" is no equation of an earlier derivation.'
                )
        known |= {(name, label) for label in derivation.labels}
    body = [line for name, derivation in derivations for line in derivation.part(name)]
    title = [r"\title{Derivations}", *_UNDATED, r"\numberwithin{equation}{section}"]
    return _document(title, [r"\maketitle", r"\sloppy", r"\tableofcontents", r"\appendix", *body])


_UNDATED = [r"\author{}", r"\date{}"]


def _document(preamble: list[str], body: list[str]) -> str:
    # Room for long formulas, without a package for margins.
    room = {"oddsidemargin": "-0.6in", "textwidth": "1.2in", "textheight": "1in", "topmargin": "-0.5in"}
    out = [
        r"\documentclass{article}",
        r"\usepackage{amsmath}",
        *(rf"\addtolength{{\{name}}}{{{by}}}" for name, by in room.items()),
    ]
    return "\n".join([*out, *preamble, r"\begin{document}", *body, r"\end{document}", ""])


def _cited(text: str, refer: Callable[[re.Match[str]], str]) -> str:
    """The text with what `refer` makes of every label outside formulas and code."""
    return "".join(piece if piece[:1] in ("$", "`") else _LABEL.sub(refer, piece) for piece in _PIECES.split(text))


def control(*labels: str) -> Derivation:
    """An empty derivation in which these labels stand, for a wrong step that refers to them."""
    d = Derivation("control", "none")
    for label in labels:
        d.define(label, "0", "none")
    return d


def _line(text: str) -> str:
    """Text written over several lines of code, on one."""
    return " ".join(text.split())


def _prose(text: str) -> str:
    def one(piece: str) -> str:
        if piece[:1] == "$":
            return piece
        plain = "".join(_ESCAPES.get(c, c) for c in piece.strip("`"))
        return rf"\texttt{{{plain}}}" if piece[:1] == "`" else plain

    return "".join(one(piece) for piece in _PIECES.split(text))


def _power(bound: float) -> str:
    if bound == 0:
        return "exactly"
    exponent = round(math.log10(bound))
    return "within " + (
        f"$10^{{{exponent}}}$" if math.isclose(bound, 10.0**exponent) and exponent < -1 else f"${bound:g}$"
    )


def render(
    derivations: Iterable[tuple[str, Derivation]], folder: Path, suffixes: Iterable[str] = (".md", ".tex")
) -> list[Path]:
    """Write NAME.md and NAME.tex of every derivation into a folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, derivation in derivations:
        for suffix in suffixes:
            written.append(folder / f"{name}{suffix}")
            written[-1].write_text(derivation.markdown() if suffix == ".md" else derivation.latex(), encoding="utf-8")
    return written
