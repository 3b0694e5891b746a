"""How functions are compiled, by how often and on how much they work; and what compilation takes.

A small program costs more to compile than it costs in a whole run. Most of that are the newer of XLA's two ways to emit
loops and its many modules, which gain nothing on small arrays, and LLVM's optimisations, which gain nothing in a few
calls. Last digits differ between these ways, as products and sums become one operation in some. So the choice is one of
function and size alone, never of what a process did before.
"""

import functools
import time
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

_P = ParamSpec("_P")
_R = TypeVar("_R")
_SIMPLE = {"xla_cpu_use_fusion_emitters": False, "xla_cpu_parallel_codegen_split_count": 1}
"""The older emitter of loops, in one module; beyond level 1 optimisations gain steps of small arrays nothing."""
_LARGE, _LONG = 1 << 17, 1 << 15
"""Numbers among the arguments from which on a few calls, or all steps of a run, cost more than compilation, and
everything is optimised.
"""


class Program(Generic[_P, _R]):
    """A function of arrays and static values, as `equinox.filter_jit` takes them, compiled once for each.

    Where jax traces, as inside another compiled function, options of the compiler are those of the outer one.

    Args:
        function: what is compiled.
        steps: whether it takes the steps of a run; else a run calls it a few times.

    Example:
        >>> doubled = Program(lambda v: 2.0 * v)
    """

    def __init__(self, function: Callable[_P, _R], *, steps: bool = False) -> None:
        functools.update_wrapper(self, function)
        self.function, self.steps = function, steps
        options: Any = {"compiler_options": _SIMPLE | {"xla_backend_optimization_level": int(steps)}}
        self.small = eqx.filter_jit(function, **options)
        self.large = eqx.filter_jit(function)

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        leaves = [leaf for leaf in jax.tree.leaves((args, kwargs)) if isinstance(leaf, np.ndarray | jax.Array)]
        # Where a program is traced, what is made from nothing is traced too, though no argument may be.
        if any(isinstance(leaf, Tracer) for leaf in [*leaves, jnp.zeros(())]):
            return self.large(*args, **kwargs)
        if sum(leaf.size for leaf in leaves) >= (_LONG if self.steps else _LARGE) or jax.default_backend() != "cpu":
            return self.large(*args, **kwargs)
        return self.small(*args, **kwargs)


def stepping(function: Callable[_P, _R]) -> Program[_P, _R]:
    """A program that takes the steps of a run."""
    return Program(function, steps=True)


class _Clock:
    """Seconds that jax has spent on compilation, from the intervals that it tells at the end of each; some lie within
    others.
    """

    def __init__(self) -> None:
        self.total, self.inner = 0.0, list[tuple[float, float]]()

    def listen(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        if not event.startswith("/jax/core/compile/"):
            return
        began = time.perf_counter() - duration_secs
        while self.inner and self.inner[-1][0] >= began:
            self.total -= self.inner.pop()[1]
        self.inner = [*self.inner[-_KEPT:], (began, duration_secs)]
        self.total += duration_secs


_KEPT = 256
"""Intervals that a longer one may still contain."""


@functools.cache
def _clock() -> _Clock:
    clock = _Clock()
    jax.monitoring.register_event_duration_secs_listener(clock.listen)
    return clock


def seconds() -> float:
    """Wall-clock seconds of tracing, lowering and compiling in this process, from the first call on."""
    return _clock().total
