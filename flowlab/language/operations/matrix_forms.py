"""Sums over products of entries as formulas of matrices, where every operand and the result are matrices in print.

Samples are columns there, vectors are columns, and a value per sample is a row; N is the letter of the samples.
"""

from collections.abc import Sequence
from typing import NamedTuple

from flowlab.language.operations.base import (
    PRODUCT,
    IndexSum,
    Piece,
    diagonal,
    entrywise,
    product,
    times,
)


class _Matrix(NamedTuple):
    """A printed matrix and the letters of its rows and columns; an empty letter stands for a single one."""

    piece: Piece
    rows: str
    columns: str

    def turned(self, tex: bool) -> "_Matrix":
        return _Matrix(self.piece.transpose(tex), self.columns, self.rows)


def _placed(axes: str, samples: str) -> tuple[str, str] | None:
    """The letters of rows and columns; None for what has more axes."""
    features = axes.replace(samples, "")
    if samples in axes:
        return (features, samples) if len(features) <= 1 else None
    return (features[:1], features[1:]) if len(features) <= 2 else None


def matrix_form(found: IndexSum, samples: str, tex: bool, parts: Sequence[Piece]) -> Piece | None:
    """The formula of an index sum, with its operands as they are printed; None where entries are plainer.

    Args:
        found: the sum.
        samples: the letter of the sample axis.
        tex: whether it is LaTeX.
        parts: the operands in print.
    """
    out = _placed(found.out, samples)
    placed = [_placed(axes, samples) for axes in found.operands]
    operands = [_Matrix(part, *at) for part, at in zip(parts, placed, strict=True) if at is not None]
    if out is None or len(operands) < len(parts):
        return None
    if len(operands) == 1:
        return _of_one(operands[0], out, found, samples, tex)
    if len(operands) > 2 or found.mean:
        return None
    a, b = operands
    return _entry_by_entry(a, b, out, samples, tex) or _product(a, b, out, tex)


def _of_one(a: _Matrix, out: tuple[str, str], found: IndexSum, samples: str, tex: bool) -> Piece | None:
    if out == (a.columns, a.rows):
        return a.piece.transpose(tex) if not found.mean else None
    if found.summed != samples or out != (a.rows, ""):
        return None
    made = _over_samples(a.piece, tex)
    if not found.mean:
        return made
    return Piece(rf"\tfrac{{1}}{{N}} {made.text}" if tex else f"{made.text} / N", PRODUCT)


def _over_samples(a: Piece, tex: bool) -> Piece:
    return Piece(rf"{a.within(PRODUCT, True)} \mathbf 1" if tex else f"sum_n({a.text})", PRODUCT)


def _entry_by_entry(a: _Matrix, b: _Matrix, out: tuple[str, str], samples: str, tex: bool) -> Piece | None:
    """Products of entries with the same letters, kept or added up, and a matrix times a number, a column or a row."""
    if (a.rows, a.columns) == (b.columns, b.rows):
        b = b.turned(tex)
    if (a.rows, a.columns) == (b.rows, b.columns):
        return _of_two_alike(a, b.piece, out, samples, tex)
    wide, small = (a, b) if len(b.rows + b.columns) < len(a.rows + a.columns) else (b, a)
    letters = {small.rows, small.columns} - {""}
    if out != (wide.rows, wide.columns) or len(letters) > 1 or not letters <= set(out):
        return None
    if not letters:
        return times(a.piece, b.piece) if tex else entrywise(tex, a.piece, b.piece)
    if not (wide.rows and wide.columns):
        return None
    by_row = wide.rows in letters
    if tex:
        scale = diagonal(small.piece)
        return product(tex, scale, wide.piece) if by_row else product(tex, wide.piece, scale)
    fits = small if bool(small.rows) == by_row else small.turned(tex)
    return entrywise(tex, *((wide.piece, fits.piece) if wide is a else (fits.piece, wide.piece)))


def _of_two_alike(a: _Matrix, b: Piece, out: tuple[str, str], samples: str, tex: bool) -> Piece | None:
    both = entrywise(tex, a.piece, b)
    if out == (a.rows, a.columns):
        return both
    if not (a.rows and a.columns):
        return None
    if out == ("", ""):
        open_, close = (r"\left\langle ", r"\right\rangle") if tex else ("<", ">")
        return Piece(f"{open_}{a.piece.text}, {b.text}{close}")
    if a.columns == samples and out == (a.rows, ""):
        return _over_samples(both, tex)
    if a.columns == samples and out == ("", samples):
        return (
            Piece(rf"\mathbf 1^{{\top}} {both.within(PRODUCT, True)}", PRODUCT) if tex else Piece(f"sum({both.text})")
        )
    return None


def _product(a: _Matrix, b: _Matrix, out: tuple[str, str], tex: bool) -> Piece | None:
    """The matrix product, with factors turned where that makes it one."""
    shared = {a.rows, a.columns} & {b.rows, b.columns} - {""}
    if len(shared) > 1 or shared & set(out):
        return None
    between = next(iter(shared), "")
    if not (between or ("" in (a.rows, a.columns) and "" in (b.rows, b.columns))):
        return None
    a = a if a.columns == between else a.turned(tex)
    b = b if b.rows == between else b.turned(tex)
    if (a.rows, b.columns) == out:
        return product(tex, a.piece, b.piece)
    if (b.columns, a.rows) == out:
        b, a = b.turned(tex), a.turned(tex)
        return product(tex, b.piece, a.piece)
    return None
