"""D1: what gradient flow conserves between layers."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import hypothesis, labels_fit, plain_flow, subject
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated, samples_for, small_data, visited
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.dynamics import time
from flowlab.language.autodiff import velocity
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State, initial_state
from flowlab.language.trajectory import Trajectory
from flowlab.symbolic.neighbours import Neighbours, adjacent

NET = "W3 @ W2 @ leaky_relu(W1 @ x, 0.5)"
"""Between W2 and W3 the net is linear, between W1 and W2 homogeneous unit by unit."""


def laws(problem: Problem, variant: Variant) -> dict[str, Callable[[Mapping[str, np.ndarray]], np.ndarray]]:
    """Name and law of what gradient flow keeps of the weights, each a function of second degree; or a wrong one in its
    place.
    """
    conserved: dict[str, Callable[[Mapping[str, np.ndarray]], np.ndarray]] = {}
    degrees, blocks = {w: problem.network.symmetry.degree(w) for w in problem.network.weights}, problem.network.weights
    homogeneous = [w for w in blocks if degrees[w]] if problem.network.symmetry.is_multihomogeneous else []
    for a, b in pairwise(homogeneous):
        p, q = float(degrees[a] or 1), float(degrees[b] or 1)
        conserved[f"|{a}|^2/{p:g} - |{b}|^2/{q:g}"] = lambda w, a=a, b=b, p=p, q=q: np.atleast_1d(
            (w[a] ** 2).sum() / p + variant.sign * (w[b] ** 2).sum() / q
        )
    for pair in adjacent(problem):
        name, law = variant.across(pair) if pair.diagonal else ("the matrix between", partial(_gram, pair))
        conserved[f"{name} {pair.inner} and {pair.outer}"] = law
    return conserved


def _gram(pair: Neighbours, w: Mapping[str, np.ndarray]) -> np.ndarray:
    inner, outer = w[pair.inner], np.atleast_2d(w[pair.outer])
    return inner @ inner.T / float(pair.degree) - outer.T @ outer


def _units(pair: Neighbours) -> tuple[str, Callable[[Mapping[str, np.ndarray]], np.ndarray]]:
    return "units between", lambda w: np.diag(_gram(pair, w))


def _whole(pair: Neighbours) -> tuple[str, Callable[[Mapping[str, np.ndarray]], np.ndarray]]:
    return "the matrix across", partial(_gram, pair)


def _entries(pair: Neighbours) -> tuple[str, Callable[[Mapping[str, np.ndarray]], np.ndarray]]:
    return "entries of", lambda w: w[pair.inner][:, 0] ** 2 - np.atleast_2d(w[pair.outer])[0] ** 2


@hypothesis("gradient flow without weight decay; two homogeneous layers, one behind the other")
def _homogeneous_flow(case: Case) -> str | None:
    p = subject(case)
    if p is None:
        return "data come without a network" if case.data is not None else None
    unmet = plain_flow(p) or labels_fit(case, p)
    if unmet is not None:
        return unmet
    return None if laws(p, Balance.stated) else "no two layers of the network are homogeneous, one behind the other"


@claim("D1")
class Balance(Claim):
    """Three conserved differences: of squared norms, of every unit's in and out, of Gram matrices where nothing is
    between.
    """

    title = "gradient flow keeps layers as balanced as they are"
    statement = (
        "Gradient flow conserves |W_k|_F^2 - |W_{k+1}|_F^2 between homogeneous layers. It conserves the difference of "
        "squared in- and out-going norms of every (leaky) ReLU unit. Between linear layers it conserves the matrix "
        "W_k W_k^T - W_{k+1}^T W_{k+1}, but not across an activation."
    )
    latex = (
        r"\frac{d}{dt}\bigl(\lVert W_k\rVert_F^2 - \lVert W_{k+1}\rVert_F^2\bigr) = 0, \quad "
        r"\frac{d}{dt}\bigl(W_kW_k^\top - W_{k+1}^\top W_{k+1}\bigr) = 0"
    )
    source = "Du, Hu, Lee 2018, theorems 2.1 to 2.3 and corollary 2.1 (numbers not checked)"
    hypotheses = (_homogeneous_flow,)
    stated: ClassVar[Variant] = Variant(sign=-1.0, across=_units)
    mutants = (
        stated.but("sums of squared norms", sign=1.0),
        stated.but("the whole matrix across an activation", across=_whole),
        stated.but("single entries of a unit", across=_entries),
    )
    counter_example = "the whole matrix across an activation: off its diagonal it moves"
    quick = False

    def measure(self, case: Case, variant: Variant) -> Measurement:
        if case.problem is not None:
            return self._of_problem(case, variant)
        start, path = case.once("balance", lambda: self._flow(case))
        before, after = ({k: np.asarray(w) for k, w in s.weights().items()} for s in (start, path.last))
        quantities = [
            Quantity(
                f"change of {name}",
                float(np.abs(law(after) - law(before)).max()),
                0.0,
                1e-8 if "matrix" in name else 1e-7,
                relation="<=",
            )
            for name, law in laws(path.problem, variant).items()
        ]
        moved = float(np.abs(after["W1"] - before["W1"]).max())
        quantities.append(Quantity("change of the weights themselves", moved, 1e-3, 0.0, relation=">="))
        return Measurement.of(quantities, "local errors of 1e-9 over the flow, and over its passages through kinks")

    def _of_problem(self, case: Case, variant: Variant) -> Measurement:
        """Rates of the laws at states, by autodiff, and their changes along the flow given."""
        p: Any = subject(case)
        if variant.across is not _units and not any(pair.diagonal for pair in adjacent(p)):
            # A linear net keeps these too: the check is tried on a net that does not.
            case, p = Case(seed=case.seed), Problem(NET, "square", coordinates="weights", reduction="mean")
        data = samples_for(case, small_data(case.seed) if p.loss.classifies else self._samples(case))
        conserved, quantities = laws(p, variant), []
        rows: dict[str, list[float]] = {name: [] for name in conserved}
        for state in visited(case, p, data, 3):
            W = {k: np.asarray(w) for k, w in state.weights().items()}
            g = {k: np.asarray(v) for k, v in velocity(p, W, data).items()}
            size, fast = (np.sqrt(sum(float((v**2).sum()) for v in each.values())) for each in (W, g))
            for name, law in conserved.items():
                # A law is of second degree: its derivative along g is half of law(W + g) - law(W - g).
                unit = {k: v * (size / fast) if fast else v for k, v in g.items()}
                rate = law({k: W[k] + unit[k] for k in W}) - law({k: W[k] - unit[k] for k in W})
                rows[name].append(float(np.abs(rate).max()) / size**2)
        quantities = [
            Quantity(f"rate of {name}, relative", float(np.max(sizes)), 0.0, 1e-11, relation="<=", route="autodiff")
            for name, sizes in rows.items()
        ]
        if case.flow is not None:
            ends = [
                {k: np.asarray(w) for k, w in case.flow.state(i).weights().items()}
                for i in (0, len(case.flow) // 2, -1)
            ]
            bound = 100.0 * case.flow.rtol
            for name, law in conserved.items():
                drift = max(float(np.abs(law(end) - law(ends[0])).max()) for end in ends[1:])
                size = max(sum(float((w**2).sum()) for w in end.values()) for end in ends)
                quantities.append(
                    Quantity(
                        f"change of {name} along the flow, relative",
                        drift / size,
                        0.0,
                        bound,
                        relation="<=",
                        route="rows of the flow",
                    )
                )
        return Measurement.of(
            quantities, "laws are exact at every state; along a flow 100 times its relative tolerance is left"
        )

    @staticmethod
    def _samples(case: Case) -> Data:
        rng = np.random.default_rng(case.seed)
        return Data(rng.normal(size=(5, 3)), rng.normal(size=5), name=f"regression seed={case.seed}", kind="targets")

    @staticmethod
    def _flow(case: Case) -> tuple[State, Trajectory]:
        data = Balance._samples(case)
        problem = Problem(NET, "square", coordinates="weights", reduction="mean")
        start = initial_state(problem.network, data, widths={"W1": 4, "W2": 3}, seed=case.seed)
        return start, integrated(
            case, "balance flow", problem, start, data, time(2.0), rtol=1e-9, atol=1e-11, solver="tsit5"
        )
