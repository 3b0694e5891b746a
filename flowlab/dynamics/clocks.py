"""What a run steps in. A clock ties the independent variable s of the stepping loop to the time t of the flow.

`time`   s = t, exact and cheap early; every unit of log t costs more steps than the one before. A start whose samples
are all on their right sides
         counts t in units of 1/L of that start, so that its rates are numbers however small L is.
`loss`   ds = L dt (and L ‖θ‖^{K-1} dt for a network of degree K ≥ 2), so that the loss may be any number.
`norm`   s = log R with R the product of norms, for homogeneous networks once every sample is on its right side.

The last two carry q = log(t L), which is bounded or drifts like a logarithm while t itself leaves float64: with dτ = L
dt, dq/dτ = e^{-q} + d log L/dτ, and log t = q - log L keeps its relative accuracy at log t = 1e9. Integrating log t
directly does not: it grows without bound, and a step that is accurate in log t is not accurate in t L.

Late in a run an error counts by what it does to the softmax of the samples: 1/R in a direction is of order one there.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from flowlab.core.typing import Array, PyTree, Scalar
from flowlab.dynamics import residuals
from flowlab.dynamics.error_sizes import in_margins, length, rms, split, tangent, weighed
from flowlab.dynamics.steppers.gnomonic_chart import Chart
from flowlab.dynamics.steppers.through_samples import Coupling, Product
from flowlab.language.data import Batch, Data
from flowlab.language.state import State
from flowlab.lowering.vector_field import VectorField

_LONGEST = 690.0
"""The logarithm of the longest time in units of the clock; e^690 is close to the largest float64."""
_STILL = -100.0
"""The logarithm of a time in units of 1/L in which log L changes by e^-100 |∇log L|², far below round-off at norms up
to 1e10.
"""
ENDLESS = 1e300
"""Where a clock ends that has no horizon."""


class Clock(eqx.Module):
    """Base of all clocks. The stepping loop knows of time only what is said here; z is what is integrated.

    Attributes:
        scales_loss: whether rates are those over the loss, so that s goes on where t overflows; ordinary time does not.
        logs_norms: whether logarithms of norms are integrated, so that no norm reaches zero.
    """

    name: ClassVar[str]
    scales_loss: ClassVar[bool] = True
    logs_norms: ClassVar[bool] = False

    @abstractmethod
    def enter(self, field: VectorField, state: State, log_t: Array, data: Data) -> tuple[Array, PyTree]:
        """The value of the clock and z at a state and a time."""

    @abstractmethod
    def rate(self, field: VectorField, s: Scalar, z: PyTree, data: Data, shift: Array | None = None) -> PyTree:
        """dz/ds; `shift` is added to the outputs the loss sees, for the Jacobian with respect to them."""

    def coordinates(self, field: VectorField, z: PyTree) -> PyTree:
        """The field's own coordinates, which it can observe and unpack."""
        return z[0]

    def replaced(self, z: PyTree, before: PyTree, after: PyTree) -> PyTree:
        """What is integrated once directions or weights, and no norm, have changed from those of the coordinates
        `before` to those of `after`.
        """
        flat, restore = ravel_pytree(z[0])
        return restore(flat + ravel_pytree(after)[0] - ravel_pytree(before)[0]), z[1]

    def log_t(self, s: Scalar, z: PyTree, log_loss: Array) -> Array:
        """Log t at a value of the clock."""
        return z[1] - log_loss

    def log_times(self, kept: Array) -> Array:
        """Log t of what chunks keep of the time: s in ordinary time, log t itself in the others."""
        return kept

    def log_time_of(self, s: Array) -> float | None:
        """Log t where s alone tells it; None where it takes the state too."""
        return None

    @property
    def log_scale(self) -> float:
        """Log of the unit of t; 0 unless the clock has one."""
        return 0.0

    def end(self, log_end: float, t_end: float) -> float:
        """The value of the clock at a horizon, from log t and t there; `ENDLESS` where the clock does not know it."""
        return ENDLESS

    def lands_at(self, s_end: float) -> bool:
        """Whether the end of steps is the horizon itself, because t is counted in a unit and the horizon is finite."""
        return False

    def constrain(self, field: VectorField, z: PyTree) -> PyTree:
        """`z` with unit directions where the scheme has them so."""
        return field.constrain(z[0]), z[1]

    def chart(self, field: VectorField, z: PyTree) -> Chart | None:
        """The plane in which implicit steps from z take directions; None where they take z as it stands."""
        return None

    @abstractmethod
    def size(
        self,
        field: VectorField,
        s: Scalar,
        z0: PyTree,
        z1: PyTree,
        error: PyTree,
        data: Data,
        rtol: Scalar,
        atol: Scalar,
    ) -> jax.Array:
        """The size of an error of z in units of what is allowed: 1 is the largest that is accepted."""

    @abstractmethod
    def slip(
        self, field: VectorField, s0: Scalar, s1: Scalar, z0: PyTree, z1: PyTree, error: PyTree, data: Data
    ) -> jax.Array:
        """By how much the error of one step moves the place of what happens later: on s in ordinary time, on log t in
        the others.
        """


