"""The vector field of an induced flow in its mirror coordinate: z' = -∂L/∂β at β(z)."""

import equinox as eqx
import jax.numpy as jnp

from flowlab.core.display import displayed
from flowlab.core.typing import Array, Blocks, Coordinates, Given, Scalar
from flowlab.language.data import Data
from flowlab.language.norm_groups import split
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.lowering.vector_field import VectorField
from flowlab.symbolic.induced.coordinate import Coordinate


@displayed
class InducedField(eqx.Module):
    """An induced flow as `integrate` takes it: states hold β, and z is what is integrated.

    It has no late clock: its steps are taken in ordinary time.

    Attributes:
        outer: the gradient flow of the same objective in β itself, whose rate at β(z) is z'.
        coordinate: β(z) and its inverse.
        block: what β is called in states (static).
        signature: of the induced flow (static).

    Examples:
        >>> net = fl.Network("(w*w - u*u + lam*v) @ x", constants=["lam"])
        >>> flow = fl.derive(fl.Problem(net, "square", coordinates="weights"))
        >>> start = fl.State.from_weights({"w": [1e-3, 1e-3, 1e-3], "u": [1e-3, 1e-3, 1e-3], "v": [0.0, 0.0, 0.0]})
        >>> beta = flow.induced("w*w - u*u + lam*v", start, constants={"lam": [0.1, 0.1, 0.1]})
        >>> field = fl.lower(beta)
        >>> type(field).__name__, field.block
        ('InducedField', 'beta')
    """

    outer: VectorField
    coordinate: Coordinate
    block: str = eqx.field(static=True)
    signature: str = eqx.field(static=True)

    @property
    def problem(self) -> Problem:
        """The objective as a function of β."""
        return self.outer.problem

    def __call__(self, t: Scalar, state: State, data: Data) -> State:
        """The rates of norm and direction of β with respect to ordinary time; as for `VectorField`."""
        y = self.pack(state)
        speed = self.coordinate.metric(jnp, y[self.block]) * self.rate(t, y, data)[self.block]
        return self.outer.split(state, {self.block: speed})

    def pack(self, state: State) -> Coordinates:
        """Z of a state."""
        return {self.block: self.coordinate.inverse(jnp, self.outer.pack(state)[self.block])}

    def weights(self, y: Coordinates) -> dict[str, Array]:
        """β, by its name."""
        return {self.block: self.coordinate.beta(jnp, y[self.block])}

    def unpack(self, y: Coordinates) -> State:
        """β as norm and direction."""
        rho, V = split(jnp, self.weights(y), "layer")
        return State(rho=rho, V=V)

    def rate(self, t: Scalar, y: Coordinates, data: Data) -> Coordinates:
        """Z' = -∂L/∂β at β(z)."""
        return self.outer.rate(t, self.weights(y), data)

    def outputs(self, weights: Blocks, x: Given) -> Array:
        """Outputs (N, C) at β."""
        return self.outer.outputs(weights, x)

    def constrain(self, y: Coordinates) -> Coordinates:
        """Z itself: it is free."""
        return y

    def observe(self, y: Coordinates, data: Data) -> dict[str, Array]:
        """What events and monitors look at; as for `VectorField`."""
        return self.outer.observe(self.weights(y), data)
