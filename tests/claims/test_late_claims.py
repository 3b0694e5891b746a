"""P9 to P14: late flows.

What takes a compilation of its own is slow; the parts that need none are tested here by themselves.
"""

import numpy as np
import pytest

import flowlab as fl
from flowlab.claims import claims
from flowlab.claims.library.poggio2020 import (
    adaptive_chain,
    chain_times,
    direction_constant,
    fixed_norm_directions,
    flows,
)
from flowlab.claims.library.poggio2020.flows import machine
from flowlab.claims.sample_problems import separable


def holds(verdict):
    assert verdict.answer == "holds", str(verdict)
    assert set(verdict.evidence["mutants"]) >= set(map(str, claims[verdict.id].mutants))
    assert all(q["as_printed"] is not False for q in verdict.quantities)
    return True


@pytest.mark.parametrize("seed", [0, 5, 123])
def test_the_reduced_equation_has_the_constant_of_the_multipliers(seed):
    """The second route of P9, from another start than the claim's: ρ|v - v*| to C*,
    which a field without the factor ρ² does not reach.
    """
    data = separable(8, 3, seed)
    w, support, _, bounded = machine(data)
    v, z = w / np.linalg.norm(w), np.asarray(data.x) * np.asarray(data.y)[:, None]
    onto = np.linalg.pinv(z[support]) @ z[support]
    star = flows.across(bounded, v)
    again = direction_constant.constant_by_reduced_equation(data, v, onto, seed + 1)
    assert again == pytest.approx(star, rel=1e-3)
    assert again != pytest.approx(1.01 * star, rel=1e-3)


@pytest.mark.parametrize("K", [2, 3, 4])
def test_time_of_the_chain_by_two_ways(K):
    for R in (300.0, 500.0, 1e6):
        assert chain_times.log_time_of_chain(R, K) == pytest.approx(
            chain_times.log_time_by_quadrature(R, K), abs=1e-9 + 4e-16 * R
        )
    assert chain_times.log_time_of_chain(500.0, K) != pytest.approx(
        chain_times.log_time_by_quadrature(500.0, K + 1), abs=1e-2
    )


def test_time_of_the_adaptive_chain_by_two_ways():
    for R in (20, 100, 400):
        assert adaptive_chain.log_time_of_chain(R, 1) == pytest.approx(
            adaptive_chain.log_time_by_quadrature(R), abs=1e-11
        )


def test_newton_on_the_sphere_ends_at_a_minimum():
    z = np.asarray(separable(8, 3, 7).x) * np.asarray(separable(8, 3, 7).y)[:, None]
    w = machine(separable(8, 3, 7))[0]
    V = fixed_norm_directions.at_fixed_norm(z, 40.0, w / np.linalg.norm(w))
    rng = np.random.default_rng(0)
    for _ in range(20):
        near = V + 1e-3 * rng.normal(size=3)
        near /= np.linalg.norm(near)
        assert np.exp(-40.0 * z @ near).sum() > np.exp(-40.0 * z @ V).sum()


@pytest.mark.parametrize("name", ["P9", "P11", "P12", "P13"])
def test_false_hypotheses_decide_nothing(name):
    cross = fl.Data(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), np.array([1.0, 1.0, -1.0, -1.0]))
    for given in (
        cross,
        fl.Problem("W2 @ relu(W1 @ x)"),
        fl.Problem("W1 @ x", "logistic"),
        fl.Problem("W1 @ x", decay=0.1),
    ):
        (verdict,) = fl.check([name], given)
        assert verdict.code == "does not apply", str(verdict)


def test_p14_does_not_apply_to_decay_and_biases():
    for given in (
        fl.Problem("W2 @ relu(W1 @ x)", decay=0.1),
        fl.Problem("W2 @ relu(W1 @ x + b)"),
        fl.Problem("W2 @ relu(W1 @ x)", "logistic"),
    ):
        (verdict,) = fl.check(["P14"], given)
        assert verdict.code == "does not apply", str(verdict)
