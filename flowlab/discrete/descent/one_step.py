"""One step of gradient descent, held against the identities that it obeys exactly, and against the rates of its flow,
which it obeys to O(η).

For a part θ of the parameters, its gradient g of the data loss, step η and decay λ, the step θ⁺ = (1 - ηλ) θ - η g
gives

    ‖θ⁺‖² = (1 - ηλ)² ‖θ‖² - 2η(1 - ηλ) ⟨θ, g⟩ + η² ‖g‖²                                          (always)
    ⟨θ, g⟩ = κ Σ_n ℓ'_n f_n                                          (Euler, where f has degree κ in θ)
    ‖θ⁺‖² = (1 - ηλ)² ‖θ‖² + η² ‖g‖²                          (where f does not depend on the length of θ: κ = 0)

Euler's right side over κ is the same for all parts, hence the exact change of ρ_k²/κ_k - ρ_j²/κ_j in a step. The last
line is what normalised layers do, and its continuous form with the correction of the finite step,
d‖θ‖²/dt = -2λ‖θ‖² + η‖g‖², is only right to O(η) (D. Kunin, J. Sagastuy-Brena, S. Ganguli, D. Yamins, H. Tanaka,
"Neural mechanics", ICLR 2021). That ⟨θ, g⟩ = 0 is measured, never assumed.
"""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from flowlab.core.arguments import guarded, must_be, positive
from flowlab.core.display import displayed
from flowlab.core.errors import LanguageError, RunFailed, UnknownName
from flowlab.core.precision import require_x64
from flowlab.core.typing import Array, Blocks, PyTree, Record
from flowlab.language.data import Data
from flowlab.language.norm_groups import has_rows
from flowlab.language.problem import Problem
from flowlab.language.state import State, names_match, shapes_match

ORTHOGONAL = 1e-12
"""|cos| of the angle of θ and g up to which a part counts as scale invariant."""


@dataclass(frozen=True)
@displayed
class OneStep:
    """Both sides of every identity; prints as a table.

    Attributes:
        dataset: over `part` (one for every norm and, in normalised schemes, one for every direction):
            `square`, `gradient_square`, `product`: ‖θ‖², ‖g‖², ⟨θ, g⟩; `decay`: λ;
            `left`, `right`, `difference`: ‖θ⁺‖² of the step as taken, the first identity, and their relative
            difference; `invariant_right`, `invariant_difference`: the third identity and its relative difference from
            `left`; `cosine` of θ and g; `invariant`, whether |cosine| is at most 1e-12, without which that identity has
            no claim; `degree`: κ (NaN where there is none); `euler`, `euler_difference`: κ Σ_n ℓ'_n f_n, and its
            difference from ⟨θ, g⟩ relative to ‖θ‖‖g‖; `rate`: (‖θ⁺‖² - ‖θ‖²)/η, without cancellation; `flow_rate`: that
            of the flow, -2λ‖θ‖² - 2⟨θ, g⟩; `corrected_rate`: with η‖g‖² added.
        step: η.
        problem: what was descended.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> found = fl.one_step(problem, start, data, 0.1)
        >>> bool(found.dataset.difference.max() < 1e-12)
        True
    """

    dataset: xr.Dataset
    step: float
    problem: Problem

    def __str__(self) -> str:
        told = [f"one step of size {self.step:g} of {self.problem.network.text}, {self.problem.scheme.name}"]
        told.append(
            f"{'part':10s} {'identity':>9s} {'Euler':>9s} {'cosine':>9s} {'invariant':>10s} {'rate':>12s}"
            f" {'of the flow':>12s} {'corrected':>12s}"
        )
        for i, part in enumerate(self.dataset["part"].values.tolist()):
            row = self.dataset.isel(part=i)
            invariant = f"{float(row['invariant_difference']):9.1e}" if bool(row["invariant"]) else "no"
            sizes = " ".join(f"{float(row[name]):9.1e}" for name in ("difference", "euler_difference", "cosine"))
            rates = " ".join(f"{float(row[name]):12.5g}" for name in ("rate", "flow_rate", "corrected_rate"))
            told.append(f"{part:10s} {sizes} {invariant:>10s} {rates}")
        return "\n".join(told)


