"""The public names: a table of where each one lives, and the function words, which their registry gives."""

import re
import sys
from importlib import import_module
from pathlib import Path

HOMES: dict[str, tuple[str, ...]] = {
    "flowlab.language.network": ("Network",),
    "flowlab.language.opaque": ("opaque",),
    "flowlab.language.general_sum": ("general_sum",),
    "flowlab.language.problem": ("Problem",),
    "flowlab.language.expr": ("x", "eye", "weight", "input", "constant", "Expr"),
    "flowlab.language.state": ("State", "initial_state"),
    "flowlab.language.data": ("Data",),
    "flowlab.language.datasets": ("load",),
    "flowlab.language.trajectories": ("Trajectories",),
    "flowlab.language.trajectory": ("Outcome", "Trajectory"),
    "flowlab.language.observables": ("held_out",),
    "flowlab.language.diagram": ("architecture",),
    "flowlab.language.result": ("Result",),
    "flowlab.symbolic.derive": ("derive",),
    "flowlab.symbolic.balanced_start": ("balanced_state",),
    "flowlab.symbolic.end_to_end": ("end_to_end",),
    "flowlab.symbolic.equations": ("FlowEquations",),
    "flowlab.symbolic.certificate": ("certify",),
    "flowlab.symbolic.modified": ("ModifiedFlow",),
    "flowlab.symbolic.curl": ("Curl",),
    "flowlab.symbolic.gaussian": ("Population", "population"),
    "flowlab.symbolic.mutants": ("mutants",),
    "flowlab.lowering.vector_field": ("VectorField",),
    "flowlab.lowering.lower": ("lower",),
    "flowlab.lowering.induced_field": ("InducedField",),
    "flowlab.symbolic.induced.flow": ("InducedFlow",),
    "flowlab.symbolic.induced.minimiser": ("Minimiser",),
    "flowlab.lowering.smoothed_field": ("smoothed",),
    "flowlab.dynamics.kinks.smoothing_limit": ("Rounded", "rounded"),
    "flowlab.dynamics": (
        "integrate",
        "log_loss",
        "log_loss_below",
        "log_norm",
        "log_time",
        "margin_gap",
        "norm_above",
        "separated",
        "time",
        "value_below",
        "wall",
    ),
    "flowlab.discrete": ("descend",),
    "flowlab.studies.equilibrium": ("Equilibrium", "equilibrium"),
    "flowlab.studies.stability": ("Stability", "stability"),
    "flowlab.discrete.critical.perturbed_starts": ("beside", "branches"),
    "flowlab.discrete.continuation.paths": ("Continuation", "norm_path", "penalty_path"),
    "flowlab.discrete.critical.critical_points": ("CriticalPoint", "constrained_minimum", "critical_points"),
    "flowlab.discrete.margin.directional_limit": ("Limit", "limit"),
    "flowlab.discrete.critical.flow_limits": ("FlowLimits", "approach", "flow_limits"),
    "flowlab.discrete.margin.max_margin": ("MaxMargin", "lyu_li", "max_margin"),
    "flowlab.discrete.margin.infinite_width": ("WideMargin", "wide_margin"),
    "flowlab.discrete.descent.one_step": ("OneStep", "one_step"),
    "flowlab.discrete.descent.sharpness": ("sharpness",),
    "flowlab.discrete.descent.hessian_spectrum": ("hessian_spectrum",),
    "flowlab.discrete.kernel.tangent_kernel": ("kernel_along", "tangent_kernel"),
    "flowlab.studies.linearised": ("Linearised", "linearise"),
    "flowlab.studies.monitors": ("monitors",),
    "flowlab.studies.convergence": ("convergence",),
    "flowlab.studies.covariance_points": ("CovariancePoint", "CovariancePoints", "covariance_points"),
    "flowlab.studies.neuron_portrait": ("neurons",),
    "flowlab.studies.phase_portrait": ("portrait",),
    "flowlab.studies.orbits": ("orbit",),
    "flowlab.studies.path_and_flow": ("path_and_flow",),
    "flowlab.studies.field_angle": ("field_angle",),
    "flowlab.studies.rest_points": ("RestPoint", "RestPoints", "rest_points"),
    "flowlab.studies.risk": ("risk",),
    "flowlab.studies.storage": ("results", "save"),
    "flowlab.studies.descent_models": ("Models", "models"),
    "flowlab.studies.step_order": ("StepOrder", "step_order"),
    "flowlab.late.asymptotics": ("Asymptotics", "asymptotics"),
    "flowlab.claims.opening": ("open",),
    "flowlab.claims.references": ("cite",),
    "flowlab.claims": ("Case", "Claim", "Measurement", "Quantity", "Verdict", "check", "claim", "replay"),
    "flowlab.figures": ("animate", "draw"),
    "flowlab.app.compile_cache": ("keep_compiled",),
    "flowlab.app.sweep.drive": ("sweep",),
    "flowlab.core.errors": (
        "ClaimError",
        "DataError",
        "DerivationError",
        "DerivationMismatch",
        "DerivationUnchecked",
        "FlowlabError",
        "LanguageError",
        "MissingExtra",
        "NotHomogeneous",
        "NotSeparable",
        "OutputError",
        "PrecisionTooLow",
        "RunFailed",
        "ShapeMismatch",
        "SpecError",
        "TooEarly",
        "TooLarge",
        "UnknownName",
        "UnloweredNode",
    ),
}
"""Module to the public names that it holds; function words are not listed, their registry has them."""
HOME = {name: module for module, names in HOMES.items() for name in names}
STUB = Path(__file__).parents[1] / "__init__.pyi"
_WORDS = "flowlab.language.functions"


def words() -> tuple[str, ...]:
    """Names of all function words that are registered now, sorted."""
    return import_module(_WORDS).names()


def listed() -> list[str]:
    """All public names, for a listing that loads nothing: before the registry of words is loaded, the stub has them."""
    known = (
        words()
        if _WORDS in sys.modules
        else re.findall(r"^(\w+): _Word$", STUB.read_text(encoding="utf-8"), re.MULTILINE)
    )
    return sorted({*HOME, *known, "__version__"})


def stub() -> str:
    """The stub of the package for type checkers and editors."""
    imports = [f"from {module} import {name} as {name}" for name, module in HOME.items()]
    return "\n".join(
        [
            "# Made by `python -m flowlab.core.stub`; a test holds it against the table of names and the words.",
            *sorted([*imports, f"from {_WORDS} import Word as _Word"]),
            "",
            "__version__: str",
            *(f"{name}: _Word" for name in words()),
            "",
        ]
    )
