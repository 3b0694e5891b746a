"""Norms and directions of all weight blocks at one moment."""

import sys
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from flowlab.core.arguments import expects, guarded, line, must_be, short
from flowlab.core.display import displayed
from flowlab.core.errors import DataError, FlowlabError, LanguageError, ShapeMismatch
from flowlab.core.memory import require_memory
from flowlab.core.pickling import received, sent
from flowlab.core.precision import require_x64
from flowlab.core.seeds import checked_seed
from flowlab.core.typing import ArrayLike, Blocks, Namespace
from flowlab.language.arrays import numbers
from flowlab.language.data import Data
from flowlab.language.defects import require_defined
from flowlab.language.network import Network
from flowlab.language.norm_groups import PER, inner, scaled, split

SMALLEST_NORM, LARGEST_NORM = 1e-150, 1e150
"""Between these the square of a norm, and of every entry that counts in it, is a normal float64."""


def out_of_range(name: str, what: str, size: float) -> str:
    """A sentence on a norm, or an entry, whose square leaves float64."""
    way = "larger" if size < 1 else "smaller"
    return f"the block `{name}` has {what} {size:g}, whose square leaves float64; start from {way} weights."


def _block(values: Any, told: str) -> np.ndarray:
    """Values as an array of float64 that is not empty; ShapeMismatch for what is none."""
    try:
        array = numbers(values, told)
    except DataError as error:
        raise ShapeMismatch(str(error)) from None
    if not array.size:
        raise ShapeMismatch(f"{told} has the shape {array.shape}, without any weight; give it at least one.")
    return array


def _grouping(per: str) -> str:
    """A grouping that is a text; an array would be compared with it for ever after."""
    expects("per", per, str, f"one of {', '.join(PER)}", f"for example '{PER[0]}'")
    return per


def _arrays(blocks: Mapping[str, ArrayLike]) -> Any:
    """Blocks in which plain numbers and lists are arrays."""
    if not isinstance(blocks, Mapping):
        return blocks
    plain = {
        name: _block(value, f"the block `{line(str(name))}`")
        for name, value in blocks.items()
        if isinstance(value, int | float | list | tuple)
    }
    return {**blocks, **{name: jnp.asarray(value) for name, value in plain.items()}}


@displayed
class State(eqx.Module):
    """Norms ρ and directions V (dimensionless), by block name; also used for their rates.

    Attributes:
        rho: `per="layer"`: scalars by block; `"neuron"`: one per row of a matrix; `"network"`: one scalar under
            `"network"`.
        V: arrays in the shapes of the weight blocks, of unit norm per group (any length under weight normalisation).
        per: the grouping (static).

    Examples:
        >>> start = fl.State.from_weights({"W": [[3.0, 4.0]]})
        >>> float(start.rho["W"]), start.V["W"].tolist()
        (5.0, [[0.6000000000000001, 0.8]])
    """

    rho: dict[str, jax.Array] = eqx.field(converter=_arrays)
    V: dict[str, jax.Array] = eqx.field(converter=_arrays)
    per: str = eqx.field(static=True, default="layer", converter=_grouping)

    __getstate__, __setstate__ = sent, received

    @classmethod
    @guarded
    def from_weights(cls, weights: Mapping[str, ArrayLike], *, per: str = "layer") -> "State":
        """Split weights into norms and directions.

        A block of zeros has the norm 0 and a direction that stands for none; flows in weight coordinates start from it.

        Raises:
            ShapeMismatch: if a block is no array of numbers, a value is not finite, or its square leaves float64,
                naming the block.
            TooLarge: if the weights do not fit into memory.
            LanguageError: if the weights are no dict, or a name is no text.
            PrecisionTooLow: without float64.
        """
        require_x64("State.from_weights")
        if per not in PER:
            raise LanguageError(f"`per={per!r}` is not known; use one of {', '.join(PER)}.")
        if not weights:
            raise ShapeMismatch("`State.from_weights` was given no weight blocks; give a dict of arrays by block name.")
        # In numpy, because every eager operation of jax compiles once per shape.
        arrays = {}
        for name, w in weights.items():
            array = _block(w, f"the block `{line(name)}`")
            require_memory(16 * array.size, f"the block `{line(name)}` of shape {array.shape}", "use smaller widths")
            arrays[name] = array
        for name, w in arrays.items():
            if not np.isfinite(w).all():
                raise ShapeMismatch(f"the block `{name}` must be finite, got {w[~np.isfinite(w)].flat[0]:g}.")
            largest = float(np.max(np.abs(w), initial=0.0))
            if largest and not SMALLEST_NORM <= largest <= LARGEST_NORM:
                raise ShapeMismatch(out_of_range(name, "entries of size", largest))
        rho, V = split(np, arrays, per)
        for name, lost in scaled({k: np.where(r > 0, 0.0, 1.0) for k, r in rho.items()}, arrays, per).items():
            if lost.any():
                raise ShapeMismatch(out_of_range(name, "a row of size", float(np.abs(lost).max())))
        return cls(
            rho={k: jax.device_put(r) for k, r in rho.items()},
            V={w: jax.device_put(v) for w, v in V.items()},
            per=per,
        )

    def weights(self) -> dict[str, jax.Array]:
        """W = ρ V/‖V‖, block by block."""

        def made(xp: Namespace, rho: Blocks, V: Blocks) -> dict[str, Any]:
            lengths = inner(V, V, self.per)
            return scaled({k: r / xp.sqrt(lengths[k]) for k, r in rho.items()}, V, self.per)

        return _computed(self, made)

    def directions(self) -> "State":
        """The same state with V of unit norm."""

        def made(xp: Namespace, _: Blocks, V: Blocks) -> dict[str, Any]:
            return scaled({k: 1.0 / xp.sqrt(n) for k, n in inner(V, V, self.per).items()}, V, self.per)

        return State(rho=self.rho, V=_computed(self, made), per=self.per)

    def product(self, degrees: Mapping[str, Fraction | float]) -> jax.Array:
        """R = Π ρ_k^κ_k."""
        return jnp.exp(sum((float(k) * jnp.log(self.rho[name]) for name, k in degrees.items()), jnp.zeros(())))


