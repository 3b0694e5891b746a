"""What is called seldom is compiled without optimisations, up to some size; seconds of compilation count once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowlab.core import compiling


def mixed(w, x):
    return jnp.sum(jnp.tanh(w @ x) ** 2 / (1.0 + jnp.exp(-w[0, 0] * x)), axis=0)


@pytest.fixture
def given():
    rng = np.random.default_rng(0)
    return rng.normal(size=(7, 7)), rng.normal(size=(7, 11))


def told_by(program, monkeypatch):
    """Which of its two programs was called, from now on."""
    calls = []
    for name in ("small", "large"):
        real = getattr(program, name)
        monkeypatch.setattr(program, name, lambda *args, name=name, real=real: calls.append(name) or real(*args))
    return calls


def test_small_programs_agree_with_optimised_ones_to_rounding(given):
    expected = np.asarray(mixed(*given))
    np.testing.assert_allclose(np.asarray(compiling.Program(mixed)(*given)), expected, rtol=1e-14)


def test_the_size_of_the_arguments_chooses_and_nothing_before_does(given, monkeypatch):
    program = compiling.Program(mixed)
    calls = told_by(program, monkeypatch)
    first = np.asarray(program(*given))
    assert np.array_equal(np.asarray(program(*given)), first)
    monkeypatch.setattr(compiling, "_LARGE", 126)
    program(*given)
    monkeypatch.setattr(compiling, "_LARGE", 127)
    program(*given)
    assert calls == ["small", "small", "large", "small"]


def test_within_another_program_it_has_no_options_of_its_own(given, monkeypatch):
    program = compiling.Program(mixed)
    calls = told_by(program, monkeypatch)
    whole = jax.jit(lambda w, x: 2.0 * program(w, x))(*given)
    assert calls == ["large"]
    # Nothing traced is among these arguments, which does not make them a call of their own.
    jax.jit(lambda: program(*given))()
    assert calls == ["large"] * 2
    np.testing.assert_allclose(np.asarray(whole), 2.0 * np.asarray(mixed(*given)), rtol=1e-14)


def test_seconds_within_a_longer_interval_count_once(monkeypatch):
    clock = compiling._Clock()

    def told(at, duration, event="/jax/core/compile/backend_compile_duration"):
        monkeypatch.setattr(compiling.time, "perf_counter", lambda: at)
        clock.listen(event, duration)

    told(2.0, 1.0)
    told(3.0, 0.5)
    assert clock.total == 1.5
    told(4.0, 3.5)
    assert clock.total == 3.5
    told(6.0, 1.0)
    told(7.0, 1.0, "/jax/compilation_cache/cache_retrieval_time_sec")
    assert clock.total == 4.5
