"""Every error flowlab raises on purpose: one sentence with the offending value and what to do."""

import re

LONGEST = 300
"""Characters of a message: a few lines of a terminal, whatever a user's file or argument holds."""
_QUOTED = 60
"""Characters of a quoted value in a message that would be too long."""


class FlowlabError(Exception):
    """Base of all errors of this package; its message is one printable line of at most 300 characters.

    Examples:
        >>> try:
        ...     fl.load("gaussian?n=6&dd=2")
        ... except fl.FlowlabError as error:
        ...     print(error)
        `dd` in `gaussian?n=6&dd=2` is not an option of gaussian; did you mean `d`? Known: n, d, margin.
    """

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
    """Operands, data or states whose shapes do not fit.

    Examples:
        >>> try:
        ...     fl.Network("W @ x", shapes={"W": (2, 3, 4)})
        ... except fl.ShapeMismatch as error:
        ...     print(str(error).partition(";")[0])
        `W @ x` has shape (2, 3) per sample
    """


class NotHomogeneous(FlowlabError):
    """A scaling degree was asked of a network that has none.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> try:
        ...     fl.max_margin("W @ tanh(V @ x)", data, widths={"V": 2})
        ... except fl.NotHomogeneous as error:
        ...     print(str(error).partition(";")[0])
        `W @ tanh(V @ x)` must scale with all its weights together, got a quasi-homogeneous one
    """


class UnknownName(FlowlabError, LookupError):
    """A name that is not registered; the message offers the nearest known one.

    Examples:
        >>> try:
        ...     fl.Problem("W @ x", loss="exponentail")
        ... except fl.UnknownName as error:
        ...     print(str(error).partition(";")[0])
        `exponentail` is not a known loss
    """


class LanguageError(FlowlabError):
    """Text or operands outside the expression language.

    Examples:
        >>> try:
        ...     fl.Network("W2 @ (W1 @ x")
        ... except fl.LanguageError as error:
        ...     print(str(error).partition(";")[0])
        `W2 @ (W1 @ x` has a `(` that is not closed
    """


class CallError(LanguageError, TypeError):
    """A call with arguments that the function does not have, or without those that it needs."""


class DataError(FlowlabError):
    """Samples or labels that cannot be used.

    Examples:
        >>> try:
        ...     fl.Data([[1.0], [float("nan")]], [1, -1])
        ... except fl.DataError as error:
        ...     print(error)
        `data` x has nan in row 2, column 1 (1 such values); remove or fill them.
    """


class PrecisionTooLow(FlowlabError):
    """A numeric entry point was called without float64.

    Examples:
        >>> with jax.enable_x64(False):
        ...     try:
        ...         fl.derive(fl.Problem("W @ x"))
        ...     except fl.PrecisionTooLow as error:
        ...         print(str(error).partition(";")[0])
        `derive` needs float64 but jax computes in float32
    """


class DerivationError(FlowlabError):
    """Derived equations that were not confirmed by autodiff.

    Attributes:
        equation: which equation, as it is printed.

    Examples:
        >>> [kind.__name__ for kind in fl.DerivationError.__subclasses__()]
        ['DerivationMismatch', 'DerivationUnchecked']
    """

    def __init__(self, message: str, equation: str) -> None:
        super().__init__(message)
        self.equation = equation


class DerivationMismatch(DerivationError):
    """A derived equation disagrees with autodiff.

    Attributes:
        equation: which equation, as it is printed.
        residual: the relative size of the disagreement (dimensionless).

    Examples:
        >>> wrong = fl.mutants(fl.derive(fl.Problem("W @ x")))[0]
        >>> try:
        ...     fl.certify(wrong.flow)
        ... except fl.DerivationMismatch as error:
        ...     print(error.equation)
        equation of d rho_W/dt
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

    Examples:
        >>> try:
        ...     fl.derive(fl.Problem("W @ x - W @ x + 0 * (W @ x)"))
        ... except fl.DerivationUnchecked as error:
        ...     print(error.equation)
        equation of d V_W/dt
    """

    def __init__(self, message: str, equation: str, states: int) -> None:
        super().__init__(message, equation)
        self.states = states


