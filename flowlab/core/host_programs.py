"""Functions of jax worked out by numpy: traced, and then evaluated operation by operation, without a compiler.

For small arrays at which a function is asked for once or twice, compiling takes longer than everything else. What numpy
has no word for here is compiled after all.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Params = dict[str, Any]


def on_host(function: Callable[..., Any], *args: Any) -> Any:
    """The value of a function at trees of arrays, as a tree of arrays.

    Args:
        function: of the arguments, traced by `jax.make_jaxpr`.
        args: trees of arrays.

    Example:
        >>> on_host(jax.grad(lambda x: (x**3).sum()), np.array([1.0, 2.0]))
        array([ 3., 12.])
    """
    import jax

    traced, out = jax.make_jaxpr(function, return_shape=True)(*args)
    if not _is_known(traced.jaxpr):
        return jax.tree.map(np.asarray, jax.jit(function)(*args))
    return _worked_out(traced, out, [np.asarray(leaf) for leaf in jax.tree.leaves(args)])


def on_host_extended(function: Callable[..., Any], *args: Any) -> Any:
    """The value of a function at trees of arrays of `numpy.longdouble`, worked out in that precision.

    Args:
        function: as for `on_host`; jax traces it at the float64 arrays next to those given.
        args: trees of arrays.

    Raises:
        TypeError: where numpy has no word for an operation in this precision.

    Example:
        >>> on_host_extended(jax.grad(lambda x: (x**3).sum()), np.array([1.0, 2.0], np.longdouble)).dtype.name
        'float128'
    """
    import jax

    leaves, tree = jax.tree.flatten(args)
    values = [np.asarray(leaf) for leaf in leaves]
    near = [v.astype(float) if v.dtype == np.longdouble else v for v in values]
    traced, out = jax.make_jaxpr(function, return_shape=True)(*jax.tree.unflatten(tree, near))
    if not _is_known(traced.jaxpr):
        raise TypeError("an operation of the function has no meaning in numpy.")
    return _worked_out(traced, out, values)


def _worked_out(traced: Any, out: Any, values: Sequence[np.ndarray]) -> Any:
    import jax

    with np.errstate(all="ignore"):
        found = _evaluated(traced.jaxpr, traced.consts, values)
    return jax.tree.unflatten(jax.tree.structure(out), [np.asarray(v) for v in found])


def _inner(params: Params) -> Any:
    """The program that a call holds, such as that of a function which is compiled apart."""
    return params["jaxpr"] if "jaxpr" in params else params["call_jaxpr"]


def _is_known(jaxpr: Any) -> bool:
    return all(
        _is_known(_inner(eqn.params).jaxpr) if eqn.primitive.name in _CALLS else eqn.primitive.name in _MEANINGS
        for eqn in jaxpr.eqns
    )


def _evaluated(jaxpr: Any, consts: Sequence[Any], args: Sequence[np.ndarray]) -> list[np.ndarray]:
    env: dict[Any, np.ndarray] = dict(zip(jaxpr.constvars, map(np.asarray, consts), strict=True))
    env.update(zip(jaxpr.invars, args, strict=True))

    def read(atom: Any) -> np.ndarray:
        return np.asarray(atom.val) if hasattr(atom, "val") else env[atom]

    for eqn in jaxpr.eqns:
        given = [read(atom) for atom in eqn.invars]
        if eqn.primitive.name in _CALLS:
            inner = _inner(eqn.params)
            found = _evaluated(inner.jaxpr, inner.consts, given)
        else:
            made = _MEANINGS[eqn.primitive.name](eqn.params, *given)
            found = made if isinstance(made, list) else [made]
        env.update(zip(eqn.outvars, found, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _dot(params: Params, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Batch axes first, then the free ones of either side, as stacked products of matrices."""
    (left, right), (left_batch, right_batch) = params["dimension_numbers"]

    def parts(v: np.ndarray, summed: Sequence[int], batch: Sequence[int]) -> tuple[np.ndarray, list[int]]:
        free = [i for i in range(v.ndim) if i not in (*summed, *batch)]
        lengths = [int(np.prod([v.shape[i] for i in axes])) for axes in (free, summed)]
        turned = v.transpose(*batch, *free, *summed)
        return turned.reshape((*(v.shape[i] for i in batch), *lengths)), [v.shape[i] for i in free]

    first, kept = parts(a, left, left_batch)
    second, other = parts(b, right, right_batch)
    return (first @ second.swapaxes(-1, -2)).reshape((*(a.shape[i] for i in left_batch), *kept, *other))


