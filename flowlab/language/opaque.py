"""Opaque networks: a function of jax, or a module of equinox, in the place of an expression."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, cast

import jax
import numpy as np

from flowlab.core.arguments import guarded, line, named_blocks, short, shown
from flowlab.core.errors import LanguageError, ShapeMismatch
from flowlab.core.precision import require_x64
from flowlab.core.typing import Array, PyTree, Record
from flowlab.language.expr import MOST_LETTERS, NAME, Expr
from flowlab.language.network import Network
from flowlab.language.opaque_function import OpaqueFunction, attempted, untraceable
from flowlab.language.opaque_trials import Facts, drawn, examined
from flowlab.language.operations import is_function
from flowlab.language.remembered import remember
from flowlab.language.state import State

_BATCHES = (5, 7)
"""Two numbers of samples: an axis that is as long as both of them is the axis of samples."""


class OpaqueNetwork(Network):
    """A network whose output is one call of a function of jax; `fl.opaque` makes it.

    Its gradient is `jax.vjp` of the function, and its degrees are found by trial. Blocks are the arrays of the
    parameters, called by their path. It is derived at structural depth alone, and its kinks are not followed.

    Attributes:
        function: what is called (static).
        facts: what trials show of it.
        paths: the path of every block in the parameters, by name.
    """

    is_opaque = True

    def __init__(self, function: OpaqueFunction, facts: Facts, paths: Mapping[str, str], initial: PyTree) -> None:
        self.function, self.facts, self.paths = function, facts, dict(paths)
        self._initial = initial
        leaves = [Expr("weight", (), (name, shape)) for name, shape in function.blocks.items()]
        leaves += [Expr("input", (), (name, shape)) for name, shape in function.inputs.items()]
        leaves += [Expr("constant", (), (name, shape)) for name, shape in function.constants.items()]
        super().__init__(Expr("opaque", tuple(leaves), (function, facts)))
        self.jumps = facts.kinked
        remember(self.describe(), self)

    def weights_of(self, params: PyTree) -> dict[str, np.ndarray]:
        """The arrays of parameters, or of a module, by block name.

        Raises:
            ShapeMismatch: if they are not the arrays of this network.
            LanguageError: if they are not arrays of float64.
        """
        found, _ = _leaves(params, self.function.name)
        shapes = {path: array.shape for path, array in found.items()}
        wanted = {path: self.function.blocks[name] for name, path in self.paths.items()}
        odd = next((p for p in {**wanted, **shapes} if shapes.get(p) != wanted.get(p)), None)
        if odd is not None:
            raise ShapeMismatch(
                f"`params` must have `{line(odd)}` of shape {wanted.get(odd, 'none')}, got "
                f"{shapes.get(odd, 'none')}; pass parameters such as those that made the network."
            )
        return {name: found[path] for name, path in self.paths.items()}

    def params_of(self, weights: Mapping[str, Array]) -> PyTree:
        """Parameters, or a module, with these arrays: the inverse of `weights_of`.

        Args:
            weights: arrays by block, such as `path.last.weights()`.

        Raises:
            LanguageError: if a block is missing or no array of numbers; ShapeMismatch: if it has another shape.
        """
        found = named_blocks("weights", weights, self.weights)
        for name, value in found.items():
            shape = self.function.blocks[name]
            if value.shape != shape:
                raise ShapeMismatch(f"`weights` must have `{name}` of shape {shape}, got {value.shape}; reshape it.")
        arrays = iter(found.values())
        return jax.tree.map(lambda leaf: next(arrays) if _is_array(leaf) else leaf, self._initial)

    def initial_state(self, *, per: str = "layer") -> State:
        """The state at the parameters that made the network.

        Args:
            per: grouping of the norms.
        """
        return State.from_weights(self.weights_of(self._initial), per=per)

    def describe(self) -> Record:
        """What tells this network from others; no file can rebuild it."""
        function = self.function
        return {
            "opaque": function.name,
            "sha256": function.digest,
            "shapes": {name: list(shape) for name, shape in function.blocks.items()},
            "inputs": {name: list(shape) for name, shape in function.inputs.items()},
            "constants": {name: list(shape) for name, shape in function.constants.items()},
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return OpaqueNetwork, (self.function, self.facts, self.paths, self._initial)


@guarded
def opaque(
    f: Callable[..., Array],
    params: PyTree | None = None,
    *,
    inputs: Mapping[str, Sequence[int]] | None = None,
    constants: Mapping[str, Sequence[int]] | None = None,
    batched: bool | None = None,
    name: str | None = None,
) -> OpaqueNetwork:
    """A network that is a function of jax, or a module of equinox.

    Args:
        f: `f(params, x)`, of all samples, (N, ...) to (N, C) or (N,), or of one sample, to (C,) or a number; or an
            `equinox.Module`, called with x. An input `x` alone is handed over as it is, others as a dict by name.
        params: arrays of float64 in any containers that jax knows; left out for a module.
        inputs: shapes for one sample, `{"x": (28, 28)}`. Without it, `x` is a vector or a matrix whose sizes are found
            by trial, where only one fits.
        constants: shapes of constants by name.
        batched: whether f takes all samples at once; found by trial where it is not said.
        name: what to call it in print.

    Returns:
        A network for `fl.Problem`, with `weights_of`, `params_of` and `initial_state`.

    Raises:
        LanguageError: if jax cannot trace or differentiate f, f computes below float64, is not finite, mixes samples or
            ignores its parameters; or a parameter is no array of float64.
        ShapeMismatch: if f does not return one number or one vector for every sample.
        PrecisionTooLow: without float64.

    Examples:
        >>> def net(params, x):
        ...     return jnp.tanh(x @ params["W"].T) @ params["a"]
        >>> opaque = fl.opaque(net, {"W": jnp.ones((8, 2)), "a": jnp.ones(8)})
        >>> opaque.weights
        ('W', 'a')
        >>> fl.derive(fl.Problem(opaque, "logistic")).residual < 1e-12
        True
    """
    require_x64("opaque")
    called = _legal((name or getattr(f, "__name__", type(f).__name__)).replace("<lambda>", "f"), "f", ())
    whole: Any = f if params is None else params
    call = _of_module(f, params)
    found, tree = _leaves(whole, called)
    fixed = _shapes("constants", constants or {})
    names: dict[str, str] = {}
    for path in found:
        names[_legal(path, "W", {*names, *(inputs or {}), *fixed})] = path
    blocks = {block: found[path].shape for block, path in names.items()}

    def made(shapes: Mapping[str, tuple[int, ...]], at_once: bool) -> OpaqueFunction:
        return OpaqueFunction(called, call, tree, blocks, shapes, fixed, at_once)

    shapes = _shapes("inputs", inputs) if inputs is not None else _searched(made, called, blocks, batched)
    function = made(shapes, _reading(made, shapes) if batched is None else batched)
    return OpaqueNetwork(function, examined(function), names, whole)


def _is_array(leaf: object) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray)


def _of_module(module: Any, params: Any) -> Callable[[Any, Any], Any]:
    """A module as a function of its arrays and of x; a function of parameters as it is."""
    import equinox as eqx

    if params is not None and isinstance(module, eqx.Module):
        raise LanguageError("`params` must be left out for an `equinox.Module`, whose own arrays are the blocks.")
    if params is not None:
        return module
    if not isinstance(module, eqx.Module):
        raise LanguageError(
            f"`f={short(module, 40)}` must come with parameters, as it is no `equinox.Module`; "
            "pass `fl.opaque(f, params)`."
        )
    _, static = eqx.partition(module, _is_array)
    return lambda arrays, x: eqx.combine(arrays, static)(x)


def _leaves(params: Any, called: str) -> tuple[dict[str, np.ndarray], Any]:
    """Arrays by path, and the structure they stand in; what is no array belongs to the structure of a module.

    Raises:
        LanguageError: if a leaf is no array of float64, or there is none.
    """
    import equinox as eqx

    module = isinstance(params, eqx.Module)
    kept = eqx.filter(params, _is_array) if module else params
    listed, tree = attempted(called, lambda: jax.tree_util.tree_flatten_with_path(kept))
    found: dict[str, np.ndarray] = {}
    for path, leaf in listed:
        where = jax.tree_util.keystr(path, simple=True, separator=".") or "W"
        if not _is_array(leaf) or leaf.dtype != np.float64 or not leaf.size:
            got = f"{leaf.dtype} of shape {leaf.shape}" if _is_array(leaf) else f"a value of type {type(leaf).__name__}"
            raise LanguageError(
                f"the parameter `{line(where)}` must be a non-empty array of float64, got {got}; convert it, or "
                "keep it out of the parameters."
            )
        found[where] = np.asarray(leaf)
    if not found:
        raise LanguageError(f"`params` of `{called}` must hold arrays of float64, got none; pass its weights.")
    return found, tree


def _legal(path: str, default: str, taken: Collection[str]) -> str:
    """A name that the language allows and nothing else has: `layers.0.weight` becomes `layers_0_weight`."""
    words = re.sub(r"[^A-Za-z0-9]+", "_", path).strip("_").split("_")
    # Of a long path the inner parts tell less: they are cut to a letter, from the outside in.
    for i in range(len(words) - 1):
        if len("_".join(words)) > MOST_LETTERS - 4:
            words[i] = words[i][:1] if not words[i].isdigit() else words[i]
    told = "_".join(words)[-(MOST_LETTERS - 4) :].strip("_")
    if not NAME.match(told) or told in ("x", "True", "False", "None") or is_function(told):
        told = f"{default}{'' if told[:1].isdigit() or not told else '_'}{told}"
    several = 2
    first = told
    while told in taken:
        told, several = f"{first}_{several}", several + 1
    return told


def _shapes(what: str, given: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """Shapes of a user as tuples of plain integers, under legal names."""
    for name, shape in given.items():
        if not NAME.match(name) or is_function(name):
            raise LanguageError(f"`{what}` must name letters, digits and `_`, got `{shown(name)}`; rename it.")
        if any(size < 1 for size in shape):
            raise ShapeMismatch(f"`{what}[{name!r}]` must have positive sizes, got {short(shape)}; give one sample's.")
    if what == "inputs" and not given:
        raise LanguageError("`inputs` must name an input, got none; pass for example {'x': (4,)}.")
    return {name: tuple(int(size) for size in shape) for name, shape in given.items()}


def _fits(function: OpaqueFunction) -> bool:
    """Whether the output has the axis of samples, and at most one more.

    Raises:
        Exception: of any type, if the function does not run on these shapes.
    """
    for samples in _BATCHES:
        out = jax.eval_shape(function.raw, *function.structs(samples))
        shape = cast(tuple[int, ...], getattr(out, "shape", ()))
        if len(shape) not in (1, 2) or shape[0] != samples:
            return False
    return True


def _candidates(blocks: Mapping[str, tuple[int, ...]]) -> Iterator[list[tuple[int, ...]]]:
    """Shapes that an input may have, made of sizes of the blocks: vectors first, then matrices."""
    sizes = tuple(dict.fromkeys(size for shape in blocks.values() for size in shape))
    for rank in (1, 2):
        yield list(product(sizes, repeat=rank))


def _searched(
    made: Callable[..., OpaqueFunction], called: str, blocks: Mapping[str, tuple[int, ...]], batched: bool | None
) -> dict[str, tuple[int, ...]]:
    """The shape of `x`, if only one fits.

    Raises:
        LanguageError: if none does, or several do, or jax cannot trace the function.
    """
    ways = (True, False) if batched is None else (batched,)
    fitting: list[tuple[int, ...]] = []
    last: Exception | None = None
    for shapes in _candidates(blocks):
        for shape in shapes:
            for way in ways:
                try:
                    good = _fits(made({"x": shape}, way))
                except Exception as error:
                    if untraceable(error):
                        attempted(called, lambda: _fits(made({"x": shape}, way)))  # noqa: B023
                    # Shapes that do not fit are TypeError or ValueError; another error tells more.
                    last = error if last is None or not isinstance(error, TypeError | ValueError) else last
                    continue
                if good:
                    fitting.append(shape)
                    break
        if len(fitting) == 1:
            return {"x": fitting[0]}
        if fitting:
            break
    why = "" if last is None else f" ({type(last).__name__}: {line(str(last).partition(chr(10))[0], 60)})"
    told = f"{' and '.join(map(str, fitting[:2]))} both fit" if fitting else f"no vector or matrix fits{why}"
    raise LanguageError(
        f"`inputs` must say what one sample of `{called}` is, as {told} by trial; pass for example "
        "inputs={'x': (4,)}."
    )


def _reading(made: Callable[..., OpaqueFunction], shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether the function takes all samples at once; where it takes one sample as well, both agree.

    Raises:
        LanguageError: if they do not, or it takes neither.
    """
    ways: dict[bool, OpaqueFunction] = {}
    for way in (True, False):
        function = made(shapes, way)
        try:
            if _fits(function):
                ways[way] = function
        except Exception as error:
            if untraceable(error):
                attempted(function.name, lambda: _fits(function))  # noqa: B023
    if not ways:
        # What is wrong is said by the run on all samples.
        function = made(shapes, True)
        examined(function)
    if len(ways) == 2:
        state = drawn(ways[True], 0)
        at_once, one_by_one = (np.asarray(attempted(ways[w].name, lambda w=w: ways[w].outputs(*state))) for w in ways)
        if at_once.shape != one_by_one.shape or not np.allclose(at_once, one_by_one, rtol=1e-9, atol=0, equal_nan=True):
            raise LanguageError(
                f"`{ways[True].name}` must mean one thing, got outputs of all samples at once that differ from those "
                "one by one: samples are mixed; pass `batched=False` if it reads one sample."
            )
    return next(iter(ways))
