"""P19: what the limit direction remembers of the start."""

from typing import TYPE_CHECKING

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.poggio2020.flows import FAR, OPTIMUM, STARTS, from_start, joint_margin, machine
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import integrated, separable
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.core.typing import Blocks

if TYPE_CHECKING:
    from flowlab.language.data import Data
    from flowlab.language.trajectory import Trajectory

DEEP, DIAGONAL = "W2 @ W1 @ x", "sum(u * v * x)"
LATE = {"W1 @ x": 1e6, DEEP: 1e5, DIAGONAL: 1e6}
_DRAWN = 3


def _predictor(net: str, weights: Blocks) -> np.ndarray:
    w = {k: np.asarray(v) for k, v in weights.items()}
    b = (w["u"] * w["v"] if net == DIAGONAL else w["W2"] @ w["W1"] if net == DEEP else w["W1"]).ravel()
    return b / np.linalg.norm(b)


def _ends(case: Case, net: str, data: "Data") -> list[np.ndarray]:
    """Unit predictors from three starts: of a diagonal network at the last horizon, of others extrapolated."""
    from flowlab.dynamics import log_time
    from flowlab.language.problem import Problem
    from flowlab.language.state import State, initial_state

    problem = Problem(net) if net != "W1 @ x" else Problem(net, coordinates="weights")
    ends = []
    for k in range(_DRAWN):
        start = initial_state(problem.network, data, seed=1000 * k + case.seed, default_width=3)
        if net == DIAGONAL:
            # One coordinate that starts at zero in both factors stays there, and the limit remembers that.
            rng = np.random.default_rng(1000 * k + case.seed)
            u = rng.uniform(0.5, 1.0, size=data.d) * (np.arange(data.d) != k)
            start = State.from_weights({"u": u, "v": u})
        path = integrated(case, f"P19 {net} from start {k}", problem, start, data, log_time(LATE[net]))
        ends.append(_predictor(net, path.last.weights()) if net == DIAGONAL else _extrapolated(net, path))
    return ends


def _extrapolated(net: str, path: "Trajectory") -> np.ndarray:
    """The unit predictor that three rows point to, by a parabola in x = (log t)^(-1/2).

    Off the span of the support a layer keeps what it starts with: beside a predictor of size log t that is of order x
    in two layers, x² in one.
    """
    log_t = path.dataset["log_t"].values
    rows = [int(np.argmax(log_t >= part * log_t[-1])) for part in (1.0, 0.25, 0.0625)]
    powers = np.vander(log_t[rows] ** -0.5, increasing=True)
    b = np.linalg.solve(powers, np.array([_predictor(net, path.state(i).weights()) for i in rows]))[0]
    return b / np.linalg.norm(b)


def _margins(rows: list[np.ndarray], z: np.ndarray, order: float) -> np.ndarray:
    """min_n z_n b/|b|_order for every predictor."""
    return np.array([(z @ b).min() / np.linalg.norm(b, ord=order) for b in rows])


@claim("P19")
class Starts(Claim):
    """Linear networks forget the start in the direction of their predictor; ReLU and diagonal networks do not."""

    title = "which limits depend on the start"
    statement = (
        "The predictor of one linear layer and of a fully connected deep linear network tends to the maximum margin "
        "from every start. The limit of a ReLU network depends on the start. So does that of a diagonal linear "
        "network with a coordinate that starts at zero."
    )
    latex = (
        r"b/\lVert b\rVert \to v^* \;\text{from every start (linear)}, \qquad "
        r"\min_n q_n/\lVert\theta\rVert^2 \to \tfrac18 \text{ or } \tfrac{\sqrt{17}}{16} \;\text{(ReLU)}"
    )
    source = (
        "Poggio, Banburski, Liao 2020; Soudry et al. 2018; Ji and Telgarsky 2019; Vardi, Shamir and Srebro 2022 for "
        "diagonal networks"
    )
    hypotheses = (own_instances,)
    stated = Variant(ratio=8.0 * OPTIMUM, without=lambda most, k: most[k], last_over=1)
    mutants = (
        stated.but("ReLU networks forget the start", ratio=1.0),
        stated.but("diagonal networks forget the start", without=lambda most, _: most[-1]),
        stated.but("least sum of squares of a diagonal predictor", last_over=2),
    )
    counter_example = "ReLU networks forget the start: two starts on two samples lead to margins of 1/8 and 0.2577"
    quick = False

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data = separable(8, 3, case.seed)
        z = np.asarray(data.x) * np.asarray(data.y)[:, None]
        w = machine(data)[0]
        best = w / np.linalg.norm(w)
        quantities = []
        for net, late in (("W1 @ x", 1e-6), (DEEP, 1e-4)):
            apart = max(float(np.linalg.norm(b - best)) for b in _ends(case, net, data))
            route = f"{len(STARTS)} starts to log t = {LATE[net]:g}, extrapolated"
            quantities.append(Quantity(f"distance of {net} from the maximum margin", apart, 0.0, late, route=route))
        dead, _, control = STARTS.values()
        low, high = (
            joint_margin(from_start(case, name, first, FAR))[0]
            for name, first in (("one unit dead", dead), ("one unit for each sample", control))
        )
        quantities.append(
            Quantity("ratio of margins of a ReLU network", high / low, variant.ratio, 1e-5, route="two starts of P18")
        )
        margins, most = _diagonal(case)
        for k, m in enumerate(margins):
            quantities.append(
                Quantity(
                    f"margin of a diagonal network without coordinate {k}, over |b|_1",
                    m,
                    variant.without(most, k),
                    1e-3,
                    route=f"flow to log t = {LATE[DIAGONAL]:g}",
                )
            )
        if variant.last_over == 2:
            quantities[-1] = Quantity(
                "its margin over |b|_2",
                float(_margins(_ends(case, DIAGONAL, _cross())[-1:], _z(_cross()), 2)[0]),
                most[2],
                1e-3,
            )
        return Measurement.of(
            quantities,
            "what is left of the start falls like (log t)^-0.5 or faster, which is extrapolated, and like (log "
            "t)^-0.6 between diagonal coordinates",
            samples=len(z),
        )


def _cross() -> "Data":
    """Two samples in three dimensions, whose largest margin over |b|_1 is 0.6, and 0.5 without the first or the second
    coordinate.
    """
    from flowlab.language.data import Data

    return Data([[1.0, 0.2, 0.5], [0.2, 1.0, 0.5]], [1.0, 1.0], name="two samples in three dimensions", kind="binary")


def _z(data: "Data") -> np.ndarray:
    return np.asarray(data.x) * np.asarray(data.y)[:, None]


def _diagonal(case: Case) -> tuple[np.ndarray, list[float]]:
    """Margins over |b|_1 that the flow comes to without one coordinate, and the largest ones by linear programming, all
    coordinates last.
    """
    from scipy.optimize import linprog

    data = _cross()
    z = _z(data)
    most = []
    for keep in [[j for j in range(3) if j != k] for k in range(3)] + [[0, 1, 2]]:
        part = z[:, keep]
        # b = p - m with p, m >= 0 and sum 1; the largest smallest margin.
        rows = np.hstack([-part, part, np.ones((len(z), 1))])
        size = 2 * len(keep)
        optimum = linprog(
            np.r_[np.zeros(size), -1.0],
            A_ub=rows,
            b_ub=np.zeros(len(z)),
            A_eq=[[1.0] * size + [0.0]],
            b_eq=[1.0],
            bounds=[(0, None)] * size + [(None, None)],
        )
        most.append(float(-optimum.fun))
    return _margins(_ends(case, DIAGONAL, data), z, 1), most
