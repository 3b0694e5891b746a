"""Every derivation is held against autodiff before it is returned.

The program is evaluated in numpy at random float64 states; the reference is the scheme's numeric meaning applied to
-∂L/∂W by `jax.vjp`. An equation counts as tested at a state where its rate is a well conditioned number to which the
samples contribute: a rate that has died, underflowed or cancelled tests nothing. Every unit with a kink is seen on both
sides of it.
"""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from flowlab.core.arguments import guarded
from flowlab.core.display import displayed
from flowlab.core.errors import DerivationMismatch, DerivationUnchecked
from flowlab.core.precision import require_x64
from flowlab.core.seeds import checked_seed
from flowlab.core.typing import Array
from flowlab.language.norm_groups import NETWORK, has_rows
from flowlab.language.problem import Problem
from flowlab.language.traversal import function_of
from flowlab.symbolic.conserved import Conserved
from flowlab.symbolic.difference_check import check_by_differences
from flowlab.symbolic.equations import FlowEquations
from flowlab.symbolic.states import Samples, TestState, drawn_width, in_space, inputs_of, random_state
from flowlab.symbolic.witness import Key, extended_gaps, length, rates, reference, velocity

BOUND = 1e-11
"""Relative residual above which equations are refused: about 1e3 roundings;
a wrong coefficient of 1 % shows at 1e-5 or more.
"""

_TRIES, _EXTRA = 60, 4
"""States drawn at most, and beyond those that test every equation to see units on both sides."""
_NODES = 8_000
"""Nodes worked out at most over all states, so that a long network answers in seconds."""
_VANISHED = 1e-13
"""Size of a rate, relative to the largest, below which it is zero but for roundings."""
_NOTHING = 4
"""Times the number of states at which a rate must be nothing, and never anything, before it counts as zero."""
_UNDERFLOW = float(np.sqrt(np.finfo(float).tiny))
"""Size up to which a number may be what is left of a product that underflows."""
_NUDGE = 1e-8
"""Relative change of inputs and weights that shows how well conditioned a rate is: far above roundings,
far below the distance to a kink.
"""
_CONDITION = 1e4
"""Of a rate that tests its equation; at a larger one its own roundings pass the bound."""
_NOISE = 10.0
"""Times what the nudge changes, up to which two badly conditioned rates are the same."""
_ROUNDINGS = 1e-13
"""Relative residual, some 500 roundings, from which on one that passes is measured in extended precision: at a
condition of 1e4 roundings alone reach 1e-12, and what is wrong is as wrong there.
"""
_VISIBLE = 1e-6
"""Part of a rate that the samples must have beside weight decay for an error of theirs to show."""


@dataclass(frozen=True)
@displayed
class Certificate:
    """The outcome of a check.

    Attributes:
        residual: the largest relative residual (dimensionless).
        equation: where it was.
        states: at how many states each equation was tested, at least; 0 where every rate vanishes for all weights.
        seed: of the first state.
        units_seen_both: whether every unit with a kink was seen on both sides of it.
        laws: the matched laws of the equations whose rate is zero at all states that test it, and at as many of
            them.
    """

    residual: float
    equation: str
    states: int
    seed: int
    units_seen_both: bool
    laws: tuple[Conserved, ...] = ()


class Compared(NamedTuple):
    """One rate at one state: the relative residual, whether it tests the equation, and whether it is no part of the
    velocity of its own blocks, as the norm's rate is behind a normalisation.
    """

    residual: float
    tested: bool
    vanishes: bool = False


def residuals(flow: FlowEquations, state: TestState) -> dict[Key, float] | None:
    """Relative disagreement of every rate, or None at a dead state, where all rates vanish, the derived ones too,
    and nothing is tested.
    """
    compared = _compare(flow, state, velocity(flow.problem, state))
    return None if compared is None else {key: one.residual for key, one in compared.items()}


