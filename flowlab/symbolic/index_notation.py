"""Sums over entries in print, `Z[i,n] = sum_{j} W[i,j] X[j,n]`: what has more axes than a matrix is written so.

Samples are the last index, n. A value that is another one with its axes turned is written as that one.
"""

from collections.abc import Mapping

from flowlab.language.operations import Piece
from flowlab.language.operations.base import IndexSum, IndexTerms
from flowlab.language.operations.index_sums import SAMPLES, letters
from flowlab.symbolic.program import Program, Value

READING = (
    (
        r"\w\[[a-z]",
        "A[i,j,n] is an entry of A, n is the sample; a line with indices holds for all of those on its left",
    ),
    (r"\bsum_\{", "sum_{i,j} is a sum over all i and j of the product behind it"),
    (r"\bmean_\{", "mean_{i} is that sum divided by the number of its terms"),
    (r"\bsize_\{", "size_{i} is the number of values of the index i"),
    (r" for every ", "where it is said for every A[i,j,n], indices go as far as there"),
)
READING_TEX = (
    (r"\]_\{[a-z]", r"$[A]_{i,j,n}$ is an entry of $A$, $n$ is the sample"),
    (r"\\operatorname\{mean\}_", r"$\operatorname{mean}_{i}$ is the sum over $i$ divided by the number of its terms"),
    (r"\\operatorname\{size\}_", r"$\operatorname{size}_{i}$ is the number of values of the index $i$"),
    (r"for every ", r"where it is said for every $[A]_{i,j,n}$, indices go as far as there"),
)


class Entries:
    """Which values of a program are printed entry by entry, and under which names.

    Attributes:
        named: values that need a name in print: sums over entries, and the operands of those.
    """

    def __init__(self, program: Program, called: dict[int, str]) -> None:
        """Look through a program.

        Args:
            program: the program.
            called: the printed names of values, which grow while lines are written.
        """
        self.program, self.called = program, called
        self._found = {value.index: self._entries(value) for value in program.values}
        self._turned = {value.index: self._turning(value) for value in program.values}
        self._absorbed = self._absorb()
        self.named = self._to_be_named()

    def _types(self, value: Value) -> list:
        return [self.program.values[i].type for i in value.args]

    def _entries(self, value: Value) -> IndexSum | IndexTerms | None:
        word = value.word
        return None if word is None else word.entries(self._types(value), value.params)

    def _turning(self, value: Value) -> IndexSum | None:
        """The index sum of a value that only turns the axes of another one."""
        found = None if value.word is None else value.word.index_sum(self._types(value), value.params)
        plain = found is not None and len(found.operands) == 1 and not found.summed and not found.mean
        return found if plain and found is not None and len(found.operands[0]) == len(found.out) else None

    def _absorb(self) -> dict[int, int]:
        """Sums over entries whose only use is a named value that turns them, which becomes the sum itself."""
        uses: dict[int, int] = {}
        for value in self.program.values:
            for arg in value.args:
                uses[arg] = uses.get(arg, 0) + 1
        out = {}
        for value in self.program.values:
            if self._turned[value.index] is not None and value.index in self.called:
                arg = value.args[0]
                plain = self._found[arg] is not None and self._turned[arg] is None
                if plain and uses[arg] == 1 and arg not in self.called:
                    out[arg] = value.index
        return out

    def _to_be_named(self) -> set[int]:
        wanted: set[int] = set()
        whole: set[int] = {i for _, i in self.program.rates}
        for value in self.program.values:
            if self._found[value.index] is None:
                whole.update(value.args)
            elif self._turned[value.index] is None:
                wanted.update({value.index, *(self._source(i) for i in value.args)})
        # What is turned is named where something takes it as a whole.
        wanted |= {i for i in whole if self._turned[i] is not None and self._found[i] is not None}
        return wanted - set(self._absorbed)

    def _source(self, index: int) -> int:
        value = self.program.values[index]
        named = value.name is not None or self._turned[index] is None
        return index if named else self._source(value.args[0])

    def has(self, value: Value) -> bool:
        """Whether a value is printed entry by entry, or left out because another one is printed in its place."""
        return self._found[value.index] is not None or value.index in self._absorbed.values()

    def line(self, value: Value, name: str, pieces: Mapping[int, Piece], tex: bool) -> tuple[str, str]:
        """Both sides of the line of a value that is printed entry by entry."""
        out = None
        under = next((arg for arg, outer in self._absorbed.items() if outer == value.index), None)
        if under is not None:
            turned, inner = self._turned[value.index], self._found[under]
            assert turned is not None
            assert inner is not None
            place = dict(zip(turned.operands[0], inner.out, strict=True))
            out, value = "".join(place[k] for k in turned.out), self.program.values[under]
        found = self._found[value.index]
        assert found is not None
        letter = _lettered(found)
        operands = zip(value.args, (*found.operands, *self._ranges(found)), strict=False)
        parts = [self._factor(index, axes, letter, pieces, tex) for index, axes in operands]
        left = _entry(Piece(name), [letter[k] for k in _last(out or found.out)], tex)
        if isinstance(found, IndexTerms):
            signs = ["" if s > 0 else "-" for s in found.signs[:1]] + [
                " + " if s > 0 else " - " for s in found.signs[1:]
            ]
            return left, "".join(sign + part for sign, part in zip(signs, parts, strict=True))
        body = _sum(found, letter, parts[: len(found.operands)], tex)
        for other in parts[len(found.operands) :]:
            body += rf" \quad \text{{for every }} {other}" if tex else f" for every {other}"
        return left, body

    def _ranges(self, found: IndexSum | IndexTerms) -> list[str]:
        """The letters of the operand that says how far indices go, where nothing else does."""
        known = {*SAMPLES, *"".join(found.operands)}
        return [found.like] if isinstance(found, IndexSum) and not known.issuperset(found.out) else []

    def _factor(self, index: int, axes: str, letter: Mapping[str, str], pieces: Mapping[int, Piece], tex: bool) -> str:
        """An operand as an entry of the value that has a name below turned axes."""
        while index not in self.called and (under := self._turned[index]) is not None:
            place = dict(zip(under.out, axes, strict=True))
            axes = "".join(place[k] for k in under.operands[0])
            index = self.program.values[index].args[0]
        return _entry(pieces[index], [letter[k] for k in _last(axes)], tex)


