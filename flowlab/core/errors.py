"""Every error flowlab raises on purpose: one sentence with the offending value and what to do."""

import re

LONGEST = 300
"""Characters of a message: a few lines of a terminal, whatever a user's file or argument holds."""
_QUOTED = 60
"""Characters of a quoted value in a message that would be too long."""


class FlowlabError(Exception):
    """Base of all errors of this package; its message is one printable line of at most 300 characters."""

    def __init__(self, message: str = "") -> None:
        super().__init__(sentence(message))


def sentence(message: str) -> str:
    r"""A message as one printable line of at most 300 characters.

    Control characters become escapes. In a longer message the quoted values are shortened, then its middle is left out:
    the beginning says what is wrong and the end what to do.

    Example:
        `sentence("`a\nb` must be a name.")` has no line break.
    """
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
    if len(line) > LONGEST:
        line = re.sub(r"([`'])((?:(?!\1).)+)\1", lambda found: f"{found[1]}{_cut(found[2], _QUOTED)}{found[1]}", line)
    return _cut(line, LONGEST)


def _cut(text: str, most: int) -> str:
    """Text of at most `most` characters, without its middle where it is longer."""
    if len(text) <= most:
        return text
    tail = most // 3
    return f"{text[: most - tail - 1]}…{text[-tail:]}"


class ShapeMismatch(FlowlabError):
    """Operands, data or states whose shapes do not fit."""


class NotHomogeneous(FlowlabError):
    """A scaling degree was asked of a network that has none."""


class UnknownName(FlowlabError, LookupError):
    """A name that is not registered; the message offers the nearest known one."""


class LanguageError(FlowlabError):
    """Text or operands outside the expression language."""


class CallError(LanguageError, TypeError):
    """A call with arguments that the function does not have, or without those that it needs."""


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
    """A derived equation that could not be checked: its rate vanishes, or is roundings only, at the states that were
    tried.

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


class TooLarge(FlowlabError):
    """Something that needs more memory than the machine has."""


class OutputError(FlowlabError):
    """An output that cannot be written or read."""


class MissingExtra(FlowlabError):
    """An optional dependency is not installed."""


class MissingRule(FlowlabError):
    """An operation lacks the rule that a question about an expression needs."""


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
