"""Component depth: every scalar written out, to certify the other depths on small cases.

The program is run on arrays of SymPy symbols; independently, the loss is written out and differentiated by SymPy
component by component. No matrix symbol is ever differentiated.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from flowlab.core import html
from flowlab.core.arguments import short
from flowlab.core.display import displayed
from flowlab.core.errors import LanguageError
from flowlab.core.html import Markup
from flowlab.symbolic.derivation_record import DerivationRecord
from flowlab.symbolic.exact_arrays import SYMBOLIC, evaluate
from flowlab.symbolic.names import called, index, labels
from flowlab.symbolic.trial_shapes import MOVED, Sizes, input_shapes

MOST_WEIGHTS, MOST_TERMS = 24, 500
"""Weights, and weights times samples, that are written out: 600 terms fill a megabyte and take ten seconds."""
FIRST, LAST = 6, 60
"""Equations that a notebook shows at once, and those that it shows at all."""


@dataclass(frozen=True)
@displayed
class Component:
    """Rates as arrays of scalar expressions, by (kind, block); `symbols` are the inputs, in the same way.

    `names` has the LaTeX of every symbol.
    """

    rates: dict[tuple[str, str], np.ndarray]
    symbols: dict[tuple[str, str], np.ndarray]
    names: dict[sp.Symbol, str]

    def lines(self, tex: bool) -> list[tuple[str, str]]:
        """(derivative, expression) of every scalar rate; both sides call a scalar by one name."""
        out = []
        for (kind, block), values in self.rates.items():
            moved = self.symbols.get(("chart", block), self.symbols[MOVED[kind], block])
            for place in np.ndindex(values.shape):
                name: Any = moved[place]
                shown = rf"\frac{{d}}{{dt}} {self.names[name]}" if tex else f"d {name}/dt"
                out.append((shown, sp.latex(values[place], symbol_names=self.names) if tex else str(values[place])))
        return out

    def text(self) -> str:
        """The scalar equations as text."""
        return "\n".join(f"{a} = {b}" for a, b in self.lines(False))

    def __str__(self) -> str:
        return self.text()

    def _html_parts(self) -> list[str]:
        lines = [rf"{a} = {b}" for a, b in self.lines(True)]
        head, rest = ([html.math(line, display=True) for line in part] for part in (lines[:FIRST], lines[FIRST:LAST]))
        more = [html.unfolding(f"{len(lines) - FIRST} more equations", Markup().join(rest))] if rest else []
        left = [f"{len(lines) - LAST} more in `text()` and `latex()`"] if len(lines) > LAST else []
        return [*head, *more, *left]

    def _repr_latex_(self) -> str:
        return self.latex()

    def latex(self) -> str:
        """The scalar equations as LaTeX."""
        return "\\begin{align}\n" + " \\\\\n".join(f"  {a} &= {b}" for a, b in self.lines(True)) + "\n\\end{align}"


def expand(flow: DerivationRecord, d: Sizes, samples: int, widths: Mapping[str, int] | None, outputs: int) -> Component:
    """Run the program on symbols."""
    shapes = input_shapes(flow.problem, d, samples, widths, outputs)
    count = sum(int(np.prod(shape)) for (kind, _), shape in shapes.items() if kind == "weight")
    if count > MOST_WEIGHTS:
        raise LanguageError(
            f"component depth would write out {count} weights; at most {MOST_WEIGHTS}, use matrix depth or smaller"
            " widths."
        )
    if count * samples > MOST_TERMS:
        told = f"component depth would write out {short(samples)} samples for each of {count} weights"
        raise LanguageError(f"{told}; at most {MOST_TERMS // count}, use matrix depth or fewer samples.")
    symbols, named = _symbols(flow, shapes, outputs)
    env = evaluate(flow.program, symbols, SYMBOLIC)
    rates = {key: np.asarray(env[i], dtype=object) for key, i in flow.program.rates}
    return Component(rates, symbols, named)


def _symbols(
    flow: DerivationRecord, shapes: Mapping[tuple[str, str], tuple[int, ...]], outputs: int
) -> tuple[dict[tuple[str, str], np.ndarray], dict[sp.Symbol, str]]:
    """The inputs entry by entry, `V_W1[1,2]`, and their LaTeX.

    One symbol for two things would make the equations wrong.
    """
    named: dict[sp.Symbol, str] = {}
    problem, known = flow.problem, labels(flow.problem)
    letter = "v" if problem.scheme.normalises else "V"
    tex: dict[str, Callable[[str], str]] = {
        "y": lambda _: "y",
        "x": lambda name: known.tex.get(name, name),
        "weight": lambda w: known.tex[w],
        "direction": lambda w: f"{letter}_{{{index(w)}}}",
        "norm": lambda group: rf"\rho_{{{index(group)}}}",
        "chart": lambda w: f"z_{{{known.tex[w]}}}",
        "decay": lambda w: rf"\omega_{{{index(w)}}}",
        "rate": lambda w: rf"\eta_{{{index(w)}}}",
    }

    def array(kind: str, block: str, shape: tuple[int, ...]) -> np.ndarray:
        out, name, assume = np.empty(shape, dtype=object), called(problem, kind, block), {"real": True}
        assume |= {"positive": True} if kind in ("norm", "rate") else {}
        for place in np.ndindex(shape):
            mark = ",".join(str(i + 1) for i in place)
            # No name has brackets, so that entry 1 of `w_1` is not entry (1, 1) of `w`.
            entry = sp.Symbol(f"{name}[{mark}]" if mark else name, **assume)
            out[place], told = entry, tex[kind](block)
            named[entry] = f"[{told}]_{{{mark}}}" if mark else told
        return out

    skipped = () if problem.coordinates == "weights" else ("weight",)
    given = {key: array(*key, shape) for key, shape in shapes.items() if key[0] not in skipped}
    if problem.loss.compares_outputs:
        count = shapes["y", ""][0]
        given["y", ""] = np.array([sp.Integer(i % max(outputs, 1)) for i in range(count)], dtype=object)
    return given, named
