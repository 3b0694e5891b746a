"""Stability of a rest point of a game: the spectrum of the flow there, and that of a rule's steps.

A step of a rule on the linearised forces multiplies each mode q of the flow by the roots of the rule's own matrix at
h = ηq, so the spectrum of the steps, and the largest stable step, follow from that of the flow. The same spectrum is
measured on the steps themselves, by the derivative of one step with its memory.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import sympy as sp
from jax.flatten_util import ravel_pytree

from flowlab.core.arguments import guarded, positive
from flowlab.core.display import displayed
from flowlab.core.errors import LanguageError
from flowlab.core.precision import require_x64
from flowlab.core.typing import Blocks
from flowlab.discrete.descent.step_limit import SAME, largest_stable
from flowlab.discrete.rest_point import Chart
from flowlab.language.optax_rule import GradientTransformation, word_of
from flowlab.language.rules import Momentum, Rule, checked_momentum, rules
from flowlab.studies.equilibrium import Equilibrium, chart_round, jacobian
from flowlab.symbolic.modified import step_matrix


@dataclass(frozen=True, eq=False)
@displayed
class Stability:
    """The spectra at a rest point, in the charts, on strategies that are mixed.

    Attributes:
        rest: the equilibrium.
        rule, step, momentum, nesterov: the rule and its step size η (in units of flow time).
        flow: eigenvalues q of the flow, (k,), complex.
        measured: eigenvalues of a step with its memory, from its derivative, complex.
        norm: Euclidean norm of that derivative; above 1 where a step can make distances in the charts grow.
        off: factors by which strategies that are not mixed shrink per step, e^{-η slack} at best.

    Examples:
        >>> net = fl.Network("p @ (A @ q)", constants=("A",))
        >>> game = fl.Problem(net, "value", ascend=["p"], geometry={"p": "simplex", "q": "simplex"})
        >>> data = fl.Data(A=[[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-1.0, 3.0, 0.0]])
        >>> found = fl.stability(fl.equilibrium(game, data), "optimistic", step=0.1)
        >>> found.stable, found.radius < 1
        (True, True)
    """

    rest: Equilibrium
    rule: str
    step: float
    momentum: float
    nesterov: bool
    flow: np.ndarray
    measured: np.ndarray
    off: np.ndarray
    norm: float

    @property
    def predicted(self) -> np.ndarray:
        """Eigenvalues of a step from those of the flow, complex."""
        return self._modes(self.step)

    def _modes(self, step: float) -> np.ndarray:
        steps = [[[np.polyval(e, step * q) for e in row] for row in self._polynomials] for q in self.flow]
        return np.concatenate([np.linalg.eigvals(np.array(matrix, dtype=complex)) for matrix in steps])

    @cached_property
    def _polynomials(self) -> list[list[np.ndarray]]:
        """Entries of the matrix of a step, polynomials in the step size, highest power first."""
        matrix, h = step_matrix(rules[self.rule](), Momentum(self.nesterov) if self.momentum else None)
        given = dict.fromkeys(matrix.free_symbols - {h}, self.momentum)
        return [[np.array(sp.Poly(e.subs(given), h).all_coeffs(), float) for e in row] for row in matrix.tolist()]

    @property
    def radius(self) -> float:
        """The largest modulus of a step's eigenvalues, those of strategies that are not mixed among them."""
        return float(np.max(np.concatenate([np.abs(self.measured), self.off]), initial=0.0))

    @property
    def stable(self) -> bool:
        """Whether small distances shrink."""
        return self.radius < 1.0

    @cached_property
    def threshold(self) -> float:
        """The step size up to which the linearised steps shrink; 0 where none does (in units of flow time)."""

        def grows(step: float) -> bool:
            return float(np.abs(self._modes(step)).max(initial=0.0)) > 1.0 + SAME * step

        return largest_stable(grows, float(np.abs(self.flow).max(initial=0.0)))

    def __repr__(self) -> str:
        word = "stable" if self.stable else "unstable" if self.radius > 1.0 + SAME else "neutral"
        limit = (
            f"up to {self.threshold:.6g}" if 0 < self.threshold < np.inf else "at any step" if self.threshold else ""
        )
        ends = "" if word == "neutral" else f", stable {limit or 'at no step'}"
        return f"Stability({self.rule}, step={self.step:g}: {word}, radius {self.radius:.8g}{ends})"


