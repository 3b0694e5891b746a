"""The induced flow of a node: β' = -K ∇L with K = J Jᵀ, what is known of it, and how it is printed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import sympy as sp

from flowlab.core.arguments import shown
from flowlab.core.display import displayed
from flowlab.core.errors import LanguageError
from flowlab.core.hashing import sha256_json
from flowlab.core.typing import ArrayLike
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State, shapes_match
from flowlab.symbolic.book import Book, Step
from flowlab.symbolic.induced.brackets import Answer
from flowlab.symbolic.induced.coordinate import Coordinate
from flowlab.symbolic.induced.minimiser import Equations, Minimiser, minimiser
from flowlab.symbolic.induced.mirror import Mirror
from flowlab.symbolic.induced.node import Node, numbers_of_constants
from flowlab.symbolic.induced.quadrature import Quadrature
from flowlab.symbolic.names import symbol
from flowlab.symbolic.prose import node_tex


@dataclass(frozen=True)
@displayed
class InducedFlow:
    """The flow of a node β of weights, β' = -K ∂L/∂β with K = J Jᵀ and J = ∂β/∂W; prints as its derivation.

    Attributes:
        node: the node, and the problem as a function of it.
        weights: weights at the start, by block; None where no start was given.
        constants: numbers of the node's constants, by name.
        closes: whether K depends on the weights through β and what the flow keeps alone; with the reason.
        commutes: whether the gradient fields of the entries commute; `pairs` names those that do not.
        mirror: one entry in its mirror coordinate; None where entries share weights, do not commute, or θ(z) has no
            closed form that is found: then `coordinate` has its numbers by quadrature.
        entry: one entry in the symbols of its weights; None where entries share weights.
        begin: what stands for the weights of an entry at the start, by block.

    Examples:
        >>> net = fl.Network("(w*w - u*u + lam*v) @ x", constants=["lam"])
        >>> flow = fl.derive(fl.Problem(net, "square", coordinates="weights"))
        >>> start = fl.State.from_weights({"w": [1e-3, 1e-3, 1e-3], "u": [1e-3, 1e-3, 1e-3], "v": [0.0, 0.0, 0.0]})
        >>> beta = flow.induced("w*w - u*u + lam*v", start, constants={"lam": [0.1, 0.1, 0.1]})
        >>> bool(beta.closes), bool(beta.commutes)
        (True, True)
    """

    node: Node
    weights: dict[str, np.ndarray] | None
    constants: dict[str, np.ndarray]
    closes: Answer
    commutes: Answer
    mirror: Mirror | None
    entry: sp.Expr | None
    begin: tuple[tuple[str, sp.Expr], ...]

    @property
    def problem(self) -> Problem:
        """The objective as a function of β, whose block is `block`."""
        return self.node.outer

    @property
    def block(self) -> str:
        """What β is called in states of this flow."""
        return self.node.name

    @property
    def metric(self) -> sp.Expr | None:
        """K of one entry in its weights; None where entries share weights."""
        if self.entry is None:
            return None
        return sp.Add(*[sp.diff(self.entry, s) ** 2 for s in self.symbols])

    @property
    def conjugate(self) -> sp.Expr | None:
        """Φ*(z) of one entry, whose derivative is β(z); None where it has no closed form."""
        return None if self.mirror is None else self.mirror.conjugate

    @property
    def potential(self) -> sp.Expr | None:
        """Φ(β) of one entry; None where it has no closed form. `coordinate` has its numbers all the same."""
        return None if self.mirror is None else self.mirror.potential

    @property
    def laws(self) -> tuple[str, ...]:
        """What the flow keeps besides β: every weight gives the same z."""
        return () if self.mirror is None else tuple(f"{w} = {_text(value)}" for w, value in self.mirror.theta)

    @property
    def symbols(self) -> list[sp.Symbol]:
        """What the weights are called in `entry`."""
        return [sp.Symbol(w, real=True) for w in self.node.weights]

    @cached_property
    def start(self) -> State:
        """β at the start, as a state of this flow.

        Raises:
            LanguageError: without a start.
        """
        weights = self.require_start("a start of beta")
        return State.from_weights({self.block: np.asarray(self.node.value(np, weights, self.constants))})

    def with_constants(self, constants: Mapping[str, ArrayLike]) -> "InducedFlow":
        """The same flow with other numbers for the constants of the node.

        Raises:
            LanguageError: for a name that is no constant of the node; ShapeMismatch: for another shape.
        """
        return replace(self, constants=numbers_of_constants(self.node, {**self.constants, **constants}, self.weights))

    def require_start(self, what: str) -> dict[str, np.ndarray]:
        """The weights at the start.

        Raises:
            LanguageError: if there are none, with what needs them.
        """
        if self.weights is None:
            raise LanguageError(
                f"{what} needs weights to start from, got none; pass `flow.induced(node, start=state)`."
            )
        return self.weights

    def require_entry(self, what: str) -> sp.Expr:
        """One entry in the symbols of its weights, of which the mirror coordinate is made.

        Raises:
            LanguageError: if there is none, with the reason.
        """
        self.require_start(what)
        if self.entry is not None:
            return self.entry
        why = f"entries of `{shown(self.node.text, 60)}` share weights" if self.commutes else self.commutes.reason
        raise LanguageError(f"{what} needs a mirror coordinate, but {why}; integrate the weights.")

    def require_closed_form(self, what: str) -> Coordinate:
        """The mirror coordinate in closed form.

        Raises:
            LanguageError: if there is none, with the reason.
        """
        self.require_entry(what)
        found = self.coordinate
        if isinstance(found, Coordinate):
            return found
        why = f"the weights of `{shown(self.node.text, 60)}` have no closed form in it that is found"
        raise LanguageError(f"{what} needs a mirror coordinate in closed form, but {why}; integrate the weights.")

    @cached_property
    def coordinate(self) -> Coordinate | Quadrature:
        """The mirror coordinate in numbers: β(z), z(β), Φ*(z), Φ(β), K, entry by entry; by quadrature where it has no
        closed form.

        Raises:
            LanguageError: without a mirror coordinate.
        """
        entry, weights, shape = (
            self.require_entry("this"),
            self.require_start("this"),
            np.shape(self.start.V[self.block]),
        )
        if self.mirror is None:
            values = {**{w: weights[w] for w in self.node.weights}, **self.constants}
            return Quadrature(entry, self.node.weights, {k: np.broadcast_to(v, shape) for k, v in values.items()})
        held = {symbol.name: weights[w] for w, symbol in self.begin if isinstance(symbol, sp.Symbol)}
        return Coordinate.of(self.mirror, {**held, **self.constants}, shape)

    def minimiser(self, data: Data) -> Minimiser:
        """The minimiser of Φ over all β that fit the data, by Newton on the dual: where flows of a loss of targets end.

        Args:
            data: as many equations as outputs times samples, linear in β, that can be met.

        Returns:
            β with its residuals; where Newton's method stops early, `outcome` says so.

        Raises:
            LanguageError: without a mirror coordinate, for another loss, or for outputs that are not linear in β.
            DataError: if no β fits.
        """
        for name, value in self.constants.items():
            if name in data.given and not np.array_equal(np.asarray(data.given[name]), value):
                raise LanguageError(
                    f"`data` must have the constant `{name}` of this flow, got other numbers; use `with_constants`."
                )
        coordinate = self.coordinate
        shapes_match(self.start, self.problem.network, data)
        return minimiser(Equations.of(self.problem, self.block, coordinate.shape, data), coordinate)

    @cached_property
    def signature(self) -> str:
        """SHA-256 of the problem, the node and its start."""
        told = {} if self.weights is None else {w: v.tolist() for w, v in self.weights.items()}
        held = {c: v.tolist() for c, v in self.constants.items()}
        return sha256_json({"problem": self.node.problem.describe(), "node": self.node.text, "start": told | held})

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The derivation, each step with its rule and reason."""
        return tuple(_derived(self))

    def __str__(self) -> str:
        lines = [f"beta = {self.node.text}" + self._from(False), ""]
        for i, step in enumerate(self.steps, 1):
            lines += [f"({i}) {step.rule}: {step.reason}.", *(f"      {part}" for part in step.text.split("\n"))]
        return "\n".join([*lines, "", f"closes: {self.closes}.", f"commutes: {self.commutes}."])

    def latex(self) -> str:
        """The derivation as LaTeX that needs amsmath alone."""
        lines = [rf"\[ \beta = {node_tex(self.node.problem, self.node.expression)}{self._from(True)} \]"]
        lines += [f"{step.rule.capitalize()}: {step.prose}.\n\\[ {step.latex} \\]" for step in self.steps]
        return "\n\n".join(lines)

    def _from(self, tex: bool) -> str:
        if not self.begin:
            return ""
        if tex:
            return r", \qquad " + r", \; ".join(f"{symbol(w)}(0) = {_tex(v)}" for w, v in self.begin)
        return f", from {', '.join(f'{w} = {v}' for w, v in self.begin)}"


