"""What one norm belongs to: a layer, each neuron of it, or the whole network.

A grouping splits the weights into parts that each carry one norm ρ and one direction V. Arrays are kept block by block,
so that everything here is plain linear algebra on dictionaries, for numpy and jax.numpy alike.
"""

from collections.abc import Sequence
from typing import Any

from flowlab.core.typing import Blocks, Namespace

PER = ("layer", "neuron", "network")
NETWORK = "network"
"""The name under which the single norm of a whole network is kept."""

Arrays = dict[str, Any]


def has_rows(shape: Sequence[object], per: str) -> bool:
    """Whether a block has a norm per row: of a matrix, or of a filter per output channel, the first axis."""
    return per == "neuron" and len(shape) >= 2


def groups(weights: Sequence[str], per: str) -> dict[str, tuple[str, ...]]:
    """The blocks that share each norm: {norm name: block names}."""
    return {NETWORK: tuple(weights)} if per == NETWORK else {w: (w,) for w in weights}


def inner(a: Blocks, b: Blocks, per: str) -> Arrays:
    """⟨a, b⟩ of every group: scalars, or one value per row for what has rows with `per="neuron"`."""
    products = {w: a[w] * b[w] for w in a}
    if per == NETWORK:
        return {NETWORK: sum(p.sum() for p in products.values())}
    return {w: p.sum(axis=tuple(range(1, p.ndim))) if has_rows(p.shape, per) else p.sum() for w, p in products.items()}


def scaled(factors: Blocks, arrays: Blocks, per: str) -> Arrays:
    """Every block times the factor of its group."""
    out = {}
    for w, array in arrays.items():
        factor = factors[NETWORK] if per == NETWORK else factors[w]
        rows = has_rows(array.shape, per)
        out[w] = factor.reshape((-1,) + (1,) * (array.ndim - 1)) * array if rows else factor * array
    return out


def split(xp: Namespace, W: Blocks, per: str) -> tuple[Arrays, Arrays]:
    """Norms and unit directions of weights, by group.

    A zero block has the norm 0 and no direction; the one with equal entries stands in, so that W = ρ V holds and
    nothing is NaN.
    """
    ones = {w: xp.ones_like(v) for w, v in W.items()}
    rho = {k: xp.sqrt(v) for k, v in inner(W, W, per).items()}
    none = {k: 1.0 / xp.sqrt(n) for k, n in inner(ones, ones, per).items()}
    along = scaled({k: xp.where(r > 0, 1.0 / xp.where(r > 0, r, 1.0), 0.0) for k, r in rho.items()}, W, per)
    instead = scaled({k: xp.where(r > 0, 0.0, none[k]) for k, r in rho.items()}, ones, per)
    return rho, {w: along[w] + instead[w] for w in W}


def minus(a: Blocks, b: Blocks) -> Arrays:
    """A - b, block by block."""
    return {w: a[w] - b[w] for w in a}
