"""What a stepper takes of a flow: its rate as a term of diffrax, the control of its errors, and a step in between."""

import diffrax
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from flowlab.core.typing import PyTree, Scalar
from flowlab.dynamics.clocks import Setting
from flowlab.dynamics.kinks import crossing_guard
from flowlab.lowering.vector_field import VectorField


def rate(t: Scalar, y: PyTree, args: Setting) -> PyTree:
    """The rate of what is integrated."""
    return args.clock.rate(args.field, t, y, args.data)


TERM = diffrax.ODETerm(rate)


def controller(rtol: Scalar, atol: Scalar) -> diffrax.PIDController:
    """Proportional-integral control of the local error."""
    return diffrax.PIDController(rtol=rtol, atol=atol, pcoeff=0.3, icoeff=0.4, error_order=None)


def projects(field: VectorField) -> bool:
    """Whether `field.constrain` moves states after a step."""
    return field.problem.coordinates == "polar" and field.problem.scheme.unit


def rate_at(solver: diffrax.AbstractSolver, args: Setting, state: PyTree, t: Scalar, z: PyTree) -> jax.Array:
    """The rate (n,) at a place, which many solvers have kept from the step to it."""
    return state.rate if hasattr(state, "rate") else ravel_pytree(solver.func(TERM, t, z, args))[0]


def again(before: PyTree, after: PyTree) -> PyTree:
    """What a step takes from a place with the rate that is kept in `before`, with all else that a solver has learnt by
    `after`: a Jacobian near there costs an implicit step more than the rest of it.
    """
    return after._replace(rate=before.rate) if hasattr(after, "rate") else before


def along(
    solver: diffrax.AbstractSolver,
    args: Setting,
    t0: Scalar,
    t1: Scalar,
    z0: PyTree,
    z1: PyTree,
    before: PyTree,
    after: PyTree,
    dense: PyTree,
) -> PyTree:
    """What is integrated at the nodes of a step."""
    ends = rate_at(solver, args, before, t0, z0), rate_at(solver, args, after, t1, z1)
    return crossing_guard.along(solver, args.field.problem, jnp.asarray(t1) - t0, z0, z1, ends, dense)
