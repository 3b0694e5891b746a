"""Games in which every player has an objective of its own, as one network: each objective holds the other players."""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add

from flowlab.core.arguments import guarded, shown
from flowlab.core.errors import LanguageError, UnknownName
from flowlab.language.calls import apply
from flowlab.language.declarations import Shapes, declared_roles, declared_shapes
from flowlab.language.expr import Expr, rebuilt
from flowlab.language.network import Network
from flowlab.language.parser import parse


def holding(expression: Expr, kept: str) -> Expr:
    """An expression in which every block but one is held: it has its value, and no slope."""
    return rebuilt(expression, lambda node, _: apply("stop", node) if node.block not in (None, kept) else None)


@guarded
def general_sum(
    objectives: Mapping[str, str | Expr],
    *,
    shapes: Shapes | None = None,
    inputs: Shapes | Sequence[str] = (),
    constants: Shapes | Sequence[str] = (),
) -> Network:
    """The network of a game in which each block follows its own objective and takes the others as they are.

    The sum of all objectives, in each of which the other blocks stand under `stop`: its derivative by a block is that
    of the block's own objective. Blocks descend; those that maximise are named in `ascend` of the problem.

    Args:
        objectives: by block, one number each (for the loss `"value"`), or one per sample.
        shapes: declared shapes, as for `Network`.
        inputs: as for `Network`.
        constants: as for `Network`.

    Returns:
        A network for `Problem(…, "value")`; its flow is the gradient of no function.

    Raises:
        LanguageError, UnknownName: for a block without an objective, or an objective of no block.

    Examples:
        >>> net = fl.general_sum({"p": "p @ (A @ q)", "q": "p @ (B @ q)"}, constants=("A", "B"))
        >>> game = fl.Problem(net, "value", ascend=["p", "q"], geometry={"p": "simplex", "q": "simplex"})
        >>> game.network.is_gradient
        False
    """
    if not objectives:
        raise LanguageError("`objectives` must name a block, got none; pass for example `{'p': 'p @ (A @ q)'}`.")
    declared = declared_shapes(shapes)
    roles = declared_roles(inputs, constants, (), declared)
    written = {name: parse(f, declared, roles) if isinstance(f, str) else f for name, f in objectives.items()}
    blocks = dict.fromkeys(node.block for f in written.values() for node in f.nodes() if node.block is not None)
    for name, f in written.items():
        if not any(node.block == name for node in f.nodes()):
            raise UnknownName(
                f"`objectives` names `{shown(name)}`, which its own objective lacks; write it in, or leave it out."
            )
    missing = next((w for w in blocks if w not in objectives), None)
    if missing is not None:
        raise LanguageError(
            f"`objectives` must have one for every block, got none for `{missing}`; name it in `constants` if held."
        )
    total = reduce(add, (holding(f, name) for name, f in written.items()))
    return Network(total, shapes=shapes, inputs=inputs, constants=constants)