class SpecError(FlowlabError):
    """A specification file with an unknown key or a value of the wrong type.

    Attributes:
        key: dotted key.
        line: line in the file, or None.

    Examples:
        >>> try:
        ...     spec = {"network": {"expresion": "W @ x"}, "data": {"source": "iris:setosa"}, "start": {"seed": 0}}
        ...     fl.sweep(spec, {"start.seed": [0]}, jobs=1)
        ... except fl.SpecError as error:
        ...     print(error.key)
        network.expresion
    """

    def __init__(self, message: str, key: str | None = None, line: int | None = None) -> None:
        super().__init__(message)
        self.key = key
        self.line = line


class TooLarge(FlowlabError):
    """Something that needs more memory than the machine has.

    Examples:
        >>> try:
        ...     fl.initial_state("W2 @ W1 @ x", fl.load("gaussian?n=4&d=2"), widths={"W1": 10**12}, seed=0)
        ... except fl.TooLarge as error:
        ...     print(str(error).partition(" needs")[0])
        a state whose block `W1` has the shape (1000000000000, 2)
    """


class OutputError(FlowlabError):
    """An output that cannot be written or read.

    Examples:
        >>> try:
        ...     fl.open("nowhere.nc")
        ... except fl.OutputError as error:
        ...     print(str(error).partition(";")[0])
        `nowhere.nc` must be a stored trajectory or other result, got no such file
    """


class MissingExtra(FlowlabError):
    """An optional dependency is not installed.

    Examples:
        >>> issubclass(fl.MissingExtra, fl.FlowlabError)
        True
    """


class MissingRule(FlowlabError):
    """An operation lacks the rule that a question about an expression needs."""


class UnloweredNode(FlowlabError):
    """A node without a numeric meaning reached the lowering.

    Examples:
        >>> issubclass(fl.UnloweredNode, fl.FlowlabError)
        True
    """


class RunFailed(FlowlabError):
    """A numerical run that was asked to raise instead of returning its outcome.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> try:
        ...     fl.lyu_li("W @ x", fl.State.from_weights({"W": [[-1.0, 0.0]]}), data)
        ... except fl.RunFailed as error:
        ...     print(error)
        the state must separate the data, got the margin -1; use a later one.
    """


class ClaimError(FlowlabError):
    """A claim that is not well formed.

    Examples:
        >>> try:
        ...     fl.check(["P1"], 3)
        ... except fl.ClaimError as error:
        ...     print(str(error).partition(";")[0])
        evidence must be trajectories, equations, a maximum margin, a problem or data, got `3`
    """


class TooEarly(FlowlabError):
    """Rows that end too early, or are too few, for a statement about their limits.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(0.5))
        >>> try:
        ...     fl.asymptotics(path)
        ... except fl.TooEarly as error:
        ...     print(error)
        0 rows beyond log t = 3 (the last at 0.5) tell no limit; run to log t = 100, with 8 rows.
    """


class NotSeparable(FlowlabError):
    """Data that no hyperplane through 0 separates; `certificate` holds the exact vector that shows it.

    Examples:
        >>> try:
        ...     fl.max_margin("W @ x", fl.Data([[1.0], [2.0]], [1, -1]))
        ... except fl.NotSeparable as error:
        ...     print(str(error).partition(" (")[0])
        the 2 samples cannot be separated by a hyperplane through 0
    """

    def __init__(self, message: str, certificate: object) -> None:
        super().__init__(message)
        self.certificate = certificate


def several(count: int, noun: str) -> str:
    """A count with its noun, as messages say it: 1 axis, 2 axes, 0 entries."""
    if count == 1:
        return f"1 {noun}"
    irregular = {"axis": "axes", "entry": "entries"}
    return f"{count} {irregular.get(noun, noun + 's')}"
