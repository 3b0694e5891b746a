"""Random states of a problem with the rates of its weights: what laws are found on and held against.

Only `Network.outputs`, `Network.resolve`, `jax.vjp` and the scheme's numeric meaning are used, so that laws know no
architecture.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flowlab.core.host_programs import on_host
from flowlab.core.typing import Blocks, Namespace, Pieces
from flowlab.language.autodiff import velocity
from flowlab.language.network import Network
from flowlab.language.norm_groups import inner, scaled
from flowlab.language.problem import Problem
from flowlab.language.traversal import function_of
from flowlab.symbolic.states import TestState, admissible, drawn_width, random_state

_TRIES = 4
"""States drawn for each one that is asked for, where draws are dead."""
_STILL = 1e-7
"""Part of the fastest block's speed below which a block tests nothing: laws of it would be roundings."""
_SAMPLES = 6
"""Samples of a state at small sizes; rates of all data sets are sums of theirs, and few samples leave narrow nets dead.
"""
_ROUNDS = 8
"""Times that states are drawn at small sizes, until there are as many as asked for at which every block moves."""


class Draws(NamedTuple):
    """Weights of several states, and the rates that the samples give them; both with a leading axis over states."""

    W: dict[str, np.ndarray]
    pull: dict[str, np.ndarray]

    @property
    def count(self) -> int:
        return len(next(iter(self.W.values())))

    @property
    def moving(self) -> int:
        """Weights that move at some state."""
        return sum(int((v != 0).any(axis=0).sum()) for v in self.pull.values())

    def scale(self) -> np.ndarray:
        """The speed of every state times the length of its weights, (S,)."""
        return np.sqrt(_squares(self.W) * _squares(self.pull))


class Tangents(NamedTuple):
    """Rates of several data sets at one point, (F, P), and their derivatives along each weight, (F, P, P)."""

    at: np.ndarray
    along: np.ndarray
    slopes: np.ndarray


def _squares(blocks: Blocks) -> np.ndarray:
    return np.asarray(sum((v**2).reshape(len(v), -1).sum(axis=1) for v in blocks.values()))


def weight_rates(xp: Namespace, problem: Problem, W: Blocks, g: Blocks) -> dict[str, Any]:
    """W' of the scheme at unit directions, from g = -dL/dW; linear in g."""
    if problem.scheme.is_gradient_flow:
        return dict(g)
    rho = {k: xp.sqrt(v) for k, v in inner(W, W, problem.per).items()}
    V = scaled({k: 1.0 / r for k, r in rho.items()}, W, problem.per)
    of_norms, of_directions = problem.scheme.numeric(xp, rho, V, g, problem.per)
    along, across = scaled(of_norms, V, problem.per), scaled(rho, of_directions, problem.per)
    return {w: along[w] + across[w] for w in W}


def decay_rates(problem: Problem) -> dict[str, float]:
    """How fast weight decay alone shrinks each block: 2 omega, times its learning rate."""
    return {w: 2.0 * c * problem.rates[w] for w, c in problem.decay.items()}


def one_state(problem: Problem, state: TestState) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A state's weights and the rates that its samples give them."""
    W = {w: np.asarray(v) for w, v in state.weights.items()}
    g = {w: np.asarray(v) for w, v in velocity(problem, W, state.samples).items()}
    shrink = decay_rates(problem)
    g = {w: g[w] + shrink[w] * W[w] for w in W}
    with np.errstate(all="ignore"):
        return W, {w: np.asarray(v) for w, v in weight_rates(np, problem, W, g).items()}


def slope_along(network: Network, W: Blocks, x: Any, pull: np.ndarray, move: Blocks) -> float:
    """The derivative of pulled outputs along a change of the weights, by `jax.vjp`."""
    g = on_host(lambda W, x, pull: _pulled(network, W, x, pull), dict(W), x, pull)
    return float(sum(np.vdot(g[w], move[w]) for w in W))


def usual(problem: Problem, count: int, seed: int) -> Draws:
    """Up to so many states at the sizes that derivations are tested at, of those at which every block moves."""
    width, live = drawn_width(problem.network), problem.network.moved
    found: list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]] = []
    for attempt in range(_TRIES * count):
        state = random_state(problem, seed + attempt, width=width, levelled=attempt % 2 == 1)
        W, pull = one_state(problem, state)
        speed = {w: float(np.linalg.norm(pull[w])) for w in live}
        top = max(speed.values(), default=0.0)
        if np.isfinite(top) and all(np.isfinite(v) and v > _STILL * top for v in speed.values()):
            found.append((W, pull))
        if len(found) == count or (attempt >= count and not found):
            break
    return _stacked([W for W, _ in found], [pull for _, pull in found], problem.network.weights)


def _stacked(W: list[dict[str, np.ndarray]], pull: list[dict[str, np.ndarray]], names: tuple[str, ...]) -> Draws:
    if not W:
        return Draws({w: np.zeros((0,)) for w in names}, {w: np.zeros((0,)) for w in names})
    return Draws({w: np.stack([v[w] for v in W]) for w in names}, {w: np.stack([v[w] for v in pull]) for w in names})


