"""The margins q_n(V) of a problem on its data as constraints, with derivatives on every piece between the kinks of its
activations.

A pre-activation that rests on a kink has no slope of its own: the derivatives here take any slope for it. A *pair* is
one kinked pre-activation of one sample; a *unit* is that pre-activation for all samples. A kinked function of the
weights alone is a unit with one pair, which all samples share.
"""

from collections.abc import Mapping, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.errors import DataError
from flowlab.core.typing import Array, ArrayLike, Record
from flowlab.discrete.critical.sphere_product import Layout
from flowlab.language.data import Data
from flowlab.language.expr import Expr
from flowlab.language.network import Network
from flowlab.language.operations import Operation
from flowlab.language.problem import Problem
from flowlab.language.single_input import require_plain
from flowlab.language.traversal import fold, function_of

KINK = 1e-8
"""A pre-activation below this part of the largest one rests on its kink: runs that follow kinks hold them to 1e-12."""
STEPS = 200
"""Newton steps from one start: a path that is too early must not be searched for long."""
_PLAIN = 26
"""Inputs between 2^-26 and 2^26 are taken as they are: products of a few of them keep far from the ends of float64."""


def margin_count(data: Data) -> int:
    """How many margins samples have, M: one each, or one for every wrong class."""
    return data.n * max(data.outputs - 1, 1)


