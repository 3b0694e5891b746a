"""Implicit steps: what the Newton iteration calls converged, when a Jacobian is kept, and the start-up test that guards
both.
"""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl
from flowlab.dynamics.steppers import kvaerno5, solver_self_test
from flowlab.dynamics.steppers.simplified_newton import newton
from flowlab.dynamics.steppers.solvers import SOLVERS


def find(matrix, used, start, noise=0.0, strict=False, seed=0):
    """A root of matrix @ (x - 1) with noise in the residual, by increments with another matrix."""
    rough = jnp.asarray(np.random.default_rng(seed).normal(size=len(start)))

    def residual(x):
        return -(matrix @ (x - 1.0)) + noise * rough * jnp.sign(jnp.sin(1e17 * jnp.sum(x)))

    inverse = jnp.linalg.inv(used)
    size = lambda d: jnp.max(jnp.abs(d)) / 1e-8  # noqa: E731
    return newton(residual, lambda b: inverse @ b, start, size, jnp.asarray(1.0), jnp.asarray(1.0), jnp.asarray(strict))


MATRIX = jnp.array([[3.0, 1.0], [0.0, 2.0]])


def test_an_exact_jacobian_converges_and_a_near_one_tells_its_contraction():
    exact = find(MATRIX, MATRIX, jnp.zeros(2))
    near = find(MATRIX, MATRIX / 0.8, 1.0 + 1e-5 * jnp.ones(2))
    assert bool(exact.converged)
    assert float(jnp.abs(exact.root - 1.0).max()) < 1e-12
    assert bool(near.converged)
    assert float(near.speed) == pytest.approx(0.2, rel=1e-3)
    assert float(jnp.abs(near.root - 1.0).max()) < 1e-10


def test_round_off_is_no_divergence_but_divergence_is():
    # Noise of a tenth of the tolerance, at which no increment ever falls below the usual bound.
    stuck = find(MATRIX, MATRIX, jnp.ones(2), noise=1e-9)
    wrong = find(MATRIX, -0.4 * MATRIX, jnp.zeros(2))
    assert bool(stuck.converged)
    assert not bool(wrong.converged)
    # With a Jacobian of an earlier step neither a standstill nor slow contraction will do.
    assert not bool(find(MATRIX, MATRIX, jnp.ones(2), noise=1e-9, strict=True).converged)
    close = 1.0 + 3e-8 * jnp.ones(2)
    assert not bool(find(MATRIX, MATRIX / 0.45, close, strict=True).converged)
    assert bool(find(MATRIX, MATRIX / 0.45, close, strict=False).converged)


def regression(n=40, seed=5):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    data = fl.Data(x, np.tanh(x @ rng.normal(size=2)), kind="targets")
    text = "a @ softplus(W @ x + b)"
    problem = fl.Problem(text, loss="square", coordinates="weights")
    return fl.lower(fl.derive(problem)), fl.initial_state(text, data, widths={"W": 4}, seed=seed), data


def counted(monkeypatch, reuse):
    """Jacobians and steps of a run."""
    field, start, data = regression()
    seen = []
    real = kvaerno5.jacobian

    def telling(rate, y):
        jax.debug.callback(lambda: seen.append(1))
        return real(rate, y)

    monkeypatch.setattr(kvaerno5, "jacobian", telling)
    monkeypatch.setattr(kvaerno5, "_REUSE", reuse)
    jax.clear_caches()
    path = fl.integrate(field, start, data, until=fl.time(200.0), solver="kvaerno5", rtol=1e-6, atol=1e-8)
    jax.effects_barrier()
    monkeypatch.undo()
    jax.clear_caches()
    return len(seen), path


@pytest.mark.slow
def test_a_jacobian_is_kept_while_it_serves(monkeypatch):
    kept, path = counted(monkeypatch, kvaerno5._REUSE)
    every, again = counted(monkeypatch, -1.0)
    assert every == again.stats["steps"] + again.stats["rejected"]
    assert kept < 0.7 * every
    tight = fl.integrate(*regression(), until=fl.time(200.0), solver="dopri8", rtol=1e-12, atol=1e-13)
    want = tight.last.weights()
    for each in (path, again):
        assert max(float(jnp.abs(each.last.weights()[k] - want[k]).max()) for k in want) < 1e-5


@pytest.mark.parametrize("name", ["kvaerno5", "rodas5p"])
def test_solvers_pass_the_start_up_test(name):
    count, off = solver_self_test.attempts(SOLVERS[name])
    assert count < solver_self_test.CEILING
    assert off < 1e-6


def test_a_root_finder_that_takes_round_off_for_divergence_is_refused():
    crippled = diffrax.Kvaerno5(root_finder=diffrax.VeryChord(rtol=1e-10, atol=1e-10))
    with pytest.raises(solver_self_test.SelfTestFailed, match="diffrax") as refused:
        solver_self_test.self_test("crippled", crippled)
    assert str(refused.value).count(". ") == 0
    assert "crippled" not in solver_self_test._PASSED
    with pytest.raises(fl.FlowlabError, match="must solve a stiff flow"):
        solver_self_test.self_test("explicit", SOLVERS["tsit5"])


@pytest.mark.long
def test_a_run_asks_for_the_start_up_test_once(monkeypatch):
    asked = []
    monkeypatch.setattr(solver_self_test, "attempts", lambda solver: asked.append(solver) or (1, 0.0))
    monkeypatch.setattr(solver_self_test, "_PASSED", set())
    field, start, data = regression()
    for solver in ("rodas5p", "rodas5p", "tsit5"):
        fl.integrate(field, start, data, until=fl.time(0.01), solver=solver)
    assert len(asked) == 1
