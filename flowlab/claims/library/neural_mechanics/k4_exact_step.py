"""K4: the exact step of a scale-invariant layer."""

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.neural_mechanics.flows import instance
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.discrete.descent.one_step import one_step
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State


def normalised(seed: int) -> tuple[Problem, Data, State]:
    """A linear layer under weight normalisation, its samples, and a start of unit direction."""
    x, y, theta = instance(seed)
    problem = Problem("W1 @ x", "square", "weight_normalization", reduction="mean")
    return (
        problem,
        Data(x, y, name=f"regression seed={seed}", kind="targets"),
        State.from_weights({"W1": theta[None, :]}),
    )


@claim("K4")
class ExactStep(Claim):
    """‖θ⁺‖² = (1 - ηλ)²‖θ‖² + η²‖g‖² for a scale-invariant part, exactly."""

    title = "the exact step of a scale-invariant layer"
    statement = (
        "One step of descent with decay takes the squared norm of a scale-invariant layer to (1 - eta lambda)^2 "
        "|theta|^2 + eta^2 |g|^2, exactly."
    )
    latex = r"\lVert\theta^+\rVert^2 = (1-\eta\lambda)^2\lVert\theta\rVert^2 + \eta^2\lVert g\rVert^2"
    source = "follows from <theta, g> = 0; compare Kunin et al. 2021, eq. 19"
    hypotheses = (own_instances,)
    stated = Variant(part="V_W1", decay=1.0, shrunk=lambda x: (1 - x) ** 2, gradient=1.0)
    mutants = (
        stated.but("without the gradient", gradient=0.0),
        stated.but("without the square of eta lambda", shrunk=lambda x: 1 - 2 * x),
        stated.but("a layer that is not invariant", part="rho_W1", decay=0.0),
    )
    counter_example = "a layer that is not invariant: for the norm rho the product with the gradient stays"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        step, decay = 0.2, 0.3
        rows = case.once("one step", lambda: self._step(case.seed, step, decay))
        part = rows[variant.part]
        shrunk = variant.shrunk(step * variant.decay * decay)
        expected = shrunk * part["square"] + variant.gradient * step**2 * part["gradient_square"]
        return Measurement.of(
            [
                Quantity(
                    "squared norm after the step",
                    part["left"],
                    expected,
                    1e-12 * expected,
                    route="the step as taken",
                    second=part["right"],
                    second_route="with the inner product",
                ),
                Quantity("|cosine| of layer and gradient", abs(rows["V_W1"]["cosine"]), 0.0, 1e-12, relation="<="),
            ],
            "roundings of a few terms",
        )

    @staticmethod
    def _step(seed: int, step: float, decay: float) -> dict[str, dict[str, float]]:
        problem, data, start = normalised(seed)
        parts = one_step(problem, start, data, step, decay={"V_W1": decay}).dataset
        columns = ("square", "gradient_square", "left", "right", "cosine")
        return {str(p): {name: float(parts[name].sel(part=p)) for name in columns} for p in parts["part"].values}
