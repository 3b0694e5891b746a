"""P2: the polar equations."""

from collections.abc import Callable, Iterator

import numpy as np

from flowlab.claims.claim import Case, Claim, claim
from flowlab.claims.hypotheses import layered
from flowlab.claims.sample_problems import NETS, problem_like, visited, worst
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.problem import Problem
from flowlab.symbolic.certificate import Samples, TestState, random_state, residuals
from flowlab.symbolic.derive import derive
from flowlab.symbolic.equations import FlowEquations
from flowlab.symbolic.mutants import mutants


def _as_derived(_: Case, flow: FlowEquations) -> list[FlowEquations]:
    return [flow]


def _made_wrong(kind: str) -> Callable[[Case, FlowEquations], list[FlowEquations]]:
    """The equations made wrong in one way, or others where these cannot be wrong in this way."""

    def equations(case: Case, flow: FlowEquations) -> list[FlowEquations]:
        wrong = [m.flow for m in mutants(flow) if m.kind == kind]
        if wrong:
            return wrong
        plain = problem_like(Case(), NETS[0], scheme="gradient_flow")
        other = case.once("P2 other", lambda: derive(plain, verify=False))
        return [m.flow for m in mutants(other) if m.kind == kind]

    return equations


@claim("P2")
class PolarFlow(Claim):
    """The rates of norms and directions, derived or given, are those of the weights' gradient flow, or of the scheme of
    the equations given.
    """

    title = "polar form of gradient flow"
    statement = (
        "The derived equations of the norms and directions, or given ones, agree with the projected "
        "gradient of the loss."
    )
    latex = (
        r"\dot\rho_k = \kappa_k \tfrac{R}{\rho_k} s,\quad \dot V_k = \tfrac{R}{\rho_k^2}\sum_n "
        r"\psi_n(\partial_{V_k}\bar f_n - \kappa_k V_k \bar f_n)"
    )
    source = "(1.2) of flowlab's derivations, after Poggio, Banburski, Liao 2020"
    hypotheses = (layered,)
    stated = Variant(equations=_as_derived, states=lambda count: count, worst=worst)
    mutants = (
        stated.but("coefficient", equations=_made_wrong("coefficient"), states=lambda _: 3, worst=min),
        stated.but("sign", equations=_made_wrong("sign"), states=lambda _: 3, worst=min),
        stated.but("norm-exponent", equations=_made_wrong("norm-exponent"), states=lambda _: 3, worst=min),
        stated.but("dropped-projection", equations=_made_wrong("dropped-projection"), states=lambda _: 3, worst=min),
        stated.but("dropped-sample", equations=_made_wrong("dropped-sample"), states=lambda _: 3, worst=min),
        stated.but("wrong-degree", equations=_made_wrong("wrong-degree"), states=lambda _: 3, worst=min),
    )
    counter_example = "dropped-projection: the same equation without its tangent projection"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        if case.equations is not None:
            # What was given is checked, not what a new derivation says.
            given = [case.equations]
        else:
            nets = NETS[:4] if case.problem is None else (case.problem.network.text,)
            scheme = "gradient_flow" if case.problem is None else case.problem.scheme.name
            problems = [problem_like(case, net, scheme=scheme) for net in nets]
            given = [case.once(f"P2 {p.signature}", lambda p=p: derive(p, verify=False)) for p in problems]
        all_found: list[float] = []
        count = 25 if case.problem is None or case.equations is not None else 100
        for flow in given:
            flows = variant.equations(case, flow)
            own_data = case.data is not None and flow.problem == flows[0].problem
            for each in flows:
                largest, compared = 0.0, False
                trials = variant.states(count)
                drawn = (
                    _on_data(each.problem, case, trials)
                    if own_data
                    else (random_state(each.problem, case.seed + i) for i in range(trials))
                )
                for state in drawn:
                    if not all(np.isfinite(w).all() for w in state.weights.values()):
                        # Dead states are skipped; states that are NaN are not.
                        largest = float("nan")
                        break
                    apart = residuals(each, state) or {}
                    # Where no state moves nothing was compared.
                    compared = compared or bool(apart)
                    largest = worst([largest, *apart.values()])
                    if not largest <= 1e-6:
                        # Decided, by far.
                        break
                all_found.append(largest if compared else float("nan"))
        value = variant.worst(all_found)
        because = "relative to each rate, at random states; the equation is exact, so only roundings remain"
        networks = [flow.problem.network.text for flow in given]
        return Measurement(
            value, 1e-11, because, {"networks": networks, "states": count, "given": case.equations is not None}
        )


def _on_data(problem: Problem, case: Case, count: int) -> Iterator[TestState]:
    """States of the given run, and random ones, on the given samples."""
    samples = Samples(np.asarray(case.data.x), np.asarray(case.data.y))
    for state in visited(case, problem, case.data, count):
        rho, V = ({k: np.asarray(v) for k, v in part.items()} for part in (state.rho, state.V))
        weights = problem.scheme.weights(np, rho, V, problem.per)
        yield TestState(rho, V, {w: np.asarray(v) for w, v in weights.items()}, samples)
