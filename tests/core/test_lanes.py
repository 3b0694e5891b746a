"""Lanes one by one: a condition inside leaves work out, and values are those of `vmap`."""

import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.lanes import one_by_one


def counted(run, lanes, wanted):
    """Values of a function of lanes, and how often the branch that some of them want was run."""
    asked = []

    def one(x, want):
        def long():
            jax.debug.callback(lambda _: asked.append(1), x)
            return {"y": jnp.sin(x)}

        return run(lambda: jax.lax.cond(want, long, lambda: {"y": x}))

    found = jax.jit(jax.vmap(one))(lanes, wanted)
    jax.effects_barrier()
    return np.asarray(found["y"]), len(asked)


def test_lanes_that_do_not_want_a_branch_leave_it_out():
    lanes, wanted = jnp.arange(5.0), jnp.array([True, False, False, True, False])
    values, times = counted(one_by_one, lanes, wanted)
    np.testing.assert_allclose(values, np.where(wanted, np.sin(lanes), lanes), rtol=1e-15)
    assert times == 2
    # The control: in step, every lane runs it.
    values, times = counted(lambda function: function(), lanes, wanted)
    np.testing.assert_allclose(values, np.where(wanted, np.sin(lanes), lanes), rtol=1e-15)
    assert times == 5


def test_what_lanes_share_stays_shared():
    matrix = jnp.eye(3) * 2.0
    found = jax.vmap(lambda v: one_by_one(lambda a, b: a @ b, matrix, v))(jnp.ones((4, 3)))
    np.testing.assert_array_equal(found, np.full((4, 3), 2.0))
    np.testing.assert_array_equal(one_by_one(lambda a: a + 1.0, jnp.ones(2)), np.full(2, 2.0))
