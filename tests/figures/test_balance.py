"""The figure of conservation laws: each law of the flow, and no quantity that the flow does not keep."""

import numpy as np
import pytest

import flowlab as fl

DATA = fl.Data([[1.0, 0.5, 0.1], [-1.0, 0.2, 0.3], [0.3, 1.0, -0.4], [0.1, -1.0, 0.7]], [1.0, -1.0, 1.0, -1.0])


def run(network, widths, **settings):
    problem = fl.Problem(network, **settings)
    start = fl.initial_state(network, DATA, widths=widths, seed=0)
    return fl.integrate(fl.lower(fl.derive(problem)), start, DATA, until=fl.log_time(1.0))


@pytest.mark.parametrize(
    ("network", "widths", "settings"),
    [
        pytest.param("a @ (S @ x + W @ (V @ (S @ x)))", {"S": 2, "W": 2, "V": 3}, {}, marks=pytest.mark.long),
        ("W2 @ W1 @ x", {"W1": 2}, {"scheme": "lagrange"}),
        ("W2 @ W1 @ x", {"W1": 2}, {"decay": 0.1, "coordinates": "weights"}),
        ("W2 @ W1 @ x", {"W1": 2}, {"rates": {"W1": 0.1}, "coordinates": "weights"}),
    ],
)
def test_what_is_drawn_is_kept(network, widths, settings):
    path = run(network, widths, **settings)
    curves = fl.draw("balance", path).curves
    laws = fl.derive(path.problem).laws
    assert 0 < len(curves) == min(len(laws), 6)
    assert {c.label for c in curves} <= {law.text for law in laws}
    assert all(np.max(c.y) < 1e-5 for c in curves)


def test_a_descent_of_finite_steps_does_not_keep_them():
    problem = fl.Problem("W2 @ W1 @ x")
    start = fl.initial_state(problem.network, DATA, widths={"W1": 2}, seed=0)
    walk = fl.descend(problem, start, DATA, step=0.1, count=20)
    assert all(np.max(c.y) > 1e-4 for c in fl.draw("balance", walk).curves)


def test_a_flow_without_laws_is_refused():
    with pytest.raises(fl.LanguageError, match="must be of a flow with conservation laws, got `W2 @ tanh"):
        fl.draw("balance", run("W2 @ tanh(W1 @ x)", {"W1": 2}))
