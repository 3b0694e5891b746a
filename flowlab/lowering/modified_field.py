"""The field z' = a F + η c DF F of a modified flow: the derivative of the program along itself."""

from typing import cast

import equinox as eqx
import jax
import jax.numpy as jnp

from flowlab.core.typing import Coordinates, Scalar
from flowlab.language.data import Data
from flowlab.lowering.vector_field import VectorField, lower_flow
from flowlab.symbolic.equations import FlowEquations
from flowlab.symbolic.modified import ModifiedFlow


class ModifiedField(VectorField):
    """A modified flow as a vector field.

    Attributes:
        lead: a, scalar.
        second: η c, scalar.
    """

    lead: jax.Array = eqx.field(kw_only=True)
    second: jax.Array = eqx.field(kw_only=True)

    def rate(self, t: Scalar, y: Coordinates, data: Data) -> Coordinates:
        """The time derivative of places in the charts."""
        first = super().rate(t, y, data)
        _, along = jax.jvp(lambda z: VectorField.rate(self, t, z, data), (y,), (first,))
        return jax.tree.map(lambda f, g: self.lead * f + self.second * g, first, along)


def lower_modified(flow: ModifiedFlow) -> ModifiedField:
    """The vector field of a modified flow, without the laws of the flow that it is of."""
    # A modified flow is made by the method of flow equations.
    field = lower_flow(cast(FlowEquations, flow.flow))
    a, c = flow.numbers
    return ModifiedField(
        field.decay,
        field.program,
        field.problem,
        f"modified {flow.rule} {flow.step!r} {flow.momentum!r} {flow.nesterov} {field.signature}",
        (),
        rates=field.rates,
        lead=jnp.asarray(a),
        second=jnp.asarray(flow.step * c),
    )