def _derived(flow: InducedFlow) -> list[Step]:
    book = Book(homogeneous=False, unit=True, binary=False, decayed=False)
    book.record(
        "chain rule",
        "all weights reach the output through beta; J = d beta/dW pulls its gradient back",
        "dW/dt = -J^T dL/dbeta",
        r"\dot W = -J^{\top} \frac{\partial L}{\partial\beta}",
        r"all weights reach the output through $\beta$; $J = \partial\beta/\partial W$ pulls its gradient back",
    )
    told = ("", "") if flow.metric is None else (f" = {_text(flow.metric)}, entry by entry", f" = {_tex(flow.metric)}")
    book.record(
        "push-forward",
        "d beta/dt = J dW/dt",
        f"d beta/dt = -K dL/dbeta,  K = J J^T{told[0]}",
        rf"\dot\beta = -K\,\frac{{\partial L}}{{\partial\beta}}, \qquad K = JJ^{{\top}}{told[1]}",
        r"$\dot\beta = J\dot W$",
    )
    if flow.mirror is not None:
        _mirrored(book, flow.mirror)
    elif flow.entry is not None:
        _integrated(book, flow)
    return book.steps


def _integrated(book: Book, flow: InducedFlow) -> None:
    """A mirror coordinate without closed form: its equation, and the potential as an integral."""
    slopes = [(sp.Symbol(str(s)), sp.diff(flow.entry, s)) for s in flow.symbols]
    book.record(
        "mirror coordinate",
        "gradient fields of different entries commute, so that weights are functions of z alone; no closed form is "
        "found, so that they are integrated",
        "dz/dt = -dL/dbeta,  " + ", ".join(f"d{w}/dz = {_text(value)}" for w, value in slopes),
        r"\dot z = -\frac{\partial L}{\partial\beta}, \quad "
        + r", \; ".join(rf"\frac{{d{_tex(w)}}}{{dz}} = {_tex(value)}" for w, value in slopes),
        "gradient fields of different entries commute, so that weights are functions of $z$ alone; no closed form is"
        " found, so that they are integrated",
    )
    book.record(
        "conjugate potential",
        "beta grows with z, so that it is the derivative of a convex function; sums run over entries",
        "Phi*(z) = sum (integral of beta from 0 to z)",
        r"\Phi^*(z) = \sum \int_0^z \beta",
        r"$\beta$ grows with $z$, so that it is the derivative of a convex function; sums run over entries",
    )
    _least(book, None)


