"""`derive`: the entry point of the symbolic room."""

from dataclasses import replace

from flowlab.core.arguments import guarded
from flowlab.core.errors import LanguageError
from flowlab.core.seeds import checked_seed
from flowlab.language.problem import Problem
from flowlab.symbolic.certificate import certify
from flowlab.symbolic.conserved import conservation_laws, record_balance
from flowlab.symbolic.derivation import derive_equations
from flowlab.symbolic.equations import FlowEquations


@guarded
def derive(problem: Problem, *, verify: bool = True, states: int = 3, seed: int = 0) -> FlowEquations:
    """Derive the flow equations of a problem, and check them against autodiff.

    Args:
        problem: network, loss and scheme.
        verify: hold the result against `jax.vjp` at random float64 states before returning it, and the conservation
            laws as well; without it they are those that matching finds, and are not printed.
        states: how many states at least.
        seed: of the states.

    Returns:
        The equations with their derivation.

    Raises:
        DerivationMismatch: if the check fails, with the equation and the size of the disagreement.
        DerivationUnchecked: if too few states test an equation, because its rate has died or underflowed.
        PrecisionTooLow: if float64 is off and `verify` is on.
        LanguageError: for a seed that is not an integer from 0 on.

    Examples:
        >>> flow = fl.derive(fl.Problem("W2 @ relu(W1 @ x)"))
        >>> print(str(flow).partition("conserved along the flow:")[2].splitlines()[1:3])
        ['  rho_W1^2 - rho_W2^2', '  diag(W1 W1^T - W2^T W2)']
        >>> flow.residual < 1e-12
        True
    """
    seed = checked_seed(seed)
    for w, space in problem.geometry.items():
        if space.jumps:
            raise LanguageError(
                f'a flow must have charts without jumps, got "{space.name}" for the block `{w}`; use `fl.descend`.'
            )
    book, equations = derive_equations(problem)
    laws = conservation_laws(problem, book, equations)
    flow = FlowEquations(problem, equations, tuple(book.steps), laws)
    if not verify:
        return flow
    certificate = certify(flow, states=states, seed=seed)
    # A law that its own rate does not confirm is not kept; the words it was matched by are wrong about themselves.
    record_balance(book, certificate.laws)
    return replace(flow, steps=tuple(book.steps), matched=certificate.laws, residual=certificate.residual)
