"""The minimiser of a potential over all β that fit, by Newton's method on the dual.

With a singular value decomposition of the equations, A β = y becomes P β = t with orthonormal rows of P. The dual
function Σ Φ*(Pᵀν) - tᵀν is convex, its gradient is P β(Pᵀν) - t and its Hessian P K Pᵀ.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.arguments import shown
from flowlab.core.display import displayed
from flowlab.core.errors import DataError, LanguageError
from flowlab.core.typing import Array
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.trajectory import Outcome
from flowlab.symbolic.induced.coordinate import Coordinate
from flowlab.symbolic.induced.quadrature import Quadrature

_STEPS, _SHORTEST = 400, 1e-14
"""Newton steps at most, and the shortest part of one that is tried."""
_RANK, _FITS = 1e-12, 1e-9
"""Singular values below this part of the largest are none; and the part of targets that may be out of reach."""
_LINEAR = 1e-12
"""By how much outputs may be off a linear function of β, relative to their size."""
_SOLVED = 1e-9
"""Residual, relative to the targets, up to which the minimiser counts as found."""


@dataclass(frozen=True)
@displayed
class Minimiser:
    """The β of least potential among all that fit.

    Attributes:
        beta: in its own shape.
        nu: multipliers of the equations in their orthonormal form.
        value: Φ(β).
        residual: the larger one of |A β - y|/|y| and the part of z(β) outside of the span of the equations.
        steps: Newton steps.
        outcome: `"done"`, or `"stalled"` where the residual stayed above 1e-9.

    Examples:
        >>> net = fl.Network("(w*w - u*u + lam*v) @ x", constants=["lam"])
        >>> flow = fl.derive(fl.Problem(net, "square", coordinates="weights"))
        >>> start = fl.State.from_weights({"w": [1e-3, 1e-3, 1e-3], "u": [1e-3, 1e-3, 1e-3], "v": [0.0, 0.0, 0.0]})
        >>> beta = flow.induced("w*w - u*u + lam*v", start, constants={"lam": [0.1, 0.1, 0.1]})
        >>> best = beta.minimiser(fl.Data([[1.0, 0.5, 0.2]], [1.0], kind="targets"))
        >>> best.outcome.kind, best.residual < 1e-9
        ('done', True)
    """

    beta: np.ndarray
    nu: np.ndarray
    value: float
    residual: float
    steps: int
    outcome: Outcome

    def __str__(self) -> str:
        return f"minimiser of the potential: Phi = {self.value:.8g}, KKT residual {self.residual:.1e}, {self.outcome}"


@dataclass(frozen=True)
class Equations:
    """What it takes to fit: A β = y, and the same as P β = t.

    Attributes:
        matrix: A, (m, D), of m outputs of all samples.
        target: y, (m,), within the reach of A.
        rows: P, (r, D), orthonormal, where r is the rank of A.
        sides: t, (r,).
    """

    matrix: np.ndarray
    target: np.ndarray
    rows: np.ndarray
    sides: np.ndarray

    @classmethod
    def of(cls, problem: Problem, block: str, shape: tuple[int, ...], data: Data) -> "Equations":
        """The equations of samples in a block of this shape.

        Raises:
            LanguageError: for a loss without residuals, or outputs that are not linear; DataError: if no β fits.
        """
        matrix, target = _linear(problem, block, shape, data)
        left, sizes, rows = np.linalg.svd(matrix, full_matrices=False)
        keep = sizes > _RANK * sizes.max(initial=0.0)
        within = left[:, keep].T @ target
        missed = np.linalg.norm(target - left[:, keep] @ within)
        if missed > _FITS * np.linalg.norm(target):
            raise DataError(
                f"the data must be fitted by some beta, but {missed / np.linalg.norm(target):.2g} of the targets is out"
                " of reach; use fewer samples than weights, or drop samples that contradict."
            )
        return cls(matrix, target, rows[keep], within / sizes[keep])


def _linear(problem: Problem, block: str, shape: tuple[int, ...], data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Matrix (m, D) and right-hand side (m,) of outputs that are linear in β and equal targets."""
    if not problem.loss.has_residual:
        raise LanguageError(f'`minimiser` needs a loss of targets, got "{problem.loss.name}"; use "square".')
    problem.loss.check_labels(data)
    size = int(np.prod(shape, dtype=int))

    def outputs(flat: jax.Array) -> Array:
        return problem.network.outputs({block: flat.reshape(shape)}, data.inputs, jnp).ravel()

    still = np.asarray(outputs(jnp.zeros(size)))
    back = jax.jit(jax.vmap(lambda cot: jax.vjp(outputs, jnp.zeros(size))[1](cot)[0]))
    matrix = np.array(back(jnp.eye(still.size)))
    other = np.random.default_rng(0).normal(size=size)
    seen = np.asarray(outputs(jnp.asarray(other)))
    if np.abs(seen - matrix @ other - still).max() > _LINEAR * size * (1.0 + np.abs(seen).max()):
        raise LanguageError(
            f"`minimiser` needs outputs that are linear in the node, got `{shown(problem.network.text, 80)}`; "
            "integrate the flow."
        )
    return matrix, np.asarray(data.y, dtype=np.float64).ravel() - still


