"""`risk`: how far from the truth the limits of an induced flow are, over one of its constants, beside norms of least
size.
"""

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from scipy.optimize import linprog

from flowlab.core.arguments import array, guarded, must_be
from flowlab.core.errors import LanguageError, RunFailed, ShapeMismatch, UnknownName
from flowlab.core.registry import nearest
from flowlab.core.typing import ArrayLike
from flowlab.language.data import Data
from flowlab.language.result import Result
from flowlab.language.state import shapes_match
from flowlab.symbolic.induced.flow import InducedFlow
from flowlab.symbolic.induced.minimiser import Equations, minimiser


def least_l2(matrix: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The solution of least l2 norm."""
    return np.linalg.lstsq(matrix, target, rcond=None)[0]


def least_l1(matrix: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The solution of least l1 norm, by linear programming.

    Raises:
        RunFailed: if the program is not solved.
    """
    size = matrix.shape[1]
    found = linprog(np.ones(2 * size), A_eq=np.hstack([matrix, -matrix]), b_eq=target, bounds=(0, None))
    if found.status != 0:
        raise RunFailed(f"the least l1 norm was not found ({found.message}); leave out `min_l1`.")
    return np.asarray(found.x[:size] - found.x[size:])


AGAINST: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {"min_l1": least_l1, "min_l2": least_l2}
"""Solutions to compare with, by name."""


@guarded
def risk(
    flow: InducedFlow,
    data: Data,
    truth: ArrayLike | Data,
    *,
    vary: str,
    values: Sequence[float],
    against: Sequence[str] = ("min_l1", "min_l2"),
) -> Result:
    """The risk of the limit β of an induced flow, over values of one of its constants.

    Args:
        flow: with a mirror coordinate and a constant, which every entry of β gets the same number of.
        data: samples that β fits.
        truth: β*, for the excess risk |β - β*|² of isotropic inputs; or held-out data, for the mean square error.
        vary: the constant.
        values: its numbers, two or more, above zero and rising.
        against: solutions to compare with, `"min_l1"` and `"min_l2"`: those of least norm.

    Returns:
        Of kind `"risk"`: `risk` over `value`, `risk_min_l1` and `risk_min_l2`; the constant's name is the attribute
        `vary`. The figure `risk` draws it.

    Raises:
        UnknownName: for a constant that the flow does not have, or an unknown word in `against`.
        LanguageError: for values that do not rise, or a flow without a mirror coordinate; ShapeMismatch: for a truth of
            another shape; DataError: for data that cannot be fitted; RunFailed: where Newton's method stops early.

    Examples:
        >>> net = fl.Network("(w*w - u*u + lam*v) @ x", constants=["lam"])
        >>> flow = fl.derive(fl.Problem(net, "square", coordinates="weights"))
        >>> start = fl.State.from_weights({"w": [1e-3, 1e-3, 1e-3], "u": [1e-3, 1e-3, 1e-3], "v": [0.0, 0.0, 0.0]})
        >>> beta = flow.induced("w*w - u*u + lam*v", start, constants={"lam": [0.1, 0.1, 0.1]})
        >>> data = fl.Data([[1.0, 0.5, 0.2]], [1.0], kind="targets")
        >>> found = fl.risk(beta, data, [1.0, 0.0, 0.0], vary="lam", values=[0.01, 0.1])
        >>> found.dataset.risk.shape
        (2,)
    """
    if vary not in flow.constants:
        known = ", ".join(f"`{name}`" for name in flow.constants) or "none"
        raise UnknownName(f"`vary` must be a constant of the flow, got `{vary}`; it has {known}.")
    numbers = np.array([float(value) for value in values])
    if len(numbers) < 2 or not (np.isfinite(numbers).all() and numbers[0] > 0 and (np.diff(numbers) > 0).all()):
        raise must_be("values", values, "two or more numbers above zero that rise", "for example [0.1, 0.3, 1.0]")
    for name in against:
        if name not in AGAINST:
            guess = nearest(name, list(AGAINST)) or "min_l2"
            raise UnknownName(f"`against` names `{name}`, which is not known; did you mean `{guess}`?")
    shape = flow.coordinate.shape
    shapes_match(flow.start, flow.problem.network, data)
    equations = Equations.of(flow.problem, flow.block, shape, data)
    size = _size(flow, truth)
    found = []
    for number in numbers:
        # The data may hold the numbers that the constant has elsewhere, and are looked at for their samples alone.
        varied = flow.with_constants({vary: np.full(flow.constants[vary].shape, number)})
        best = minimiser(equations, varied.coordinate)
        if not best.outcome.ok:
            raise RunFailed(
                f"the minimiser at {vary} = {number:g} was not found ({best.outcome}); leave that value out."
            )
        found.append(size(best.beta))
    told = {"units": "dimensionless", "long_name": "risk of the limit"}
    least = {name: AGAINST[name](equations.matrix, equations.target).reshape(shape) for name in against}
    columns = {f"risk_{name}": ((), size(beta)) for name, beta in least.items()}
    dataset = xr.Dataset(
        {"risk": ("value", np.array(found), told), **columns}, coords={"value": numbers}, attrs={"vary": vary}
    )
    return Result.of("risk", dataset, flow.problem, data, node=flow.node.text, vary=vary)


def _size(flow: InducedFlow, truth: ArrayLike | Data) -> Callable[[np.ndarray], float]:
    """The risk as a function of β."""
    if isinstance(truth, Data):
        held, labels = truth.in_numpy
        if not flow.problem.loss.has_residual:
            raise LanguageError(f'`risk` needs a loss of targets, got "{flow.problem.loss.name}"; use "square".')
        network, block = flow.problem.network, flow.block
        return lambda b: float(((network.outputs({block: b}, held, np).ravel() - labels.ravel()) ** 2).mean())
    best = array("truth", truth)
    if best.shape != flow.coordinate.shape:
        raise ShapeMismatch(
            f"`truth` must have the shape {flow.coordinate.shape} of beta, got {best.shape}; reshape it."
        )
    return lambda b: float(((b - best) ** 2).sum())