def _computed(state: State, made: Callable[[Namespace, Blocks, Blocks], dict[str, Any]]) -> dict[str, jax.Array]:
    """Blocks made from norms and directions: by numpy where the numbers are at hand, for every eager operation of jax
    compiles once per shape.
    """
    leaves = jax.tree.leaves((state.rho, state.V))
    if jax.default_backend() != "cpu" or any(isinstance(leaf, Tracer) for leaf in leaves):
        return made(jnp, state.rho, state.V)
    # As jax does: a norm of zero makes entries that are not finite, without a word.
    with np.errstate(all="ignore"):
        blocks = made(np, *({k: np.asarray(v) for k, v in part.items()} for part in (state.rho, state.V)))
    return {name: jax.device_put(block) for name, block in blocks.items()}


def is_batch(state: object) -> bool:
    """Whether a state has a leading axis over runs: its norms then have one axis more than norms of one run."""
    if not isinstance(state, State) or not isinstance(state.rho, Mapping):
        return False
    axes = [np.ndim(rho) for rho in state.rho.values()]
    # Per neuron the norms of a matrix have an axis of their own; those of a vector have none.
    return bool(axes) and min(axes) > 0 and (state.per != "neuron" or max(axes) == 2)


def batch_of(states: Sequence[State]) -> State:
    """States of one form as one, with a leading axis over them."""
    return jax.tree.map(lambda *leaves: jnp.asarray(np.stack([np.asarray(leaf) for leaf in leaves])), *states)


@guarded
def initial_state(
    network: Network | str,
    data: Data,
    *,
    widths: Mapping[str, int] | None = None,
    scale: float = 1.0,
    seed: int | Sequence[int],
    per: str = "layer",
    default_width: int | None = None,
) -> State:
    """Gaussian weights with standard deviation scale/√fan-in.

    Args:
        network: gives the blocks and their shapes.
        data: gives input dimension and number of outputs.
        widths: rows of hidden blocks, `{"W1": 16}`.
        scale: of the standard deviation; above zero.
        seed: of the draw; several, such as `range(100)`, give a batch: a state with a leading axis over them.
        per: grouping of the state.
        default_width: for hidden dimensions not named in `widths`.

    Raises:
        ShapeMismatch: if widths are missing or contradict each other, or `scale` makes a norm that is not finite.
        TooLarge: if the weights do not fit into memory.
        LanguageError: for a seed that is not an integer from 0 on.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> start = fl.initial_state("W2 @ relu(W1 @ x)", data, widths={"W1": 3}, seed=0)
        >>> start.V["W1"].shape
        (3, 2)
        >>> seeds = fl.initial_state("W2 @ relu(W1 @ x)", data, widths={"W1": 3}, seed=range(5))
        >>> seeds.V["W1"].shape
        (5, 3, 2)
    """
    require_x64("initial_state")
    if isinstance(seed, Sequence):
        if not seed:
            raise must_be("seed", seed, "an integer, or several of them", "for example `range(100)`")
        told: Any = {"widths": widths, "scale": scale, "per": per, "default_width": default_width}
        return batch_of([initial_state(network, data, seed=each, **told) for each in seed])
    seed = checked_seed(seed)
    network = network if isinstance(network, Network) else Network(network)
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale <= sys.float_info.max:
        raise must_be("scale", scale, "a finite number above zero", "for example 1.0", FlowlabError)
    shapes = network.resolve(data.shapes, data.outputs, widths, default_width=default_width)
    rng = np.random.default_rng(seed)
    with np.errstate(over="ignore"):
        # What is too large is refused below, in one sentence.
        weights = {
            name: rng.normal(size=shape) * scale / network.divisor(name, shape) for name, shape in shapes.items()
        }
    return State.from_weights(weights, per=per)