def minimiser(equations: Equations, coordinate: Coordinate | Quadrature) -> Minimiser:
    """Newton's method on the dual; see `InducedFlow.minimiser`."""
    shape, P, t, target = coordinate.shape, equations.rows, equations.sides, equations.target
    nu, steps = _newton(P, t, coordinate, shape)
    flat = np.asarray(coordinate.beta(np, (P.T @ nu).reshape(shape))).ravel()
    primal = np.linalg.norm(equations.matrix @ flat - target) / max(float(np.linalg.norm(target)), 1e-300)
    z = coordinate.inverse(np, flat.reshape(shape)).ravel()
    dual = np.linalg.norm(z - P.T @ (P @ z)) / max(float(np.linalg.norm(z)), 1e-300)
    residual = float(max(primal, dual))
    outcome = (
        Outcome("done", f"Newton's method took {steps} steps")
        if residual <= _SOLVED
        else Outcome("stalled", f"Newton's method stopped at a residual of {residual:.1e} after {steps} steps")
    )
    value = float(coordinate.potential(np, flat.reshape(shape)).sum())
    return Minimiser(flat.reshape(shape), nu, value, residual, steps, outcome)


def _newton(
    P: np.ndarray, t: np.ndarray, coordinate: Coordinate | Quadrature, shape: tuple[int, ...]
) -> tuple[np.ndarray, int]:
    """ν where P β(Pᵀν) = t, and the steps that it took: damped steps, until none makes the dual function less."""

    def height(nu: np.ndarray) -> float:
        with np.errstate(all="ignore"):
            found = float(coordinate.conjugate(np, (P.T @ nu).reshape(shape)).sum() - t @ nu)
        return found if np.isfinite(found) else np.inf

    nu = np.zeros(len(t))
    here, steps, last = height(nu), 0, np.inf
    while steps < _STEPS:
        steps += 1
        z = (P.T @ nu).reshape(shape)
        slope = P @ coordinate.beta(np, z).ravel() - t
        size = float(np.linalg.norm(slope))
        if size <= 1e-15 * np.linalg.norm(t) or (size >= last and size <= _SOLVED * np.linalg.norm(t)):
            break
        last = size
        K = coordinate.metric(np, z).ravel()
        try:
            step = np.linalg.solve((P * K) @ P.T, slope)
        except np.linalg.LinAlgError:
            break
        part, gain = 1.0, float(slope @ step)
        while part > _SHORTEST and not height(nu - part * step) <= here - 1e-4 * part * gain + coordinate.noise * abs(
            here
        ):
            part *= 0.5
        if part <= _SHORTEST:
            break
        nu = nu - part * step
        here = height(nu)
    return nu, steps
