"""How laws are written: W W^T, diag(...), u * v, |W|^2, <A, B>, tr(A B), 1^T W; else by indices."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from flowlab.symbolic.laws.law import Entries
from flowlab.symbolic.laws.terms import LETTERS, Term
from flowlab.symbolic.names import Labels

Weighed = Sequence[tuple[Fraction, Term]]


class Style(NamedTuple):
    """Text or LaTeX, with what blocks are called in it, and their learning rates where blocks have some."""

    names: Labels
    tex: bool
    rates: Mapping[str, str] | None = None

    def name(self, block: str) -> str:
        return (self.names.tex if self.tex else self.names.text)[block]

    def turned(self, block: str, yes: bool = True) -> str:
        """A block, transposed or not."""
        return self.name(block) + self.mark * yes

    @property
    def mark(self) -> str:
        """Of a transpose."""
        return r"^{\top}" if self.tex else "^T"

    @property
    def space(self) -> str:
        """Between a number and what it multiplies, beside the space that text has."""
        return r"\," if self.tex else ""

    @property
    def times(self) -> str:
        return r" \odot " if self.tex else " * "

    def diag(self, inside: str) -> str:
        return rf"\operatorname{{diag}}\bigl({inside}\bigr)" if self.tex else f"diag({inside})"

    def rate(self, term: Term) -> str:
        """The learning rates that a term is divided by."""
        if self.rates is None:
            return ""
        eta = [self.rates[w] for w in term.blocks]
        if len(eta) == 1 or eta[0] == eta[1]:
            return f"/{eta[0]}"
        return rf"/\sqrt{{{eta[0]} {eta[1]}}}" if self.tex else f"/sqrt({eta[0]} {eta[1]})"


def written(terms: Weighed, style: Style) -> str:
    """A sum of terms of one signature."""
    squares = _completed(terms, style)
    if squares is not None:
        return squares
    inner = [_inside(term, style) for _, term in terms]
    if all(part is not None for part in inner) and any(_is_matrix(term) for _, term in terms):
        # Diagonals of products: of vectors too, where a product of matrices is among them.
        return style.diag(summed([(c, str(part), term) for (c, term), part in zip(terms, inner, strict=True)], style))
    return summed([(c, _one(term, style), term) for c, term in terms], style)


def summed(parts: Sequence[tuple[Fraction, str, Term | None]], style: Style) -> str:
    """A sum of parts that are written already, each with its coefficient, and the term whose rates divide it."""
    text = ""
    for c, part, term in parts:
        size = abs(c)
        shown = part if size.numerator == 1 else f"{size.numerator}{style.space} {part}"
        shown += (style.rate(term) if term is not None else "") + (
            "" if size.denominator == 1 else f"/{size.denominator}"
        )
        sign = (" - " if c < 0 else " + ") if text else ("-" if c < 0 else "")
        text += sign + shown
    return text


def _is_matrix(term: Term) -> bool:
    return any(len(axes) == 2 for axes in term.axes)


def _inside(term: Term, style: Style) -> str | None:
    """The product of two matrices, vectors as columns, whose diagonal a term is; None where it is none."""
    if len(term.blocks) != 2 or len(term.out) != 1 or any(term.out not in axes for axes in term.axes):
        return None
    (a, b), (left, right), kept = term.blocks, term.axes, term.out
    if left == right == kept:
        return f"{style.name(a)} {style.turned(b)}"
    if len(left) != 2 or set(left) != set(right):
        return None
    first, second = style.turned(a, left[0] != kept), style.turned(b, right[0] == kept)
    return f"{first} {second}"


def _one(term: Term, style: Style) -> str:
    shape = {0: _number, 1: _vector, 2: _matrix}.get(len(term.out))
    shaped = None if shape is None else shape(term, style)
    return _indexed(term, style) if shaped is None else shaped


def _linear(term: Term, style: Style) -> str | None:
    """Sums of the axes of one block."""
    name, axes, out = style.name(term.blocks[0]), term.axes[0], term.out
    one = r"\mathbf 1" if style.tex else "1"
    if out == axes:
        return name
    if out == axes[::-1]:
        return style.turned(term.blocks[0])
    if not out:
        return rf"\operatorname{{sum}}({name})" if style.tex else f"sum({name})"
    if len(axes) != 2:
        return None
    return f"{name} {one}" if out == axes[0] else f"{one}{style.mark} {name}"


def _matrix(term: Term, style: Style) -> str | None:
    if len(term.blocks) == 1:
        return _linear(term, style)
    (a, b), (left, right) = term.blocks, term.axes
    x, y = term.out
    if x not in left or y not in right:
        a, b, left, right = b, a, right, left
    summed = [letter for letter in left if letter not in term.out]
    if max(len(left), len(right)) > 2 or x not in left or y not in right:
        return None
    if set(left) == set(right) == {x, y}:
        return f"{style.turned(a, left != term.out)}{style.times}{style.turned(b, right != term.out)}"
    if len(left) == len(right) == 1:
        return f"{style.name(a)} {style.turned(b)}"
    if len(left) == len(right) == 2 and len(summed) == 1 and summed[0] in right:
        return f"{style.turned(a, left[0] != x)} {style.turned(b, right[1] != y)}"
    return None


def _vector(term: Term, style: Style) -> str | None:
    if len(term.blocks) == 1:
        return _linear(term, style)
    (a, b), (left, right) = term.blocks, term.axes
    if max(len(left), len(right)) == 1:
        # One of them may be a number.
        return f"{style.name(a)}{style.times if left == right else ' '}{style.name(b)}"
    inside = _inside(term, style)
    if inside is not None:
        return style.diag(inside)
    if len(left) == 1:
        a, b, left, right = b, a, right, left
    if len(left) == 2 and len(right) == 1 and right not in term.out and right in left:
        return f"{style.turned(a, left[0] != term.out)} {style.name(b)}"
    return None


def _number(term: Term, style: Style) -> str | None:
    if len(term.blocks) == 1:
        return _linear(term, style) if term.axes[0] else style.name(term.blocks[0])
    (a, b), (left, right) = (style.name(w) for w in term.blocks), term.axes
    if left == right:
        if not left:
            return f"{a} {b}" if a != b else f"{a}^2"
        if a == b:
            return rf"\lVert {a}\rVert^2" if style.tex else f"|{a}|^2"
        return rf"\langle {a}, {b}\rangle" if style.tex else f"<{a}, {b}>"
    if len(left) == 2 and left == right[::-1]:
        return rf"\operatorname{{tr}}({a} {b})" if style.tex else f"tr({a} {b})"
    return None


def _indexed(term: Term, style: Style) -> str:
    """By indices, those that are kept called i, j and k in every term, so that terms can be added."""
    names = dict(zip(dict.fromkeys("".join((term.out, *term.axes))), LETTERS, strict=False))
    summed = "".join(name for letter, name in names.items() if letter not in term.out)
    renamed = ["".join(names[letter] for letter in axes) for axes in term.axes]
    entries = [
        (rf"[{style.name(w)}]_{{{axes}}}" if style.tex else f"{style.name(w)}[{','.join(axes)}]")
        if axes
        else style.name(w)
        for w, axes in zip(term.blocks, renamed, strict=True)
    ]
    front = (rf"\sum_{{{summed}}} " if style.tex else f"sum_{summed} ") if summed else ""
    return front + (r"\, " if style.tex else " ").join(entries)


def _completed(terms: Weighed, style: Style) -> str | None:
    """(a I + W) (a I + W)^T for what has W + W^T beside W W^T, where every term is part of such a square."""
    linear: dict[str, dict[str, Fraction]] = {}
    squares: dict[str, tuple[Fraction, Term]] = {}
    for c, term in terms:
        if len(term.out) != 2:
            return None
        if len(term.blocks) == 1 and len(term.axes[0]) == 2:
            linear.setdefault(term.blocks[0], {})[term.out] = c
        elif len(set(term.blocks)) == 1 and _by_rows(term) is not None and term.blocks[0] not in squares:
            squares[term.blocks[0]] = (c, term)
        else:
            return None
    if not linear or set(linear) - set(squares):
        return None
    parts: list[tuple[Fraction, str, Term | None]] = []
    for block, (c, term) in squares.items():
        shifts = linear.get(block, {})
        if not shifts:
            parts.append((c, str(_matrix(term, style)), term))
            continue
        if len(shifts) != 2 or len(set(shifts.values())) != 1:
            return None
        shift = next(iter(shifts.values())) / c
        size = "" if abs(shift) == 1 else f"{abs(shift)} "
        body = f"({size}I {'-' if shift < 0 else '+'} {style.name(block)})"
        parts.append((c, f"{body} {body}{style.mark}" if _by_rows(term) else f"{body}{style.mark} {body}", term))
    parts.sort(key=lambda part: part[0] < 0)
    return summed(parts, style)


def _by_rows(term: Term) -> bool | None:
    """True for W W^T, False for W^T W, None for other products."""
    if len(term.axes) != 2:
        return None
    left, right = term.axes
    if len(left) != 2 or len(right) != 2 or len(set(left + right)) != 3:
        return None
    return True if left[1] == right[1] else False if left[0] == right[0] else None


def entries_written(parts: Sequence[tuple[Fraction | float, Entries]], style: Style) -> str:
    """A quadratic form, entry by entry."""
    text = ""
    for c, part in parts:
        size = abs(c)
        number = "" if size == 1 else f"{size} " if isinstance(c, Fraction) else f"{size:.6g} "
        named = [_entry(style, w, place) for w, place in zip(part.blocks, part.places, strict=True)]
        shown = f"{named[0]}^2" if len(named) == 2 and named[0] == named[1] else " ".join(named)
        text += ((" - " if c < 0 else " + ") if text else ("-" if c < 0 else "")) + number + shown
    return text


def _entry(style: Style, block: str, place: tuple[int, ...]) -> str:
    mark = ",".join(str(i + 1) for i in place)
    if not mark:
        return style.name(block)
    return rf"[{style.name(block)}]_{{{mark}}}" if style.tex else f"{style.name(block)}[{mark}]"
