"""A function of jax as an operation, and its pull-back: both are calls, and nothing about them is read."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from flowlab.core.typing import Array, Namespace, Params
from flowlab.language.input_facts import AsFunction
from flowlab.language.operations.base import Channel, Exponents, Handle, Operation, Piece, Sign, Tape, operations
from flowlab.language.operations.derived import Derived
from flowlab.language.types import Shapes, Type

_LISTED = 4
"""Blocks up to which all of them are named in print."""


@operations.register("opaque")
class Opaque(Operation):
    """A function of jax of weight blocks, inputs and constants; params: the function, and what trials found of it."""

    in_language = False

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return Type(params[1].output_shape, True)

    def degree(self, exps: Exponents, args: Sequence[Any], params: Params) -> Any:
        facts = params[1]

        def form(factors: Sequence[Any]) -> Any:
            total = exps.zero()
            for factor, arg in zip(factors, args, strict=False):
                total = exps.add(total, exps.times(factor, arg))
            return total

        for tie in facts.ties:
            several = sum(bool(factor) for factor in tie) > 1
            what = "these blocks scale together alone" if several else "scaling this block alone gives no power of c"
            exps.require_zero(form(tie), f"{what}, as trials show")
        return form(facts.degrees)

    def polynomial_degree(self, parts: Sequence[int], params: Params) -> int | None:
        return None

    def as_function(self, parts: Sequence[AsFunction], params: Params) -> AsFunction:
        return AsFunction()

    def channels(self, args: Sequence[Type], params: Params) -> tuple[Channel, ...]:
        return ()

    def reaches(self, args: Sequence[Sign], params: Params) -> list[bool]:
        moved = params[1].moved
        return [*moved, *[True] * (len(args) - len(moved))]

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        function = params[0]
        count = len(function.blocks)
        made = function.outputs(tuple(args[:count]), tuple(args[count:]))
        return np.asarray(made) if xp is np else made

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: Params) -> Any:
        raise self.missing("symbolic")

    def pullback(
        self, tape: Tape, args: Sequence[Handle], out: Handle, cot: Handle, params: Params
    ) -> list[Handle | None]:
        function = params[0]
        whole = tape("opaque_pull", *args, cot, params=(function,))
        parts: list[Handle | None] = [
            tape("opaque_part", whole, params=(function, k)) for k in range(len(function.blocks))
        ]
        return [*parts, *[None] * (len(args) - len(parts))]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        function = params[0]
        count = len(function.blocks)
        blocks, given = [p.text for p in parts[:count]], [p.text for p in parts[count:]]
        if count > _LISTED:
            blocks = [blocks[0], r"\dots" if tex else "...", blocks[-1]]
        name = function.name.replace("_", r"\_")
        head = (name if len(name) == 1 else rf"\operatorname{{{name}}}") if tex else function.name
        return Piece(f"{head}({', '.join(blocks)}; {', '.join(given)})")


@operations.register("opaque_pull")
class OpaquePull(Derived):
    """The pull-back of a cotangent (last operand) through a function of jax: all blocks end to end."""

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return Type((params[0].size,))

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        function = params[0]
        count = len(function.blocks)
        made = function.pull(tuple(args[:count]), tuple(args[count:-1]), args[-1])
        return np.asarray(made) if xp is np else made

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        return Piece(rf"\operatorname{{vjp}}({parts[-1].text})" if tex else f"vjp({parts[-1].text})")


@operations.register("opaque_part")
class OpaquePart(Derived):
    """One block of a pull-back; params: the function, and the number of the block."""

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        function, k = params
        return Type(list(function.blocks.values())[k])

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        function, k = params
        return args[0][function.part(k)].reshape(list(function.blocks.values())[k])

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        function, k = params
        name = list(function.blocks)[k]
        escaped = name.replace("_", r"\_")
        return Piece(rf"[{parts[0].text}]_{{\text{{{escaped}}}}}" if tex else f"{parts[0].text}[{name}]")
