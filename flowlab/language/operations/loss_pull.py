"""The loss as operations of derived equations: kept whole, never expanded, so that its tails stay exact."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from flowlab.core.typing import Array, Namespace, Params
from flowlab.language.losses import losses
from flowlab.language.operations.base import POWER, SUM, Piece, operations
from flowlab.language.operations.derived import Derived
from flowlab.language.types import Shapes, Type


@operations.register("loss_pull")
class LossPull(Derived):
    """Ψ_n = -∂ℓ/∂f_n at the outputs (first operand) and labels (second operand, if there are any)."""

    pulls = True

    def shape(self, shapes: Shapes, args: Sequence[Type], told: str, operands: Sequence[str], params: Params) -> Type:
        return args[0]

    def number(self, args: Sequence[Type]) -> Fraction | None:
        return None if args[0].sampled else Fraction(-1)

    def numeric(self, xp: Namespace, args: Sequence[Array], types: Sequence[Type], out: Type, params: Params) -> Array:
        if not out.sampled:
            return -xp.ones_like(args[0])
        outputs = args[0] if out.rank else args[0][:, None]
        pulled = losses[params[0]]().pull(xp, outputs, args[1])
        return pulled if out.rank else pulled[:, 0]

    def symbolic(self, xp: Namespace, args: Sequence[Any], types: Sequence[Type], out: Type, params: Params) -> Any:
        if not out.sampled:
            return np.asarray(sp.Integer(-1))
        outputs, labels = args
        table = outputs if outputs.ndim == 2 else outputs[:, None]
        loss = losses[params[0]]()
        f = [sp.Symbol(f"f_{j}", real=True) for j in range(table.shape[1])]
        pulled = np.empty(table.shape, dtype=object)
        for n in range(table.shape[0]):
            ell = loss.symbolic(f, labels[n])
            for j in range(table.shape[1]):
                slope: Any = sp.diff(ell, f[j])
                pulled[n, j] = -slope.xreplace(dict(zip(f, table[n], strict=True)))
        return pulled if outputs.ndim == 2 else pulled[:, 0]

    def render(self, tex: bool, parts: Sequence[Piece], types: Sequence[Type], params: Params) -> Piece:
        if not types[0].sampled:
            return Piece("-1", SUM, negated=Piece("1"))
        outputs, labels = parts[0].text, parts[1].text
        name = params[0].replace("_", " ")
        loss = rf"\nabla_f\, \ell_{{\text{{{name}}}}}" if tex else f"grad_f {params[0]}"
        slope = Piece(f"{loss}({outputs}, {labels})", POWER)
        return Piece(f"-{slope.text}", SUM, negated=slope)
