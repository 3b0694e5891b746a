"""P5 and P7: what the Lagrange flow shares with gradient flow (its zeros), and where its constraint is unstable."""

from typing import Any

from flowlab.claims.claim import USUAL, Case, Claim, claim
from flowlab.claims.hypotheses import hypothesis, layered
from flowlab.claims.quantity import Quantity
from flowlab.claims.sample_problems import problem_like, rates, samples_for, small_data, visited, worst
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement


def _flat(problem: Any, data: Any, R: float, widths: int) -> tuple[Any, Any]:
    """The direction field at frozen norms as a function of one vector, and how to unpack the vector."""
    import jax
    import jax.numpy as jnp
    from jax.flatten_util import ravel_pytree

    from flowlab.language.state import State, initial_state

    start = initial_state(problem.network, data, seed=0, default_width=widths)
    _, unravel = ravel_pytree(start.V)
    total = sum(float(k or 0) for k in problem.degrees.values())
    rho = {k: jnp.asarray(R ** (1.0 / total)) for k in start.rho}

    def field(flat: jax.Array) -> jax.Array:
        V = unravel(flat)
        return ravel_pytree(rates(problem, State(rho=rho, V=V), data)[1])[0]

    return field, unravel


def _zero(problem: Any, data: Any, R: float, seed: int, steps: int = 3000) -> tuple[Any, float]:
    """A zero of the direction field: explicit steps towards it, then Newton with the spheres as equations."""
    import jax
    import jax.numpy as jnp
    from jax.flatten_util import ravel_pytree

    from flowlab.language.state import initial_state

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
    """At fixed norms the direction rates of gradient flow and of the constrained problem are parallel and vanish together."""

    title = "same critical points of the directions at fixed norms"
    statement = (
        "At fixed rho the directions' rates under gradient flow and under the Lagrange flow are parallel layer by layer, "
        "and a zero of one is a zero of the other."
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
        import jax.numpy as jnp

        from flowlab.language.problem import Problem

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
        because = "in units of the tolerances: 1e-11 for parallel unit vectors, 1e-12 for the zero solved for, 1e-10 for the other field there"
        return Measurement(
            worst([zero, turn / 1e-11]), 1.0, because, {"network": net, "turn": turn, "zero_in_tolerances": zero}
        )


@hypothesis("exponential or logistic loss without weight decay, labels ±1")
def _binary_classification(case: Case) -> str | None:
    p = case.problem
    if p is not None and p.loss.name not in ("exponential", "logistic"):
        return f"it is about exponential and logistic losses, where one sign of all margins is one sign of s, and the loss is {p.loss.name}"
    if p is not None and any(p.decay.values()):
        return "weight decay moves norms besides"
    if case.data is not None and case.data.kind != "binary":
        return "labels are not ±1"
    return None


@claim("P7")
class ConstraintStability(Claim):
    """Under the Lagrange flow ‖V‖² - 1 grows at rate -2κRs: the sphere repels before separation and attracts after."""

    title = "stability of the Lagrange constraint"
    statement = "A defect |V_k|^2 - 1 of the Lagrange flow grows like exp(-2 kappa R s t): away from the sphere while s < 0, back to it when s > 0."
    latex = r"\tfrac{d}{dt}(\lVert V_k\rVert^2 - 1) = -2\kappa_k R s\,(\lVert V_k\rVert^2 - 1)"
    source = "(1.3) of flowlab's derivations off the sphere; the Lagrange rule of Douglas, Amari and Kung 2000"
    hypotheses = (_binary_classification, layered)
    stated = Variant(scheme="lagrange", sign=1.0, repels=True)
    mutants = (
        stated.but(USUAL, repels=False),
        stated.but("opposite sign", sign=-1.0),
        stated.but("tangent scheme", scheme="tangent"),
    )
    counter_example = "tangent scheme: with S = I - VV^T/|V|^2 the defect neither grows nor decays"
    usual = "The Lagrange multiplier keeps the directions at unit norm."
    decisive = (
        "growth of a defect while all samples are misclassified, where s < 0: above 0, as exp(-2 kappa R s t) says"
    )

    def measure(self, case: Case, variant: Variant) -> Measurement:
        import jax.numpy as jnp

        from flowlab.language.data import Data
        from flowlab.language.problem import Problem
        from flowlab.language.state import State

        base = samples_for(case, small_data(case.seed))
        net, loss = (
            ("W2 @ relu(W1 @ x)", "exponential")
            if case.problem is None
            else (case.problem.network, case.problem.loss.name)
        )
        problem = Problem(net, loss, variant.scheme)
        told = []
        start = next(iter(visited(case, problem, base, 1)))
        # Labels given by the net itself are separated, their opposites all misclassified: both phases on one instance.
        found = problem.network.outputs(start.weights(), base.x)[:, 0]
        sides = jnp.where(found >= 0, 1.0, -1.0)
        for flip in (1.0, -1.0):
            data = Data(base.x, flip * sides, kind="binary")
            state = State(rho={k: 0.5 * r for k, r in start.rho.items()}, V={w: 1.001 * v for w, v in start.V.items()})

            growth, integral = _growth(problem, state, data)
            wanted = variant.sign * integral
            phase = "separated" if flip > 0 else "misclassified"
            told.append(
                Quantity(
                    f"growth of a defect over -2 kappa R s t, {phase}",
                    growth / wanted,
                    1.0,
                    1e-4,
                    route="50 Runge-Kutta steps",
                )
            )
            grows = flip < 0 and variant.repels
            told.append(
                Quantity(
                    f"log of the defect's growth, {phase}",
                    growth,
                    0.0,
                    0.0,
                    relation=">=" if grows else "<=",
                    route="the same",
                )
            )
        return Measurement.of(
            told, "the law is exact off the sphere too, and its integral is taken by the stages of the steps"
        )


def _growth(problem: Any, state: Any, data: Any) -> tuple[float, float]:
    """The logarithm of the growth of the first layer's defect over 50 Runge-Kutta steps, and the integral of -2κRs."""
    import jax
    import jax.numpy as jnp

    from flowlab.language.state import State

    first_layer = problem.network.weights[0]
    kappa = float(problem.degrees[first_layer] or 1)

    def expected(s: Any) -> jax.Array:
        f = problem.network.outputs({w: s.rho[w] * s.V[w] for w in s.V}, data.x)
        return -2.0 * kappa * jnp.sum(problem.loss.pull(jnp, f, data.y) * f)

    def slope(s: Any) -> Any:
        rho, V = rates(problem, s, data)
        return State(rho=rho, V=V)

    def step(s: Any, h: jax.Array) -> tuple[Any, jax.Array]:
        # The integral of the expected rate takes the same stages: a kink within a step then costs both the same.
        k1 = slope(s)
        k2 = slope(second := _moved(s, k1, h / 2))
        k3 = slope(third := _moved(s, k2, h / 2))
        k4 = slope(fourth := _moved(s, k3, h))
        rate = (expected(s) + 2 * expected(second) + 2 * expected(third) + expected(fourth)) / 6
        for stage, share in ((k1, 1), (k2, 2), (k3, 2), (k4, 1)):
            s = _moved(s, stage, share * h / 6)
        return s, h * rate

    def defect(s: Any) -> jax.Array:
        return jnp.sum(s.V[first_layer] ** 2) - 1.0

    # Directions may turn faster than the defect grows; what a kink within a step costs falls like the square of the step.
    fastest = max(float(jnp.linalg.norm(v)) for v in rates(problem, state, data)[1].values())
    h = 1e-5 / max(abs(float(expected(state))), fastest, 1e-12)
    once, integral = jax.jit(step), 0.0
    first = float(defect(state))
    for _ in range(50):
        state, gained = once(state, jnp.asarray(h))
        integral += float(gained)
    return float(jnp.log(jnp.abs(defect(state) / first))), integral


def _moved(state: Any, rate: Any, by: Any) -> Any:
    """State + by * rate."""
    import jax

    return jax.tree.map(lambda a, b: a + by * b, state, rate)
