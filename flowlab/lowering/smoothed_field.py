"""The flow of a network whose kinks are rounded off, by autodiff alone: a second route to the flow of the network with
kinks.

A kink with slopes l and r becomes (l + r) z/2 + (r - l) √(z² + ε² s²)/2, where s² is the sum, over the products W @ a
that make up the pre-activation, of ‖w‖²‖a‖² with w a unit's row of W. Since s scales like z, the rounded network has
the degrees of the one with kinks, and the same conservation laws. As ε falls to zero its flow tends to the Clarke flow
wherever that is unique, with an error that falls like a power of ε, so it can be extrapolated. Nothing of the
derivation is used: the rate is the gradient of the loss.
"""

from collections.abc import Sequence
from typing import NoReturn

import equinox as eqx
import jax
import jax.numpy as jnp

from flowlab.core.arguments import guarded, must_be
from flowlab.core.errors import LanguageError
from flowlab.core.precision import require_x64
from flowlab.core.typing import Array, Blocks, Coordinates, Given
from flowlab.language.data import Data
from flowlab.language.expr import Expr
from flowlab.language.operations import Operation
from flowlab.language.operations.base import Measured
from flowlab.language.problem import Problem
from flowlab.language.traversal import fold
from flowlab.lowering.vector_field import VectorField
from flowlab.symbolic.program import Program


def _unmeasured() -> NoReturn:
    what = "a kink of an argument that is not a sum of products `W @ a` and biases"
    raise LanguageError(f"{what} cannot be rounded off (here `x` itself).")


class SmoothedField(VectorField):
    """The gradient flow of a problem with its kinks rounded off, in weight coordinates.

    Attributes:
        epsilon: width of the rounding, as a part of ‖w‖‖a‖ (dimensionless); absolute for kinks of weights.
    """

    epsilon: jax.Array = eqx.field(kw_only=True)

    def rate(self, t: Array, y: Coordinates, data: Data) -> Coordinates:
        """The time derivative of the weights."""
        decay = {w: 2.0 * c for w, c in self.problem.decay.items()}
        log_loss, slope = jax.value_and_grad(self._log_loss)(y, data, None)
        return self.problem.paced({w: -jnp.exp(log_loss) * slope[w] - decay[w] * y[w] for w in y})

    def scaled_rate(self, y: Coordinates, data: Data, shift: Array | None = None) -> tuple[Coordinates, Array]:
        """The rate over the loss, and log L; as for `VectorField`."""
        log_loss, slope = jax.value_and_grad(self._log_loss)(y, data, shift)
        return self.problem.paced({w: -slope[w] for w in y}), log_loss

    def outputs(self, weights: Blocks, x: Given) -> Array:
        """Outputs (N, C) of the rounded network."""
        network = self.problem.network
        plain = network.meaning(jnp)
        rounded = {i: slot for slot in network.slots if slot.tracked for i in slot.nodes}

        def apply(word: Operation, parts: Sequence[Measured], node: Expr) -> Measured:
            slot = rounded.get(id(node))

            def square() -> Coordinates:
                return word.scale_square(jnp, parts, node.params)

            if slot is None:
                return Measured(plain(word, [part.value for part in parts], node), square)
            z = parts[0].value
            # A kink of weights themselves has nothing to be measured by, so its width is absolute.
            width = self.epsilon**2 * (parts[0].square() if slot.sampled else 1.0)
            mean, half = 0.5 * (slot.left + slot.right), 0.5 * (slot.right - slot.left)
            return Measured(mean * z + half * jnp.sqrt(z * z + width), square)

        given = network.given(x)

        def weigh(name: str) -> Measured:
            return Measured(weights[name], lambda: weights[name] ** 2, name)

        out = fold(network.nodes, lambda node: Measured(given(node), _unmeasured), weigh, apply)[
            id(network.expression)
        ].value
        return out if network.output_shape else out[:, None]

    def _log_loss(self, weights: Blocks, data: Data, shift: Array | None) -> Array:
        outputs = self.outputs(weights, data.inputs)
        return self.problem.loss.log_loss(
            jnp, outputs if shift is None else outputs + shift, data.y, self.problem.reduction
        )


@guarded
def smoothed(problem: Problem, epsilon: float) -> SmoothedField:
    """The gradient flow of a problem with its kinks rounded off; integrate it like any other field.

    Args:
        problem: with the scheme "gradient_flow"; whatever its coordinates, weights are integrated.
        epsilon: width of the rounding, relative to ‖w‖‖a‖ (dimensionless), above zero.

    Raises:
        PrecisionTooLow: without float64.
        LanguageError: for another scheme, a width that is none, a pre-activation that has no such scale, or an opaque
            network with kinks.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W2 @ relu(W1 @ x)")
        >>> start = fl.initial_state(problem.network, data, widths={"W1": 3}, seed=0)
        >>> field = fl.smoothed(problem, 0.01)
        >>> fl.integrate(field, start, data, until=fl.time(0.1)).outcome.kind
        'done'
    """
    require_x64("smoothed")
    problem.network.require_slots("rounding kinks off")
    if not problem.scheme.is_gradient_flow:
        raise LanguageError(f'kinks are rounded off for the scheme "gradient_flow", not "{problem.scheme.name}".')
    if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not 0 < epsilon < 1:
        raise must_be("epsilon", epsilon, "a number between 0 and 1", "for example 1e-3")
    flat = Problem(
        problem.network,
        problem.loss.name,
        coordinates="weights",
        per=problem.per,
        reduction=problem.reduction,
        decay=problem.decay,
        rates=problem.rates,
    )
    empty = Program((), ())
    decay = {w: jnp.asarray(c) for w, c in flat.decay.items()} if any(flat.decay.values()) else {}
    return SmoothedField(
        decay, empty, flat, f"smoothed {flat.signature}", (), None, epsilon=jnp.asarray(float(epsilon))
    )
