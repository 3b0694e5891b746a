"""The flow as expressions of SymPy, whose symbols are identifiers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import sympy as sp

from flowlab.symbolic.component import expand
from flowlab.symbolic.derivation_record import DerivationRecord
from flowlab.symbolic.identifiers import Identifiers
from flowlab.symbolic.trial_shapes import MOVED, Sizes


def to_sympy(
    flow: DerivationRecord, d: Sizes = 2, samples: int = 2, widths: Mapping[str, int] | None = None, outputs: int = 1
) -> dict[sp.Symbol, sp.Expr]:
    """The rate of every entry of the state, by its symbol; `FlowEquations.to_sympy` says more."""
    found, names = expand(flow, d, samples, widths, outputs), Identifiers()
    renamed = {symbol: sp.Symbol(names.of(symbol.name), **symbol.assumptions0) for symbol in found.names}
    rates: dict[sp.Symbol, sp.Expr] = {}
    for (kind, block), values in found.rates.items():
        moved = found.symbols.get(("chart", block), found.symbols[MOVED[kind], block])
        for place in np.ndindex(values.shape):
            symbol: Any = moved[place]
            rate: Any = sp.S.Zero + values[place]
            rates[renamed[symbol]] = rate.xreplace(renamed)
    return rates
