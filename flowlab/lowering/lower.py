"""`lower`: from equations of any kind to a vector field."""

from typing import overload

from flowlab.core.arguments import guarded
from flowlab.core.precision import require_x64
from flowlab.lowering.induced_field import InducedField
from flowlab.lowering.modified_field import lower_modified
from flowlab.lowering.vector_field import VectorField, lower_flow
from flowlab.symbolic.derive import derive
from flowlab.symbolic.equations import FlowEquations
from flowlab.symbolic.induced.flow import InducedFlow
from flowlab.symbolic.modified import ModifiedFlow


@overload
def lower(flow: FlowEquations | ModifiedFlow) -> VectorField: ...
@overload
def lower(flow: InducedFlow) -> InducedField: ...


@guarded
def lower(flow: FlowEquations | ModifiedFlow | InducedFlow) -> VectorField | InducedField:
    """The vector field of flow equations, of the modified flow of a rule, or of an induced flow in its mirror
    coordinate.

    Raises:
        PrecisionTooLow: without float64.
        LanguageError: for an induced flow without a start, or without a mirror coordinate, with the reason.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> field = fl.lower(fl.derive(problem))
        >>> path = fl.integrate(field, start, data, until=fl.time(1.0))
        >>> path.outcome.kind
        'done'
    """
    require_x64("lower")
    if isinstance(flow, FlowEquations):
        return lower_flow(flow)
    if isinstance(flow, ModifiedFlow):
        return lower_modified(flow)
    coordinate = flow.require_closed_form("a flow of z")
    # The rate of z is that of β in a Euclidean flow: the pull-back of the loss, certified like any other.
    return InducedField(lower_flow(derive(flow.problem)), coordinate, flow.block, flow.signature)