@guarded
def stability(
    rest: Equilibrium,
    rule: str | GradientTransformation = "gradient",
    *,
    step: float,
    momentum: float = 0.0,
    nesterov: bool = False,
) -> Stability:
    """The spectrum of the flow and of a rule's steps at an equilibrium.

    Args:
        rest: the equilibrium, by `equilibrium`.
        rule: a rule on weights, as for `descend`.
        step: η (above zero; in units of flow time).
        momentum: β of the heavy ball, with `rule="gradient"`.
        nesterov: whether the ball looks ahead.

    Returns:
        Eigenvalues of both, the largest stable step, and whether this one is stable.

    Raises:
        LanguageError: for a rule on directions, or a step that is none.

    Examples:
        >>> net = fl.Network("p @ (A @ q)", constants=("A",))
        >>> game = fl.Problem(net, "value", ascend=["p"], geometry={"p": "simplex", "q": "simplex"})
        >>> data = fl.Data(A=[[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-1.0, 3.0, 0.0]])
        >>> nash = fl.equilibrium(game, data)
        >>> {rule: fl.stability(nash, rule, step=0.1).stable for rule in ("gradient", "optimistic", "extragradient")}
        {'gradient': False, 'optimistic': True, 'extragradient': True}
    """
    require_x64("stability")
    rule = word_of(rule, "stability")
    how: Rule = rules[rule]()
    if not how.on_weights:
        raise LanguageError(f'`rule` must move weights, got "{rule}", which moves directions; use "gradient".')
    step, momentum = positive("step", step), checked_momentum(how, momentum)
    slope = jacobian(rest)
    heavy = Momentum(nesterov) if momentum else None
    step_slope = _step_slope(chart_round(rest), how, heavy, jnp.asarray(step), jnp.asarray(momentum))
    map_slope = np.asarray(step_slope)
    off = np.exp(-step * np.array(list(rest.slack.values())))
    return Stability(
        rest,
        rule,
        step,
        momentum,
        nesterov,
        np.linalg.eigvals(slope),
        np.linalg.eigvals(map_slope),
        off,
        float(np.linalg.norm(map_slope, 2)),
    )


@eqx.filter_jit
def _step_slope(chart: Chart, how: Rule, heavy: Momentum | None, step: jax.Array, momentum: jax.Array) -> jax.Array:
    """The derivative of one step with its memory, on changes that move weights."""
    flat, restore = ravel_pytree(chart.place)
    basis, force = chart.basis, chart.forces(chart.place)
    memory = {w: jnp.zeros_like(v) for w, v in force.items()} if heavy is not None else how.fresh(force)
    past, rebuilt = ravel_pytree(memory)
    parts = past.size // flat.size + 1

    def once(change: jax.Array) -> jax.Array:
        moved = [basis @ part for part in jnp.split(change, parts)]
        z = restore(flat + moved[-1])
        old: Any = rebuilt(past + moved[0]) if parts > 1 else memory
        now = chart.forces(z)
        if heavy is not None:
            new, add = heavy.update(old, {w: -f for w, f in now.items()}, step, momentum)
            after: Blocks = {w: z[w] + add[w] for w in z}
        else:
            new, after = how.advance(old, z, now, chart.forces, step)
        both = ([ravel_pytree(new)[0]] if parts > 1 else []) + [ravel_pytree(after)[0]]
        return jnp.concatenate([basis.T @ part for part in both])

    return jax.jacfwd(once)(jnp.zeros(basis.shape[1] * parts))
