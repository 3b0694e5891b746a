"""From equations per block to a program at matrix level."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp

from flowlab.core.display import displayed
from flowlab.language.norm_groups import has_rows
from flowlab.language.problem import Problem
from flowlab.language.types import Type
from flowlab.symbolic import scalars
from flowlab.symbolic.backprop import backward, forward
from flowlab.symbolic.names import called_x
from flowlab.symbolic.program import Program, Tape, Value


@dataclass(frozen=True)
@displayed
class Equation:
    """The rates of one norm and of the directions that share it.

    Attributes:
        block: name of the norm (a weight block, or `"network"`).
        kappa: its degree, or None.
        rho: coefficient of ρ̇, or None in W-coordinates.
        G: coefficient of the sample pull G_k in V̇ (or Ẇ).
        V: coefficient of V_k in V̇ (of W_k in Ẇ).
        norm_of: whose norm stands for ρ_k; differs from `block` only in wrong-layer mutants.
    """

    block: str
    kappa: Fraction | None
    rho: sp.Expr | None
    G: sp.Expr
    V: sp.Expr
    norm_of: str


def norm_type(problem: Problem, block: str) -> Type:
    """One norm, or one per row of a matrix."""
    shape = problem.network.shapes.get(block, ())
    return Type(shape[:1]) if has_rows(shape, problem.per) else Type(())


def assemble(problem: Problem, equations: Sequence[Equation], omit: int | None = None) -> Program:
    """The program of a set of equations.

    Args:
        problem: network, loss and scheme.
        equations: one per norm, in order.
        omit: a sample left out of the pull, for mutants.
    """
    return _Assembler(problem, omit).build(equations)


class _Assembler:
    def __init__(self, problem: Problem, omit: int | None) -> None:
        self.problem, self.omit, self.tape = problem, omit, Tape()
        self.rows = "rows" if problem.per == "neuron" else "block"
        network = problem.network
        self.types = {w: Type(network.shapes[w], symmetric=w in network.symmetric) for w in network.weights}
        self.rho: dict[str, Value] = {}
        self.nu: dict[str, Value] = {}
        self.direction: dict[str, Value] = {}
        self.chart: dict[str, Value] = {}

    def build(self, equations: Sequence[Equation]) -> Program:
        problem, tape = self.problem, self.tape
        given = self.given()
        polar = problem.coordinates == "polar"
        blocks = self.polar_blocks() if polar else {w: self.weight(w) for w in self.types}
        values = forward(tape, problem.network, blocks, given)
        outputs = values[id(problem.network.expression)]
        known: dict[str, Value] = {}
        marks = {"outputs": outputs}
        seen = outputs
        if polar and problem.is_homogeneous:
            known["R"] = marks["R"] = tape.call_it(self.product(), "R")
            seen = tape.call_it(tape("row_scale", known["R"], outputs), "Q")
        marks["raw"] = seen
        labels = () if problem.loss.is_value else (tape.given("y", "", Type((), True), "y"),)
        pull = tape("loss_pull", seen, *labels, params=(problem.loss.name,))
        if problem.reduction == "mean":
            pull = tape("over_count", pull)
        if self.omit is not None:
            pull = tape("omit_sample", pull, params=(self.omit,))
        pull = tape.call_it(pull, "Psi")
        if polar and problem.is_homogeneous:
            known["s"] = marks["s"] = tape.call_it(tape("inner", pull, outputs, params=("block",)), "s")
        pulls = backward(tape, problem.network, values, pull)
        # What stands behind held values alone is not pulled on.
        still = (w for w in problem.network.weights if w not in pulls)
        pulls |= {w: tape("scale", blocks[w], params=(Fraction(0),)) for w in still}
        pulls = {w: tape.call_it(tape.values[g.index], f"G_{w}") for w, g in pulls.items()}
        rates: dict[tuple[str, str], Value] = {}
        for equation in equations:
            rates |= self.rates(equation, pulls, blocks, dict(known))
        return tape.finish(rates, marks)

    def weight(self, w: str) -> Value:
        """A whole block; from its place in the chart, where its geometry has one."""
        space = self.problem.charts.get(w)
        if space is None:
            return self.tape.given("weight", w, self.types[w], w)
        self.chart[w] = self.tape.given("chart", w, Type(self.types[w].shape), f"z_{w}")
        return self.tape.call_it(space.lifted(self.tape, self.chart[w]), w)

    def given(self) -> dict[str, Value]:
        """Inputs and constants, by name."""
        network, tape = self.problem.network, self.tape
        made = {}
        for name in network.roles:
            if name in network.inputs:
                made[name] = tape.given(
                    "x", name, Type(network.inputs[name], True), called_x(network) if name == "x" else name
                )
            elif name in network.constants:
                kind = Type(network.constants[name], symmetric=name in network.symmetric)
                made[name] = tape.given("x", name, kind, name)
        return made

    def polar_blocks(self) -> dict[str, Value]:
        """What the network sees: V, or v/‖v‖, times ρ unless R is taken out in front."""
        problem, tape = self.problem, self.tape
        small = "v" if problem.scheme.normalises else "V"
        for group, members in problem.groups.items():
            self.rho[group] = tape.given("norm", group, norm_type(problem, group), f"rho_{group}")
            given = {w: tape.given("direction", w, self.types[w], f"{small}_{w}") for w in members}
            self.nu[group] = tape("length", *given.values(), params=(self.rows,))
            for w, direction in given.items():
                if problem.scheme.normalises:
                    self.nu[group] = tape.call_it(self.nu[group], f"nu_{group}")
                    inverse = tape.coefficient(("^", "nu_k", Fraction(-1)), {"nu_k": self.nu[group]})
                    direction = tape.call_it(tape("row_scale", inverse, direction), f"V_{w}")
                self.direction[w] = direction
        if problem.is_homogeneous:
            return dict(self.direction)
        owner = {w: group for group, members in problem.groups.items() for w in members}
        return {w: tape.call_it(tape("row_scale", self.rho[owner[w]], v), w) for w, v in self.direction.items()}

    def product(self) -> Value:
        """R = Π ρ_k^κ_k."""
        names = {f"rho_{group}": rho for group, rho in self.rho.items()}
        factors = []
        for group, kappa in self.problem.degrees.items():
            if kappa:
                factors.append(f"rho_{group}" if kappa == 1 else ("^", f"rho_{group}", kappa))
        tree = ("*", *factors) if len(factors) > 1 else factors[0] if factors else Fraction(1)
        return self.tape.coefficient(tree, names)

    def rates(
        self, equation: Equation, pulls: dict[str, Value], blocks: dict[str, Value], known: dict[str, Value]
    ) -> dict[tuple[str, str], Value]:
        """The lines of one equation."""
        problem, tape, group = self.problem, self.tape, equation.block
        members = problem.groups[group]
        if any(problem.decay.values()):
            known["omega_k"] = tape.given("decay", members[0], Type(()), f"omega_{group}")
        if problem.is_rated:
            known["eta_k"] = tape.given("rate", members[0], Type(()), f"eta_{group}")
        out: dict[tuple[str, str], Value] = {}
        kind = "W"
        source = blocks
        if problem.coordinates == "polar":
            kind, source = "V", self.direction
            known["rho_k"], known["nu_k"] = self.rho[equation.norm_of], self.nu[group]
            if any(
                "p_k" in scalars.names(scalars.bind(e, equation.kappa))
                for e in (equation.rho, equation.V)
                if e is not None
            ):
                known["p_k"] = self.radial(members, pulls)
            rate = scalars.bind(equation.rho if equation.rho is not None else sp.Integer(0), equation.kappa)
            still = rate == 0
            rho_rate = tape("scale", self.rho[group], params=(rate,)) if still else tape.coefficient(rate, known)
            out["rho", group] = tape.call_it(rho_rate, f"rho_{group}'")
        for w in members:
            parts = ((equation.G, pulls[w]), (equation.V, source[w]))
            terms = [
                self.term(coefficient, vector, equation.kappa, known)
                for coefficient, vector in parts
                if scalars.bind(coefficient, equation.kappa) != 0
            ]
            total = (
                tape("add", *terms)
                if len(terms) == 2
                else terms[0]
                if terms
                else tape("scale", source[w], params=(Fraction(0),))
            )
            if w in problem.geometry:
                total = problem.geometry[w].paced(tape, self.chart.get(w, blocks[w]), blocks[w], total)
            small = "v" if problem.scheme.normalises and kind == "V" else "z" if w in self.chart else kind
            out[kind, w] = tape.call_it(total, f"{w}'" if small == "W" else f"{small}_{w}'")
        return out

    def term(self, coefficient: sp.Expr, vector: Value, kappa: Fraction | None, known: dict[str, Value]) -> Value:
        if coefficient == 1:
            return vector
        if coefficient == -1:
            return self.tape("scale", vector, params=(Fraction(-1),))
        return self.tape("row_scale", self.tape.coefficient(scalars.bind(coefficient, kappa), known), vector)

    def radial(self, members: Sequence[str], pulls: dict[str, Value]) -> Value:
        """⟨V_k, G_k⟩ over all blocks that share the norm."""
        parts = [self.tape("inner", self.direction[w], pulls[w], params=(self.rows,)) for w in members]
        total = parts[0]
        for part in parts[1:]:
            total = self.tape("add", total, part)
        return self.tape.call_it(total, f"p_{members[0]}")
