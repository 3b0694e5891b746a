"""Sums over products of entries: what they are worth, how a cotangent is pulled back, and the word `einsum`.

Every multilinear operation is one: its pull-back is the same sum with one operand swapped for the cotangent. The axis
of the samples is the letter `N`, which is left out where every sample stands for itself.
"""

import re
from collections.abc import Sequence

from flowlab.core.arguments import shown
from flowlab.core.errors import LanguageError, ShapeMismatch, several
from flowlab.core.typing import Array, Namespace, Params
from flowlab.language.operations.base import (
    Handle,
    IndexSum,
    Operation,
    Piece,
    Product,
    Tape,
    operations,
)
from flowlab.language.operations.matrix_forms import matrix_form
from flowlab.language.types import Shapes, Type

SAMPLES = "N"
"""The letter of the sample axis."""
_LETTERS = "ijklmpqrstuvwabcdefgh"
"""Letters in the order in which axes get them; `n` is the sample's in print."""


def letters(count: int, start: int = 0) -> str:
    """Some letters for axes."""
    return _LETTERS[start : start + count]


def sampled(kind: Type, axes: str) -> str:
    """The letters of a value with those of its features, its samples first."""
    return SAMPLES + axes if kind.sampled else axes


def total(xp: Namespace, found: IndexSum, args: Sequence[Array]) -> Array:
    """The value of an index sum."""
    if len(args) == 1:
        made = xp.einsum(found.spec, args[0])
    else:
        # Object arrays of symbols have no order of products to choose.
        made = xp.einsum(found.spec, *args, optimize=args[0].dtype != object)
    if not found.mean:
        return made
    sizes = {letter: args[i].shape[at] for i, part in enumerate(found.operands) for at, letter in enumerate(part)}
    count = 1
    for letter in found.summed:
        count *= sizes[letter]
    return made / count


def pulled(tape: Tape, found: IndexSum, args: Sequence[Handle], cot: Handle) -> list[Handle | None]:
    """The cotangents of all operands of an index sum."""
    backs: list[Handle | None] = []
    for i, own in enumerate(found.operands):
        others = [(part, args[j]) for j, part in enumerate(found.operands) if j != i]
        parts = [part for part, _ in others] + [found.out]
        there = "".join(letter for letter in own if any(letter in part for part in parts))
        swapped = IndexSum(tuple(parts), there)
        back = cot if parts == [there] else tape("einsum", *(arg for _, arg in others), cot, params=(swapped.spec,))
        if there != own or found.mean:
            back = tape("repeat", back, args[i], params=(f"{there}->{own}", found.mean))
        backs.append(back)
    return backs


def read_spec(spec: object, count: int) -> IndexSum:
    """An index sum as numpy's einsum writes it.

    Raises:
        LanguageError: for what is no such text, or has another number of operands.
    """
    text = spec.replace(" ", "") if isinstance(spec, str) else ""
    found = re.fullmatch(r"((?:[A-Za-z]*)(?:,[A-Za-z]*)*)->([A-Za-z]*)", text)
    if found is None:
        raise LanguageError(
            f"`einsum` must start with a text such as 'ij,j->i', got {shown(repr(spec), 40)}; write letters for axes."
        )
    parts, out = tuple(found[1].split(",")), found[2]
    if len(parts) != count:
        raise LanguageError(
            f"`einsum('{text}', …)` must have {several(len(parts), 'operand')}, got {count}; give one for each group of"
            " letters."
        )
    for part in (*parts, out):
        if len(set(part)) != len(part):
            raise LanguageError(
                f"`einsum('{text}', …)` must have different letters in each operand, got `{part}`; take a diagonal by"
                " a constant."
            )
    missing = [letter for letter in out if not any(letter in part for part in parts)]
    if missing:
        raise LanguageError(
            f"`einsum('{text}', …)` must have all letters of its result in its operands, got `{missing[0]}`;"
            " leave it out."
        )
    return IndexSum(parts, out)


def over_samples(found: IndexSum, types: Sequence[Type]) -> IndexSum:
    """The index sum with the axis of the samples, where the text leaves it out."""
    if any(SAMPLES in part for part in (*found.operands, found.out)):
        return found
    parts = tuple(sampled(kind, part) for kind, part in zip(types, found.operands, strict=True))
    return IndexSum(parts, (SAMPLES if any(kind.sampled for kind in types) else "") + found.out)