class OrdinaryTime(Clock):
    """s = t, or t in units of e^{log_unit}; z is the field's own coordinates."""

    name = "time"
    scales_loss = False
    log_unit: Array | None = None

    def enter(self, field: VectorField, state: State, log_t: Array, data: Data) -> tuple[Array, PyTree]:
        return jnp.exp(log_t if self.log_unit is None else log_t - self.log_unit), field.pack(state)

    def rate(self, field: VectorField, s: Scalar, z: PyTree, data: Data, shift: Array | None = None) -> PyTree:
        unit = self.log_unit
        if unit is None:
            return field.rate(s, z, data)
        rate, log_loss = field.scaled_rate(z, data, shift)
        # Both logarithms may be large, but only their sum is exponentiated.
        return jax.tree.map(lambda r: jnp.exp(log_loss + unit) * r, rate)

    def coordinates(self, field: VectorField, z: PyTree) -> PyTree:
        return z

    def replaced(self, z: PyTree, before: PyTree, after: PyTree) -> PyTree:
        return after

    def log_t(self, s: Scalar, z: PyTree, log_loss: Array) -> Array:
        return jnp.log(s) if self.log_unit is None else jnp.log(s) + self.log_unit

    def value(self, log_t: float) -> float:
        """The value of s at a time; zero where it is so small that no number of a state has changed yet."""
        shifted = log_t if self.log_unit is None else log_t - float(self.log_unit)
        return math.exp(min(shifted, _LONGEST)) if shifted > _STILL else 0.0

    def log_times(self, kept: Array) -> Array:
        # -inf at s = 0.
        with np.errstate(divide="ignore"):
            return np.log(kept) if self.log_unit is None else np.log(kept) + float(self.log_unit)

    def log_time_of(self, s: Array) -> float | None:
        return float(self.log_times(s))

    @property
    def log_scale(self) -> float:
        return 0.0 if self.log_unit is None else float(self.log_unit)

    def end(self, log_end: float, t_end: float) -> float:
        if self.log_unit is None:
            return t_end
        return self.value(log_end) if math.isfinite(log_end) else ENDLESS

    def lands_at(self, s_end: float) -> bool:
        return self.log_unit is not None and s_end < ENDLESS

    def constrain(self, field: VectorField, z: PyTree) -> PyTree:
        return field.constrain(z)

    def chart(self, field: VectorField, z: PyTree) -> Chart | None:
        if field.problem.coordinates != "polar" or not field.problem.scheme.unit:
            return None
        return Chart(z[1], field.problem.per)

    def size(
        self,
        field: VectorField,
        s: Scalar,
        z0: PyTree,
        z1: PyTree,
        error: PyTree,
        data: Data,
        rtol: Scalar,
        atol: Scalar,
    ) -> jax.Array:
        error = tangent(field, z1, error)
        amount = rms(
            jax.tree.map(lambda e, a, b: e / (atol + rtol * jnp.maximum(jnp.abs(a), jnp.abs(b))), error, z0, z1)
        )
        return (
            jnp.maximum(amount, residuals.share(field, z1, error, data, rtol))
            if residuals.has_residual(field)
            else amount
        )

    def slip(
        self, field: VectorField, s0: Scalar, s1: Scalar, z0: PyTree, z1: PyTree, error: PyTree, data: Data
    ) -> jax.Array:
        # An error along the flow is a shift of time for good; one across it is taken to be no better.
        error, moved = length(tangent(field, z1, error)), length(jax.tree.map(jnp.subtract, z1, z0))
        return jnp.where(moved > 0, error * (s1 - s0) / jnp.where(moved > 0, moved, 1.0), 0.0)


