"""The unit-norm rules of eq. (1.14): orders of their differences and of their drift (P6)."""

import jax
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)

from flowlab.language.rules import rules

STEPS = (0.02, 0.01, 0.005, 0.0025)


def _quadratic(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(8, 8))
    u = rng.normal(size=8)
    return (A + A.T) / 2, u / np.linalg.norm(u)


def _slope(errors: list[float]) -> float:
    return float(np.polyfit(np.log(STEPS), np.log(errors), 1)[0])


@pytest.mark.parametrize(
    ("rule", "order"), [("coefficient", 2), ("tangent_renormalised", 3), ("tangent", 2), ("lagrange", 2)]
)
def test_one_step_differs_from_the_geodesic_by_its_order(rule, order):
    A, u = _quadratic()
    true = rules["geodesic"]()
    errors = [float(np.linalg.norm(rules[rule]().update(u, -A @ u, h) - true.update(u, -A @ u, h))) for h in STEPS]
    assert abs(_slope(errors) - order) < 0.1


@pytest.mark.parametrize("rule", [r for r in rules if not rules[r].on_weights])
def test_the_norm_is_kept_or_drifts_at_first_order(rule):
    A, start = _quadratic()
    drifts = []
    for h in STEPS:
        u = start
        for _ in range(round(1 / h)):
            u = np.asarray(rules[rule]().update(u, -A @ u, h))
        drifts.append(abs(float(np.linalg.norm(u)) - 1.0))
    if rules[rule].keeps_norm:
        assert max(drifts) < 1e-13
    else:
        assert abs(_slope(drifts) - 1) < 0.15


@pytest.mark.parametrize("rule", [r for r in rules if not rules[r].on_weights])
def test_the_continuous_limit_is_the_projected_gradient(rule):
    A, u = _quadratic(1)
    g, h = -A @ u, 1e-7
    assert np.allclose((np.asarray(rules[rule]().update(u, g, h)) - u) / h, g - (u @ g) * u, atol=1e-5)


@pytest.mark.parametrize("rule", list(rules))
def test_no_gradient_no_move(rule):
    _, u = _quadratic(2)
    assert np.allclose(rules[rule]().update(u, np.zeros(8), 0.1), u, atol=1e-15)