def names_match(state: State, network: Network) -> None:
    """Refuse a state whose blocks are not those of the network, or whose directions are none.

    Raises:
        ShapeMismatch: naming the block; LanguageError: for what is no state.
    """
    expects("state", state, State, "a state", "`fl.initial_state(…)` or `path.last`")
    for what, blocks in (("norm", state.rho), ("direction", state.V)):
        expects(f"{what}s of the state", blocks, Mapping, "arrays by block", "`State.from_weights(…)`")
        for name, value in blocks.items():
            # Anything else that numpy or jax would read in its own way: text, None, values under a mask.
            if isinstance(value, np.ma.MaskedArray) or np.asarray(value).dtype.kind not in "biufc":
                raise ShapeMismatch(
                    f"the {what} `{line(str(name))}` is {short(value)}, no array of numbers; make the state with"
                    " `State.from_weights`."
                )
    if set(state.V) != set(network.weights):
        odd = sorted(map(str, set(state.V) ^ set(network.weights)))
        raise ShapeMismatch(
            f"the state and the network differ in the blocks {', '.join(odd)}; make the state with"
            " `initial_state(network, …)`."
        )
    # In numpy, because every eager operation of jax compiles once per shape.
    V = {name: np.asarray(v) for name, v in state.V.items()}
    with np.errstate(over="ignore", invalid="ignore"):
        squares = {k: np.asarray(v) for k, v in inner(V, V, state.per).items()}
    found = {k: np.shape(v) for k, v in state.rho.items()}
    for name in sorted({*squares, *found}):
        wanted = squares[name].shape if name in squares else None
        if wanted != found.get(name):
            raise ShapeMismatch(
                f'the norm `{name}` has shape {found.get(name, "missing")} but per="{state.per}" needs'
                f" {'none' if wanted is None else wanted}; make the state with `State.from_weights`."
            )
        # Weights that are zero have no direction, and need none.
        square = squares[name]
        bad = ~np.isfinite(square) | ((square == 0) & (np.asarray(state.rho[name]) != 0))
        if bad.any():
            where = f"`{name}`" if square.ndim == 0 else f"`{name}`, row {int(np.argmax(bad)) + 1},"
            raise ShapeMismatch(
                f"the direction {where} has length {np.sqrt(square[bad].flat[0]):g}; a direction needs a finite length"
                " above zero."
            )


def shapes_match(state: State, network: Network, data: Data) -> None:
    """Refuse a state, whose blocks are those of the network,
    if their shapes are not those that network and data need; ShapeMismatch with the block. DataError where a word of
    matrices is not defined at it.
    """
    found = {name: np.shape(v) for name, v in state.V.items()}
    widths = {name: shape[0] for name, shape in found.items() if shape}
    # A width that neither samples nor rows tell is the number of some columns.
    told = {network.input_dim, *network.output_shape, *(shape[0] for shape in network.shapes.values() if shape)}
    told |= {dim for shape in (*network.inputs.values(), *network.constants.values()) for dim in shape}
    for name, shape in network.shapes.items():
        if len(shape) != len(found[name]):
            continue
        for dim, size in list(zip(shape, found[name], strict=True))[1:]:
            if isinstance(dim, str) and dim not in told and network.is_free(dim):
                widths.setdefault(dim, size)
    for name, shape in network.resolve(data.shapes, data.outputs, widths).items():
        if found[name] != shape:
            raise ShapeMismatch(
                f"the block `{name}` of the state has shape {found[name]} but network and data need {shape}."
            )
    # In numpy, as above.
    V = {name: np.asarray(v) for name, v in state.V.items()}
    lengths = {k: np.sqrt(v) for k, v in inner(V, V, state.per).items()}
    factors = {k: np.asarray(state.rho[k]) / np.where(v > 0, v, 1.0) for k, v in lengths.items()}
    require_defined(network, scaled(factors, V, state.per), data)
