"""End-to-end flows: the covariance P P^T of a product of balanced layers moves by itself, whatever the factors are."""

from flowlab.core.arguments import finite, guarded, must_be
from flowlab.core.errors import LanguageError
from flowlab.language.composed import square_of
from flowlab.language.expr import Expr, numbered, rebuilt, weight
from flowlab.language.network import Network
from flowlab.language.parser import parse
from flowlab.language.problem import Problem
from flowlab.language.traversal import word_of
from flowlab.symbolic.balanced_start import chain
from flowlab.symbolic.derive import derive
from flowlab.symbolic.equations import FlowEquations

COVARIANCE = "Sigma"
"""What the covariance is called, and with underscores where the network has that name."""


@guarded
def end_to_end(problem: Problem, node: str | Expr, *, imbalance: float = 0.0, seed: int = 0) -> FlowEquations:
    """The flow of the covariance P P^T where the layers of P are balanced, as a flow of its own.

    The layers of a balanced product are functions of the product, so that Σ' = Σ_j Σ^{(N-j)/N} (F + F^T)
    Σ^{1+(j-1)/N} and the transpose, with F = -∂L/∂Σ; of two layers with W_2^T W_2 - W_1 W_1^T = c I too (Bréchet et al.
    2023; relaxed balance after Min et al. 2023).

    Args:
        problem: an objective of P P^T alone, under gradient flow in weight coordinates.
        node: `P @ P.T`, as the objective has it.
        imbalance: c.
        seed: of the random states that the equations are tested at.

    Returns:
        Equations with one block, Σ, in the metric `balanced:N`; `lower` and `integrate` take them.

    Raises:
        LanguageError: where the objective depends on the weights in another way, or they do not follow their gradient
            at one rate.

    Examples:
        >>> P, S0 = fl.weight("W2") @ fl.weight("W1"), fl.constant("S0")
        >>> problem = fl.Problem(fl.bures(P @ P.T + 0.3 * fl.eye, S0), "value")
        >>> alone = fl.end_to_end(problem, P @ P.T)
        >>> alone.problem.network.weights
        ('Sigma',)
    """
    if not finite(imbalance):
        raise must_be("imbalance", imbalance, "a finite number", "for example 0.0")
    network = problem.network
    if not problem.loss.is_value or problem.coordinates != "weights" or any(problem.decay.values()):
        raise LanguageError(
            'an end-to-end flow must be of the loss "value" in weight coordinates without decay, got'
            f' "{problem.loss.name}" in {problem.coordinates} coordinates; write the penalty into the objective.'
        )
    problem.require_plain("an end-to-end flow")
    blocks = chain(problem)
    name = COVARIANCE
    while name in network.roles:
        name += "_"
    leaf = weight(name, (network.shapes[blocks[-1]][0],) * 2)
    wanted = parse(node, network.declared, network.roles) if isinstance(node, str) else node
    made = _with_leaf(network.expression, wanted, leaf)
    left = sorted({str(each.block) for each in made.nodes() if each.block in blocks})
    if left or made is network.expression:
        told = f"on {', '.join(left)} in another way" if made is not network.expression else "on none of it"
        raise LanguageError(
            "the objective must depend on its weights through the node `P @ P.T` alone, got one that depends"
            f" {told}; write `P` once and use it."
        )
    word = f"balanced:{len(blocks)}" + (f":{float(imbalance)!r}" if imbalance else "")
    own = Network(made, symmetric=(name, *network.symmetric))
    return derive(Problem(own, problem.loss.name, geometry={name: word}), seed=seed)


def _with_leaf(expression: Expr, wanted: Expr, leaf: Expr) -> Expr:
    """An expression with a leaf in place of a node P P^T, and of what its factor P alone says of it."""
    square = square_of(wanted)
    if square is None:
        raise LanguageError("an end-to-end flow must be of a node `P @ P.T`, got another; write it so.")
    numbers: dict[object, int] = {}
    known, own = numbered(wanted.nodes(), numbers), numbered(expression.nodes(), numbers)
    covariance, factor = known[id(wanted)], known[id(square)]

    def instead(node: Expr, args: tuple[Expr, ...]) -> Expr | None:
        if own[id(node)] == covariance:
            return leaf
        word = word_of(node)
        X = _before(node.args[0], factor, own) if word is not None and word.of_square else None
        if word is None or X is None:
            return None
        # Of X P the word sees X P P^T X^T alone; X as it is by now is the left operand of the product.
        value = leaf if X is node.args[0] else args[0].args[0] @ leaf @ args[0].args[0].T
        for op in word.of_square[::-1]:
            value = Expr(op, (value,))
        return value

    return rebuilt(expression, instead)


def _before(node: Expr, factor: int, own: dict[int, int]) -> Expr | None:
    """X of a product X P, or P itself; None where a node is neither."""
    if own[id(node)] == factor:
        return node
    word = word_of(node)
    ends = word is not None and word.composes and own[id(node.args[1])] == factor
    return node.args[0] if ends else None