@guarded
def one_step(
    problem: Problem, state: State, data: Data, step: float, decay: float | Mapping[str, float] | None = None
) -> OneStep:
    """Take one step of gradient descent and hold it against its exact identities and its flow.

    What descends are the weights; in schemes that normalise (`weight_normalization`), where the network sees ρ V/‖V‖,
    the norms ρ and the V, each V being scale invariant. Parts are those of the grouping of the state: layers, neurons,
    or the network.

    Args:
        problem: network, loss, scheme and decay.
        state: where the step begins.
        data: samples.
        step: η, above zero.
        decay: λ for all parts, or by part; by default that of the objective, 2ω of ω‖W‖² (which does not depend on ‖V‖:
            λ = 0 for directions).

    Raises:
        LanguageError, UnknownName, ShapeMismatch, DataError: for bad input; RunFailed: where the gradient is not
            finite.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> print(type(fl.one_step(problem, start, data, 0.1)).__name__)
        OneStep
        >>> float(fl.one_step(problem, start, data, 0.1).dataset.euler_difference.max()) < 1e-12
        True
    """
    require_x64("one_step")
    names_match(state, problem.network)
    problem.loss.check_labels(data)
    shapes_match(state, problem.network, data)
    problem.require_plain("`one_step`")
    positive("step", step, "for example 1e-3")
    normalised = problem.scheme.normalises
    evaluate: Any = _slopes
    values, slopes, pull = jax.tree.map(np.asarray, evaluate(problem, state.per, normalised, data, state))
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes)):
        raise RunFailed("the gradient must be finite at this state; pass one whose loss is finite.")
    thetas, gradients, degrees, weighed = _parts(problem, state.per, normalised, values, slopes)
    names = list(thetas)
    lam = _decays(problem, state.per, names, weighed, decay)
    largest = max(float(np.abs(g).max(initial=0.0)) for g in (*gradients.values(), *thetas.values()))
    if not step * max(largest, 1.0) < _LARGEST:
        raise RunFailed(f"a step of {step:g} leads beyond the range of numbers from here; use a smaller `step`.")
    columns: dict[str, list[Any]] = {name: [] for name in _LONG}
    for name in names:
        for found, value in _identities(
            thetas[name], gradients[name], float(step), lam[name], degrees[name], float(pull)
        ).items():
            columns[found].append(value)
    variables = {
        name: ("part", np.array(column), {"units": "dimensionless", "long_name": _LONG[name]})
        for name, column in columns.items()
    }
    return OneStep(xr.Dataset(variables, coords={"part": names}), float(step), problem)


_LARGEST = 1e150
"""Steps and changes beyond have no square."""
_LONG = {
    "square": "squared norm before the step",
    "gradient_square": "squared norm of the gradient of the data loss",
    "product": "inner product with that gradient",
    "decay": "decay",
    "left": "squared norm after the step",
    "right": "the same by the exact identity",
    "difference": "relative difference of both sides",
    "invariant_right": "squared norm after the step if scale invariant",
    "invariant_difference": "relative difference of that from the squared norm",
    "cosine": "cosine of part and gradient",
    "invariant": "whether part and gradient are orthogonal",
    "degree": "degree of the network in the part",
    "euler": "right side of Euler's identity",
    "euler_difference": "difference of both sides of Euler's identity over the norms",
    "rate": "change of the squared norm over the step size",
    "flow_rate": "rate of the squared norm under the flow",
    "corrected_rate": "that rate with the correction of the finite step",
}


def _identities(theta: np.ndarray, g: np.ndarray, step: float, lam: float, kappa: float, pull: float) -> Record:
    """All columns for one part; sums are correctly rounded, so that what differs is not the order of adding up."""
    moved = (1.0 - step * lam) * theta - step * g
    square, gradient_square, product, left = (
        math.fsum((a * b).tolist()) for a, b in ((theta, theta), (g, g), (theta, g), (moved, moved))
    )
    shrunk = 1.0 - step * lam
    invariant_right = shrunk**2 * square + step**2 * gradient_square
    right = invariant_right - 2.0 * step * shrunk * product
    lengths = math.sqrt(square * gradient_square)
    euler, cosine = kappa * pull, product / lengths if lengths else 0.0
    flow_rate = -2.0 * lam * square - 2.0 * product
    return {
        "square": square,
        "gradient_square": gradient_square,
        "product": product,
        "decay": lam,
        "left": left,
        "right": right,
        "difference": abs(left - right) / max(left, 1e-300),
        "invariant_right": invariant_right,
        "invariant_difference": abs(left - invariant_right) / max(left, 1e-300),
        "cosine": cosine,
        "invariant": abs(cosine) <= ORTHOGONAL,
        "degree": kappa,
        "euler": euler,
        "euler_difference": abs(product - euler) / lengths if lengths else abs(product - euler),
        "rate": math.fsum(((moved - theta) * (moved + theta)).tolist()) / step,
        "flow_rate": flow_rate,
        "corrected_rate": flow_rate + step * gradient_square,
    }


