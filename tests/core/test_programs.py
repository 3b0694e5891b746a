"""Compiled programs are released before the system runs out of memory mappings for them."""

import jax
import jax.numpy as jnp

from flowlab.core import programs
from flowlab.core.precision import require_x64


def test_programs_are_released_near_the_limit_alone(monkeypatch, tmp_path):
    limit = tmp_path / "max_map_count"
    monkeypatch.setattr(programs, "_LIMIT", limit)
    monkeypatch.setattr(programs, "_SECONDS", 0.0)
    double = jax.jit(lambda v: 2.0 * v)
    double(jnp.ones(3))
    assert double._cache_size() == 1
    # No file: a system without such a limit.
    require_x64("test")
    assert double._cache_size() == 1
    limit.write_text("1000000000")
    require_x64("test")
    assert double._cache_size() == 1
    limit.write_text("100")
    require_x64("test")
    assert double._cache_size() == 0
    assert float(double(jnp.ones(3))[0]) == 2.0


def test_it_does_not_look_again_at_once(monkeypatch, tmp_path):
    limit = tmp_path / "max_map_count"
    limit.write_text("100")
    monkeypatch.setattr(programs, "_LIMIT", limit)
    monkeypatch.setattr(programs, "_looked", 0.0)
    assert programs.release_programs()
    assert not programs.release_programs()
