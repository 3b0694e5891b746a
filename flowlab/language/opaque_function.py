"""A function of jax as a node of a network: called and pulled back, never read."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.arguments import line
from flowlab.core.errors import FlowlabError, LanguageError
from flowlab.core.pickling import fields_only
from flowlab.core.typing import Array, Given

T = TypeVar("T")

SAMPLES = 2
"""Of the arrays at which a function is traced for its hash; any number would do."""


@dataclass(frozen=True, eq=False)
class OpaqueFunction:
    """A function f(params, x) with the shapes of its arrays; equal to itself alone, so that it can be static.

    Attributes:
        name: what it is called in print.
        call: the function.
        tree: the structure of its parameters.
        blocks: shapes of parameters by block name, in the order of the tree.
        inputs: shapes of inputs, for one sample, by name.
        constants: shapes of constants, by name.
        batched: whether it takes all samples at once; else it is mapped over them.
    """

    name: str
    call: Callable[[Any, Any], Any]
    tree: Any
    blocks: Mapping[str, tuple[int, ...]]
    inputs: Mapping[str, tuple[int, ...]]
    constants: Mapping[str, tuple[int, ...]]
    batched: bool

    def __deepcopy__(self, _: Any) -> "OpaqueFunction":
        # It is what it is: a copy would be another function.
        return self

    # The function itself must be one that pickle finds by its name.
    __getstate__ = fields_only

    def __repr__(self) -> str:
        return f"<{self.name} of {len(self.blocks)} blocks>"

    def raw(self, blocks: Sequence[Array], given: Sequence[Array]) -> Any:
        """What the function answers for all samples, unchecked; arguments as for `outputs`."""
        params = jax.tree.unflatten(self.tree, blocks)
        named = dict(zip((*self.inputs, *self.constants), given, strict=True))
        x: Given = named["x"] if set(named) == {"x"} else named
        if self.batched:
            return self.call(params, x)
        axes = {name: None if name in self.constants else 0 for name in named}
        return jax.vmap(self.call, in_axes=(None, axes if isinstance(x, Mapping) else 0))(params, x)

    @cached_property
    def outputs(self) -> Callable[[Sequence[Array], Sequence[Array]], Array]:
        """Outputs (N, C) or (N,), compiled, of blocks and of inputs (N, ...) and constants, in their order."""
        blocks, given = self.structs(SAMPLES)
        try:
            # Whether there is a forward mode shows when a program is made, not when it is traced.
            jax.jit(lambda b, g: jax.jvp(self.raw, (b, g), (b, g))).lower(blocks, given)
        except Exception:
            # A rule of `jax.custom_vjp` has no forward mode, which implicit steps need: the pull-back is transposed.
            return jax.jit(self._transposed())
        return jax.jit(self.raw)

    def _transposed(self) -> Callable[[Sequence[Array], Sequence[Array]], Array]:
        """The function with a forward derivative made of its reverse one."""
        made = jax.custom_jvp(self.raw)

        def forward(primals: Any, tangents: Any) -> tuple[Any, Any]:
            out, pull = jax.vjp(self.raw, *primals)
            return out, jax.linear_transpose(pull, out)(tangents)[0]

        made.defjvp(forward)
        return made

    @cached_property
    def pull(self) -> Callable[[Sequence[Array], Sequence[Array], Array], Array]:
        """The pull-back of one cotangent per output and sample by `jax.vjp`, compiled: all blocks end to end, (P,)."""

        def pulled(blocks: Sequence[Array], given: Sequence[Array], cotangent: Array) -> Array:
            _, back = jax.vjp(lambda b: self.raw(b, given), tuple(blocks))
            return jnp.concatenate([g.ravel() for g in back(cotangent)[0]])

        return jax.jit(pulled)

    @property
    def size(self) -> int:
        """Number of weights of all blocks together."""
        return sum(int(np.prod(shape)) for shape in self.blocks.values())

    def part(self, k: int) -> slice:
        """Where block k lies in what `pull` returns."""
        sizes = [int(np.prod(shape)) for shape in self.blocks.values()]
        return slice(sum(sizes[:k]), sum(sizes[: k + 1]))

    def structs(self, samples: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Blocks, and inputs and constants, as shapes without values."""
        shapes = [(samples, *shape) for shape in self.inputs.values()] + list(self.constants.values())
        return tuple(_struct(s) for s in self.blocks.values()), tuple(_struct(s) for s in shapes)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the function and its pull-back as jax traces them, and of the arrays that they close over."""
        blocks, given = self.structs(SAMPLES)
        out = attempted(self.name, lambda: jax.eval_shape(self.raw, blocks, given))
        made = hashlib.sha256()
        for traced in (jax.make_jaxpr(self.raw)(blocks, given), jax.make_jaxpr(self.pull)(blocks, given, out)):
            # Addresses of Python objects stand in the print of functions with derivatives of their own.
            made.update(re.sub(r" at 0x[0-9a-f]+", "", str(traced.jaxpr)).encode())
            for value in traced.consts:
                array = np.asarray(value)
                made.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
        return made.hexdigest()

    def dtypes(self) -> Iterable[str]:
        """Types of all floating-point values that the function computes with, or closes over."""
        traced = jax.make_jaxpr(self.raw)(*self.structs(SAMPLES))
        stack: list[Any] = [traced.jaxpr]
        yield from (str(value.dtype) for value in traced.consts if hasattr(value, "dtype"))
        while stack:
            jaxpr = stack.pop()
            for equation in jaxpr.eqns:
                yield from (str(v.aval.dtype) for v in equation.outvars if hasattr(v.aval, "dtype"))
                # Programs inside: of loops, branches and compiled functions.
                for value in equation.params.values():
                    several = value if isinstance(value, tuple | list) else (value,)
                    inner = [getattr(one, "jaxpr", one) for one in several]
                    stack += [one for one in inner if hasattr(one, "eqns")]


def _struct(shape: tuple[int, ...]) -> Any:
    return jax.ShapeDtypeStruct(shape, jnp.float64)


def untraceable(error: Exception) -> bool:
    """Whether an error says that jax cannot follow a function, whatever the shapes of its arguments are."""
    return isinstance(error, jax.errors.JAXTypeError)


def attempted(name: str, work: Callable[[], T]) -> T:
    """What work with a user's function answers; what it raises becomes one sentence.

    Raises:
        LanguageError: for any error of the function, which may be of any type.
    """
    try:
        return work()
    except FlowlabError:
        raise
    except Exception as error:
        told = f"{type(error).__name__}: {line(str(error).partition(chr(10))[0], 110)}"
        if untraceable(error):
            raise LanguageError(
                f"`{name}` must be made of functions that jax can trace, got {told}; use jax.numpy in it."
            ) from error
        raise LanguageError(
            f"`{name}` must run, and be differentiable by jax.vjp, on arrays of its shapes, got {told}; change it."
        ) from error
