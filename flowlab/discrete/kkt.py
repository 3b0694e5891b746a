"""KKT points of max_V min_n q_n(V) on a product of unit spheres: the certificate and the Newton polish.

A direction is a KKT point of margin γ when multipliers α ≥ 0 with Σ α = 1, zero where q_n > γ, satisfy
Σ α_n ∂q_n/∂V_k = κ_k γ V_k in every block (Poggio, Banburski and Liao 2020, eq. 1.10; Lyu and Li 2020 on the joint sphere,
which is the case of one block). Where a unit rests on the kink of its activation, ∂q_n/∂V_k is a Clarke subgradient: its
slope lies anywhere between the two one-sided ones.
"""

from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import lstsq
from scipy.optimize import nnls

from flowlab.language.operations import operations
from flowlab.language.operations.nonlinear import activation_of
from flowlab.language.problem import Problem

TOLERANCE = 1e-12
_SIGN = 1e-9
_NEWTON, _ROUNDS = 30, 20
_INT = np.zeros(0, dtype=int)


@dataclass(frozen=True)
class Point:
    """A candidate: direction, multipliers, and how far it is from being KKT.

    Attributes:
        theta: all weights in a row, (P,), of unit norm per sphere.
        margin: γ, the smallest q over the support.
        support: indices of constraints with q = γ, (S,).
        alpha: their multipliers, (S,), with sum 1.
        bent: indices of pre-activations that rest on a kink, (B,), and `mu`, what they add to the stationarity, (B,).
        residual: the largest violation of any KKT condition, relative to the margin.
        unique: whether the support leaves no freedom in α and μ.
    """

    theta: np.ndarray
    margin: float
    support: np.ndarray
    alpha: np.ndarray
    bent: np.ndarray
    mu: np.ndarray
    residual: float
    unique: bool = False


