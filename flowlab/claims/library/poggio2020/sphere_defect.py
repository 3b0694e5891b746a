"""How fast a defect of |V| = 1 grows in Runge-Kutta steps."""

import jax
import jax.numpy as jnp

from flowlab.claims.sample_problems import rates
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State


def growth_of_defect(problem: Problem, state: State, data: Data) -> tuple[float, float]:
    """The logarithm of the growth of the first layer's defect over 50 Runge-Kutta steps, and the integral of -2κRs."""
    first_layer = problem.network.weights[0]
    kappa = float(problem.degrees[first_layer] or 1)

    def expected(s: State) -> jax.Array:
        f = problem.network.outputs({w: s.rho[w] * s.V[w] for w in s.V}, data.x)
        return -2.0 * kappa * jnp.sum(problem.loss.pull(jnp, f, data.y) * f)

    def slope(s: State) -> State:
        rho, V = rates(problem, s, data)
        return State(rho=rho, V=V)

    def step(s: State, h: jax.Array) -> tuple[State, jax.Array]:
        # The integral of the expected rate takes the same stages: a kink within a step then costs both the same.
        k1 = slope(s)
        k2 = slope(second := moved(s, k1, h / 2))
        k3 = slope(third := moved(s, k2, h / 2))
        k4 = slope(fourth := moved(s, k3, h))
        rate = (expected(s) + 2 * expected(second) + 2 * expected(third) + expected(fourth)) / 6
        for stage, share in ((k1, 1), (k2, 2), (k3, 2), (k4, 1)):
            s = moved(s, stage, share * h / 6)
        return s, h * rate

    def defect(s: State) -> jax.Array:
        return jnp.sum(s.V[first_layer] ** 2) - 1.0

    # Directions may turn faster than the defect grows; what a kink within a step costs falls like the square of the
    # step.
    fastest = max(float(jnp.linalg.norm(v)) for v in rates(problem, state, data)[1].values())
    h = 1e-5 / max(abs(float(expected(state))), fastest, 1e-12)
    once, integral = jax.jit(step), 0.0
    first = float(defect(state))
    for _ in range(50):
        state, gained = once(state, jnp.asarray(h))
        integral += float(gained)
    return float(jnp.log(jnp.abs(defect(state) / first))), integral


def moved(state: State, rate: State, by: float | jax.Array) -> State:
    """State + by * rate."""
    return jax.tree.map(lambda a, b: a + by * b, state, rate)
