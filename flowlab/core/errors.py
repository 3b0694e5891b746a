"""Every error flowlab raises on purpose: one sentence with the offending value and what to do."""


class FlowlabError(Exception):
    """Base of all errors of this package."""


class ShapeMismatch(FlowlabError):
    """Operands, data or states whose shapes do not fit."""


class NotHomogeneous(FlowlabError):
    """A scaling degree was asked of a network that has none."""


class UnknownName(FlowlabError, LookupError):
    """A name that is not registered; the message offers the nearest known one."""


class LanguageError(FlowlabError):
    """Text or operands outside the expression language."""


class DataError(FlowlabError):
    """Samples or labels that cannot be used."""


class PrecisionTooLow(FlowlabError):
    """A numeric entry point was called without float64."""


class DerivationError(FlowlabError):
    """Derived equations that were not confirmed by autodiff.

    Attributes:
        equation: which equation, as it is printed.
    """

    def __init__(self, message: str, equation: str) -> None:
        super().__init__(message)
        self.equation = equation


class DerivationMismatch(DerivationError):
    """A derived equation disagrees with autodiff.

    Attributes:
        equation: which equation, as it is printed.
        residual: the relative size of the disagreement (dimensionless).
    """

    def __init__(self, message: str, equation: str, residual: float) -> None:
        super().__init__(message, equation)
        self.residual = residual


class DerivationUnchecked(DerivationError):
    """A derived equation that could not be checked: its rate vanishes, or is roundings only, at the states that were tried.

    Attributes:
        equation: which equation, as it is printed.
        states: at how many states it was tested.
    """

    def __init__(self, message: str, equation: str, states: int) -> None:
        super().__init__(message, equation)
        self.states = states


class SpecError(FlowlabError):
    """A specification file with an unknown key or a value of the wrong type.

    Attributes:
        key: dotted key.
        line: line in the file, or None.
    """

    def __init__(self, message: str, key: str | None = None, line: int | None = None) -> None:
        super().__init__(message)
        self.key = key
        self.line = line


class OutputError(FlowlabError):
    """An output that cannot be written or read."""


class MissingExtra(FlowlabError):
    """An optional dependency is not installed."""


class UnloweredNode(FlowlabError):
    """A node without a numeric meaning reached the lowering."""


class RunFailed(FlowlabError):
    """A numerical run that was asked to raise instead of returning its outcome."""


class ClaimError(FlowlabError):
    """A claim that is not well formed."""


class TooEarly(FlowlabError):
    """Rows that end too early, or are too few, for a statement about their limits."""


class NotSeparable(FlowlabError):
    """Data that no hyperplane through 0 separates; `certificate` holds the exact vector that shows it."""

    def __init__(self, message: str, certificate: object) -> None:
        super().__init__(message)
        self.certificate = certificate