@operations.register("einsum")
class Einsum(Product):
    """The sum over products of entries that a text of letters names, as numpy has it: einsum("ij,j->i", W, x).

    Letters name the axes of one sample; `N` names the samples, where they are to meet: einsum("Ni,Nj->ij", z, z).

    Examples:
        >>> net = fl.Network("einsum('ir,jr,ij->', U, V, A)", inputs={"A": ("m", "n")}, shapes={"U": ("m", "r")})
        >>> net.outputs({"U": np.ones((2, 1)), "V": np.ones((3, 1))}, {"A": np.ones((1, 2, 3))}).tolist()
        [[6.0]]
    """

    called = True
    leads_with_text = True
    operands = (1, None)

    def index_sum(self, args: Sequence[Type], params: Params) -> IndexSum:
        return over_samples(read_spec(params[0], len(args)), args)

    def ranks(self, args: Sequence[Type | None], params: Params) -> Sequence[int | None]:
        return [len(part.replace(SAMPLES, "")) for part in read_spec(params[0], len(args)).operands]

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        found = self.index_sum(args, params)
        where: dict[str, tuple[int, int]] = {}
        for i, (kind, part) in enumerate(zip(args, found.operands, strict=True)):
            axes = part.replace(SAMPLES, "")
            if (SAMPLES in part) != kind.sampled or part[1:].count(SAMPLES) or len(axes) != kind.rank:
                raise ShapeMismatch(
                    f"`{told}` must have a letter for every axis of `{operands[i]}` of shape {shapes.told(kind)}, got"
                    f" `{part}`; `{SAMPLES}` stands first and names the samples, and pairs of them need `constants`."
                )
            for at, letter in enumerate(axes):
                first, axis = where.setdefault(letter, (i, at))
                if not shapes.unify(args[first].shape[axis], kind.shape[at]):
                    raise ShapeMismatch(
                        f"`{told}`: axis `{letter}` is {shapes.find(args[first].shape[axis])} in `{operands[first]}`"
                        f" (axis {axis}) but {shapes.find(kind.shape[at])} in `{operands[i]}` (axis {at});"
                        " change one of them or declare `shapes`."
                    )
        if found.out[1:].count(SAMPLES):
            raise LanguageError(
                f"`{told}` must have `{SAMPLES}` first in its result, got `{found.out}`; write it there."
            )
        dims = tuple(args[where[letter][0]].shape[where[letter][1]] for letter in found.out.replace(SAMPLES, ""))
        return Type(dims, found.out.startswith(SAMPLES))

    def mixes_samples(self, params: Params) -> bool:
        return SAMPLES in params[0]

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        return total(xp, self.index_sum(types, params), args)

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        return pulled(tape, self.index_sum([arg.type for arg in args], params), args, cot)

    def entries(self, args: Sequence[Type], params: Params) -> IndexSum | None:
        found = self.index_sum(args, params)
        return None if matrix_form(found, SAMPLES, False, [Piece("")] * len(args)) else found

    def columns(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        return matrix_form(self.index_sum(types, params), SAMPLES, tex, parts) or self.render(tex, parts, types, params)

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        operands = ", ".join(part.text for part in parts)
        if tex:
            arrow = params[0].replace("->", r" \to ")
            return Piece(rf"\operatorname{{einsum}}_{{{arrow}}}({operands})")
        return Piece(f"einsum('{params[0]}', {operands})")


@operations.register("repeat")
class Repeat(Operation):
    """A value repeated over the axes that a second one has beside its own; divided by their number for a mean."""

    in_language = False

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return args[1]

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        there, own = params[0].split("->")
        wide = args[0].reshape([args[0].shape[there.index(k)] if k in there else 1 for k in own])
        count = 1
        for letter, size in zip(own, args[1].shape, strict=True):
            count *= 1 if letter in there else size
        made = xp.broadcast_to(wide, args[1].shape)
        return made / count if params[1] else made

    def index_sum(self, args: Sequence[Type], params: Params) -> IndexSum | None:
        there, own = params[0].split("->")
        return IndexSum((there,), own, params[1], own)
