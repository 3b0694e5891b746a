"""flowlab: the continuous-time theory of deep learning, derived, integrated and checked.

Names are loaded when first used, so that `import flowlab` costs nothing and does not import jax.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "flowlab.language.network": ("Network",),
    "flowlab.language.problem": ("Problem",),
    "flowlab.language.expr": ("x", "weight", "Expr"),
    "flowlab.language.functions": (
        "abs", "gelu", "identity", "leaky_relu", "maximum", "mean", "relu", "sigmoid", "softplus", "sum", "tanh", "transpose",
    ),
    "flowlab.language.state": ("State", "initial_state"),
    "flowlab.language.data": ("Data",),
    "flowlab.language.datasets": ("load",),
    "flowlab.language.trajectory": ("Outcome", "Trajectory"),
    "flowlab.language.result": ("Result",),
    "flowlab.symbolic.derive": ("derive",),
    "flowlab.symbolic.equations": ("FlowEquations",),
    "flowlab.symbolic.certificate": ("certify",),
    "flowlab.symbolic.mutants": ("mutants",),
    "flowlab.lowering.vector_field": ("VectorField", "lower"),
    "flowlab.lowering.smoothed_field": ("smoothed",),
    "flowlab.dynamics.kinks.smoothing_limit": ("Rounded", "rounded"),
    "flowlab.dynamics": ("integrate", "log_loss", "log_loss_below", "log_norm", "log_time", "margin_gap", "norm_above", "separated", "time", "wall"),
    "flowlab.discrete": ("descend",),
    "flowlab.discrete.critical.perturbed_starts": ("beside", "branches"),
    "flowlab.discrete.continuation.paths": ("Continuation", "norm_path", "penalty_path"),
    "flowlab.discrete.critical.critical_points": ("CriticalPoint", "constrained_minimum", "critical_points"),
    "flowlab.discrete.margin.directional_limit": ("Limit", "limit"),
    "flowlab.discrete.critical.flow_limits": ("FlowLimits", "approach", "flow_limits"),
    "flowlab.discrete.margin.max_margin": ("MaxMargin", "lyu_li", "max_margin"),
    "flowlab.discrete.margin.infinite_width": ("WideMargin", "wide_margin"),
    "flowlab.discrete.descent.one_step": ("OneStep", "one_step"),
    "flowlab.discrete.descent.sharpness": ("sharpness",),
    "flowlab.studies.convergence": ("convergence",),
    "flowlab.studies.neuron_portrait": ("neurons",),
    "flowlab.studies.phase_portrait": ("portrait",),
    "flowlab.studies.path_and_flow": ("path_and_flow",),
    "flowlab.studies.storage": ("results", "save"),
    "flowlab.studies.descent_models": ("Models", "models"),
    "flowlab.studies.step_order": ("StepOrder", "step_order"),
    "flowlab.late.asymptotics": ("Asymptotics", "asymptotics"),
    "flowlab.claims": ("Case", "Claim", "Measurement", "Quantity", "Verdict", "check", "claim", "replay"),
    "flowlab.figures": ("draw",),
    "flowlab.core.errors": (
        "ClaimError", "DataError", "DerivationError", "DerivationMismatch", "DerivationUnchecked", "FlowlabError", "LanguageError", "MissingExtra",
        "NotHomogeneous", "NotSeparable", "OutputError", "PrecisionTooLow", "RunFailed", "ShapeMismatch", "SpecError", "TooEarly", "TooLarge",
        "UnknownName", "UnloweredNode",
    ),
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}
__all__ = sorted([*_HOME, "__version__"])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        from flowlab.core.registry import nearest

        guess = nearest(name, list(_HOME))
        raise AttributeError(f"flowlab has no `{name}`{f'; did you mean `{guess}`?' if guess else '.'}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