def _mirrored(book: Book, chart: Mirror) -> None:
    theta = [(sp.Symbol(w), value) for w, value in chart.theta]
    book.record(
        "mirror coordinate",
        "gradient fields of different entries commute, so that weights are functions of z alone",
        "dz/dt = -dL/dbeta,  " + ", ".join(f"{w} = {_text(value)}" for w, value in theta),
        r"\dot z = -\frac{\partial L}{\partial\beta}, \quad "
        + r", \; ".join(f"{_tex(w)} = {_tex(value)}" for w, value in theta),
        "gradient fields of different entries commute, so that weights are functions of $z$ alone",
    )
    book.record(
        "beta of z",
        "insert the weights into the node; K = d beta/dz",
        f"beta = {_text(chart.beta)},  K = {_text(chart.metric)}",
        rf"\beta = {_tex(chart.beta)}, \qquad K = {_tex(chart.metric)}",
        r"insert the weights into the node; $K = d\beta/dz$",
    )
    book.record(
        "conjugate potential",
        "beta grows with z, so that it is the derivative of a convex function; sums run over entries",
        f"Phi*(z) = sum ({_text(chart.conjugate)})",
        rf"\Phi^*(z) = \sum \Bigl({_tex(chart.conjugate)}\Bigr)",
        r"$\beta$ grows with $z$, so that it is the derivative of a convex function; sums run over entries",
    )
    _least(book, chart.potential)


def _least(book: Book, known: sp.Expr | None) -> None:
    """The potential, and what limits minimise."""
    text = (
        "Phi(beta) = sum (z beta - Phi*(z)) at beta(z) = beta" if known is None else f"Phi(beta) = sum ({_text(known)})"
    )
    tex = (
        r"\max_z\,\bigl(\langle z, \beta\rangle - \Phi^*(z)\bigr)"
        if known is None
        else rf"\sum \Bigl({_tex(known)}\Bigr)"
    )
    book.record(
        "potential",
        "z = dPhi/dbeta stays in the span of the samples' gradients, so that a limit that fits is the minimiser",
        f"{text}\nbeta(infinity) = argmin {{ Phi(beta) : beta fits the data }}",
        rf"\Phi(\beta) = {tex}, \qquad \beta(\infty) = \operatorname*{{argmin}}_{{\text{{fit}}}} \Phi",
        r"$z = \partial\Phi/\partial\beta$ stays in the span of the samples' gradients, so that a limit that fits"
        " is the minimiser",
    )


def _text(expr: sp.Expr) -> str:
    return str(expr).replace("**", "^")


def _tex(expr: sp.Expr) -> str:
    """LaTeX with blocks and constants as equations write them: `lam` is one name, not a product of three letters."""
    return sp.latex(expr, symbol_names={s: symbol(str(s)) for s in expr.free_symbols if str(s).isalpha()})
