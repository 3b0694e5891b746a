"""What hidden units keep along the flow: |w_j|²/m - |a_j|² of what leads into a unit and out of it, behind a function
of degree m.

It is kept on kinks as well, whatever the multipliers: the velocity of a unit is still one vector times a_j, so
d|w_j|²/dt = m d|a_j|²/dt (Du, Hu and Lee 2018 for one element of the Clarke subdifferential; Lyu and Li 2020). Weights
grow like powers of log t while the difference stays, so round-off in every step adds up to what is large against it. It
is put right along the symmetry that it belongs to, w_j → s w_j and a_j → a_j s^-m, which changes no output and takes no
pre-activation across its kink.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.typing import Array, Blocks
from flowlab.language.problem import Problem
from flowlab.symbolic.conserved import Conserved
from flowlab.symbolic.laws.law import Law

Levels = tuple[jax.Array, ...]
"""The difference per unit, one array for each law."""


def laws_of_units(problem: Problem, laws: Sequence[Conserved | Law]) -> list[Conserved]:
    """Laws that hold unit by unit, in weight coordinates."""
    if problem.coordinates != "weights":
        return []
    return [law for law in laws if isinstance(law, Conserved) and law.kind == "balance-diagonal"]


def levels(problem: Problem, laws: Sequence[Conserved | Law], W: Blocks) -> Levels:
    """The differences at a state's weights."""
    return tuple(
        into / float(law.shares[0]) - out / float(law.shares[1])
        for law in laws_of_units(problem, laws)
        for into, out in [_squares(law, W)]
    )


def balanced(problem: Problem, laws: Sequence[Conserved | Law], W: Blocks, kept: Levels) -> dict[str, Array]:
    """Weights nearby whose differences are `kept`; units that nothing leads into and out of stay as they are."""
    units = laws_of_units(problem, laws)
    cuts = np.cumsum([len(level) for level in kept])[:-1]

    def gap(log_s: jax.Array) -> jax.Array:
        return jnp.concatenate(levels(problem, laws, _scaled(units, W, jnp.split(log_s, cuts)))) - jnp.concatenate(kept)

    # One step of Newton's method in log s: what a step of the flow leaves to be put right is far below its root.
    none = jnp.zeros(sum(len(level) for level in kept))
    if len(units) == 1:
        # Units of one layer share nothing.
        now, slope = jax.jvp(gap, (none,), (none + 1.0,))
        log_s = -now / jnp.where(slope > 0, slope, 1.0)
    else:
        slopes = jax.jacfwd(gap)(none)
        log_s = -jnp.linalg.solve(slopes + jnp.diag(jnp.where(jnp.diag(slopes) > 0, 0.0, 1.0)), gap(none))
    return _scaled(units, W, jnp.split(log_s, cuts))


def _scaled(units: Sequence[Conserved], W: Blocks, log_s: Sequence[jax.Array]) -> dict[str, Array]:
    """Weights into every unit times s, those out of it times s^-m."""
    W = dict(W)
    for law, each in zip(units, log_s, strict=True):
        a, b = law.blocks
        W[a], W[b] = W[a] * jnp.exp(each)[:, None], W[b] * jnp.exp(-float(law.degree) * each)
    return W


def _squares(law: Conserved, W: Blocks) -> tuple[jax.Array, jax.Array]:
    """|w_j|² and |a_j|², (width,) each."""
    a, b = (W[name] for name in law.blocks)
    return jnp.sum(a * a, axis=1), jnp.sum(jnp.atleast_2d(b * b), axis=0)