def _broadcast(params: Params, v: np.ndarray) -> np.ndarray:
    shape, places = params["shape"], params["broadcast_dimensions"]
    axes = [1] * len(shape)
    for i, place in enumerate(places):
        axes[place] = v.shape[i]
    return np.broadcast_to(v.reshape(axes), shape)


def _reshaped(params: Params, v: np.ndarray) -> np.ndarray:
    order = params["dimensions"]
    return (v if order is None else v.transpose(order)).reshape(params["new_sizes"])


def _slice(params: Params, v: np.ndarray) -> np.ndarray:
    strides = params["strides"] or (1,) * v.ndim
    limits = zip(params["start_indices"], params["limit_indices"], strides, strict=True)
    return v[tuple(slice(*each) for each in limits)]


def _pad(params: Params, v: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """Entries around, and between those there are; fewer than none are cut off."""
    for axis, (low, high, inside) in enumerate(params["padding_config"]):
        length = v.shape[axis]
        spread = np.full((*v.shape[:axis], max(length + (length - 1) * inside, 0), *v.shape[axis + 1 :]), fill, v.dtype)
        spread[(slice(None),) * axis + (slice(None, None, inside + 1),)] = v
        wide = [(0, 0)] * v.ndim
        wide[axis] = (max(low, 0), max(high, 0))
        v = np.pad(spread, wide, constant_values=fill)
        cut = slice(max(-low, 0), v.shape[axis] - max(-high, 0))
        v = v[(slice(None),) * axis + (cut,)]
    return v


def _split(params: Params, v: np.ndarray) -> list[np.ndarray]:
    return np.split(v, np.cumsum(params["sizes"])[:-1], axis=params["axis"])


def _slid(image: np.ndarray, filters: np.ndarray, strides: Sequence[int], groups: int) -> np.ndarray:
    """Filters (out, channels of a group, window) over an image (samples, channels, places)."""
    n = len(strides)
    seen = np.lib.stride_tricks.sliding_window_view(image, filters.shape[2:], axis=tuple(range(2, 2 + n)))
    seen = seen[(slice(None), slice(None), *(slice(None, None, step) for step in strides))]
    channels = [np.split(seen, groups, axis=1), np.split(filters, groups, axis=0)]
    summed = ([1, *range(2 + n, 2 + 2 * n)], list(range(1, 2 + n)))
    made = [np.moveaxis(np.tensordot(part, some, axes=summed), -1, 1) for part, some in zip(*channels, strict=True)]
    return np.concatenate(made, axis=1)


def _convolved(params: Params, image: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Windows of an image, spread and padded, times filters; batches in groups are groups of channels."""
    axes, fill = params["dimension_numbers"], np.zeros(())
    image, filters = image.transpose(axes.lhs_spec), filters.transpose(axes.rhs_spec)
    batches, groups = params["batch_group_count"], params["feature_group_count"]
    around = [
        (low, high, step - 1) for (low, high), step in zip(params["padding"], params["lhs_dilation"], strict=True)
    ]
    between = [(0, 0, step - 1) for step in params["rhs_dilation"]]
    image = _pad({"padding_config": [(0, 0, 0), (0, 0, 0), *around]}, image, fill)
    filters = _pad({"padding_config": [(0, 0, 0), (0, 0, 0), *between]}, filters, fill)
    if batches > 1:
        # (groups of samples, samples of one, channels) with one group of filters each.
        image = image.reshape(batches, -1, *image.shape[1:]).swapaxes(0, 1)
        image, groups = image.reshape(len(image), -1, *image.shape[3:]), batches
    made = _slid(image, filters, params["window_strides"], groups)
    return made.transpose(np.argsort(axes.out_spec))


def _chosen(_: Params, which: np.ndarray, *cases: np.ndarray) -> np.ndarray:
    return np.where(which, cases[1], cases[0]) if which.dtype == bool else np.choose(which, cases)


def _converted(params: Params, v: np.ndarray) -> np.ndarray:
    """What is traced as float64 may be more precise than that, and stays so."""
    return v if v.dtype == np.longdouble and params["new_dtype"] == np.float64 else v.astype(params["new_dtype"])


def _iota(params: Params) -> np.ndarray:
    shape, axis = params["shape"], params["dimension"]
    line = np.arange(shape[axis], dtype=params["dtype"])
    return np.broadcast_to(line.reshape([-1 if i == axis else 1 for i in range(len(shape))]), shape)


def _quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of integers the whole part."""
    made = np.true_divide(a, b)
    return made if np.issubdtype(a.dtype, np.inexact) else np.trunc(made).astype(a.dtype)


def _erf(v: np.ndarray) -> np.ndarray:
    from scipy.special import erf

    return np.asarray(erf(v))


def _ufunc(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    return lambda _, *args: function(*args)


def _over_axes(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    return lambda params, v: np.asarray(function(v, axis=tuple(params["axes"])))


_CALLS = frozenset(("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call"))
"""Operations that stand for programs of their own."""

_MEANINGS: dict[str, Callable[..., Any]] = {
    "dot_general": _dot,
    "broadcast_in_dim": _broadcast,
    "transpose": lambda params, v: v.transpose(params["permutation"]),
    "reshape": _reshaped,
    "squeeze": lambda params, v: v.squeeze(tuple(params["dimensions"])),
    "rev": lambda params, v: np.flip(v, params["dimensions"]),
    "concatenate": lambda params, *parts: np.concatenate(parts, axis=params["dimension"]),
    "stack": lambda params, *parts: np.stack(parts, axis=params["axis"]),
    "slice": _slice,
    "pad": _pad,
    "split": _split,
    "iota": _iota,
    "conv_general_dilated": _convolved,
    "select_n": _chosen,
    "convert_element_type": _converted,
    "integer_pow": lambda params, v: np.asarray(v ** params["y"], v.dtype),
    "stop_gradient": lambda _, v: v,
    "copy": lambda _, v: v,
    "reduce_sum": _over_axes(np.sum),
    "reduce_max": _over_axes(np.max),
    "reduce_min": _over_axes(np.min),
    "reduce_prod": _over_axes(np.prod),
    **{
        name: _ufunc(function)
        for name, function in {
            "add": np.add,
            "add_any": np.add,
            "sub": np.subtract,
            "mul": np.multiply,
            "div": _quotient,
            "pow": np.power,
            "neg": np.negative,
            "abs": np.abs,
            "sign": np.sign,
            "max": np.maximum,
            "min": np.minimum,
            "sqrt": np.sqrt,
            "rsqrt": lambda v: 1.0 / np.sqrt(v),
            "square": np.square,
            "exp": np.exp,
            "exp2": np.exp2,
            "expm1": np.expm1,
            "log": np.log,
            "log1p": np.log1p,
            "erf": _erf,
            "sin": np.sin,
            "cos": np.cos,
            "tan": np.tan,
            "asin": np.arcsin,
            "acos": np.arccos,
            "atan": np.arctan,
            "sinh": np.sinh,
            "cosh": np.cosh,
            "tanh": np.tanh,
            "logistic": lambda v: 1.0 / (1.0 + np.exp(-v)),
            "eq": np.equal,
            "ne": np.not_equal,
            "gt": np.greater,
            "ge": np.greater_equal,
            "lt": np.less,
            "le": np.less_equal,
            "and": np.bitwise_and,
            "or": np.bitwise_or,
            "not": np.bitwise_not,
            "is_finite": np.isfinite,
        }.items()
    },
}
"""What operations of jax are in numpy, from their parameters and operands."""