class System:
    """The constraints q(θ) of a problem on its data, with derivatives.

    Attributes:
        pairs: (M, 2): sample and wrong class of every constraint (class -1 for binary labels).
        kappa: degree that belongs to each coordinate, (P,).
        spheres: which sphere each coordinate lies on, (P,).
        bends: number of pre-activations whose activation has a kink at zero.
        budget: Newton steps left; a path that is too early must not be searched for long.
    """

    def __init__(self, problem: Problem, data: Any, shapes: dict[str, tuple[int, ...]]) -> None:
        self.problem, self.data, self.layout = problem.objective_only, data, tuple(shapes.items())
        y = np.asarray(data.y)
        if problem.loss.labels == "classes":
            n, j = np.nonzero(np.arange(data.n_classes)[None, :] != y[:, None])
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
        self.bends = len(self.preactivations(np.ones(len(self.kappa)))[0])
        self.budget = 200

    def flat(self, weights: Any) -> np.ndarray:
        """Weights by block as one row of unit norm per sphere, (P,)."""
        theta = np.concatenate([np.ravel(np.asarray(weights[name], dtype=np.float64)) for name, _ in self.layout])
        return self.project(theta)

    def project(self, theta: np.ndarray) -> np.ndarray:
        """The same direction with unit norm on every sphere."""
        return theta / np.sqrt(np.bincount(self.spheres, theta**2))[self.spheres]

    def blocks(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        """A row as arrays by block."""
        return _blocks(self.layout, theta)

    def margins(self, theta: np.ndarray) -> np.ndarray:
        """Margins q of every constraint, (M,), without compiling."""
        outputs = self.problem.network.outputs(self.blocks(theta), np.asarray(self.data.x), np)
        n, j = self.pairs.T
        y = np.asarray(self.data.y)
        return outputs[n, y[n]] - outputs[n, j] if j[0] >= 0 else y * outputs[:, 0]

    def derivatives(self, theta: np.ndarray, alpha: np.ndarray, bent: np.ndarray, mu: np.ndarray) -> tuple[np.ndarray, ...]:
        """Margins q (M,), ∂q (M, P), h (B,), ∂h (B, P) and ∂²(α·q + μ·h) (P, P); α is of length M.

        The activations at `bent` are replaced by one line of the mean slope, so that all of this is smooth there.
        """
        frozen, pull = np.zeros(self.bends), np.zeros(self.bends)
        frozen[bent], pull[bent] = 1.0, mu
        args = (self.problem, self.layout, theta, self.data.x, self.data.y, jnp.asarray(self.pairs), alpha, frozen)
        q, J, H = (np.asarray(a) for a in _constraints(*args))
        if not len(bent):
            return q, J, np.zeros(0), np.zeros((0, len(theta))), H
        h, Jh, Hh = (np.asarray(a) for a in _bends(self.problem, self.layout, theta, self.data.x, frozen, pull))
        return q, J, h[bent], Jh[bent], H + Hh

    def preactivations(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All pre-activations before a kink, (B,), and the sample each belongs to (-1: none)."""
        network = self.problem.network
        values = network.node_values(self.blocks(theta), np.asarray(self.data.x), np)
        found = [np.asarray(values[id(node.args[0])]) for node in network.nodes if _kinked(node)]
        samples = [
            np.repeat(np.arange(len(h)) if network.type_of(node).sampled else np.full(len(h), -1), h[0].size)
            for h, node in zip(found, (node for node in network.nodes if _kinked(node)), strict=True)
        ]
        return (np.concatenate([h.ravel() for h in found]), np.concatenate(samples)) if found else (np.zeros(0), _INT)

    def slopes(self, theta: np.ndarray, alpha: np.ndarray, bent: np.ndarray, mu: np.ndarray) -> np.ndarray:
        """Where between its two one-sided slopes each bent activation stands, (B,): 0 and 1 are the ends."""
        frozen = np.zeros(self.bends)
        frozen[bent] = 1.0
        args = (self.problem, self.layout, theta, self.data.x, self.data.y, jnp.asarray(self.pairs), alpha, frozen)
        pull, spread = np.asarray(_arriving(*args))[bent], self._spread()[bent]
        scale = np.abs(pull * spread)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(np.abs(mu) <= _SIGN * max(1.0, float(np.max(scale, initial=0.0))), 0.5, 0.5 + mu / (pull * spread))

    def _spread(self) -> np.ndarray:
        network, theta = self.problem.network, np.ones(len(self.kappa))
        values = network.node_values(self.blocks(theta), np.asarray(self.data.x), np)
        return np.concatenate([np.full(np.size(values[id(node.args[0])]), _sides(node)[1] - _sides(node)[0]) for node in network.nodes if _kinked(node)])


def certify(system: System, point: Point) -> Point:
    """The point with its residual: the largest of stationarity, unit norm, feasibility, complementarity and signs.

    Multipliers that are not the only ones are replaced by non-negative ones where there are any.
    """
    theta, support, bent = point.theta, point.support, point.bent
    alpha = np.zeros(len(system.pairs))
    alpha[support] = point.alpha
    q, J, h, Jh, _ = system.derivatives(theta, alpha, bent, point.mu)
    margin = float(q[support].mean())
    if margin <= 0:
        return replace(point, margin=margin, residual=np.inf)
    target = system.kappa * margin * theta
    columns = np.vstack([np.hstack([J[support].T, Jh.T]) / margin, np.r_[np.ones(len(support)), np.zeros(len(bent))]])
    sizes = np.linalg.svd(columns, compute_uv=False)
    unique = columns.shape[1] <= columns.shape[0] and bool(sizes[-1] > 1e-9 * sizes[0])
    values = np.r_[point.alpha, point.mu]
    if not unique or values[: len(support)].min() < 0:
        # nnls wants one sign: a kink's part is written as a difference.
        split = np.hstack([columns, -columns[:, len(support) :]])
        found = nnls(split, np.r_[target / margin, 1.0], maxiter=100 * split.shape[1])[0]
        values = found[: columns.shape[1]].copy()
        values[len(support) :] -= found[columns.shape[1] :]
        keep = np.r_[values[: len(support)] > 0, np.ones(len(bent), dtype=bool)]
        # nnls stops at its own tolerance; least squares on what it kept has all digits.
        sharp = _least(columns[:, keep], np.r_[target / margin, 1.0])
        if sharp[: int(keep[: len(support)].sum())].min(initial=0.0) >= 0:
            values[keep] = sharp
    a, mu = values[: len(support)], values[len(support) :]
    alpha[support] = a
    bad = [
        np.linalg.norm(J[support].T @ a + Jh.T @ mu - target) / np.linalg.norm(target),
        np.abs(np.bincount(system.spheres, theta**2) - 1.0).max(),
        max(0.0, margin - float(q.min())) / margin,
        float(np.max(np.abs(a) * np.abs(q[support] - margin))) / margin,
        abs(a.sum() - 1.0),
        max(0.0, -float(a.min())),
    ]
    if len(bent):
        sides = system.slopes(theta, alpha, bent, mu)
        bad += [float(np.abs(h).max()), max(0.0, float(-sides.min()), float(sides.max() - 1.0))]
    return replace(point, margin=margin, alpha=a, mu=mu, residual=float(max(bad)), unique=unique)


def _least(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The shortest least-squares solution."""
    found = lstsq(A, b, cond=1e-11)
    assert found is not None
    return found[0]


def newton(system: System, theta: np.ndarray, support: np.ndarray, bent: np.ndarray = _INT) -> tuple[Point, np.ndarray]:
    """Levenberg steps on the KKT equations of a frozen support; also tells which pre-activations changed sign on the way.

    The damping ‖F‖² vanishes with the equations, so that the steps turn quadratic, and the steps have no part along
    symmetry orbits (hidden rotations, split neurons), where the equations are singular.
    """
    P, S, B = len(theta), len(support), len(bent)
    kappa, spheres = system.kappa, system.spheres
    scale = float(system.margins(theta)[support].mean())
    scale = scale if scale > 0 else float(np.abs(system.margins(theta)).max())

    def equations(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        t, a, g, mu = z[:P], z[P : P + S], z[P + S], z[P + S + 1 :]
        alpha = np.zeros(len(system.pairs))
        alpha[support] = a
        q, J, h, Jh, H = system.derivatives(t, alpha / scale, bent, mu)
        F = np.r_[J[support].T @ a / scale + Jh.T @ mu - kappa * g * t, np.bincount(spheres, t**2) - 1.0, q[support] / scale - g, a.sum() - 1.0, h]
        D = np.zeros((len(F), len(z)))
        K = P + int(spheres[-1]) + 1
        D[:P, :P] = H - np.diag(kappa * g)
        D[:P, P : P + S], D[:P, P + S], D[:P, P + S + 1 :] = J[support].T / scale, -kappa * t, Jh.T
        D[spheres + P, np.arange(P)] = 2.0 * t
        D[K : K + S, :P], D[K : K + S, P + S] = J[support] / scale, -1.0
        D[K + S, P : P + S] = 1.0
        D[K + S + 1 :, :P] = Jh
        return F, D

    _, J, _, Jh, _ = system.derivatives(theta, np.zeros(len(system.pairs)), bent, np.zeros(B))
    first = np.vstack([np.hstack([J[support].T / scale, Jh.T]), np.r_[np.ones(S), np.zeros(B)]])
    start = nnls(np.hstack([first, -first[:, S:]]), np.r_[kappa * theta, 1.0], maxiter=100 * (S + 2 * B + 1))[0]
    z = np.r_[theta, start[:S], 1.0, start[S : S + B] - start[S + B :]]
    F, D = equations(z)
    size, damping, flips = float(np.linalg.norm(F)), 1.0, np.zeros(system.bends, dtype=bool)
    signs = system.preactivations(theta)[0] > 0
    for _ in range(_NEWTON):
        if size < 1e-15 or damping > 1e8 or system.budget <= 0:
            break
        system.budget -= 1
        root = np.sqrt(min(size, 1.0) ** 2 * damping)
        step = _least(np.vstack([D, root * np.eye(len(z))]), np.r_[-F, np.zeros(len(z))])
        trial = z + step
        flips |= (system.preactivations(trial[:P])[0] > 0) != signs
        F_new, D_new = equations(trial)
        new = float(np.linalg.norm(F_new))
        if new < size:
            done = new > 0.5 * size and new < 1e-13
            z, F, D, size, damping = trial, F_new, D_new, new, damping / 10.0
            if done:
                break
        elif size < 1e-12:
            break
        else:
            damping *= 10.0
    t = system.project(z[:P])
    point = Point(t, z[P + S] * scale, support, z[P : P + S], bent, z[P + S + 1 :] * scale, np.inf)
    return replace(point, residual=size), flips


def active_set(system: System, theta: np.ndarray, support: np.ndarray) -> Point | None:
    """The KKT point nearest to θ, from a guess of its support; None if the search ends without one.

    Constraints with negative multipliers leave, violated ones enter, and units that change side on the way are
    put on their kink; each round starts from θ again, so that the point found is near it.
    """
    bent, seen = _INT, set()
    for _ in range(_ROUNDS):
        key = (tuple(support), tuple(bent))
        if key in seen or not len(support) or system.budget <= 0:
            return None
        seen.add(key)
        point, flips = newton(system, theta, support, bent)
        if point.residual > 1e-9:
            flips[bent] = False
            relevant = flips & np.isin(system.preactivations(theta)[1], [-1, *system.pairs[support, 0]])
            if relevant.any():
                h = np.where(relevant, np.abs(system.preactivations(theta)[0]), np.inf)
                bent = np.union1d(bent, np.argmin(h))
                continue
            # Too many equations: the constraint that is farthest from binding leaves.
            support = np.delete(support, np.argmax(system.margins(theta)[support]))
            continue
        q = system.margins(point.theta)
        near = np.nonzero(np.abs(q - point.margin) <= 1e-11 * abs(point.margin))[0]
        full = np.union1d(support, near)
        alpha = np.zeros(len(q))
        alpha[support] = point.alpha
        checked = certify(system, replace(point, support=full, alpha=alpha[full]))
        if checked.residual <= TOLERANCE:
            return checked
        if len(bent):
            sides = system.slopes(point.theta, alpha, bent, point.mu)
            outside = np.maximum(-sides, sides - 1.0)
            if outside.max() > _SIGN:
                bent = np.delete(bent, np.argmax(outside))
                continue
        if point.margin > 0 and q.min() < point.margin * (1.0 - _SIGN):
            support = np.union1d(support, np.argmin(q))
        elif point.alpha.min() < -_SIGN:
            support = np.delete(support, np.argmin(point.alpha))
        else:
            return None
    return None


def curvature(system: System, point: Point) -> float:
    """The largest eigenvalue of the Lagrangian's Hessian across the active constraints, relative to the margin.

    Positive: the margin grows to second order along some direction, and the flow leaves the point. It is zero along symmetries.
    """
    alpha = np.zeros(len(system.pairs))
    alpha[point.support] = point.alpha
    _, J, _, Jh, H = system.derivatives(point.theta, alpha, point.bent, point.mu)
    normals = np.zeros((int(system.spheres[-1]) + 1, len(point.theta)))
    normals[system.spheres, np.arange(len(point.theta))] = point.theta
    binding = point.support[point.alpha > _SIGN]
    _, sizes, rows = np.linalg.svd(np.vstack([normals, J[binding] / point.margin, Jh]))
    free = rows[int((sizes > 1e-9 * sizes[0]).sum()) :]
    if not len(free):
        return -np.inf
    return float(np.linalg.eigvalsh(free @ (H / point.margin - np.diag(system.kappa)) @ free.T)[-1])


def _blocks(layout: tuple[tuple[str, tuple[int, ...]], ...], theta: Any) -> dict[str, Any]:
    out, at = {}, 0
    for name, shape in layout:
        size = int(np.prod(shape))
        out[name], at = theta[at : at + size].reshape(shape), at + size
    return out


def _kinked(node: Any) -> bool:
    return node.op == "activation" and activation_of(node.params).kinks == (0.0,)


def _sides(node: Any) -> tuple[float, float]:
    return activation_of(node.params).sides[0]


def _outputs(network: Any, weights: Any, x: Any, frozen: Any, push: Any) -> tuple[Any, Any]:
    """Outputs (N, C) and kinked pre-activations (B,): `frozen` ones have the mean slope; `push` is added after them."""
    values: dict[int, Any] = {}
    found, at = [], 0
    for node in network.nodes:
        if node.op in ("input", "weight"):
            values[id(node)] = x if node.op == "input" else weights[node.params[0]]
            continue
        args = [values[id(arg)] for arg in node.args]
        out = operations[node.op]().numeric(jnp, args, [network.type_of(arg) for arg in node.args], network.type_of(node), node.params)
        if _kinked(node):
            h, part = args[0], slice(at, at + args[0].size)
            out = jnp.where(frozen[part].reshape(h.shape) > 0, sum(_sides(node)) / 2.0 * h, out) + push[part].reshape(h.shape)
            found.append(h.ravel())
            at += h.size
        values[id(node)] = out
    last = values[id(network.expression)]
    return last if network.output_shape else last[:, None], jnp.concatenate(found) if found else jnp.zeros(0)


def _margins(problem: Problem, layout: Any, theta: Any, x: Any, y: Any, pairs: Any, frozen: Any, push: Any) -> Any:
    f, _ = _outputs(problem.network, _blocks(layout, theta), x, frozen, push)
    n, j = pairs.T
    return f[n, y[n]] - f[n, j] if problem.loss.labels == "classes" else y * f[:, 0]


@eqx.filter_jit
def _constraints(problem: Problem, layout: Any, theta: Any, x: Any, y: Any, pairs: Any, alpha: Any, frozen: Any) -> Any:
    def q(t: Any) -> Any:
        return _margins(problem, layout, t, x, y, pairs, frozen, jnp.zeros_like(frozen))

    return q(theta), jax.jacrev(q)(theta), jax.hessian(lambda t: alpha @ q(t))(theta)


@eqx.filter_jit
def _bends(problem: Problem, layout: Any, theta: Any, x: Any, frozen: Any, mu: Any) -> Any:
    def h(t: Any) -> Any:
        return _outputs(problem.network, _blocks(layout, t), x, frozen, jnp.zeros_like(frozen))[1]

    return h(theta), jax.jacrev(h)(theta), jax.hessian(lambda t: mu @ h(t))(theta)


@eqx.filter_jit
def _arriving(problem: Problem, layout: Any, theta: Any, x: Any, y: Any, pairs: Any, alpha: Any, frozen: Any) -> Any:
    def total(push: Any) -> Any:
        return alpha @ _margins(problem, layout, theta, x, y, pairs, frozen, push)

    return jax.grad(total)(jnp.zeros_like(frozen))
