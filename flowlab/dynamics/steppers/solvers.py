"""The solvers a run may name, and the one that serves a clock."""

import diffrax

from flowlab.dynamics.steppers.explicit_rk import Explicit
from flowlab.dynamics.steppers.kvaerno5 import Kvaerno5
from flowlab.dynamics.steppers.rodas5p import Rodas5P

SOLVERS: dict[str, diffrax.AbstractSolver] = {
    "tsit5": Explicit(diffrax.Tsit5()),
    "dopri8": diffrax.Dopri8(),
    "kvaerno5": Kvaerno5(),
    "rodas5p": Rodas5P(),
}
DENSE = 300
"""Unknowns up to which a whole Jacobian is cheaper than one through the samples."""


def chosen(name: str, late: bool, stiff: bool, unknowns: int) -> tuple[str, diffrax.AbstractSolver]:
    """The solver of a run and its name: `"auto"` is explicit in ordinary time until the flow turns stiff, and implicit
    in late clocks.
    """
    if name == "auto":
        name = "kvaerno5" if stiff or late else "tsit5"
    if name == "kvaerno5" and late and unknowns > DENSE:
        return name, Kvaerno5(dense=False)
    return name, SOLVERS[name]


def is_explicit(solver: diffrax.AbstractSolver) -> bool:
    """Whether a step solves no equations."""
    return hasattr(solver, "tableau")
