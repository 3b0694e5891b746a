"""P7: where the constraint of the Lagrange flow repels, and where it attracts."""

import jax.numpy as jnp

from flowlab.claims.claim import USUAL, Case, Claim, claim
from flowlab.claims.hypotheses import hypothesis, layered
from flowlab.claims.library.poggio2020.sphere_defect import growth_of_defect
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import samples_for, small_data, visited
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State


@hypothesis("exponential or logistic loss without weight decay, labels ±1")
def _binary_classification(case: Case) -> str | None:
    p = case.problem
    if p is not None and p.loss.name not in ("exponential", "logistic"):
        losses = "exponential and logistic losses, where one sign of all margins is one sign of s"
        return f"it is about {losses}, and the loss is {p.loss.name}"
    if p is not None and any(p.decay.values()):
        return "weight decay moves norms too"
    if case.data is not None and case.data.kind != "binary":
        return "labels are not ±1"
    return None


@claim("P7")
class ConstraintStability(Claim):
    """Under the Lagrange flow ‖V‖² - 1 grows at rate -2κRs: the sphere repels before separation and attracts after."""

    title = "stability of the Lagrange constraint"
    statement = (
        "A defect |V_k|^2 - 1 of the Lagrange flow grows like exp(-2 kappa R s t). It leaves the sphere while s < 0 "
        "and returns to it when s > 0."
    )
    latex = r"\tfrac{d}{dt}(\lVert V_k\rVert^2 - 1) = -2\kappa_k R s\,(\lVert V_k\rVert^2 - 1)"
    source = "(1.3) of flowlab's derivations off the sphere; the Lagrange rule of Douglas, Amari and Kung 2000"
    hypotheses = (_binary_classification, layered)
    stated = Variant(scheme="lagrange", sign=1.0, repels=True)
    mutants = (
        stated.but(USUAL, repels=False),
        stated.but("opposite sign", sign=-1.0),
        stated.but("tangent scheme", scheme="tangent"),
    )
    counter_example = "tangent scheme: with S = I - VV^T/|V|^2 the defect neither grows nor decays"
    usual = "The Lagrange multiplier keeps the directions at unit norm."
    decisive = (
        "growth of a defect while all samples are misclassified, where s < 0: above 0, as exp(-2 kappa R s t) says"
    )

    def measure(self, case: Case, variant: Variant) -> Measurement:
        base = samples_for(case, small_data(case.seed))
        net, loss = (
            ("W2 @ relu(W1 @ x)", "exponential")
            if case.problem is None
            else (case.problem.network, case.problem.loss.name)
        )
        problem = Problem(net, loss, variant.scheme)
        quantities = []
        start = next(iter(visited(case, problem, base, 1)))
        # Labels given by the net itself are separated, their opposites all misclassified: both phases on one instance.
        outputs = problem.network.outputs(start.weights(), base.x)[:, 0]
        sides = jnp.where(outputs >= 0, 1.0, -1.0)
        for flip in (1.0, -1.0):
            data = Data(base.x, flip * sides, kind="binary")
            state = State(rho={k: 0.5 * r for k, r in start.rho.items()}, V={w: 1.001 * v for w, v in start.V.items()})

            growth, integral = growth_of_defect(problem, state, data)
            wanted = variant.sign * integral
            phase = "separated" if flip > 0 else "misclassified"
            quantities.append(
                Quantity(
                    f"growth of a defect over -2 kappa R s t, {phase}",
                    growth / wanted,
                    1.0,
                    1e-4,
                    route="50 Runge-Kutta steps",
                )
            )
            grows = flip < 0 and variant.repels
            quantities.append(
                Quantity(
                    f"log of the defect's growth, {phase}",
                    growth,
                    0.0,
                    0.0,
                    relation=">=" if grows else "<=",
                    route="the same",
                )
            )
        return Measurement.of(
            quantities, "the law is exact off the sphere too, and its integral is taken by the stages of the steps"
        )