def _sum(found: IndexSum, letter: Mapping[str, str], factors: list[str], tex: bool) -> str:
    summed = [letter[k] for k in _last(found.summed)]
    body = (r" \, " if tex else " ").join(factors)
    if summed:
        word = ("\\operatorname{mean}" if tex else "mean") if found.mean else (r"\sum" if tex else "sum")
        return f"{word}_{{{','.join(summed)}}} {body}"
    if not found.mean:
        return body
    over = [k for k in _last(found.out) if k not in found.operands[0]]
    sizes = [
        "N" if k == SAMPLES else rf"\operatorname{{size}}_{{{letter[k]}}}" if tex else f"size_{{{letter[k]}}}"
        for k in over
    ]
    return rf"\frac{{{body}}}{{{' '.join(sizes)}}}" if tex else f"{body} / {' / '.join(sizes)}"


def _lettered(found: IndexSum | IndexTerms) -> dict[str, str]:
    """Printed letters: the sample is n, so that another n gives way."""
    used = dict.fromkeys("".join((found.out, *found.operands)))
    free = [k for k in letters(20) if k not in used]
    return {k: "n" if k == SAMPLES else free.pop(0) if k == "n" else k for k in used}


def _last(axes: str) -> str:
    """The letters with the samples behind."""
    return axes.replace(SAMPLES, "") + SAMPLES * (SAMPLES in axes)


def _entry(piece: Piece, axes: list[str], tex: bool) -> str:
    if not axes:
        return piece.text
    return rf"[{piece.text}]_{{{','.join(axes)}}}" if tex else f"{piece.text}[{','.join(axes)}]"