class _Scaled(Clock):
    """Base of the clocks in which the loss is scaled away; z is (coordinates, q)."""

    @abstractmethod
    def turned(self, field: VectorField, z: PyTree, data: Data, rate: PyTree) -> PyTree:
        """dz/ds, from the rate of coordinates in units of the loss."""

    def rate(self, field: VectorField, s: Scalar, z: PyTree, data: Data, shift: Array | None = None) -> PyTree:
        return self.turned(field, z, data, field.scaled_rate(self.coordinates(field, z), data, shift)[0])

    def size(
        self,
        field: VectorField,
        s: Scalar,
        z0: PyTree,
        z1: PyTree,
        error: PyTree,
        data: Data,
        rtol: Scalar,
        atol: Scalar,
    ) -> jax.Array:
        weights, moved = jax.jvp(lambda z: field.weights(self.coordinates(field, z)), (z1,), (error,))
        return weighed(field, weights, moved, error[1], data, rtol + atol)

    def slip(
        self, field: VectorField, s0: Scalar, s1: Scalar, z0: PyTree, z1: PyTree, error: PyTree, data: Data
    ) -> jax.Array:
        # Log t is q - log L. What moves a state along the flow moves both, and leaves log t what it is there.
        weights, moved = jax.jvp(lambda z: field.weights(self.coordinates(field, z)), (z1,), (error,))
        _, across = split(field, weights, moved)
        _, of_margins, p = in_margins(field, weights, across, data)
        return jnp.abs(error[1]) + jnp.abs(jnp.sum(p * of_margins))

    def _start(self, field: VectorField, state: State, log_t: Array, data: Data) -> tuple[dict[str, Array], Array]:
        seen = field.observe(field.pack(state), data)
        return seen, log_t + seen["log_loss"]


class LossTime(_Scaled):
    """ds = L dt, times ‖θ‖^{K-1} for a joint degree K ≥ 2."""

    name = "loss"

    def enter(self, field: VectorField, state: State, log_t: Array, data: Data) -> tuple[Array, PyTree]:
        _, q = self._start(field, state, log_t, data)
        return jnp.zeros(()), (field.pack(state), q)

    def turned(self, field: VectorField, z: PyTree, data: Data, rate: PyTree) -> PyTree:
        y, q = z
        _, slope = jax.jvp(lambda y: field.observe(y, data)["log_loss"], (y,), (rate,))
        degree = field.problem.network.symmetry.joint_degree
        power = max(float(degree) - 1.0, 0.0) if degree is not None else 0.0
        # Of squares, not of norms: those have no derivative at a zero block.
        length = sum(
            (jnp.sum(r * r) for r in (y[0] if field.problem.coordinates == "polar" else y).values()), jnp.zeros(())
        )
        factor = jnp.exp(-0.5 * power * jnp.log(length))
        return jax.tree.map(lambda r: factor * r, (rate, jnp.exp(-q) + slope))


class NormTime(_Scaled):
    """s = log R; norms are integrated as logarithms where the problem is polar."""

    name = "norm"
    logs_norms = True

    def enter(self, field: VectorField, state: State, log_t: Array, data: Data) -> tuple[Array, PyTree]:
        seen, q = self._start(field, state, log_t, data)
        y: PyTree = field.pack(state)
        if field.problem.coordinates == "polar":
            y = {k: jnp.log(r) for k, r in y[0].items()}, y[1]
        return seen["log_R"], (y, q)

    def turned(self, field: VectorField, z: PyTree, data: Data, rate: PyTree) -> PyTree:
        y = self.coordinates(field, z)

        def seen(y: PyTree) -> tuple[Array, Array]:
            found = field.observe(y, data)
            return found["log_R"], found["log_loss"]

        _, (speed, slope) = jax.jvp(seen, (y,), (rate,))
        if field.problem.coordinates == "polar":
            rate = {k: r / y[0][k] for k, r in rate[0].items()}, rate[1]
        return jax.tree.map(lambda r: r / speed, (rate, jnp.exp(-z[1]) + slope))

    def coordinates(self, field: VectorField, z: PyTree) -> PyTree:
        if field.problem.coordinates == "polar":
            return {k: jnp.exp(r) for k, r in z[0][0].items()}, z[0][1]
        return z[0]


