"""The flow of a network whose kinks are rounded off, by autodiff alone: a second route to the flow of the network with kinks.

A kink with slopes l and r becomes (l + r) z/2 + (r - l) √(z² + ε² s²)/2, where s² is the sum, over the products W @ a that make up the pre-activation, of
‖w‖²‖a‖² with w a unit's row of W. Since s scales like z, the rounded network has the degrees of the one with kinks, and the same conservation laws. As
ε falls to zero its flow tends to the Clarke flow wherever that is unique, with an error that falls like a power of ε, so it can be extrapolated.
Nothing of the derivation is used: the rate is the gradient of the loss.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from flowlab.core.arguments import guarded
from flowlab.core.errors import LanguageError
from flowlab.core.precision import require_x64
from flowlab.core.typing import Array, Blocks, Coordinates
from flowlab.language.data import Data
from flowlab.language.expr import Expr
from flowlab.language.operations import operations
from flowlab.language.operations.nonlinear import activation_of
from flowlab.language.problem import Problem
from flowlab.lowering.vector_field import VectorField
from flowlab.symbolic.program import Program


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
        return {w: -jnp.exp(log_loss) * slope[w] - decay[w] * y[w] for w in y}

    def scaled_rate(self, y: Coordinates, data: Data, shift: Array | None = None) -> tuple[Coordinates, Array]:
        """The rate over the loss, and log L; as for `VectorField`."""
        log_loss, slope = jax.value_and_grad(self._log_loss)(y, data, shift)
        return {w: -slope[w] for w in y}, log_loss

    def outputs(self, weights: Blocks, x: Array) -> Array:
        """Outputs (N, C) of the rounded network."""
        network = self.problem.network
        values: dict[int, Array] = {}
        rounded = {i: slot for slot in network.slots if slot.tracked for i in slot.nodes}
        for node in network.nodes:
            if node.op in ("input", "weight"):
                values[id(node)] = x if node.op == "input" else weights[node.params[0]]
                continue
            args = [values[id(arg)] for arg in node.args]
            slot = rounded.get(id(node))
            if slot is None:
                types = [network.type_of(arg) for arg in node.args]
                values[id(node)] = operations[node.op]().numeric(jnp, args, types, network.type_of(node), node.params)
            else:
                z = args[0]
                # A kink of weights themselves has nothing to be measured by, so its width is absolute.
                width = self.epsilon**2 * (_scale(node.args[0], values) if slot.sampled else 1.0)
                values[id(node)] = 0.5 * (slot.left + slot.right) * z + 0.5 * (slot.right - slot.left) * jnp.sqrt(z * z + width)
        out = values[id(network.expression)]
        return out if network.output_shape else out[:, None]

    def _log_loss(self, weights: Blocks, data: Data, shift: Array | None) -> Array:
        outputs = self.outputs(weights, data.x)
        return self.problem.loss.log_loss(jnp, outputs if shift is None else outputs + shift, data.y, self.problem.reduction)


def _scale(node: Expr, values: dict[int, Array]) -> Array:
    """The square s² of what a pre-activation is measured by, in its own shape."""
    if node.op == "matmul" and node.args[0].op == "weight":
        W, a = (values[id(arg)] for arg in node.args)
        squares = jnp.sum(W * W, axis=-1)
        return jnp.sum(a * a, axis=-1)[:, None] * squares if W.ndim == 2 else jnp.sum(a * a, axis=-1) * squares
    if node.op in ("add", "sub"):
        return _scale(node.args[0], values) + _scale(node.args[1], values)
    if node.op == "scale":
        return float(node.params[0]) ** 2 * _scale(node.args[0], values)
    if node.op == "weight":
        return values[id(node)] ** 2
    if node.op == "activation" and activation_of(node.params).degree == 1:
        return _scale(node.args[0], values)
    raise LanguageError(f"a kink of an argument that is not a sum of products `W @ a` and biases cannot be rounded off (here `{node.op}`).")


@guarded
def smoothed(problem: Problem, epsilon: float) -> SmoothedField:
    """The gradient flow of a problem with its kinks rounded off; integrate it like any other field.

    Args:
        problem: with the scheme "gradient_flow"; whatever its coordinates, weights are integrated.
        epsilon: width of the rounding, relative to ‖w‖‖a‖ (dimensionless), above zero.

    Raises:
        PrecisionTooLow: without float64.
        LanguageError: for another scheme, a width that is none, or a pre-activation that has no such scale.
    """
    require_x64("smoothed")
    if not problem.scheme.is_gradient_flow:
        raise LanguageError(f'kinks are rounded off for the scheme "gradient_flow", not "{problem.scheme.name}".')
    if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not 0 < epsilon < 1:
        raise LanguageError(f"`epsilon={epsilon!r}` is no width; use a number between 0 and 1.")
    flat = Problem(problem.network, problem.loss.name, coordinates="weights", per=problem.per, reduction=problem.reduction, decay=problem.decay)
    empty = Program((), ())
    decay = {w: jnp.asarray(c) for w, c in flat.decay.items()} if any(flat.decay.values()) else {}
    return SmoothedField(decay, empty, flat, f"smoothed {flat.signature}", (), None, epsilon=jnp.asarray(float(epsilon)))
