"""Where words of matrices are not defined: leaves that are not symmetric, roots of what is not positive definite."""

import numpy as np

from flowlab.core.arguments import line
from flowlab.core.errors import DataError
from flowlab.core.typing import Blocks
from flowlab.language.data import Data
from flowlab.language.network import Network
from flowlab.language.operations.matrix_rules import MatrixRules
from flowlab.language.traversal import fold, word_of

SYMMETRIC = 1e-12
"""How far entries of a symmetric matrix may differ, relative to the largest: what sums in another order leave."""


def require_defined(network: Network, weights: Blocks, data: Data) -> None:
    """Refuse data and weights at which a word of matrices is not defined, or has no derivative where it moves.

    Args:
        network: whose words are asked.
        weights: arrays by block, in the shapes of the network.
        data: with its constants.

    Raises:
        DataError: naming the constant or the operand, and what is wrong with it.
    """
    words = {id(node): word for node in network.nodes if (word := word_of(node)) is not None}
    asked = [node for node in network.nodes if id(node) in words and _can_fail(words[id(node)])]
    if not (asked or network.symmetric):
        return
    given = {name: np.asarray(value) for name, value in data.given.items()}
    blocks = {name: np.asarray(value) for name, value in weights.items()}
    for name in sorted(network.symmetric):
        matrix = blocks[name] if name in blocks else given[name]
        gap = np.abs(matrix - matrix.T).max()
        if gap > SYMMETRIC * np.abs(matrix).max():
            role = "block" if name in blocks else "constant"
            raise DataError(
                f"the {role} `{line(name)}` must be symmetric, got entries that differ by {gap:.3g} from those across"
                " the diagonal; pass (S + S.T) / 2."
            )
    with np.errstate(all="ignore"):
        values = network.node_values(blocks, given, np)
    moves = fold(network.nodes, lambda _: False, lambda _: True, lambda _, parts, __: any(parts))
    for node in asked:
        below = node.args[0]
        value = np.asarray(values[id(below)])
        # Behind a defect numbers are not finite; the message names the first one.
        defect = words[id(node)].defect(value, moves[id(below)]) if np.isfinite(value).all() else ""
        if defect:
            where = "at these weights" if moves[id(below)] else "in these data"
            raise DataError(
                f"`{node.op}` is not defined {where}: `{network.text_of(below)}` {defect}; add a multiple of `eye`, or"
                " give other values."
            )


def can_fail(network: Network) -> bool:
    """Whether a network has words or blocks that are not defined at all weights."""
    words = (word_of(node) for node in network.nodes)
    return bool(network.symmetric) or any(word is not None and _can_fail(word) for word in words)


def _can_fail(word: MatrixRules) -> bool:
    return type(word).defect is not MatrixRules.defect
