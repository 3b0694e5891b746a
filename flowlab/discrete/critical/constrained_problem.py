"""The constrained problem: least loss over directions, with all norms kept. Autodiff of the objective and nothing else.

At fixed norms ρ the loss is a function of the directions on a product of unit spheres, and the zeros of the flow on the
directions are its critical points: ∂L/∂V_k = λ_k V_k (Poggio, Banburski and Liao 2020, eqs. 1.10 and 1.11; P5). The
logarithm of the loss has the same critical points, index and nullity, and is still a number where the loss has
underflowed.
"""

import math
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import replace
from functools import cached_property

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.arguments import array, guarded, must_be
from flowlab.core.display import displayed
from flowlab.core.errors import LanguageError, NotHomogeneous, ShapeMismatch
from flowlab.core.precision import require_x64
from flowlab.core.typing import Array, ArrayLike, Blocks, Given, Number, Pieces
from flowlab.discrete.critical.sphere_product import Layout, Spheres, blocks
from flowlab.discrete.critical.symmetries import Symmetries
from flowlab.language.data import Data
from flowlab.language.kink_slots import Slot
from flowlab.language.problem import Problem
from flowlab.language.single_input import require_plain
from flowlab.language.state import State, initial_state, names_match

RESIDUAL = 1e-10
"""Ends of a search with a larger residual are not called critical points."""
_SHARP, _RUNGS = 100.0, 60


def weight_count(problem: Problem, data: Data, widths: Mapping[str, int] | None) -> int:
    """How many weights a problem has, P, before any is drawn."""
    # Widths are asked for where the network is one that can be looked at.
    require_plain(problem.network, "a problem of critical points")
    problem.loss.check_labels(data)
    return sum(map(math.prod, problem.network.resolve(data.shapes, data.outputs, widths).values()))