class System:
    """The constraints q(θ) of a problem on its data, with derivatives.

    Inputs of extreme size are brought near one; margins here are those of such inputs, and `true` gives those of the
    data.

    Attributes:
        data: the samples, scaled; margins of the data are 2^`log2` times those of these.
        pairs: (M, 2): sample and wrong class of every constraint (class -1 for binary labels).
        kappa: degree that belongs to each coordinate, (P,).
        spheres: which sphere each coordinate lies on, (P,).
        samples, units: sample (-1: all of them) and unit of every pair, (B,).
        low, high: the smaller and the larger one-sided slope of every unit, (U,), and `slot`, which activation of the
            network it belongs to.
        bends: number B of pairs.
        budget: Newton steps left.
        found: what was worked out once about the network.

    Raises:
        LanguageError: for an opaque network with kinks.
    """

    def __init__(self, problem: Problem, data: Data, shapes: dict[str, tuple[int, ...]]) -> None:
        require_plain(problem.network, "a problem of margins")
        problem.require_gradient("a KKT point")
        problem.network.require_slots("a KKT point")
        self.problem, self.layout = problem.objective_only, tuple(shapes.items())
        self.data, self.log2 = self._scaled(data)
        y = np.asarray(data.y)
        if problem.loss.compares_outputs:
            n, j = np.nonzero(np.arange(data.n_classes or 0)[None, :] != y[:, None])
            self.pairs = np.stack([n, j], axis=1)
        else:
            self.pairs = np.stack([np.arange(len(y)), np.full(len(y), -1)], axis=1)
        sizes = [int(np.prod(shape)) for shape in shapes.values()]
        symmetry = problem.network.symmetry
        if symmetry.is_multihomogeneous:
            self.spheres = np.repeat(np.arange(len(sizes)), sizes)
            self.kappa = np.repeat([float(symmetry.degree(w) or 0) for w in shapes], sizes)
        else:
            self.spheres = np.zeros(sum(sizes), dtype=int)
            self.kappa = np.full(sum(sizes), float(symmetry.joint_degree or 0))
        self._count(np.ones(len(self.kappa)))
        self.budget = STEPS
        self.found: Record = {}

    def _count(self, theta: np.ndarray) -> None:
        network, samples, units, sides, slot = self.problem.network, [], [], [], []
        values = network.node_values(self.blocks(theta), np.asarray(self.data.x), np)
        for node, slopes in _bent(network):
            shape = np.shape(values[id(node.args[0])])
            rows, count = (
                (shape[0], int(np.prod(shape[1:]))) if network.type_of(node).sampled else (1, int(np.prod(shape)))
            )
            samples.append(np.repeat(np.arange(rows) if network.type_of(node).sampled else -1, count))
            units.append(np.tile(np.arange(count), rows) + len(slot))
            sides += [sorted(slopes)] * count
            slot += [len(samples)] * count
        self.samples, self.units = (np.concatenate([np.zeros(0, dtype=int), *part]) for part in (samples, units))
        self.low, self.high = np.array(sides).reshape(-1, 2).T
        self.slot, self.bends = np.array(slot), len(self.units)

    def _scaled(self, data: Data) -> tuple[Data, float]:
        x = np.asarray(data.x, dtype=np.float64)
        power = int(np.frexp(np.abs(x).max())[1])
        if abs(power) <= _PLAIN:
            return data, 0.0
        x = np.ldexp(x, -power)
        rng = np.random.default_rng(0)
        weights = {name: rng.normal(size=shape) for name, shape in self.layout}
        once, twice = (self.problem.network.outputs(weights, c * x, np) for c in (1.0, 2.0))
        size = float(np.abs(once).max())
        degree = float(np.log2(np.abs(twice).max() / size)) if size > 0 else 1.0
        if not np.allclose(twice, 2.0**degree * once, rtol=1e-9, atol=1e-9 * size):
            raise DataError(
                f"inputs of size 2^{power} make margins that float64 does not resolve; scale the inputs to sizes near"
                " one."
            )
        return eqx.tree_at(lambda d: d.given["x"], data, jnp.asarray(x)), degree * power

    def true(self, margin: float) -> float:
        """A margin in units of the data.

        Raises:
            DataError: if it does not fit in float64.
        """
        with np.errstate(over="ignore", under="ignore"):
            value = float(np.ldexp(margin, int(self.log2)) * 2.0 ** (self.log2 - int(self.log2)))
        if margin and not np.finfo(float).tiny <= abs(value) < np.inf:
            raise DataError(
                f"margins near 2^{self.log2:.0f} do not fit in float64; scale the inputs to sizes near one."
            )
        return value

    def beyond(self, log_R: float, above: np.ndarray) -> np.ndarray:
        """R times differences of margins, for the logarithm of R with the data's own units;
        numbers beyond e^700 count as that.
        """
        with np.errstate(divide="ignore"):
            return np.exp(np.minimum(log_R + np.log(above) + self.log2 * np.log(2.0), 700.0))

    def flat(self, weights: Mapping[str, ArrayLike]) -> np.ndarray:
        """Weights by block as one row of unit norm per sphere, (P,)."""
        theta = np.concatenate([np.ravel(np.asarray(weights[name], dtype=np.float64)) for name, _ in self.layout])
        return self.project(theta)

    def project(self, theta: np.ndarray) -> np.ndarray:
        """The same direction with unit norm on every sphere."""
        # Squares of weights beyond 1e±154 do not fit in float64.
        top = np.zeros(int(self.spheres[-1]) + 1)
        np.maximum.at(top, self.spheres, np.abs(theta))
        theta = theta / np.where(top > 0, top, 1.0)[self.spheres]
        return theta / np.sqrt(np.bincount(self.spheres, theta**2))[self.spheres]

    def blocks(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        """A row as arrays by block."""
        return _blocks(self.layout, theta)

    def margins(self, theta: np.ndarray) -> np.ndarray:
        """Margins q of every constraint, (M,), without compiling."""
        outputs = np.asarray(self.problem.network.outputs(self.blocks(theta), np.asarray(self.data.x), np))
        n, j = self.pairs.T
        y = np.asarray(self.data.y)
        return outputs[n, y[n]] - outputs[n, j] if j[0] >= 0 else y * outputs[:, 0]

    def preactivations(self, theta: np.ndarray) -> np.ndarray:
        """All pre-activations before a kink, (B,)."""
        network = self.problem.network
        values = network.node_values(self.blocks(theta), np.asarray(self.data.x), np)
        return np.concatenate([np.zeros(0), *(np.ravel(values[id(node.args[0])]) for node, _ in _bent(network))])

    def resting(self, theta: np.ndarray) -> np.ndarray:
        """Indices of the pairs that rest on their kink."""
        h = np.abs(self.preactivations(theta))
        return np.flatnonzero(h <= KINK * h.max(initial=0.0))

    def derivatives(
        self, theta: np.ndarray, alpha: np.ndarray, bent: np.ndarray, mu: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Margins q (M,), ∂q (M, P), h (B,), ∂h (B, P) and ∂²(α·q + μ·h) (P, P); α is of length M.

        The activations at `bent` are replaced by one line of the mean slope, so that all of this is smooth there.
        """
        slopes, (own, _) = self._mean(bent), self._own()
        q, J, H = (
            np.asarray(a) for a in _constraints(self.problem, self.layout, theta, *own, self.local(slopes), alpha)
        )
        if not len(bent):
            return q, J, np.zeros(0), np.zeros((0, len(theta))), H
        # Pairs are padded to a power of two, so that few programs are compiled.
        padded = np.r_[bent, np.full((1 << (len(bent) - 1).bit_length()) - len(bent), bent[0])]
        samples, pull = np.maximum(self.samples[padded], 0), np.r_[mu, np.zeros(len(padded) - len(bent))]
        args = (np.asarray(self.data.x)[samples], self.units[padded], self._table(slopes)[samples], pull)
        h, Jh, Hh = (np.asarray(a) for a in _bends(self.problem, self.layout, theta, *args))
        return q, J, h[: len(bent)], Jh[: len(bent)], H + Hh

    def arriving(self, theta: np.ndarray, bent: np.ndarray) -> np.ndarray:
        """How much each constraint grows with the output of each pair in `bent`, ∂q_m/∂σ_b, (M, B)."""
        slopes = self._mean(bent)
        x, pairs = self._own()
        through = np.asarray(_through(self.problem, self.layout, theta, *x, self.local(slopes)))
        return np.where(self.meets(bent, pairs), through[:, self.units[bent]], 0.0)

    def meets(self, bent: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """Which constraints, by their samples, each pair has a part in, (M, B)."""
        return (self.samples[bent] < 0) | (self.samples[bent] == samples[:, None])

    def pieces(self, theta: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """∂q of every constraint, (M, P), where units have the slopes given for that constraint, (M, U);
        nan leaves a unit as it is.
        """
        x, _ = self._own()
        return np.asarray(_gradients(self.problem, self.layout, theta, *x, slopes))

    def leverage(self, theta: np.ndarray, along: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """How much the growth of each constraint along a direction gains with each slope, (M, U)."""
        x, _ = self._own()
        return np.asarray(_leverage(self.problem, self.layout, theta, along, *x, slopes))

    def local(self, values: np.ndarray) -> np.ndarray:
        """What is given by pair, (B,), by constraint and unit, (M, U)."""
        return self._table(values)[self.pairs[:, 0]]

    def _table(self, values: np.ndarray) -> np.ndarray:
        """What is given by pair, (B,), by sample and unit, (N, U)."""
        table = np.full((len(np.asarray(self.data.y)), len(self.low)), np.nan)
        table[self.samples[self.samples >= 0], self.units[self.samples >= 0]] = values[self.samples >= 0]
        table[:, self.units[self.samples < 0]] = values[self.samples < 0]
        return table

    def _mean(self, bent: np.ndarray) -> np.ndarray:
        slopes = np.full(self.bends, np.nan)
        slopes[bent] = (self.low + self.high)[self.units[bent]] / 2.0
        return slopes

    def _own(self) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
        """Input, label and wrong class of every constraint, and its sample."""
        n, j = self.pairs.T
        return (np.asarray(self.data.x)[n], np.asarray(self.data.y)[n], j), n


def _blocks(layout: tuple[tuple[str, tuple[int, ...]], ...], theta: Array) -> Record:
    out, at = {}, 0
    for name, shape in layout:
        size = int(np.prod(shape))
        out[name], at = theta[at : at + size].reshape(shape), at + size
    return out


def _sides(node: Expr) -> tuple[float, float] | None:
    """The slopes beside zero of an activation with a kink there alone; None for any other node."""
    word = function_of(node)
    return word.sides[0] if word is not None and word.kinks == (0.0,) else None


def _bent(network: Network) -> list[tuple[Expr, tuple[float, float]]]:
    """The nodes with a kink at zero, and their slopes beside it."""
    return [(node, sides) for node in network.nodes if (sides := _sides(node)) is not None]


def _outputs(
    network: Network, weights: Record, x: Array, slopes: Array, push: Array | None = None
) -> tuple[Array, Array]:
    """Outputs (N, C) and kinked pre-activations (B,): those with a number in `slopes` have that slope;
    `push` is added after them.
    """
    plain, found = network.meaning(jnp), []

    def apply(word: Operation, args: Sequence[Array], node: Expr) -> Array:
        out = plain(word, args, node)
        if _sides(node) is None:
            return out
        h, at = args[0], sum(met.size for met in found)
        given = jnp.reshape(slopes[at : at + h.size], h.shape)
        # Two wheres: what is not chosen must not be nan, or its derivative is.
        out = jnp.where(jnp.isnan(given), out, jnp.where(jnp.isnan(given), 0.0, given) * h)
        found.append(h.ravel())
        return out if push is None else out + push[at : at + h.size].reshape(h.shape)

    last = fold(network.nodes, lambda _: x, weights.__getitem__, apply)[id(network.expression)]
    return last if network.output_shape else last[:, None], jnp.concatenate(found) if found else jnp.zeros(0)


@eqx.filter_jit
def _constraints(
    problem: Problem, layout: Layout, theta: Array, x: Array, y: Array, j: Array, slopes: Array, alpha: Array
) -> tuple[Array, Array, Array]:
    def one(t: Array, *own: Array) -> Array:
        return _own_margin(problem, layout, t, *own)

    def together(t: Array) -> Array:
        return alpha @ jax.vmap(one, in_axes=(None, 0, 0, 0, 0))(t, x, y, j, slopes)

    # By constraint, so that no gradient runs over the other samples.
    q, J = jax.vmap(jax.value_and_grad(one), in_axes=(None, 0, 0, 0, 0))(theta, x, y, j, slopes)
    return q, J, jax.hessian(together)(theta)


@eqx.filter_jit
def _bends(
    problem: Problem, layout: Layout, theta: Array, x: Array, units: Array, slopes: Array, mu: Array
) -> tuple[Array, Array, Array]:
    def one(t: Array, x: Array, unit: Array, slopes: Array) -> Array:
        return _outputs(problem.network, _blocks(layout, t), x[None], slopes)[1][unit]

    def together(t: Array) -> Array:
        return mu @ jax.vmap(one, in_axes=(None, 0, 0, 0))(t, x, units, slopes)

    h, Jh = jax.vmap(jax.value_and_grad(one), in_axes=(None, 0, 0, 0))(theta, x, units, slopes)
    return h, Jh, jax.hessian(together)(theta)


def _own_margin(
    problem: Problem,
    layout: Layout,
    theta: Array,
    x: Array,
    y: Array,
    j: Array,
    slopes: Array,
    push: Array | None = None,
) -> Array:
    """The margin of one constraint, with slopes (U,) of its own."""
    f, _ = _outputs(problem.network, _blocks(layout, theta), x[None], slopes, push)
    return f[0, y] - f[0, j] if problem.loss.compares_outputs else y * f[0, 0]


@eqx.filter_jit
def _gradients(problem: Problem, layout: Layout, theta: Array, x: Array, y: Array, j: Array, slopes: Array) -> Array:
    one = jax.grad(lambda t, *own: _own_margin(problem, layout, t, *own))
    return jax.vmap(one, in_axes=(None, 0, 0, 0, 0))(theta, x, y, j, slopes)


@eqx.filter_jit
def _leverage(
    problem: Problem, layout: Layout, theta: Array, along: Array, x: Array, y: Array, j: Array, slopes: Array
) -> Array:
    def growth(s: Array, x: Array, y: Array, j: Array) -> Array:
        return jax.jvp(lambda t: _own_margin(problem, layout, t, x, y, j, s), (theta,), (along,))[1]

    return jax.vmap(jax.grad(growth))(slopes, x, y, j)


@eqx.filter_jit
def _through(problem: Problem, layout: Layout, theta: Array, x: Array, y: Array, j: Array, slopes: Array) -> Array:
    def one(push: Array, x: Array, y: Array, j: Array, s: Array) -> Array:
        return _own_margin(problem, layout, theta, x, y, j, s, push)

    return jax.vmap(lambda *own: jax.grad(one)(jnp.zeros(slopes.shape[1]), *own))(x, y, j, slopes)