def _compare(flow: FlowEquations, state: TestState, g: dict[str, np.ndarray]) -> dict[Key, Compared] | None:
    with np.errstate(all="ignore"):
        truth = rates(flow.problem, state, g)
        derived = in_space(flow.problem, state, flow.program.evaluate(np, inputs_of(flow.problem, state)))
    sizes = {key: length(want) for key, want in truth.items()}
    if not all(np.isfinite(size) for size in sizes.values()):
        return None
    if not any(sizes.values()):
        # What underflows in one order of multiplication may not in another.
        dead = all(length(derived[key]) <= _UNDERFLOW for key in truth)
        return None if dead else {key: Compared(float("inf"), False) for key in truth}
    # Where only roundings are left of every rate (one weight per block at fixed norms), the velocity gives the scale.
    largest = max(*sizes.values(), *(length(v) for v in g.values()))
    nudged = _nudged(state)
    with np.errstate(all="ignore"):
        moved = in_space(flow.problem, nudged, flow.program.evaluate(np, inputs_of(flow.problem, nudged)))
        out, doubtful = {}, []
        gaps = {key: length(np.asarray(derived[key]) - want) for key, want in truth.items()}
        # A rate that vanishes identically (the direction of a block of one weight) is roundings only:
        # no measure of its own.
        measures = {key: size if size > _VANISHED * largest else largest for key, size in sizes.items()}
        if rough := [key for key, gap in gaps.items() if _ROUNDINGS * measures[key] < gap <= BOUND * measures[key]]:
            more = extended_gaps(flow, state)
            gaps |= {key: more[key] for key in rough if key in more}
        for key, gap in gaps.items():
            residual = gap / measures[key]
            agrees = gap <= BOUND * sizes[key]
            own = max(length(g[w]) for w in flow.problem.groups.get(key[1], (key[1],)))
            nothing = max(sizes[key], length(derived[key])) <= _VANISHED * own / _longest(state, key[1])
            out[key] = Compared(
                residual if np.isfinite(residual) else float("inf"),
                agrees and _conditioned(sizes[key], length(moved[key] - derived[key])),
                nothing,
            )
            if not agrees and sizes[key]:
                doubtful.append(key)
        if doubtful:
            # Wrong, or nothing but roundings? The derived rate cannot bear witness for itself here.
            again = reference(flow.problem, nudged)
            for key in doubtful:
                gap, change = gaps[key], length(again[key] - truth[key])
                if _conditioned(sizes[key], change):
                    out[key] = Compared(gap / sizes[key] if np.isfinite(gap) else float("inf"), True)
                elif gap <= _NOISE * change:
                    # Two roundings of one number: neither right nor wrong.
                    out[key] = Compared(0.0, False, out[key].vanishes)
    return out


def _longest(state: TestState, group: str) -> float:
    """What a velocity is divided by, at most, to turn a direction."""
    norms = [state.rho[group]] if group in state.rho else list(state.rho.values())
    return max(1.0, *(float(np.max(rho)) for rho in norms))


def _nudged(state: TestState) -> TestState:
    """The same state with inputs and weights a little elsewhere."""
    rng = np.random.default_rng(0)

    def near(value: Array) -> np.ndarray:
        return np.asarray(np.asarray(value) * (1.0 + _NUDGE * rng.choice((-1.0, 1.0), size=np.shape(value))))

    V, W = {k: near(v) for k, v in state.V.items()}, {k: near(v) for k, v in state.weights.items()}
    return TestState(state.rho, V, W, state.samples.changed(near))


def _conditioned(size: float, change: float) -> bool:
    return 0.0 < size < np.inf and change <= _CONDITION * _NUDGE * size


