"""A vector field as an `equinox.Module`: the program is static, every number is an argument."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from flowlab.core.display import displayed
from flowlab.core.pickling import received, sent
from flowlab.core.typing import Array, Blocks, Coordinates, Given, Scalar
from flowlab.language.data import Batch, Data
from flowlab.language.norm_groups import inner, scaled, split
from flowlab.language.problem import Problem
from flowlab.language.state import State
from flowlab.lowering.kink_mode import Mode
from flowlab.lowering.unit_balance import Levels, balanced, levels
from flowlab.symbolic.conserved import Conserved
from flowlab.symbolic.equations import FlowEquations
from flowlab.symbolic.laws.law import Law
from flowlab.symbolic.program import Program


@displayed
class VectorField(eqx.Module):
    """The flow of a problem as a function of time, state and data.

    Compile it with `eqx.filter_jit`. It closes over no array: data, states and coefficients of weight decay are traced.
    Two fields of one problem share one compilation per shape.

    Attributes:
        decay: coefficients ω of weight decay by block, scalars.
        program: the equations at matrix depth (static).
        problem: what was derived (static).
        signature: of the flow equations (static).
        laws: conservation laws found in the derivation, for monitors (static).
        mode: on which side of its kink every pre-activation is; without one that is read off its sign.
        kept: differences that hidden units are to keep (see `flowlab.lowering.unit_balance`); None where a run leaves
            them to its accuracy.
        rates: learning rates η by block, scalars; empty where all are 1.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> field = fl.lower(fl.derive(problem))
        >>> rate = field(0.0, start, data)
        >>> type(rate).__name__, sorted(rate.rho)
        ('State', ['W'])
    """

    decay: dict[str, jax.Array]
    program: Program = eqx.field(static=True)
    problem: Problem = eqx.field(static=True)
    signature: str = eqx.field(static=True)
    laws: tuple[Conserved | Law, ...] = eqx.field(static=True, default=())
    mode: Mode | None = None
    kept: Levels | None = None
    rates: dict[str, jax.Array] = eqx.field(default_factory=dict)

    __getstate__, __setstate__ = sent, received

    def within(self, mode: Mode) -> "VectorField":
        """The field in a mode."""
        return VectorField(
            self.decay, self.program, self.problem, self.signature, self.laws, mode, self.kept, self.rates
        )

    def keeping(self, y: Coordinates) -> "VectorField":
        """The field that keeps what hidden units have at a state, in weight coordinates; elsewhere itself."""
        free = self.problem.coordinates == "weights" and not self.problem.geometry
        found = levels(self.problem, self.laws, y) if free else ()
        return (
            VectorField(self.decay, self.program, self.problem, self.signature, self.laws, self.mode, found, self.rates)
            if found
            else self
        )

    def __call__(self, t: Scalar, state: State, data: Data) -> State:
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

    def split(self, state: State, rate: Coordinates) -> State:
        """A rate of the integrated coordinates as rates of norms and directions."""
        if self.problem.coordinates == "polar":
            rho, V = rate
        else:
            if self.problem.geometry:
                _, rate = jax.jvp(lambda z: self.problem.lift(z), (self.pack(state),), (rate,))
            # ρ = ‖W‖ and V = W/ρ: ρ' = ⟨V, W'⟩, V' = (W' - ρ' V)/ρ.
            rho = inner(state.V, rate, self.problem.per)
            tangent = {w: rate[w] - radial for w, radial in scaled(rho, state.V, self.problem.per).items()}
            V = scaled({k: 1.0 / r for k, r in state.rho.items()}, tangent, self.problem.per)
        return State(rho=rho, V=V, per=state.per)

    def pack(self, state: State) -> Coordinates:
        """The state in the coordinates that are integrated."""
        if self.problem.coordinates == "polar":
            return dict(state.rho), dict(state.V)
        return self.problem.dual(self.problem.scheme.weights(jnp, state.rho, state.V, self.problem.per))

    def unpack(self, y: Coordinates) -> State:
        """The state of integrated coordinates."""
        if self.problem.coordinates == "polar":
            rho, V = y
            return State(rho=dict(rho), V=dict(V), per=self.problem.per)
        rho, V = split(jnp, self.weights(y), self.problem.per)
        return State(rho=rho, V=V, per=self.problem.per)

    def weights(self, y: Coordinates) -> Blocks:
        """The weight blocks that the network sees."""
        if self.problem.coordinates == "polar":
            return self.problem.scheme.weights(jnp, y[0], y[1], self.problem.per)
        return self.problem.lift(y)

    def rate(self, t: Scalar, y: Coordinates, data: Data) -> Coordinates:
        """The time derivative of integrated coordinates; the program, line by line."""
        return self._evaluate(y, data)

    def scaled_rate(self, y: Coordinates, data: Data | Batch, shift: Array | None = None) -> tuple[Coordinates, Array]:
        """The rate in the loss-normalised clock dτ = L dt, that is e^{-log L} dy/dt, and log L of the data loss.

        Nothing under- or overflows on the way: the pull of every sample is scaled in log space, so the rate is a number
        at log L = -1e9 as it is at 1. (Lyu and Li 2020 train far below underflow in the same way.) For problems without
        weight decay, whose loss alone has this scale.

        Args:
            y: state in the integrated coordinates.
            data: samples.
            shift: (N, C), added to the outputs that the pull sees; its derivative is how the rate answers to the
                outputs.
        """
        found: list[Array] = []
        return self._evaluate(y, data, self.scaling(data, found, shift)), found[-1]

    def scaling(self, data: Data | Batch, found: list[Array], shift: Array | None = None) -> Callable[[Array], Array]:
        """What takes outputs to the pull in units of the loss, leaving log L behind."""

        def scaled(outputs: Array) -> Array:
            outputs = outputs if shift is None else outputs + shift
            found.append(self.problem.loss.log_loss(jnp, outputs, data.y, self.problem.reduction))
            return self.problem.loss.pull(jnp, outputs, data.y, found[-1])

        return scaled

    def own_scale(self, data: Data) -> Callable[[Array], Array] | None:
        """`scaling` where all of the rate has the scale of the loss, or None."""
        return None if any(self.problem.decay.values()) or not self.problem.loss.classifies else self.scaling(data, [])

    def own_rate(self, y: Coordinates, data: Data) -> Coordinates:
        """The rate in units of the loss where the problem has that scale, else of time."""
        return self._evaluate(y, data, self.own_scale(data))

    def _evaluate(
        self, y: Coordinates, data: Data | Batch, scaled: Callable[[Array], Array] | None = None
    ) -> Coordinates:
        """The program, in the mode if there is one; its last pass is the one whose scale counts."""
        if self.mode is None:
            return self._sorted(y, self.program.evaluate(jnp, self._given(y, data), scaled))
        mode = self.mode
        assert isinstance(data, Data), "a mode is of all samples"
        if mode.deep.size and self.problem.coordinates == "weights":
            # The pull on a pair is along the normal of its kink there,
            # so what slides is what is left without normal parts: no slope is solved for.
            slopes = mode.with_deep(jnp.zeros_like(mode.deep_start))
            raw = mode.tangent(self.raw_rate(y, data, slopes, scaled))
            return jax.lax.cond(
                mode.deep_live.any(),
                lambda raw: mode.without_normals(raw, y, lambda v: self.preactivations(v, data, slopes)[mode.deep]),
                lambda raw: raw,
                raw,
            )
        deep = mode.deep_multipliers(self._drift(y, data, scaled)) if mode.deep.size else mode.deep_start
        return mode.tangent(self.raw_rate(y, data, mode.with_deep(deep), scaled))

    def raw_rate(
        self, y: Coordinates, data: Data, slopes: jax.Array, scaled: Callable[[Array], Array] | None
    ) -> Coordinates:
        """The rate at given slopes (P,), normal part and all; `scaled` as for `Program.evaluate`."""
        assert self.mode is not None
        return self._sorted(y, self.program.evaluate(jnp, self._given(y, data), scaled, self.mode.pieces(slopes)))

    def _drift(self, y: Coordinates, data: Data, scaled: Callable[[Array], Array] | None) -> Callable[[Array], Array]:
        """Rates of the pre-activations of deeper pairs that slide, as a function of their multipliers (D,)."""
        mode = self.mode
        assert mode is not None

        def drift(multipliers: Array) -> jax.Array:
            slopes = mode.with_deep(multipliers)
            rate = mode.tangent(self.raw_rate(y, data, slopes, scaled))
            return jax.jvp(lambda v: self.preactivations(v, data, slopes), (y,), (rate,))[1][mode.deep]

        return drift

    def preactivations(self, y: Coordinates, data: Data, slopes: jax.Array) -> jax.Array:
        """Arguments of the tracked kinks, (P,), at slopes (P,)."""
        assert self.mode is not None
        network = self.problem.network
        values = network.node_values(self.weights(y), data.inputs, jnp, self.mode.pieces(slopes))
        return jnp.concatenate([values[id(slot.argument)].ravel() for slot in network.slots if slot.tracked])

    def multipliers(self, y: Coordinates, data: Data) -> tuple[jax.Array, jax.Array, jax.Array]:
        """How the pairs that slide do, those of the first layer and then the deeper ones.

        Returns:
            Multipliers (K + D,): where between both sides their slopes are, in [0, 1] as long as they slide; how the
            rates of their pre-activations answer to them (K + D,), below zero as long as their kinks attract; and sizes
            of the terms that multipliers are sums of (K + D,).
        """
        mode = self.mode
        assert mode is not None
        scaled = self.own_scale(data)
        deep, held = (
            mode.deep_answer(self._drift(y, data, scaled)) if mode.deep.size else (mode.deep_start, mode.deep_start)
        )
        # Slopes grow in inverse proportion to the pulls of their samples:
        # else the push of one with loss 1e-16 is lost in the round-off of another's.
        size = jnp.zeros(len(mode.dual)).at[mode.kink].max(jnp.where(mode.jump != 0, self._pulls(y, data, scaled), 0.0))
        size = jnp.where(size > 0, size, 1.0)

        def rate(slopes: jax.Array) -> jax.Array:
            return ravel_pytree(self.raw_rate(y, data, slopes, scaled))[0]

        left, gain = jax.jvp(rate, (mode.with_deep(deep),), (mode.jump / (size[mode.kink] if size.size else 1.0),))
        push = size * mode.by_normals(gain)[0]
        per = jnp.where(push == 0, 1.0, push)
        rest, terms = mode.by_normals(left)
        found, answers = jnp.concatenate([-rest / per, deep]), jnp.concatenate([push, held])
        terms = jnp.concatenate([terms / jnp.abs(per), jnp.ones_like(deep)])
        live = jnp.concatenate([mode.normal, mode.deep_live])
        return jnp.where(live, found, 0.5), jnp.where(live, answers, -1.0), terms

    def _pulls(self, y: Coordinates, data: Data, scaled: Callable[[Array], Array] | None) -> jax.Array:
        """How hard the sample of every pair pulls, (P,); for kinks of weights the hardest of all."""
        assert self.mode is not None
        outputs = self.outputs(self.weights(y), data.inputs)
        pulls = jnp.max(
            jnp.abs(self.problem.loss.pull(jnp, outputs, data.y) if scaled is None else scaled(outputs)), axis=1
        )
        parts = [jnp.zeros(0)]
        for slot, shape in zip(self.problem.network.slots, self.mode.shapes, strict=True):
            if shape is not None:
                each = pulls.reshape(-1, *[1] * (len(shape) - 1)) if slot.sampled else jnp.max(pulls)
                parts.append(jnp.broadcast_to(each, shape).ravel())
        return jnp.concatenate(parts)

    def outputs(self, weights: Blocks, x: Given) -> Array:
        """Outputs (N, C) of the piece that the mode is on."""
        return self.problem.network.outputs(
            weights, x, jnp, None if self.mode is None else self.mode.pieces(self.mode.slopes)
        )

    def _given(self, y: Coordinates, data: Data | Batch) -> dict[tuple[str, str], Array]:
        given: dict[tuple[str, str], Array] = {("x", name): value for name, value in data.given.items()}
        given["y", ""] = data.y
        if self.problem.coordinates == "polar":
            rho, V = y
            given |= {("norm", k): v for k, v in rho.items()} | {("direction", w): v for w, v in V.items()}
        else:
            given |= {("chart" if w in self.problem.charts else "weight", w): v for w, v in y.items()}
        given |= {("decay", w): v for w, v in self.decay.items()}
        return given | {("rate", w): v for w, v in self.rates.items()}

    def _sorted(self, y: Coordinates, rates: dict[tuple[str, str], Array]) -> Coordinates:
        if self.problem.coordinates == "polar":
            return {k: rates["rho", k] for k in y[0]}, {w: rates["V", w] for w in y[1]}
        return {w: rates["W", w] for w in y}

    def constrain(self, y: Coordinates) -> Coordinates:
        """Directions brought back to unit length where the scheme has them so, units to what they keep;
        else `y` itself.
        """
        if self.kept is not None:
            return balanced(self.problem, self.laws, y, self.kept)
        if self.problem.coordinates != "polar" or not self.problem.scheme.unit:
            return y
        rho, V = y
        lengths = inner(V, V, self.problem.per)
        return rho, scaled({k: 1.0 / jnp.sqrt(n) for k, n in lengths.items()}, V, self.problem.per)

    def observe(self, y: Coordinates, data: Data) -> dict[str, Array]:
        """What events and monitors look at.

        Returns:
            Scalars: `log_loss` (of the data loss), `min_margin` (of normalised directions), `log_R` (log of the factor
                that margins are normalised by) and `raw_margin` (smallest margin of the outputs themselves). Of an
                objective without samples `objective` too; its margins are NaN, and its logarithm below zero.
        """
        weights = self.weights(y)
        outputs = self.outputs(weights, data.inputs)
        margins = self.problem.loss.margins(jnp, outputs, data.y)
        log_R = self.problem.log_product(weights, jnp)
        lowest = jnp.min(margins)
        value = {"objective": self.problem.objective(weights, data, jnp)} if self.problem.loss.is_value else {}
        return value | {
            "log_loss": self.problem.loss.log_loss(jnp, outputs, data.y, self.problem.reduction),
            "min_margin": lowest * jnp.exp(-log_R),
            "raw_margin": lowest,
            "log_R": log_R,
        }

    def smallest_norm(self, y: Coordinates, data: Data) -> jax.Array:
        """The smallest norm of a group of weights; scalar."""
        return jnp.min(jnp.stack([jnp.min(r) for r in self.unpack(y).rho.values()]))

    def margin_gap(self, y: Coordinates, data: Data) -> jax.Array:
        """Relative gap between the normalised margin and its bound from duality, and what round-off may hide of it;
        scalar.

        Without round-off it is 0 exactly at KKT points of the max-margin problem.

        With w_n the parts of the samples in -∇log L and κ_k the degrees, Σ w_n q_n = ⟨W_k, -∇_k log L⟩/κ_k ≤ ‖W_k‖‖∇_k
        log L‖/κ_k by Euler and Cauchy-Schwarz, so q_min Σ w_n κ_k/(‖W_k‖‖∇_k log L‖) ≤ 1; the gap is what is missing in
        the worst block. For networks linear in their weights it bounds the distance of the margin from the largest one
        (cf. Ji and Telgarsky 2021, Lyu and Li 2020, app. C).
        """
        weights, problem, symmetry = self.weights(y), self.problem, self.problem.network.symmetry
        outputs = self.outputs(weights, data.inputs)
        log_loss, slope = jax.value_and_grad(
            lambda w: problem.loss.log_loss(jnp, self.outputs(w, data.inputs), data.y, problem.reduction)
        )(weights)
        if self.mode is not None and problem.coordinates == "weights":
            slope = self.scaled_rate(y, data)[0]
        pull = jnp.sum(jnp.abs(problem.loss.pull(jnp, outputs, data.y, log_loss))) * (
            0.5 if problem.loss.compares_outputs else 1.0
        )
        share = pull / data.n if problem.reduction == "mean" else pull
        lowest = jnp.min(problem.loss.margins(jnp, outputs, data.y))
        size = {w: jnp.sum(weights[w] ** 2) for w in weights}
        steep = {w: jnp.sum(slope[w] ** 2) for w in weights}
        if symmetry.is_multihomogeneous:
            bounds = [
                jnp.sqrt(size[w] * steep[w]) / float(symmetry.degree(w) or 0) for w in weights if symmetry.degree(w)
            ]
        else:
            bounds = [
                jnp.sqrt(sum(size.values(), jnp.zeros(())) * sum(steep.values(), jnp.zeros(())))
                / float(symmetry.joint_degree or 1)
            ]
        # Exponents of size q are known to q ε, and the parts w_n no better: a smaller gap would be noise.
        noise = 4.0 * jnp.finfo(lowest.dtype).eps * jnp.abs(lowest)
        return 1.0 - lowest * share / jnp.max(jnp.stack(bounds)) + noise


def lower_flow(flow: FlowEquations) -> VectorField:
    """The vector field of flow equations."""
    decay = (
        {w: jnp.asarray(c, dtype=jnp.float64) for w, c in flow.problem.decay.items()}
        if any(flow.problem.decay.values())
        else {}
    )
    rates = (
        {w: jnp.asarray(eta, dtype=jnp.float64) for w, eta in flow.problem.rates.items()}
        if flow.problem.is_rated
        else {}
    )
    return VectorField(decay, flow.program, flow.problem, flow.signature, tuple(flow.laws), rates=rates)
