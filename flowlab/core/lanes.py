"""Values of several runs as one: arrays with a leading axis over lanes, spread over the devices that there are."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.custom_batching import custom_vmap
from jax.sharding import Mesh, PartitionSpec

from flowlab.core.typing import PyTree


def stacked(trees: Sequence[PyTree], width: int) -> PyTree:
    """Trees of one form as one, of numpy arrays with a leading axis of length `width`; what is missing repeats the
    first.
    """
    rest = [trees[0]] * (width - len(trees))
    leaves = zip(*(jax.tree.leaves(tree) for tree in [*trees, *rest]), strict=True)
    return jax.tree.unflatten(jax.tree.structure(trees[0]), [np.stack(each) for each in leaves])


def is_array(leaf: object) -> bool:
    """Whether a leaf is an array, of jax or of numpy."""
    return isinstance(leaf, jax.Array | np.ndarray)


def row_of(tree: PyTree) -> np.ndarray:
    """All numbers of a tree in one row, on the host; as `jax.flatten_util.ravel_pytree` has them, without a program."""
    return np.concatenate([np.ravel(np.asarray(leaf)) for leaf in jax.tree.leaves(tree)])


def restored(like: PyTree, row: np.ndarray) -> PyTree:
    """The numbers of a row in the form of a tree, as arrays of numpy."""
    leaves, structure = jax.tree.flatten(like)
    parts = np.split(row, np.cumsum([np.size(leaf) for leaf in leaves])[:-1])
    shaped = [part.reshape(np.shape(leaf)) for part, leaf in zip(parts, leaves, strict=True)]
    return jax.tree.unflatten(structure, shaped)


class Rows:
    """The trees of several lanes, taken out of one; views of numpy arrays."""

    def __init__(self, tree: PyTree) -> None:
        self.structure = jax.tree.structure(tree)
        self.leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]

    def __getitem__(self, lane: int) -> Any:
        return jax.tree.unflatten(self.structure, [leaf[lane] for leaf in self.leaves])

    def kept(self, lane: int, rows: np.ndarray) -> list[Any]:
        """Some rows of a lane, leaf by leaf and copied, where rows come first and lanes second."""
        return [leaf[rows, lane] for leaf in self.leaves]


def one_by_one(function: Callable[..., Any], *args: PyTree) -> Any:
    """`function(*args)`; under `vmap` lane after lane, where a condition inside leaves work out."""
    closed = eqx.filter_closure_convert(function, *args)
    arrays, static = eqx.partition((closed, args), eqx.is_array)

    @custom_vmap
    def call(arrays: PyTree) -> Any:
        closed, args = eqx.combine(arrays, static)
        return closed(*args)

    @call.def_vmap
    def lane_by_lane(_: int, along: tuple[PyTree], arrays: PyTree) -> Any:
        moving, still = eqx.partition(arrays, along[0])
        found = jax.lax.map(lambda lane: call(eqx.combine(lane, still)), moving)
        return found, jax.tree.map(lambda _: True, found)

    return call(arrays)


def even(lanes: int, most: int) -> int:
    """Lanes of a block: as even as can be, at most `most` for each device, and a multiple of the devices."""
    devices = jax.local_device_count()
    width = -(-lanes // -(-lanes // (most * devices)))
    # In steps of eight: batches of nearly one size share a compilation.
    step = devices if width <= 8 else max(8, devices)
    return -(-width // step) * step


def spread(function: Callable[..., Any], lanes: tuple[PyTree, ...], shared: PyTree, rows_first: PyTree = False) -> Any:
    """`function(*lanes, shared)` on every device's part of the lanes.

    Args:
        function: of arrays with a leading axis over lanes, and of one more argument.
        lanes: arguments that have the axis.
        shared: the one that has not.
        rows_first: which parts of the result have an axis of rows before that of lanes; a prefix of it.
    """
    devices = np.array(jax.local_devices())
    if devices.size == 1:
        return function(*lanes, shared)
    # What is no array goes in by the closure: a specification names arrays alone.
    arrays, static = eqx.partition((lanes, shared), eqx.is_array)
    along, rows = PartitionSpec("lanes"), PartitionSpec(None, "lanes")

    def part(lanes: PyTree, shared: PyTree) -> Any:
        lanes, shared = eqx.combine((lanes, shared), static)
        return function(*lanes, shared)

    return jax.shard_map(
        part,
        mesh=Mesh(devices, ("lanes",)),
        in_specs=(along, PartitionSpec()),
        out_specs=jax.tree.map(lambda first: rows if first else along, rows_first),
        check_vma=False,
    )(*arrays)
