"""P5: critical points of the directions at fixed norms."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from flowlab.claims.claim import Case, Claim, claim
from flowlab.claims.hypotheses import layered
from flowlab.claims.sample_problems import problem_like, rates, samples_for, small_data, visited, worst
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State, initial_state


def _flat(
    problem: Problem, data: Data, R: float, widths: int
) -> tuple[Callable[[jax.Array], jax.Array], Callable[[jax.Array], dict[str, jax.Array]]]:
    """The direction field at frozen norms as a function of one vector, and how to unpack the vector."""
    start = initial_state(problem.network, data, seed=0, default_width=widths)
    _, unravel = ravel_pytree(start.V)
    total = sum(float(k or 0) for k in problem.degrees.values())
    rho = {k: jnp.asarray(R ** (1.0 / total)) for k in start.rho}

    def field(flat: jax.Array) -> jax.Array:
        V = unravel(flat)
        return ravel_pytree(rates(problem, State(rho=rho, V=V), data)[1])[0]

    return field, unravel


def _zero(problem: Problem, data: Data, R: float, seed: int, steps: int = 3000) -> tuple[jax.Array, float]:
    """A zero of the direction field: explicit steps towards it, then Newton with the spheres as equations."""
    field, unravel = _flat(problem, data, R, 3)
    flat = ravel_pytree(initial_state(problem.network, data, seed=seed, default_width=3).V)[0]

    def onto(v: jax.Array) -> jax.Array:
        return ravel_pytree({k: b / jnp.sqrt(jnp.sum(b * b)) for k, b in unravel(v).items()})[0]

    def descend(v: jax.Array, _: None) -> tuple[jax.Array, None]:
        rate = field(v)
        # A step of length at most 0.02, since the size of the rate spans many decades.
        return onto(v + rate * jnp.minimum(0.02, 0.02 / jnp.maximum(jnp.sqrt(rate @ rate), 1e-300))), None

    flat = jax.jit(lambda v: jax.lax.scan(descend, v, None, length=steps)[0])(flat)

    def equations(v: jax.Array) -> jax.Array:
        norms = jnp.stack([jnp.sum(b * b) - 1.0 for b in unravel(v).values()])
        return jnp.concatenate([field(v), norms])

    jacobian, equations = jax.jit(jax.jacfwd(equations)), jax.jit(equations)
    for _ in range(30):
        # Least squares: hidden rotations leave zero modes, along which no step is needed.
        step, *_ = jnp.linalg.lstsq(jacobian(flat), -equations(flat), rcond=1e-9)
        flat = flat + step * jnp.minimum(1.0, 0.1 / jnp.maximum(jnp.sqrt(step @ step), 1e-300))
    return flat, float(jnp.max(jnp.abs(equations(flat))))


@claim("P5")
class SameCriticalPoints(Claim):
    """At fixed norms the direction rates of gradient flow and of the constrained problem are parallel and vanish
    together.
    """

    title = "same critical points of the directions at fixed norms"
    statement = (
        "At fixed rho the directions' rates under gradient flow and under the Lagrange flow are parallel layer by "
        "layer. A zero of one is a zero of the other."
    )
    latex = r"\dot V_k^{GF} \parallel \dot V_k^{LM}, \qquad \dot V^{LM} = 0 \iff \dot V^{GF} = 0"
    source = "(1.10) of flowlab's derivations, after Poggio, Banburski, Liao 2020"
    hypotheses = (layered,)
    stated = Variant(along=0.0, loss="exponential", moved=0.0)
    mutants = (
        stated.but("rate without projection", along=0.1),
        stated.but("another loss", loss="logistic"),
        stated.but("zero moved by 1e-6", moved=1e-6),
    )
    counter_example = "another loss: at the same norms it has other critical points"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        data = samples_for(case, small_data(case.seed))
        net = case.problem.network.text if case.problem is not None else "W2 @ relu(W1 @ x)"
        gf, lm = problem_like(case, net, scheme="gradient_flow"), problem_like(case, net, scheme="lagrange")
        turns = []
        for state in visited(case, gf, data, 5):
            _, a = rates(gf, state, data)
            _, b = rates(lm, state, data)
            for w in a:
                left = a[w] + variant.along * state.V[w] * jnp.linalg.norm(a[w])
                unit = left / jnp.linalg.norm(left) - b[w] / jnp.linalg.norm(b[w])
                turns.append(float(jnp.linalg.norm(unit)))
        turn = worst(turns)
        # Zeros are looked for on small smooth nets, where Newton's method has a Hessian.
        zero = 0.0
        for small, R in (("W1 @ x", 6.0), ("W2 @ W1 @ x", 4.0)):
            points = small_data(case.seed)
            problem = Problem(small, "exponential", "lagrange")
            flat, left = case.once(
                f"P5 zero of {small} at R = {R:g}", lambda p=problem, x=points, R=R: _zero(p, x, R, case.seed)
            )
            other = Problem(small, variant.loss, "gradient_flow")
            field, _ = _flat(other, points, R, 3)
            rate = field(flat + variant.moved)
            zero = max(zero, float(jnp.max(jnp.abs(rate))) / 1e-10, left / 1e-12)
        because = (
            "in units of the tolerances: 1e-11 for parallel unit vectors, 1e-12 for the zero, "
            "1e-10 for the other field there"
        )
        return Measurement(
            worst([zero, turn / 1e-11]), 1.0, because, {"network": net, "turn": turn, "zero_in_tolerances": zero}
        )
