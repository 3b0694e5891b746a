"""Printed operands and how they are put together: brackets, products, transposes, functions with options."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

Option = int | Fraction | str | None
"""What an option of a function may be; numbers are kept exactly."""
SUM, PRODUCT, POWER, ATOM = 1, 2, 3, 4
"""How tightly a printed piece binds."""


@dataclass(frozen=True)
class Piece:
    """A printed operand and how tightly it binds."""

    text: str
    binds: int = ATOM
    negated: "Piece | None" = None
    """What stands behind the sign of `-z`, so that `a + (-z)` is printed as `a - z`."""
    turned: "Piece | None" = None
    """The transpose, where it is shorter than a mark behind this: of `A^T` it is `A`, of `a b^T` it is `b a^T`."""

    def within(self, binds: int, tex: bool = False) -> str:
        """The text, in brackets unless it binds at least as tightly as `binds`."""
        if self.binds >= binds:
            return self.text
        return rf"\left({self.text}\right)" if tex else f"({self.text})"

    def transpose(self, tex: bool) -> "Piece":
        """The transposed operand."""
        if self.turned is not None:
            return self.turned
        inner = self.within(ATOM, tex)
        return Piece(rf"{inner}^{{\top}}", POWER, turned=self) if tex else Piece(f"{inner}.T", turned=self)


def product(tex: bool, a: Piece, b: Piece) -> Piece:
    """The matrix product in print; in text `@` associates to the left, so a product on its right needs brackets."""
    text = f"{a.within(PRODUCT, True)} {b.within(PRODUCT, True)}" if tex else f"{a.within(PRODUCT)} @ {b.within(POWER)}"
    return Piece(text, PRODUCT)


def entrywise(tex: bool, a: Piece, b: Piece) -> Piece:
    """The entrywise product in print; in LaTeX it binds weaker than a matrix product, so (A ⊙ B) C^T has brackets."""
    if tex:
        return Piece(rf"{a.within(PRODUCT, True)} \odot {b.within(PRODUCT, True)}", SUM)
    return Piece(f"{a.within(PRODUCT)} * {b.within(POWER)}", PRODUCT)


def times(a: Piece, b: Piece) -> Piece:
    """A number times a value, in LaTeX."""
    # A sum over samples has brackets: a matrix in front of it would meet its summands.
    binds = POWER if a.text.endswith(r"\mathbf 1") else PRODUCT
    return Piece(rf"{a.within(binds, True)} \, {b.within(PRODUCT, True)}", PRODUCT)


def diagonal(a: Piece) -> Piece:
    """A vector as a diagonal matrix, in LaTeX."""
    return Piece(rf"\operatorname{{diag}}({a.text})")


def option_text(value: Option) -> str:
    """An option as a user writes it."""
    return f"'{value}'" if isinstance(value, str) else str(value)


def function_piece(name: str, tex: bool, parts: Sequence[Piece], options: Sequence[Option | float]) -> Piece:
    """A function word with its operands and options in print."""
    inner = ", ".join([part.text for part in parts] + [_printed(option, tex) for option in options])
    return Piece(rf"\operatorname{{{name.replace('_', chr(92) + '_')}}}({inner})" if tex else f"{name}({inner})")


def _printed(option: Option | float, tex: bool) -> str:
    if isinstance(option, str):
        return rf"\text{{{option}}}" if tex else option_text(option)
    return repr(float(option)) if isinstance(option, Fraction) and option.denominator != 1 else str(option)