class Small:
    """A problem at small sizes, at which many states are worked out at once.

    Args:
        problem: what is looked at.
        sizes: of symbolic dimensions, by name; `d` of the inputs and `width` where none is named.
    """

    def __init__(self, problem: Problem, d: int, sizes: Mapping[str, int], seed: int) -> None:
        self.problem, self.d, self.sizes, self.seed = problem, d, dict(sizes), seed
        self.n = _SAMPLES if problem.network.has_samples else 1
        self.like = random_state(problem, seed, d=d, width=2, widths=sizes, n=self.n)
        self.shapes = {w: np.shape(v) for w, v in self.like.weights.items()}
        self.count = sum(int(np.prod(s)) for s in self.shapes.values())

    @property
    def outputs(self) -> tuple[int, ...]:
        """The shape of one sample's outputs."""
        return np.shape(self.problem.network.outputs(self.like.weights, self.like.samples.x, np))[1:]

    def samples(self, count: int, seed: int) -> tuple[Any, Any]:
        """Inputs and pulls of so many states, with a leading axis over states."""
        problem = self.problem
        state = random_state(problem, seed, d=self.d, width=2, widths=self.sizes, n=self.n * count)
        rng = np.random.default_rng([seed, 4])
        x = {
            # Constants differ between states, as a law is to hold whatever they are.
            name: admissible(problem.network, name, np.std(a) * rng.normal(size=(count, *np.shape(a))))
            if name in problem.network.constants
            else np.reshape(a, (count, self.n, *np.shape(a)[1:]))
            for name, a in state.samples.by_name.items()
        }
        outputs = self.outputs
        # The pull at outputs of any size: what a loss asks of outputs, whatever the weights make of them.
        wanted = np.random.default_rng([seed, 1]).normal(size=(self.n * count, *outputs))
        with np.errstate(all="ignore"):
            pull = np.asarray(problem.loss.pull(np, wanted, state.samples.y))
        return x, pull.reshape(count, self.n, *outputs)

    def pieces(self, count: int, seed: int) -> tuple[np.ndarray | None, ...]:
        """A slope per unit and sample for every slot, from either side of its kink by chance, (count, samples, ...);
        None for slots that two slopes do not tell.
        """
        network, rng = self.problem.network, np.random.default_rng([seed, 3])
        values = network.node_values(self.like.weights, self.like.samples.x, np)
        functions = {id(node): function_of(node) for node in network.nodes}
        found: list[np.ndarray | None] = []
        for slot in network.slots:
            function = functions[slot.nodes[0]]
            known = function is not None and function.piecewise_linear and function.kinks == (0.0,) and slot.sampled
            shape = (count, *np.shape(values[id(slot.argument)]))
            found.append(rng.choice([slot.left, slot.right], size=shape) if known else None)
        return tuple(found)

    def weights(self, count: int, seed: int) -> dict[str, np.ndarray]:
        """Normal weights of the size of a test state's."""
        rng = np.random.default_rng([seed, 2])
        size = {w: float(np.sqrt(np.mean(np.square(v)))) or 1.0 for w, v in self.like.weights.items()}
        return {w: size[w] * rng.normal(size=(count, *shape)) for w, shape in self.shapes.items()}

    def draw(self, count: int, seed: int) -> Draws:
        """So many states at which every block moves; fewer where most states are dead."""
        parts: list[Draws] = []
        for i in range(_ROUNDS):
            W = self.weights(count, seed + i)
            x, pull = self.samples(count, seed + i)
            found = on_host(jax.vmap(lambda *state: pulled_rates(self.problem, *state)), W, x, pull)
            parts.append(_moving(Draws(W, found), self.problem.network.moved))
            if sum(part.count for part in parts) >= count:
                break
        return Draws(
            *({w: np.concatenate([part[k][w] for part in parts])[:count] for w in self.shapes} for k in (0, 1))
        )

    def tangents(self, W: Blocks, count: int, seed: int) -> Tangents:
        """Rates of so many data sets at one point, with their derivatives."""

        def rate(point: Any, x: Any, pull: Any) -> Any:
            places = np.cumsum([int(np.prod(shape)) for shape in self.shapes.values()])
            parts = zip(self.shapes.items(), jnp.split(point, places[:-1]), strict=True)
            found = pulled_rates(self.problem, {w: v.reshape(shape) for (w, shape), v in parts}, x, pull)
            flat = jnp.concatenate([found[w].ravel() for w in self.shapes])
            return flat, flat

        at = np.concatenate([np.ravel(W[w]) for w in self.shapes])
        both = jax.vmap(jax.jacfwd(rate, has_aux=True), in_axes=(None, 0, 0))
        slopes, along = on_host(both, at, *self.samples(count, seed))
        return Tangents(at, along, slopes)


def _moving(draws: Draws, live: Collection[str]) -> Draws:
    """The states at which every block that can move does so by more than roundings."""
    speeds = np.stack([np.sqrt(_squares({w: draws.pull[w]})) for w in live])
    with np.errstate(invalid="ignore"):
        keep = (speeds > _STILL * speeds.max(axis=0)).all(axis=0) & np.isfinite(speeds).all(axis=0)
    return Draws({w: v[keep] for w, v in draws.W.items()}, {w: v[keep] for w, v in draws.pull.items()})


def pulled_rates(problem: Problem, W: Blocks, x: Any, pull: Any, pieces: Pieces | None = None) -> dict[str, jax.Array]:
    """W' of one state whose outputs (N, C) are pulled so; on a piece of the network where slopes are given."""
    return weight_rates(jnp, problem, W, problem.paced(_pulled(problem.network, W, x, pull, pieces)))


def _pulled(network: Network, W: Blocks, x: Any, pull: Any, pieces: Pieces | None = None) -> dict[str, jax.Array]:
    """What a pull on the outputs asks of the weights, by `jax.vjp`."""
    _, back = jax.vjp(lambda v: network.outputs(v, x, jnp, pieces), dict(W))
    (g,) = back(jnp.asarray(pull))
    return g
