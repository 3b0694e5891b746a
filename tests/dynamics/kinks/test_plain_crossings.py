"""Kinks that are crossed inside the compiled loop, against the host's own way across them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)

import flowlab as fl
from flowlab.dynamics.kinks import crossing_guard
from flowlab.dynamics.kinks.bernstein import from_values, nodes, root_in, roots
from flowlab.dynamics.kinks.first_root import NEAR, Root, first_root
from flowlab.dynamics.run import kink_crossing

NET = fl.Network("W2 @ relu(W1 @ x)")
FOUND = jax.jit(first_root)


def made(seed, coordinates):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(8, 3))
    data = fl.Data(x, np.sign(x[:, 0] * x[:, 1]))
    start = fl.initial_state(NET, data, widths={"W1": 4}, seed=seed)
    return fl.lower(fl.derive(fl.Problem(NET, coordinates=coordinates))), start, data


@pytest.fixture
def counted(monkeypatch):
    """How often the host was asked."""
    asked, real = [], kink_crossing.cross_kink

    def cross(*args):
        asked.append(args)
        return real(*args)

    from flowlab.dynamics.run import loop

    monkeypatch.setitem(loop.TRANSITIONS, loop.compiled_steps.BENT, cross)
    return asked


@pytest.mark.long
@pytest.mark.parametrize("coordinates", ["weights", pytest.param("polar", marks=pytest.mark.slow)])
def test_the_loop_crosses_as_the_host_does(coordinates, counted, monkeypatch):
    case = made(0, coordinates)
    inside = fl.integrate(*case, until=fl.time(4.0))
    few = len(counted)
    monkeypatch.setattr(crossing_guard, "first_root", lambda *_: Root.none())
    jax.clear_caches()
    outside = fl.integrate(*case, until=fl.time(4.0))
    a, b = inside.dataset, outside.dataset
    # Control: without the search of the loop all kinks are the host's.
    assert few < 0.5 * (len(counted) - few)
    assert inside.stats["steps"] == outside.stats["steps"]
    assert len(a["kink_log_t"]) == len(b["kink_log_t"]) > 3
    for name in ("kink_unit", "kink_sample", "kink_before", "kink_after", "pair_last"):
        assert np.array_equal(a[name], b[name])
    for name in ("kink_log_t", "kink_rate_left", "kink_rate_right", "kink_multiplier"):
        assert np.allclose(a[name], b[name], rtol=1e-10, atol=1e-10)
    # Estimates of errors are small differences, so sizes of steps agree less well.
    assert np.allclose(a["log_t"][1:], b["log_t"][1:], rtol=1e-6, atol=1e-6)
    for name, value in inside.last.weights().items():
        assert np.allclose(value, outside.last.weights()[name], rtol=1e-10, atol=1e-11)


def polynomials(seed, count=6, degree=5):
    """Values of polynomials at nodes, above zero at the start of a step, and their Bernstein coefficients."""
    rng, t = np.random.default_rng(seed), nodes(degree)[:, None]
    values = (
        rng.uniform(0.2, 2.0, count) - rng.uniform(0.0, 3.0, count) * t + 0.02 * rng.normal(size=(degree + 1, count))
    )
    assert len(nodes(degree)) == len(values)
    return from_values(degree) @ values


def test_a_first_root_is_that_of_all_polynomials():
    told = 0
    for seed in range(200):
        b = polynomials(seed)
        found = FOUND(jnp.asarray(b), jnp.asarray(1e-14))
        if not found.plain:
            continue
        told += 1
        every = sorted((root_in(b[:, p], *r), p) for p in range(b.shape[1]) for r in roots(b[:, p]))
        assert every[0][1] == int(found.pair)
        assert abs(every[0][0] - float(found.part)) < 1e-8
        assert len(every) == 1 or every[1][0] > every[0][0] + NEAR or every[1][1] == every[0][1]
    assert told > 50


def test_what_is_not_plain_is_not_told():
    """Control: two roots at once, a pair that goes and comes, one that stands on its kink, and no root at all."""
    falls, low = np.linspace(1.0, -1.0, 6), np.full(6, 0.5)
    there = FOUND(jnp.asarray(np.stack([falls, low], axis=1)), jnp.asarray(1e-14))
    assert bool(there.plain)
    assert float(there.part) == pytest.approx(0.5, abs=1e-8)
    comes = np.array([1.0, -3.0, 1.0, 1.0, 1.0, 1.0])
    stands = np.array([0.0, 1.0, 1.0, -1.0, -1.0, -1.0])
    for other in (falls * (1 + 1e-6), falls[::-1] * 0 + comes, stands):
        assert not FOUND(jnp.asarray(np.stack([falls, other], axis=1)), jnp.asarray(1e-14)).plain
    assert not FOUND(jnp.asarray(np.stack([low, low], axis=1)), jnp.asarray(1e-14)).plain
    # One that cannot leave its side before is no obstacle.
    late = np.array([1.0, 1.0, 1.0, 1.0, -1.0, 0.1])
    soon = np.linspace(1.0, -4.0, 6)
    assert FOUND(jnp.asarray(np.stack([soon, late], axis=1)), jnp.asarray(1e-14)).plain