def _parts(problem: Problem, per: str, normalised: bool, values: PyTree, slopes: PyTree) -> tuple[Record, ...]:
    """Parameters and gradients as rows by part, their degrees, and the blocks that ω of a part belongs to (none for
    directions).
    """
    symmetry, blocks = problem.network.symmetry, problem.network.weights
    thetas: Record = {}
    gradients: Record = {}
    degrees: Record = {}
    weighed: Record = {}
    W, gW = (values[1], slopes[1]) if normalised else (values, slopes)

    def add(name: str, theta: Array, g: Array, kappa: Fraction | float | None, of: Any) -> None:
        thetas[name], gradients[name] = np.ravel(theta), np.ravel(g)
        degrees[name], weighed[name] = math.nan if kappa is None else float(kappa), of

    if per == "network":
        theta, g = (np.concatenate([np.ravel(each[w]) for w in blocks]) for each in (W, gW))
        add(
            "V" if normalised else "network",
            theta,
            g,
            0 if normalised else symmetry.joint_degree,
            () if normalised else tuple(blocks),
        )
    for w in blocks if per != "network" else ():
        rows = list(zip(W[w], gW[w], strict=True)) if has_rows(W[w].shape, per) else [(W[w], gW[w])]
        for i, (theta, g) in enumerate(rows):
            label = f"{'V_' if normalised else ''}{w}{f'[{i}]' if len(rows) > 1 or rows[0][0].ndim < W[w].ndim else ''}"
            # One row of a matrix alone scales no output unless it is all of the matrix.
            add(
                label,
                theta,
                g,
                0 if normalised else symmetry.degree(w) if theta.size == W[w].size else None,
                () if normalised else (w,),
            )
    for name, rho in (values[0] if normalised else {}).items():
        whole = np.ndim(rho) == 0 or np.size(rho) == 1
        kappa = symmetry.joint_degree if per == "network" else symmetry.degree(name) if whole else None
        add(f"rho_{name}", rho, slopes[0][name], kappa, tuple(blocks) if per == "network" else (name,))
    return thetas, gradients, degrees, weighed


def _decays(
    problem: Problem, per: str, names: list[str], weighed: Record, decay: float | Mapping[str, float] | None
) -> dict[str, float]:
    if decay is None:
        found = {}
        for name in names:
            several = {2.0 * problem.decay[w] for w in weighed[name]} or {0.0}
            if len(several) > 1:
                raise LanguageError(
                    f"blocks of the part `{name}` must have one decay, got {problem.decay}; use a state with"
                    f' per="layer", not {per!r}.'
                )
            found[name] = several.pop()
        return found
    given = dict(decay) if isinstance(decay, Mapping) else dict.fromkeys(names, decay)
    for name, value in given.items():
        if name not in names:
            raise UnknownName(f"`decay` must name parts of this step, got `{name}`; use some of {', '.join(names)}.")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= sys.float_info.max:
            raise must_be("decay", value, "a finite number from 0 on", "for example 0.1")
    return {name: float(given.get(name, 0.0)) for name in names}


@eqx.filter_jit
def _slopes(problem: Problem, per: str, normalised: bool, data: Data, state: State) -> tuple[PyTree, PyTree, jax.Array]:
    """Parameters, the gradient of the data loss in them, and Σ_n ℓ'_n f_n."""

    def seen(parameters: PyTree) -> Blocks:
        return problem.scheme.weights(jnp, parameters[0], parameters[1], per) if normalised else parameters

    def loss(outputs: Array) -> jax.Array:
        return jnp.exp(problem.loss.log_loss(jnp, outputs, data.y, problem.reduction))

    values = (state.rho, state.V) if normalised else state.weights()
    slopes = jax.grad(lambda p: loss(problem.network.outputs(seen(p), data.inputs, jnp)))(values)
    outputs = problem.network.outputs(seen(values), data.inputs, jnp)
    return values, slopes, jnp.sum(outputs * jax.grad(loss)(outputs))
