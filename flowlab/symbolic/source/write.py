"""`to_source`: from flow equations to source text."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from flowlab.core.precision import require_x64
from flowlab.symbolic.source import c as _c
from flowlab.symbolic.source import julia as _julia
from flowlab.symbolic.source import python as _python
from flowlab.symbolic.source.language import languages
from flowlab.symbolic.source.lines import listing
from flowlab.symbolic.trial_shapes import Sizes

if TYPE_CHECKING:
    from flowlab.symbolic.derivation_record import DerivationRecord

_REGISTERS = (_c, _julia, _python)


def to_source(
    flow: "DerivationRecord",
    language: str,
    d: Sizes = 2,
    samples: int = 2,
    widths: Mapping[str, int] | None = None,
    outputs: int = 1,
) -> str:
    """The flow as source text; `FlowEquations.to_source` says more."""
    require_x64("to_source")
    writer = languages[language]()
    return writer.source(listing(flow, d, samples, widths, outputs))
