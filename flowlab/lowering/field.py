"""A vector field as an `equinox.Module`: the program is static, every number is an argument."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from flowlab.core.precision import require_x64
from flowlab.language.data import Data
from flowlab.language.groups import Arrays, inner, scaled
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.symbolic.conserved import Conserved
from flowlab.symbolic.equations import FlowEquations
from flowlab.symbolic.program import Program

Coordinates = tuple[Arrays, Arrays] | Arrays
"""What is integrated: (ρ, V) in polar coordinates, the blocks W in weight coordinates."""


class VectorField(eqx.Module):
    """The flow of a problem as a function of time, state and data.

    Compile it with `eqx.filter_jit`. It closes over no array: data, states and coefficients of weight decay are traced. Two fields of one problem share
    one compilation per shape.

    Attributes:
        decay: coefficients ω of weight decay by block, scalars.
        program: the equations at matrix depth (static).
        problem: what was derived (static).
        signature: of the flow equations (static).
        laws: conservation laws found in the derivation, for monitors (static).
    """

    decay: dict[str, jax.Array]
    program: Program = eqx.field(static=True)
    problem: Problem = eqx.field(static=True)
    signature: str = eqx.field(static=True)
    laws: tuple[Conserved, ...] = eqx.field(static=True, default=())

    def __call__(self, t: Any, state: State, data: Data) -> State:
        """The rates with respect to ordinary time t (dimensionless).

        Args:
            t: time; the flow is autonomous and does not read it.
            state: norms and directions.
            data: samples; labels must suit the loss.

        Returns:
            A State whose `rho` and `V` are the time derivatives of those of `state`.
        """
        y = self.pack(state)
        return self.split(state, self.rate(t, y, data))

    def split(self, state: State, rate: Any) -> State:
        """A rate of the integrated coordinates as rates of norms and directions."""
        if self.problem.coordinates == "polar":
            rho, V = rate
        else:
            # ρ = ‖W‖ and V = W/ρ: ρ' = ⟨V, W'⟩, V' = (W' - ρ' V)/ρ.
            rho = inner(state.V, rate, self.problem.per)
            tangent = {w: rate[w] - radial for w, radial in scaled(rho, state.V, self.problem.per).items()}
            V = scaled({k: 1.0 / r for k, r in state.rho.items()}, tangent, self.problem.per)
        return State(rho=rho, V=V, per=state.per)

    def pack(self, state: State) -> Coordinates:
        """The state in the coordinates that are integrated."""
        if self.problem.coordinates == "polar":
            return dict(state.rho), dict(state.V)
        return self.problem.scheme.weights(jnp, state.rho, state.V, self.problem.per)

    def unpack(self, y: Any) -> State:
        """The state of integrated coordinates."""
        if self.problem.coordinates == "polar":
            rho, V = y
            return State(rho=dict(rho), V=dict(V), per=self.problem.per)
        lengths = {k: jnp.sqrt(v) for k, v in inner(y, y, self.problem.per).items()}
        return State(rho=lengths, V=scaled({k: 1.0 / r for k, r in lengths.items()}, y, self.problem.per), per=self.problem.per)

    def weights(self, y: Any) -> dict[str, jax.Array]:
        """The weight blocks that the network sees."""
        if self.problem.coordinates == "polar":
            return self.problem.scheme.weights(jnp, y[0], y[1], self.problem.per)
        return y

    def rate(self, t: Any, y: Any, data: Data) -> Any:
        """The time derivative of integrated coordinates; the program, line by line."""
        return self._sorted(y, self.program.evaluate(jnp, self._given(y, data)))

    def scaled_rate(self, y: Any, data: Data, shift: Any = None) -> tuple[Any, jax.Array]:
        """The rate in the loss-normalised clock dτ = L dt, that is e^{-log L} dy/dt, and log L of the data loss.

        Nothing under- or overflows on the way: the pull of every sample is scaled in log space, so the rate is a number at
        log L = -1e9 as it is at 1. (Lyu and Li 2020 train far below underflow in the same way.) For problems without weight
        decay, whose loss alone has this scale.

        Args:
            y: state in the integrated coordinates.
            data: samples.
            shift: (N, C), added to the outputs that the pull sees; its derivative is how the rate answers to the outputs.
        """
        found: list[jax.Array] = []

        def scaled(outputs: jax.Array) -> jax.Array:
            outputs = outputs if shift is None else outputs + shift
            found.append(self.problem.loss.log_loss(jnp, outputs, data.y, self.problem.reduction))
            return self.problem.loss.pull(jnp, outputs, data.y, found[0])

        rates = self.program.evaluate(jnp, self._given(y, data), scaled)
        return self._sorted(y, rates), found[0]

    def _given(self, y: Any, data: Data) -> dict[tuple[str, str], Any]:
        given: dict[tuple[str, str], Any] = {("x", ""): data.x, ("y", ""): data.y}
        if self.problem.coordinates == "polar":
            rho, V = y
            given |= {("norm", k): v for k, v in rho.items()} | {("direction", w): v for w, v in V.items()}
        else:
            given |= {("weight", w): v for w, v in y.items()}
        return given | {("decay", w): v for w, v in self.decay.items()}

    def _sorted(self, y: Any, rates: dict[tuple[str, str], Any]) -> Any:
        if self.problem.coordinates == "polar":
            return {k: rates["rho", k] for k in y[0]}, {w: rates["V", w] for w in y[1]}
        return {w: rates["W", w] for w in y}

    def constrain(self, y: Any) -> Any:
        """Directions brought back to unit length where the scheme has them so; else `y` itself."""
        if self.problem.coordinates != "polar" or not self.problem.scheme.unit:
            return y
        rho, V = y
        lengths = inner(V, V, self.problem.per)
        return rho, scaled({k: 1.0 / jnp.sqrt(n) for k, n in lengths.items()}, V, self.problem.per)

    def observe(self, y: Any, data: Data) -> dict[str, jax.Array]:
        """What events and monitors look at.

        Returns:
            Scalars: `log_loss` (of the data loss), `min_margin` (of normalised directions), `log_R` (log of the factor that
            margins are normalised by) and `raw_margin` (smallest margin of the outputs themselves).
        """
        weights = self.weights(y)
        outputs = self.problem.network.outputs(weights, data.x, jnp)
        margins = self.problem.loss.margins(jnp, outputs, data.y)
        log_R = self.problem.log_product(weights, jnp)
        lowest = jnp.min(margins)
        return {
            "log_loss": self.problem.loss.log_loss(jnp, outputs, data.y, self.problem.reduction),
            "min_margin": lowest * jnp.exp(-log_R),
            "raw_margin": lowest,
            "log_R": log_R,
        }

    def margin_gap(self, y: Any, data: Data) -> jax.Array:
        """Relative gap between the normalised margin and its bound from duality, and what round-off may hide of it; scalar.

        Without round-off it is 0 exactly at KKT points of the max-margin problem.

        With w_n the parts of the samples in -∇log L and κ_k the degrees, Σ w_n q_n = ⟨W_k, -∇_k log L⟩/κ_k ≤ ‖W_k‖‖∇_k log L‖/κ_k
        by Euler and Cauchy-Schwarz, so q_min Σ w_n κ_k/(‖W_k‖‖∇_k log L‖) ≤ 1; the gap is what is missing in the worst block. For networks
        linear in their weights it bounds the distance of the margin from the largest one (cf. Ji and Telgarsky 2021, Lyu and Li 2020, app. C).
        """
        weights, problem, symmetry = self.weights(y), self.problem, self.problem.network.symmetry
        log_loss, slope = jax.value_and_grad(lambda w: problem.log_loss(w, data, jnp))(weights)
        outputs = problem.network.outputs(weights, data.x, jnp)
        pull = jnp.sum(jnp.abs(problem.loss.pull(jnp, outputs, data.y, log_loss))) * (0.5 if problem.loss.labels == "classes" else 1.0)
        share = pull / data.n if problem.reduction == "mean" else pull
        lowest = jnp.min(problem.loss.margins(jnp, outputs, data.y))
        size = {w: jnp.sum(weights[w] ** 2) for w in weights}
        steep = {w: jnp.sum(slope[w] ** 2) for w in weights}
        if symmetry.is_multihomogeneous:
            bounds = [jnp.sqrt(size[w] * steep[w]) / float(symmetry.degree(w) or 0) for w in weights if symmetry.degree(w)]
        else:
            bounds = [jnp.sqrt(sum(size.values(), jnp.zeros(())) * sum(steep.values(), jnp.zeros(()))) / float(symmetry.joint_degree or 1)]
        # Exponents of size q are known to q ε, and the parts w_n no better: a smaller gap would be noise.
        noise = 4.0 * jnp.finfo(lowest.dtype).eps * jnp.abs(lowest)
        return 1.0 - lowest * share / jnp.max(jnp.stack(bounds)) + noise


def lower(flow: FlowEquations) -> VectorField:
    """The vector field of flow equations.

    Raises:
        PrecisionTooLow: without float64.
    """
    require_x64("lower")
    decay = {w: jnp.asarray(c, dtype=jnp.float64) for w, c in flow.problem.decay.items()} if any(flow.problem.decay.values()) else {}
    return VectorField(decay=decay, program=flow.program, problem=flow.problem, signature=flow.signature, laws=tuple(flow.conserved))