ORDINARY = OrdinaryTime()
CLOCKS: dict[str, Clock] = {clock.name: clock for clock in (ORDINARY, LossTime(), NormTime())}


def late_clock_called(name: str) -> Clock | None:
    """The late clock of a name; None for ordinary time, in which runs with `"auto"` begin too."""
    clock = CLOCKS.get(name)
    return clock if clock is not None and clock.scales_loss else None


class Setting(eqx.Module):
    """Arguments of a step besides s and z."""

    clock: Clock
    field: VectorField
    data: Data
    rtol: Scalar
    atol: Scalar

    def size(self, s: Scalar, z: PyTree, error: PyTree) -> jax.Array:
        """An error in units of what is allowed at z."""
        return self.clock.size(self.field, s, z, z, error, self.data, self.rtol, self.atol)

    def chart(self, z: PyTree) -> Chart | None:
        """The plane in which an implicit step from z takes directions, if any."""
        return self.clock.chart(self.field, z)

    def by_samples(self, s: Scalar, z: PyTree) -> Coupling:
        """The stiff part of the Jacobian in a late clock, through the samples' outputs."""
        clock, field, data = self.clock, self.field, self.data
        assert isinstance(clock, _Scaled)
        flat, restore = ravel_pytree(z)
        y = clock.coordinates(field, z)

        def outputs_of(samples: Data | Batch) -> Callable[[jax.Array], Array]:
            return lambda v: field.outputs(field.weights(clock.coordinates(field, restore(v))), samples.inputs)

        shape = jax.eval_shape(outputs_of(data), flat)
        per = math.prod(shape.shape[1:])
        pull, log_loss = field.scaled_rate(y, data)
        turn = jax.linearize(lambda r: ravel_pytree(clock.turned(field, z, data, r))[0], pull)[1]

        def products(samples: Data | Batch, others: Array) -> tuple[Product, Product]:
            """B and U through some samples, where the others have the loss e^others."""
            count = samples.y.shape[0]

            def rate(shift: jax.Array) -> PyTree:
                rate, own = field.scaled_rate(y, samples, shift.reshape(count, *shape.shape[1:]))
                return jax.tree.map(lambda r: jnp.exp(own - jnp.logaddexp(own, others)) * r, rate)

            answer = jax.linearize(rate, jnp.zeros(count * per))[1]
            return jax.linearize(lambda v: jnp.ravel(outputs_of(samples)(v)), flat)[1], lambda v: turn(answer(v))

        rows, columns = products(data, jnp.asarray(-jnp.inf))

        def among(chosen: jax.Array) -> tuple[Product, Product]:
            if field.mode is not None:
                # Kinks that are followed are in the mode of all samples.
                at = (per * chosen[:, None] + jnp.arange(per)).ravel()
                return lambda v: rows(v)[at], lambda v: columns(jnp.zeros(shape.size).at[at].set(v))
            samples = data.batch(chosen)
            share = math.log(len(chosen) / data.n) if field.problem.reduction == "mean" else 0.0
            part = jnp.exp(field.scaled_rate(y, samples)[1] + share - log_loss)
            return products(samples, log_loss - share + jnp.log(jnp.maximum(1.0 - part, 0.0)))

        return Coupling(
            rows=rows,
            columns=columns,
            matrix=lambda: jax.jacrev(lambda v: jnp.ravel(outputs_of(data)(v)))(flat),
            among=among,
            outputs=shape.size,
            per=per,
            unknowns=flat.size,
            entry=jax.grad(lambda q: clock.rate(field, s, (z[0], q), data)[1])(z[1]),
        )