def _hidden(problem: Problem, state: TestState, g: dict[str, np.ndarray]) -> set[str]:
    """Blocks and groups whose rate is weight decay alone, as far as can be seen."""
    hidden = set()
    for w, c in problem.decay.items():
        shrink = 2.0 * c * problem.rates[w] * state.weights[w]
        if c and length(g[w] + shrink) <= _VISIBLE * length(shrink):
            hidden.add(w)
    return hidden | {group for group, members in problem.groups.items() if hidden.issuperset(members)}


def _still(problem: Problem, state: TestState) -> set[Key]:
    """Rates that vanish for all weights, or do not depend on the samples: nothing about them can be tested, and nothing
    needs to be.

    Blocks that the output does not depend on; norms that the scheme holds; directions on a sphere of a single number.
    """
    live = problem.network.moved
    if problem.coordinates == "weights":
        return {("W", w) for w in problem.network.weights if w not in live}
    still = {("V", w) for w in problem.network.weights if w not in live}
    for group, members in problem.groups.items():
        if not (problem.scheme.moves_norms and live.intersection(members)):
            still.add(("rho", group))
        shapes = [state.V[w].shape for w in members]
        if all(int(np.prod(shape[1:] if has_rows(shape, problem.per) else shape)) == 1 for shape in shapes) and (
            problem.per != NETWORK or len(members) == 1
        ):
            still |= {("V", w) for w in members}
    return still


@guarded
def certify(flow: FlowEquations, *, states: int = 3, seed: int = 0, bound: float = BOUND) -> Certificate:
    """Hold derived equations against autodiff; returns the certificate.

    Args:
        flow: the equations.
        states: at how many random states every equation is tested, besides those needed to see every unit on and off.
        seed: of the first state.
        bound: largest relative residual that passes.

    Raises:
        DerivationMismatch: naming the equation and the size of the disagreement.
        DerivationUnchecked: naming an equation that too few states tested.
        PrecisionTooLow: without float64.
        LanguageError: for a seed that is not an integer from 0 on.

    Examples:
        >>> fl.certify(fl.derive(fl.Problem("W2 @ relu(W1 @ x)"), verify=False)).residual < 1e-12
        True
    """
    require_x64("derive")
    seed = checked_seed(seed)
    problem = flow.problem
    if problem.network.is_opaque:
        check_by_differences(problem, states, seed)
    worst, where, used = 0.0, "", 0
    coverage = _Coverage(problem)
    width = drawn_width(problem.network)
    count: Counter[Key] = Counter()
    nothing: Counter[Key] = Counter()
    needed: list[Key] = [key for key, _ in flow.program.rates]
    kept = _Kept(flow)
    room = _NODES // len(problem.network.nodes)
    tries, extra = max(2 * states, min(_TRIES, room)), _EXTRA if room >= _TRIES // 2 else 0
    levelled, attempt = False, 0
    for attempt in range(tries):
        state = random_state(problem, seed + attempt, width=width, lengths=attempt % 2 == 1, levelled=levelled)
        needed = sorted({*needed, *(key for key in nothing if count[key])} - _still(problem, state))
        fresh = coverage.note(state)
        if all(count[key] >= states for key in needed) and attempt >= states and (used >= states + extra or not fresh):
            if coverage.complete or used >= states + extra:
                break
            continue
        g = velocity(problem, state)
        compared = _compare(flow, state, g)
        hidden = _hidden(problem, state, g)
        found = (
            set() if compared is None else {key for key, one in compared.items() if one.tested and key[1] not in hidden}
        )
        # Plain draws and those scaled block by block take turns as long as they leave an equation untested.
        levelled = levelled == found.issuperset(needed)
        if compared is None:
            continue
        used += 1
        count.update(found)
        nothing.update(key for key, one in compared.items() if one.vanishes and key[1] not in hidden)
        # What is no part of a velocity that is there, at state after state, is none for all weights.
        needed = [key for key in needed if count[key] or nothing[key] < _NOTHING * states]
        kept.note(state, g, found, bound)
        for (kind, block), one in compared.items():
            if one.residual > worst:
                worst, where = one.residual, _name(problem, kind, block)
        if worst > bound:
            break
    if worst > bound:
        raise DerivationMismatch(
            f"the derived {where} disagrees with autodiff by {worst:.2e} (relative) for `{problem.network.text[:120]}`;"
            " the derivation of this architecture is wrong, please report it.",
            where,
            worst,
        )
    least = min(needed, key=count.__getitem__, default=None)
    if least is not None and count[least] < states:
        raise DerivationUnchecked(
            f"the {_name(problem, *least)} could not be checked for `{problem.network.text[:80]}`: its rate is zero or"
            f" roundings at {attempt + 1 - count[least]} of {attempt + 1} random states; scale the network, or take it"
            " unchecked with verify=False.",
            _name(problem, *least),
            count[least],
        )
    return Certificate(worst, where, 0 if least is None else count[least], seed, coverage.complete, kept.laws(states))