@displayed
class Constrained:
    """min log L(ρ V) over directions V, at fixed norms ρ.

    Args:
        problem: network, loss and grouping; decay is a constant at fixed norms and is left out.
        data: samples.
        norm: R = Π ρ_k^κ_k, with all ρ_k²/κ_k equal, as flows from small weights have them; or the norms themselves,
            `{"W1": 3.0, …}`.
        widths: rows of hidden blocks, `{"W1": 16}`.

    Attributes:
        spheres: the geometry; rows of directions have P coordinates on K spheres.

    Raises:
        NotHomogeneous: for one number where the network has no R; LanguageError, ShapeMismatch, DataError: for bad
            input.
    """

    @guarded
    def __init__(
        self,
        problem: Problem,
        data: Data,
        *,
        norm: float | Mapping[str, ArrayLike],
        widths: Mapping[str, int] | None = None,
    ) -> None:
        require_x64("Constrained")
        require_plain(problem.network, "a problem of critical points")
        problem.loss.check_labels(data)
        problem.require_gradient("a critical point")
        problem.network.require_slots("a critical point")
        if problem.per == "network" and len(set(problem.decay.values())) > 1:
            raise LanguageError(
                'blocks under one norm must have one `decay`, got different ones; use per="layer", or one decay.'
            )
        self.problem, self.data, self.softness = problem, data, None
        self._kept: tuple[np.ndarray, np.ndarray] | None = None
        self.plain = problem.objective_only
        self.like = initial_state(problem.network, data, widths=widths, seed=0, per=problem.per)
        rho = (
            _balanced(problem, norm)
            if not isinstance(norm, Mapping)
            else {k: array(f"norm[{k!r}]", v) for k, v in norm.items()}
        )
        if isinstance(norm, Mapping):
            shapes = {k: np.shape(r) for k, r in self.like.rho.items()}
            rho = {
                k: np.broadcast_to(rho[k], shapes[k]) if k in rho and rho[k].ndim == 0 else rho.get(k) for k in shapes
            }
            for k, r in rho.items():
                if r is None or np.shape(r) != shapes[k] or not (np.isfinite(r) & (r > 0)).all():
                    raise ShapeMismatch(
                        f"`norm[{k!r}]` must be positive and of shape {shapes[k]}, got {norm.get(k, 'nothing')}; pass"
                        " such numbers."
                    )
            if set(norm) - set(shapes):
                raise ShapeMismatch(
                    f"`norm` must name {sorted(shapes)}, got also {sorted(set(norm) - set(shapes))}; leave those out."
                )
        self.spheres = Spheres(
            State(rho={k: jnp.asarray(r) for k, r in rho.items() if r is not None}, V=self.like.V, per=problem.per)
        )

    @cached_property
    def symmetries(self) -> Symmetries:
        """Those of the network at these norms."""
        return Symmetries(
            self.problem.network,
            self.spheres.layout,
            self.data.d,
            merge=self.problem.per != "neuron",
            rho=self.spheres.rho,
        )

    @cached_property
    def objective(self) -> "Objective":
        """What is minimised, as the compiled functions take it."""
        radii = jnp.asarray(self.spheres.radii)
        return Objective(self.plain, self.spheres.layout, radii, self.data.inputs, self.data.y, self.rounding)

    @cached_property
    def rounding(self) -> tuple[jax.Array, ...] | None:
        """ε of every slot with kinks where they are rounded, else None."""
        if self.softness is None or not self.bends:
            return None
        return tuple(jnp.asarray(self.softness * size) for size in self.sizes)

    def rounded(self, softness: float) -> "Constrained":
        """The same problem with every kink replaced by a hyperbola, a·h → a·h + (b - a)(h + √(h² + ε²))/2; ε in units
        of typical pre-activations.
        """
        other = copy(self)
        other.softness, other._kept = softness, None
        for name in ("objective", "rounding"):
            other.__dict__.pop(name, None)
        return other

    def scaled(self, factor: float) -> "Constrained":
        """The same problem with all norms multiplied."""
        other = copy(self)
        other.spheres, other._kept = self.spheres.scaled(factor), None
        for name in ("objective", "rounding", "sizes", "unit", "typical", "spread"):
            other.__dict__.pop(name, None)
        return other

    @cached_property
    def slots(self) -> list[Slot]:
        """Activations with a kink that bends the objective."""
        return [slot for slot in self.problem.network.slots if slot.tracked]

    @cached_property
    def sizes(self) -> list[float]:
        """Typical size of the pre-activations of every slot, at random directions."""
        found = [self.pairs(self.random(np.random.default_rng(k))) for k in range(4)]
        return [float(np.sqrt(np.mean([np.mean(h[i] ** 2) for h in found]))) or 1.0 for i in range(len(self.slots))]

    @cached_property
    def bends(self) -> int:
        """B, how many pairs of a unit and a sample have a kink."""
        return sum(h.size for h in self.pairs())

    @property
    def is_logarithm(self) -> bool:
        """Whether the logarithm of the loss is what is minimised: everywhere but where a loss can be exactly zero."""
        return _logarithmic(self.plain)

    def random(self, rng: np.random.Generator) -> np.ndarray:
        """A direction drawn uniformly from the spheres, (P,)."""
        return self.spheres.project(rng.normal(size=len(self.spheres.owner)))

    @guarded
    def row(self, start: State | Mapping[str, ArrayLike]) -> np.ndarray:
        """The directions of a state, or of weights by block, as a row, (P,)."""
        if isinstance(start, State):
            names_match(start, self.problem.network)
        V = start.V if isinstance(start, State) else {name: array(f"start[{name!r}]", v) for name, v in start.items()}
        for name, shape in self.spheres.layout:
            if name not in V or np.shape(V[name]) != shape:
                raise ShapeMismatch(
                    f"the direction `{name}` must have the shape {shape}, got {np.shape(V.get(name, ()))}; pass"
                    " `widths`, or another start."
                )
        flat = np.concatenate([np.ravel(np.asarray(V[name], dtype=np.float64)) for name, _ in self.spheres.layout])
        lengths = self.spheres.spread(np.sqrt(self.spheres.squares(flat, flat)))
        if not (np.isfinite(lengths) & (lengths > 0)).all():
            odd = float(lengths[~(np.isfinite(lengths) & (lengths > 0))][0])
            raise ShapeMismatch(
                f"directions of a start must be finite and not zero, got one of length {odd:g}; pass another start."
            )
        return self.spheres.project(flat)

    def value(self, theta: np.ndarray) -> float:
        """The objective: log L, or L itself for losses of targets."""
        return float(_value(self.objective, theta))

    def gradient(self, theta: np.ndarray) -> np.ndarray:
        """Its gradient in all coordinates, (P,); not yet tangent. That of the last row is kept, since a step asks for
        it several times.
        """
        if self._kept is None or not np.array_equal(self._kept[0], theta):
            self._kept = np.array(theta), np.asarray(_gradient(self.objective, theta))
        return self._kept[1]

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """Its second derivatives in all coordinates, (P, P)."""
        return np.asarray(_hessian(self.objective, theta))

    def growth(self, theta: np.ndarray) -> np.ndarray:
        """Derivative of the gradient where all norms are multiplied by e^c, in c at 0, (P,)."""
        return np.asarray(_growth(self.objective, theta))

    def times(self, theta: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The second derivatives times a vector, (P,), without forming them."""
        return np.asarray(_times(self.objective, theta, v))

    def riemannian(self, theta: np.ndarray, basis: np.ndarray) -> np.ndarray:
        """The Riemannian Hessian (eq. 1.11) in a tangent basis: Qᵀ(∂² - diag λ) Q with λ_k = ⟨∂_k, V_k⟩."""
        lam = self.spheres.squares(theta, self.gradient(theta))[self.spheres.owner]
        found = basis.T @ (self.hessian(theta) - np.diag(lam)) @ basis
        return 0.5 * (found + found.T)

    def residual(self, theta: np.ndarray) -> float:
        """‖tangent gradient‖ over ‖gradient‖: zero at a critical point. Where the gradient itself vanishes, over a
        thousandth of its typical size.
        """
        g = self.gradient(theta)
        return float(np.linalg.norm(self.spheres.tangent(theta, g))) / self.measure(g)

    def measure(self, gradient: np.ndarray) -> float:
        """What tangent gradients are compared with."""
        return max(float(np.linalg.norm(gradient)), 1e-3 * self.typical, 1e-300)

    @cached_property
    def typical(self) -> float:
        """Root mean square of the gradient at random directions."""
        found = [self.gradient(self.random(np.random.default_rng(k))) for k in range(4)]
        return float(np.sqrt(np.mean([g @ g for g in found])))

    @cached_property
    def spread(self) -> float:
        """Root mean square of the outputs at random directions: the loss bends over 1/spread."""
        found = []
        for k in range(4):
            W = blocks(self.spheres.layout, self.random(np.random.default_rng(k)) * self.spheres.radii)
            found.append(np.mean(np.asarray(self.problem.network.outputs(W, self.data.in_numpy[0], np)) ** 2))
        return float(np.sqrt(np.mean(found)))

    @property
    def resolution(self) -> float:
        """The largest residual of a critical point: 1e-10, or what rounding leaves of outputs of this size."""
        return max(RESIDUAL, 8.0 * float(np.finfo(float).eps) * self.spread)

    def rungs(self) -> "list[Constrained]":
        """Problems at growing norms, the last of them this one, in steps of two, from one whose loss is not sharp yet:
        what descents go up by.
        """
        factor, found = 1.0, list[Constrained]([self])
        while found[0].spread > _SHARP and len(found) < _RUNGS:
            factor *= 0.5
            found.insert(0, self.scaled(factor))
        return found

    def preactivations(self, theta: np.ndarray) -> np.ndarray:
        """What goes into activations with a kink, for every unit and sample, (B,), in units of their typical size."""
        found = self.pairs(theta)
        return np.concatenate([np.ravel(h) for h in found]) / self.unit if found else np.zeros(0)

    @cached_property
    def unit(self) -> np.ndarray:
        """The typical size of every pre-activation, (B,)."""
        return np.repeat(self.sizes, [h.size for h in self.pairs()])

    def pairs(self, theta: np.ndarray | None = None) -> list[np.ndarray]:
        """Pre-activations slot by slot, in the shape in which they occur; at the first directions where
        there are none.
        """
        theta = self.spheres.row(self.like.V) if theta is None else theta
        values = self.problem.network.node_values(
            blocks(self.spheres.layout, theta * self.spheres.radii), self.data.in_numpy[0], np
        )
        return [np.asarray(values[id(slot.argument)]) for slot in self.slots]


def _balanced(problem: Problem, norm: object) -> dict[str, np.ndarray]:
    if isinstance(norm, bool) or not isinstance(norm, int | float) or not 1e-300 < norm < 1e300:
        raise must_be("norm", norm, "from 1e-300 to 1e300, or one such number per block", "for example 20.0")
    kappa = {k: float(v) if v is not None else 0.0 for k, v in problem.degrees.items()}
    if not problem.is_homogeneous or sum(kappa.values()) <= 0:
        raise NotHomogeneous(
            f"`norm={norm:g}` must be a mapping of blocks to norms, as this network has no degrees per {problem.per};"
            " pass one."
        )
    # ρ_k = c √κ_k with Π ρ_k^κ_k = R.
    logs = {k: 0.5 * np.log(v) if v > 0 else 0.0 for k, v in kappa.items()}
    c = (np.log(norm) - sum(kappa[k] * logs[k] for k in kappa)) / sum(kappa.values())
    return {k: np.asarray(np.exp(c + logs[k])) for k in kappa}


def _logarithmic(problem: Problem) -> bool:
    return problem.loss.classifies


class Objective(eqx.Module):
    """What is minimised, as a function of a row of directions (P,): log L, or L itself for losses of targets.

    A frozen value that compiled functions take as their first argument.

    Attributes:
        problem, layout: network, loss and shapes of the blocks (static).
        radii: ρ of the sphere of each coordinate, (P,).
        x, y: inputs and labels.
        rounding: ε of every slot with kinks where they are rounded, else None.
    """

    problem: Problem = eqx.field(static=True)
    layout: Layout = eqx.field(static=True)
    radii: jax.Array
    x: Given
    y: Array
    rounding: tuple[jax.Array, ...] | None

    def __call__(self, theta: Array) -> Number:
        pieces, network = None, self.problem.network
        if self.rounding is not None:
            left = iter(self.rounding)
            pieces = [_rounded(slot, next(left)) if slot.tracked else None for slot in network.slots]
        return objective_of(self.problem, blocks(self.layout, self.radii * theta), self.x, self.y, pieces)

    def grown(self, c: Array) -> "Objective":
        """The same with all norms multiplied by e^c."""
        return replace(self, radii=self.radii * jnp.exp(c))


def objective_of(problem: Problem, weights: Blocks, x: Given, y: Array, pieces: Pieces | None) -> Number:
    """The objective with other pieces in the place of activations with a kink; traced."""
    outputs = problem.network.outputs(weights, x, jnp, pieces)
    return (problem.loss.log_loss if _logarithmic(problem) else problem.loss.total)(jnp, outputs, y, problem.reduction)


def _rounded(slot: Slot, epsilon: Array) -> Callable[[Array], Array]:
    return lambda h: slot.left * h + 0.5 * (slot.right - slot.left) * (h + jnp.sqrt(h * h + epsilon**2))


@eqx.filter_jit
def _value(objective: Objective, theta: Array) -> Number:
    return objective(theta)


@eqx.filter_jit
def _gradient(objective: Objective, theta: Array) -> jax.Array:
    return jax.grad(objective)(theta)


@eqx.filter_jit
def _hessian(objective: Objective, theta: Array) -> jax.Array:
    return jax.hessian(objective)(theta)


@eqx.filter_jit
def _times(objective: Objective, theta: Array, v: Array) -> jax.Array:
    return jax.jvp(jax.grad(objective), (theta,), (v,))[1]


@eqx.filter_jit
def _growth(objective: Objective, theta: Array) -> jax.Array:
    return jax.jvp(lambda c: jax.grad(objective.grown(c))(theta), (jnp.zeros(()),), (jnp.ones(()),))[1]
