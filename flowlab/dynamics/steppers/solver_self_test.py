"""A start-up test of implicit steps: a stiff flow whose answer is known, within a number of steps that a sound method
needs.

Late runs stand or fall with steps that are accepted where the residual of their equations is nothing but round-off.
Whether they are depends on how the installed diffrax and jax play together; a combination that rejects them would not
fail, but crawl. So each implicit solver is tried once per process, before its first run, on u' = -λ e (1 + e²) - sin v
with e = u - cos v, v' = 1 and λ = 1e9: past a short transient u = cos v.
"""

from typing import NamedTuple

import diffrax
import jax
import jax.numpy as jnp

from flowlab.core.errors import FlowlabError
from flowlab.core.provenance import versions
from flowlab.core.typing import PyTree, Scalar

STIFFNESS, HORIZON, TOLERANCE = 1e9, 10.0, 1e-6
CEILING = 150
"""Attempts; Kvaerno5 and Rodas5P need half as many, stock Kvaerno5 with a root finder at 1e-10 none that suffices."""
_PASSED: set[str] = set()


class SelfTestFailed(FlowlabError):
    """A solver that does not step as it must on this machine."""


class _Probe(NamedTuple):
    """What implicit steps ask of their setting."""

    def size(self, s: Scalar, z: PyTree, error: PyTree) -> jax.Array:
        return jnp.max(jnp.abs(error)) / TOLERANCE

    def chart(self, z: PyTree) -> None:
        return None


def _rate(_: object, y: jax.Array, __: object) -> jax.Array:
    u, v = y
    e = u - jnp.cos(v)
    return jnp.stack([-STIFFNESS * e * (1.0 + e * e) - jnp.sin(v), jnp.ones_like(v)])


def attempts(solver: diffrax.AbstractSolver) -> tuple[int, float]:
    """Attempted steps to the horizon, at most one above the ceiling, and the error there."""
    term, probe, order = diffrax.ODETerm(_rate), _Probe(), 5

    def unfinished(c: tuple) -> jax.Array:
        return (c[0] < HORIZON) & (c[4] <= CEILING)

    def attempt(c: tuple) -> tuple:
        t, h, y, state, count = c
        to = jnp.minimum(t + h, HORIZON)
        y1, error, _, after, _ = solver.step(term, t, to, y, probe, state, False)
        size = probe.size(t, y, error)
        size = jnp.where(jnp.isfinite(size) & jnp.all(jnp.isfinite(y1)), size, jnp.inf)
        keep = size <= 1.0
        factor = jnp.clip(0.9 * jnp.maximum(size, 1e-10) ** (-1.0 / order), 0.2, 5.0)
        y, state = (
            jax.tree.map(lambda a, b: jnp.where(keep, a, b), new, old) for new, old in ((y1, y), (after, state))
        )
        return jnp.where(keep, to, t), (to - t) * factor, y, state, count + 1

    @jax.jit
    def run() -> tuple[jax.Array, jax.Array]:
        y = jnp.array([2.0, 0.0])
        t = jnp.zeros(())
        begin = (t, jnp.asarray(1e-9), y, solver.init(term, t, t + 1e-9, y, probe), jnp.asarray(0))
        t, _, y, _, count = jax.lax.while_loop(unfinished, attempt, begin)
        return count, jnp.where(t >= HORIZON, jnp.abs(y[0] - jnp.cos(HORIZON)), jnp.inf)

    count, off = run()
    return int(count), float(off)


def self_test(name: str, solver: diffrax.AbstractSolver) -> None:
    """Try a solver, once per process.

    Raises:
        SelfTestFailed: with what to do.
    """
    if name in _PASSED:
        return
    count, off = attempts(solver)
    # A test needs attempts.
    if not 0 < count <= CEILING or not off < 100 * TOLERANCE:
        found = versions()
        pair = ", ".join(f"{package} {found[package]}" for package in ("diffrax", "jax", "jaxlib") if package in found)
        raise SelfTestFailed(
            f"`solver={name!r}` must solve a stiff flow in {CEILING} attempts, got {count} and an error of {off:.1g}"
            f' with {pair}; install other versions, or use `solver="tsit5"`.'
        )
    _PASSED.add(name)