def _name(problem: Problem, kind: str, block: str) -> str:
    if kind == "rho":
        return f"equation of d rho_{block}/dt"
    return (
        f"equation of d {'v' if problem.scheme.normalises else 'V'}_{block}/dt"
        if kind == "V"
        else f"equation of d {block}/dt"
    )


class _Kept:
    """Which laws have no rate, as autodiff and the scheme's numeric meaning have it."""

    def __init__(self, flow: FlowEquations) -> None:
        self.flow = flow
        self.seen: Counter[Conserved] = Counter()
        self.broken: set[Conserved] = set()

    def note(self, state: TestState, g: dict[str, np.ndarray], tested: set[Key], bound: float) -> None:
        """Take a state into account, at the unit directions of its weights."""
        problem, W = self.flow.problem, state.weights
        if not self.flow.matched or problem.per != "layer":
            return
        rho = {w: np.asarray(length(v)) for w, v in W.items()}
        V = {w: v / rho[w] for w, v in W.items()}
        rate = problem.scheme.numeric(np, rho, V, g, problem.per)
        known = {block for _, block in tested}
        for law in self.flow.matched:
            if known.issuperset(law.blocks):
                size, terms = law.drift((rho, V, W), (*rate, g))
                self.seen[law] += 1
                if not size <= bound * terms:
                    self.broken.add(law)

    def laws(self, states: int) -> tuple[Conserved, ...]:
        """Those that are kept, tested often enough; where the output depends on neither block, nothing moves."""
        live = self.flow.problem.network.moved
        return tuple(
            law
            for law in self.flow.matched
            if law not in self.broken and (self.seen[law] >= states or not live.intersection(law.blocks))
        )


class _Coverage:
    """Which units with a kink have been seen on either side."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        network = problem.network
        functions = ((node, function_of(node)) for node in network.nodes if network.type_of(node).sampled)
        self.kinked = [node for node, function in functions if function is not None and function.kinks]
        self.seen: dict[int, np.ndarray] = {}

    def note(self, state: TestState) -> bool:
        """Take a state into account; True if it showed a side not seen before."""
        if not self.kinked:
            return False
        values = self.problem.network.node_values(state.weights, state.samples.inputs, np)
        fresh = False
        for i, node in enumerate(self.kinked):
            z = values[id(node.args[0])].reshape(len(state.samples.y), -1)
            sides = np.stack([(z > 0).any(axis=0), (z < 0).any(axis=0)])
            before = self.seen.get(i)
            both = sides if before is None else before | sides if before.shape == sides.shape else before
            fresh |= before is None or bool((both != before).any())
            self.seen[i] = both
        return fresh

    @property
    def complete(self) -> bool:
        # A unit fed by what is never negative (relu after relu of positive sums) cannot be seen off.
        return len(self.seen) == len(self.kinked) and all(
            bool(s[0].all()) and bool(s[1].any()) for s in self.seen.values()
        )


__all__ = ["BOUND", "Certificate", "Samples", "TestState", "certify", "random_state", "reference", "residuals"]
