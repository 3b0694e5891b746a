"""Z1: along the flow every weight is a function of one coordinate per entry, which stays in the span of the samples."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import Hypothesis, plain_flow
from flowlab.claims.library.woodworth2020.flows import off_rows
from flowlab.claims.library.zhou_ge2023.flows import SOURCE, draw, equations, induced, samples, start
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import ROWS, integrated, samples_of, worst
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.errors import FlowlabError
from flowlab.dynamics import log_loss_below
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.language.trajectory import Trajectory
from flowlab.symbolic.induced.flow import InducedFlow
from flowlab.symbolic.induced.push_forward import induced as push_forward

ALPHA, LAM = 0.03, 0.4


def node_of(problem: Problem, first: State | None, data: Data | None = None) -> InducedFlow:
    """The flow of the factor beside x; a network of another form has none."""
    node = problem.network.expression
    constants = {} if data is None else {name: data.given[name] for name in problem.network.constants}
    return push_forward(problem, node.args[0] if node.args else node, first, constants)


def unmet(case: Case) -> str | None:
    """Why a case has no mirror coordinate to look at, or None."""
    problem = case.problem
    if problem is None:
        return None if case.data is None else "it makes its own samples where no flow is given"
    if case.flow is None:
        return "it looks at rows of a flow, and none was given"
    if (reason := plain_flow(problem)) is not None:
        return reason
    try:
        return None if node_of(problem, None).mirror is not None else "entries have no mirror coordinate in closed form"
    except FlowlabError as error:
        return str(error)


@claim("Z1")
class OneCoordinate(Claim):
    """W = α e^{2z}, u = α e^{-2z}, v = λ z with one z per feature.

    Hence w u = α² and log(w/α) = 2 v/λ are kept, and v stays in the span of the samples, because z does.
    """

    title = "the weights of an entry are functions of one coordinate, which stays in the span of the samples"
    statement = (
        "Along the flow of b = w^2 - u^2 + lambda v from w = u = alpha, v = 0: w = alpha e^{2z}, u = alpha e^{-2z}, "
        "v = lambda z, so that w u = alpha^2 and log(w/alpha) = 2 v/lambda; z, and with it v, is in the span of the "
        "samples."
    )
    latex = r"w_iu_i = \alpha^2, \quad \log(w_i/\alpha) = 2v_i/\lambda, \quad v \in \mathrm{span}\{x_n\}"
    source = f"{SOURCE}; laws derived here"
    hypotheses = (Hypothesis("a flow whose weights all act through one node beside x, entry by entry; or none", unmet),)
    # What z is multiplied by, of the first and the last block.
    stated = Variant(pace=(1.0, 1.0), outside=(1e-9, "<="))
    mutants = (
        stated.but("the first block moves half as fast", pace=(0.5, 1.0)),
        stated.but("the last block moves twice as fast", pace=(1.0, 2.0)),
        stated.but("z leaves the span of the samples", outside=(1e-2, ">=")),
    )
    counter_example = "the first block moves half as fast: w = alpha e^z"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        flow, rows, x = case.once("rows and their flow", lambda: self._rows(case))
        chart, gaps, outside = flow.coordinate, [], []
        for W in rows:
            z = np.asarray(chart.inverse(np, np.asarray(flow.node.value(np, W, flow.constants))))
            for w, pace in zip(flow.node.weights, self._paces(flow, variant), strict=True):
                value = chart.theta(np, pace * z)[w]
                gaps.append(np.abs(value - W[w]).max() / max(float(np.abs(W[w]).max()), 1e-300))
            outside.append(off_rows(x, z))
        bound, relation = variant.outside
        return Measurement.of(
            [
                Quantity(
                    "largest distance of a block from its function of z, relative",
                    worst(gaps),
                    1e-7,
                    0.0,
                    relation="<=",
                    route="flow of the weights against closed forms",
                ),
                Quantity("part of z outside of the span of the samples", worst(outside), bound, 0.0, relation=relation),
            ],
            "z is read off beta alone, and the weights are compared with what it says",
        )

    @staticmethod
    def _paces(flow: InducedFlow, variant: Variant) -> list[float]:
        paces = [1.0] * len(flow.node.weights)
        paces[0], paces[-1] = paces[0] * variant.pace[0], paces[-1] * variant.pace[1]
        return paces

    @staticmethod
    def _rows(case: Case) -> tuple[InducedFlow, list[dict[str, np.ndarray]], np.ndarray]:
        given: Trajectory | None = case.flow
        if given is not None:
            data, path = samples_of(given), given
            flow = node_of(given.problem, given.state(0), data)
            x = np.asarray(data.x)
        else:
            x, y = draw(case.seed + 100)
            flow = induced(case, x.shape[1], ALPHA, LAM)
            first = State.from_weights(start(x.shape[1], ALPHA))
            data = samples(x, y, LAM)
            until = [log_loss_below(-40.0)]
            problem = equations(case).problem
            path = integrated(case, "weights", problem, first, data, until, rtol=1e-11, atol=1e-14)
        places = np.unique(np.linspace(1, len(path) - 1, ROWS).astype(int))
        return flow, [{w: np.asarray(v) for w, v in path.weights(int(i)).items()} for i in places], x
