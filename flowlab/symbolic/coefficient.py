"""Scalar coefficients as an operation: its parameter is a tree, its operands are the scalars of the tree by name."""

from collections.abc import Mapping, Sequence
from typing import Any

from flowlab.core.typing import Namespace, Record
from flowlab.language.operations.algebra import fraction_text
from flowlab.language.operations.base import PRODUCT, SUM, Piece, operations
from flowlab.language.operations.derived import Derived
from flowlab.language.types import Shapes, Type
from flowlab.symbolic import scalars


@operations.register("coefficient")
class Coefficient(Derived):
    """A scalar computed from named scalars; one per row where a norm is."""

    inlined = True

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: tuple) -> Type:
        return next((kind for kind in args if kind.rank), Type(()))

    def numeric(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: tuple) -> Any:
        return xp.asarray(scalars.evaluate(xp, params[0], _named(params, args)))

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: tuple) -> Any:
        return _exact(xp, params[0], _named(params, args))

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: tuple) -> Piece:
        columns = frozenset(name for name, kind in _named(params, types).items() if kind.rank)
        return _piece(params[0], _named(params, parts), tex, columns)


def _named(params: tuple, values: Sequence[Any]) -> Record:
    """What belongs to each scalar of a tree."""
    return dict(zip(scalars.names(params[0]), values, strict=True))


def _exact(xp: Namespace, tree: scalars.Tree, values: Mapping[str, Any]) -> Any:
    """The value of a tree without roundings."""
    if isinstance(tree, str):
        return values[tree]
    if not isinstance(tree, tuple):
        return xp.exact(tree)
    parts = [_exact(xp, part, values) for part in tree[1:]]
    if tree[0] == "^":
        return parts[0] ** parts[1]
    total = parts[0]
    for part in parts[1:]:
        total = total + part if tree[0] == "+" else total * part
    return total


def _piece(tree: Any, parts: dict[str, Piece], tex: bool, columns: frozenset[str] = frozenset()) -> Piece:
    """A coefficient with the names of its values put in; `columns` are the names that have an entry for every row."""
    if isinstance(tree, str):
        return parts[tree]
    if not isinstance(tree, tuple):
        return Piece(fraction_text(tree, tex), SUM if tree < 0 else PRODUCT if tree.denominator != 1 else 4)
    head, *rest = tree
    if head == "+":
        return Piece(" + ".join(_piece(t, parts, tex, columns).text for t in rest).replace("+ -", "- "), SUM)
    if head == "^":
        base = _piece(rest[0], parts, tex, columns).within(4, tex)
        power = str(rest[1]) if tex or rest[1].denominator == 1 else f"({rest[1]})"
        return Piece(rf"{base}^{{{power}}}" if tex else f"{base}^{power}", 3)

    def product(factors: list[Any], binds: int) -> str:
        text, tall = "", False
        for factor in factors:
            column = not columns.isdisjoint(scalars.names(factor))
            # Two columns have no matrix product.
            sign = " * " if not tex else r" \odot " if tall and column else " "
            text += (sign if text else "") + _piece(factor, parts, tex, columns).within(binds, tex)
            tall |= column
        return text

    sign = ""
    if rest and rest[0] == -1:
        sign, rest = "-", rest[1:]
    top = product([t for t in rest if not _is_inverse(t)], PRODUCT) or "1"
    below = [("^", t[1], -t[2]) if t[2] != -1 else t[1] for t in rest if _is_inverse(t)]
    if not below:
        return Piece(sign + top, SUM if sign else PRODUCT)
    bottom = product(below, PRODUCT if tex else 3)
    if tex:
        return Piece(rf"{sign}\frac{{{top}}}{{{bottom}}}", SUM if sign else PRODUCT)
    return Piece(f"{sign}{top} / {bottom if len(below) == 1 else f'({bottom})'}", SUM if sign else PRODUCT)


def _is_inverse(tree: Any) -> bool:
    return isinstance(tree, tuple) and tree[0] == "^" and not isinstance(tree[2], str) and tree[2] < 0
