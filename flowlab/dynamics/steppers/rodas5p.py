"""Rodas5P, a Rosenbrock method of order 5 for stiff flows, as a diffrax solver.

Eight linear solves with one matrix and no Newton iteration, so there is nothing that could be taken for divergence. The
method is stiffly accurate and L-stable. Coefficients: G. Steinebach, "Construction of Rosenbrock-Wanner method Rodas5P
and numerical benchmarks within the Julia Differential Equations package", BIT Numerical Mathematics 63:27, 2023.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import lu_factor, lu_solve

from flowlab.core.typing import PyTree, Scalar
from flowlab.dynamics.steppers.gnomonic_chart import Flat
from flowlab.dynamics.steppers.simplified_newton import jacobian

GAMMA = 0.21193756319429014
A = (
    (),
    (3.0,),
    (2.849394379747939, 0.45842242204463923),
    (-6.954028509809101, 2.489845061869568, -10.358996098473584),
    (2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641),
    (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946),
    (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946, 1.0),
    (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946, 1.0, 1.0),
)
"""Where each stage looks, in terms of the earlier increments."""
C = (
    (),
    (-14.155112264123755,),
    (-17.97296035885952, -2.859693295451294),
    (147.12150275711716, -1.41221402718213, 71.68940251302358),
    (165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306),
    (24.854864614690072, -3.0009227002832186, 47.4931110020768, 5.5814197821558125, -0.6610691825249471),
    (
        30.91273214028599,
        -3.1208243349937974,
        77.79954646070892,
        34.28646028294783,
        -19.097331116725623,
        -28.087943162872662,
    ),
    (
        37.80277123390563,
        -3.2571969029072276,
        112.26918849496327,
        66.9347231244047,
        -40.06618937091002,
        -54.66780262877968,
        -9.48861652309627,
    ),
)
"""What earlier increments add to the right-hand side of each stage, over the step size."""
STAGES = 8

_A = np.array([[*row, *[0.0] * (STAGES - len(row))] for row in A])
_C = np.array([[*row, *[0.0] * (STAGES - len(row))] for row in C])


class Rodas5P(diffrax.AbstractAdaptiveSolver):
    """Rosenbrock steps of autonomous fields with a dense Jacobian; for some hundreds of unknowns."""

    dense: ClassVar[bool] = True
    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar[Callable[..., Any]] = diffrax.LocalLinearInterpolation

    def order(self, terms: diffrax.AbstractTerm) -> int:
        return 5

    def init(self, terms: diffrax.AbstractTerm, t0: Scalar, t1: Scalar, y0: PyTree, args: PyTree) -> None:
        return None

    def func(self, terms: diffrax.AbstractTerm, t0: Scalar, y0: PyTree, args: PyTree) -> PyTree:
        return terms.vf(t0, y0, args)

    def step(
        self,
        terms: diffrax.AbstractTerm,
        t0: Scalar,
        t1: Scalar,
        y0: PyTree,
        args: PyTree,
        solver_state: PyTree,
        made_jump: PyTree,
    ) -> tuple:
        flat, restore = ravel_pytree(y0)
        h = t1 - t0

        plane = Flat.of(args, lambda y: terms.vf(t0, y, args), y0)
        rate = plane.rate
        solve = self.factorised(rate, flat, h)
        a, c = jnp.asarray(_A), jnp.asarray(_C)

        def stage(i: Scalar, u: jax.Array) -> jax.Array:
            f = rate(flat + a[i] @ u)
            return u.at[i].set(plane.within(solve(plane.within(f + (c[i] @ u) / h))))

        u = jax.lax.fori_loop(0, STAGES, stage, jnp.zeros((STAGES, flat.size), flat.dtype))
        y1, error = restore(flat + a[-1] @ u + u[-1]), restore(u[-1])
        return y1, error, {"y0": y0, "y1": y1}, None, diffrax.RESULTS.successful

    def factorised(self, rate: Callable, y: jax.Array, h: Scalar) -> Callable[[jax.Array], jax.Array]:
        """Solves with 1/(hγ) - J."""
        matrix = jnp.eye(y.size) / (h * GAMMA) - jacobian(rate, y)
        factors = lu_factor(matrix)
        return lambda b: lu_solve(factors, b)
