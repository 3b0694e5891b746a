"""`portrait`: the whole flow of the direction at fixed norms, where the direction has two parameters: field, critical
points, basins.

Directions live on a product of unit spheres (Poggio, Banburski and Liao 2020, eq. 1.10). Two parameters are one sphere
in three dimensions, drawn as two hemispheres in Lambert's equal-area projection, or two circles, whose product is a
torus with two angles. The flow at fixed norms is dV_k/dt = -(1/ρ_k²) P_k ∂L/∂V_k, divided by the loss here, which
changes no orbit. All comes from autodiff of the objective.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from flowlab.core.arguments import guarded, must_be
from flowlab.core.errors import LanguageError
from flowlab.core.seeds import checked_seed
from flowlab.core.typing import ArrayLike, Given, Number, Record
from flowlab.discrete.critical.constrained_problem import Constrained, objective_of
from flowlab.discrete.critical.critical_points import CriticalPoint, critical_points, described, listable
from flowlab.discrete.critical.lagrange_newton import Critical, polish
from flowlab.discrete.critical.sphere_product import Layout, blocks
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.result import Result

_STEP, _LENGTH, _SAME, _NEAR = 0.02, 4.0 * np.pi, 1e-5, 6.0
RIM = float(np.sqrt(2.0))
"""Radius of a hemisphere in the projection."""


class Chart:
    """Coordinates (chart, u, v) of rows of directions: two angles of a torus, or two hemispheres about a direction."""

    def __init__(self, con: Constrained, centre: np.ndarray) -> None:
        sizes = np.bincount(con.spheres.owner).tolist()
        if sizes not in ([3], [2, 2]):
            told = " x ".join(f"S^{n - 1}" for n in sizes)
            raise LanguageError(
                f"directions must have two parameters, got `{con.problem.network.text[:80]}` on {told}; use one block"
                " of three weights or two of two."
            )
        self.torus, self.centre = sizes == [2, 2], centre
        self.count = 1 if self.torus else 2
        self.frame = con.spheres.basis(centre)

    def grid(self, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coordinates along one axis, (n,), rows of directions, (charts, n, n, P), and which of them belong to their
        chart.
        """
        half = np.pi if self.torus else RIM
        u = (np.arange(n) + 0.5) * (2.0 * half / n) - half
        U, V = np.meshgrid(u, u, indexing="ij")
        rows = np.stack([self.row(c, U, V) for c in range(self.count)])
        # Cells that the rim cuts belong to both hemispheres.
        inside = (
            np.ones((self.count, n, n), dtype=bool)
            if self.torus
            else np.broadcast_to(np.hypot(U, V) <= RIM * (1.0 + 1.0 / n), (2, n, n)).copy()
        )
        return u, rows, inside

    def row(self, chart: int, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Rows of directions at coordinates, (..., P)."""
        if self.torus:
            return np.stack([np.cos(u), np.sin(u), np.cos(v), np.sin(v)], axis=-1)
        square = np.minimum(u**2 + v**2, 4.0)
        along = (1.0 - 0.5 * square) * (1.0 if chart == 0 else -1.0)
        return along[..., None] * self.centre + np.sqrt(1.0 - 0.25 * square)[..., None] * (
            u[..., None] * self.frame[:, 0] + v[..., None] * self.frame[:, 1]
        )

    def place(self, theta: np.ndarray, chart: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Chart, u and v of rows of directions, (...)."""
        if self.torus:
            return (
                np.zeros(theta.shape[:-1], dtype=int),
                np.arctan2(theta[..., 1], theta[..., 0]),
                np.arctan2(theta[..., 3], theta[..., 2]),
            )
        along = theta @ self.centre
        chart = np.where(along >= 0, 0, 1) if chart is None else chart
        scale = np.sqrt(2.0 / np.maximum(1.0 + np.where(chart == 0, along, -along), 1e-12))
        return chart, scale * (theta @ self.frame[:, 0]), scale * (theta @ self.frame[:, 1])


Args: TypeAlias = tuple[Problem, Layout, jax.Array, Given, jax.Array]
"""Problem, blocks of a row, norms, inputs and labels."""


@guarded
def portrait(
    problem: Problem,
    data: Data,
    *,
    norm: float | Mapping[str, ArrayLike] = 20.0,
    widths: Mapping[str, int] | None = None,
    grid: int = 64,
    starts: int = 24,
    seed: int = 0,
) -> Result:
    """Field, critical points and basins of the direction at fixed norms, as a result that the figure `portrait` draws.

    Critical points are looked for by `critical_points` and by Newton's method from every cell; the result has
    all copies under symmetries. Where none is degenerate or on a kink, minima and maxima less saddles must be the Euler
    characteristic, 0 or 2 (M. Morse 1925), which shows whether some are missing. Basins come from Runge-Kutta steps of
    length 0.02 over 4π, from beside the middle of every cell; cells that end at no attracting point have the basin -1.

    Args:
        problem: network and loss; directions must have two parameters.
        data: samples.
        norm: R, or norms by block, as for `critical_points`.
        widths: rows of hidden blocks.
        grid: n, cells along each axis.
        starts: of the search for critical points.
        seed: of the starts.

    Returns:
        Of kind `"portrait"`, over (`chart`, `i`, `j`): `field_u`, `field_v` (rates of the coordinates over the loss),
        `log_loss`, `margin`, `basin`; nan and -2 outside a hemisphere. Over `point`: `point_chart`, `point_u`,
        `point_v`, `point_kind`, `point_index`, `point_log_loss`, `point_basin` (-1 where it does not attract), and
        `point_row` over `coordinate`. Numbers: `euler`, the sum of (-1)^index, and `complete`, 1 where it is the Euler
        characteristic, 0 where it is not, -1 where degenerate or non-smooth points leave that open.

    Raises:
        LanguageError: for another number of parameters, or a grid that is none; else as for `critical_points`.

    Examples:
        >>> data, problem = fl.load("gaussian?n=4&d=2&margin=0.2", seed=1), fl.Problem("(W1 @ x) * (W2 @ x)")
        >>> fl.portrait(problem, data, norm=6.0, grid=4, starts=8).dataset.basin.shape
        (1, 4, 4)
    """
    if isinstance(grid, bool) or not isinstance(grid, int) or not 4 <= grid <= 1000:
        raise must_be("grid", grid, "an integer between 4 and 1000", "for example 64")
    con = listable(problem, data, norm, widths)
    Chart(con, con.random(np.random.default_rng(0)))
    points = critical_points(problem, data, norm=norm, widths=widths, starts=starts, seed=checked_seed(seed))
    chart = Chart(con, con.row(points[0].state))
    u, rows, inside = chart.grid(grid)
    flat = rows.reshape(-1, rows.shape[-1])
    args = (con.plain, con.spheres.layout, jnp.asarray(con.spheres.radii), data.inputs, data.y)
    owner = tuple(con.spheres.owner.tolist())
    values, rates = (np.asarray(a) for a in _field(args, owner, jnp.asarray(flat)))
    # From beside the middle of every cell, which may lie on a line of symmetry that no basin contains.
    cell = u[1] - u[0]
    aside = np.stack(
        [chart.row(c, *np.meshgrid(u + 0.11 * cell, u + 0.23 * cell, indexing="ij")) for c in range(chart.count)]
    ).reshape(flat.shape)
    ends = np.asarray(
        _followed(args, owner, jnp.asarray(aside), jnp.asarray(_STEP), jnp.asarray(round(_LENGTH / _STEP)))
    )
    zeros, left = (np.asarray(a) for a in _newton(args, owner, jnp.asarray(aside[inside.ravel()])))
    near = zeros[left <= 1e-8 * np.sqrt((rates**2).sum(axis=1).mean()) * float(con.spheres.radii.min()) ** 2]
    # Flows may also end on a kink, where no derivative is zero.
    copies = _copies(
        con,
        [con.row(p.state) for p in points]
        + _distinct(near, 10 * _SAME)
        + _distinct(ends[inside.ravel()], 4 * _NEAR * _STEP),
    )
    symmetries = con.symmetries
    told = sorted(
        (described(con, symmetries, c, 1) for c in copies), key=lambda p: (p.log_loss, con.row(p.state).tolist())
    )
    at = np.array([con.row(p.state) for p in told])
    owners = _attractors(told, at)
    far = np.linalg.norm(ends[:, None] - at[None], axis=2) + np.where(owners < 0, np.inf, 0.0)
    basin = np.where(far.min(axis=1) <= _NEAR * _STEP, owners[far.argmin(axis=1)], -1)
    return _result(
        con, chart, u, rows, inside, values, rates, basin, told, at, owners, grid=grid, starts=starts, seed=seed
    )


def _attractors(told: list[CriticalPoint], at: np.ndarray) -> np.ndarray:
    """A number for every point that attracts, one for all points of a continuous set; -1 for the others."""
    owners, groups = np.full(len(told), -1), 0
    for k, p in enumerate(told):
        if not p.attracting:
            continue
        same = [
            j
            for j in range(k)
            if owners[j] >= 0 and p.nullity and told[j].nullity and np.linalg.norm(at[j] - at[k]) < 0.3
        ]
        if same:
            owners[np.isin(owners, owners[same])] = owners[same[0]]
            owners[k] = owners[same[0]]
        else:
            owners[k], groups = groups, groups + 1
    kept = {old: new for new, old in enumerate(dict.fromkeys(o for o in owners.tolist() if o >= 0))}
    return np.array([kept.get(o, -1) for o in owners.tolist()], dtype=int)


def _copies(con: Constrained, starts: list[np.ndarray]) -> list[Critical]:
    """Critical points that Newton's method finds near the starts, each once; copies under symmetries are different
    here.
    """
    found: list[Critical] = []
    for start in starts:
        for softness in (1e-6, 1e-2) if con.bends else (1e-6,):
            end = polish(con, start, softness)
            if end.residual <= con.resolution and np.linalg.norm(end.theta - start) < 0.4:
                if not any(np.linalg.norm(end.theta - other.theta) < _SAME for other in found):
                    found.append(end)
                break
    return found


def _distinct(ends: np.ndarray, apart: float) -> list[np.ndarray]:
    """Ends further apart than so much."""
    kept: list[np.ndarray] = []
    for end in ends:
        if not kept or np.linalg.norm(np.array(kept) - end, axis=1).min() > apart:
            kept.append(end)
    return kept


def _log_loss(args: Args, theta: jax.Array) -> Number:
    problem, layout, radii, x, y = args
    return objective_of(problem, blocks(layout, radii * theta), x, y, None)


def _rate(args: Args, owner: tuple[int, ...], theta: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The objective and -(1/ρ²) P ∂F of one row."""
    value, g = jax.value_and_grad(lambda t: _log_loss(args, t))(theta)
    member = jnp.asarray(owner)
    inner = jnp.zeros(max(owner) + 1).at[member].add(g * theta)
    return value, -(g - inner[member] * theta) / args[2] ** 2


@eqx.filter_jit
def _field(args: Args, owner: tuple[int, ...], rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.vmap(lambda t: _rate(args, owner, t))(rows)


@eqx.filter_jit
def _newton(args: Args, owner: tuple[int, ...], rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Where Newton's method for zeros of the gradient ends from every row, with steps of 0.2 at most, and the tangent
    gradient left there.
    """
    member = jnp.asarray(owner)

    def gradient(theta: jax.Array) -> tuple[jax.Array, jax.Array]:
        g = jax.grad(lambda t: _log_loss(args, t))(theta)
        multipliers = jnp.zeros(max(owner) + 1).at[member].add(g * theta)[member]
        return g - multipliers * theta, multipliers

    def frame(theta: jax.Array) -> jax.Array:
        if len(owner) == 4:
            return jnp.array([[-theta[1], theta[0], 0.0, 0.0], [0.0, 0.0, -theta[3], theta[2]]])
        e = jnp.eye(3)[jnp.argmin(jnp.abs(theta))]
        e = e - (e @ theta) * theta
        e = e / jnp.linalg.norm(e)
        return jnp.stack([e, jnp.cross(theta, e)])

    def one(theta: jax.Array) -> Any:
        E, (g, multipliers) = frame(theta), gradient(theta)
        H = E @ (jax.hessian(lambda t: _log_loss(args, t))(theta) - jnp.diag(multipliers)) @ E.T
        # Regular where H is not; the step stays finite.
        step = -H.T @ jnp.linalg.solve(H @ H.T + 1e-12 * (1e-30 + (H**2).sum()) * jnp.eye(2), E @ g)
        step = step * jnp.minimum(1.0, 0.2 / (jnp.linalg.norm(step) + 1e-300))
        moved = theta + step @ E
        return moved / jnp.sqrt(jnp.zeros(max(owner) + 1).at[member].add(moved**2))[member]

    ends = jax.lax.fori_loop(0, 40, lambda _, rows: jax.vmap(one)(rows), rows)
    return ends, jax.vmap(lambda t: jnp.linalg.norm(gradient(t)[0]))(ends)


@eqx.filter_jit
def _followed(args: Args, owner: tuple[int, ...], rows: jax.Array, step: jax.Array, count: jax.Array) -> jax.Array:
    """Where every row ends when the field is followed in `count` Runge-Kutta steps of equal length."""
    member = jnp.asarray(owner)

    def ahead(theta: jax.Array) -> jax.Array:
        r = _rate(args, owner, theta)[1]
        return r / jnp.sqrt((r**2).sum() + 1e-300)

    def one(theta: jax.Array) -> jax.Array:
        a = ahead(theta)
        b = ahead(theta + 0.5 * step * a)
        c = ahead(theta + 0.5 * step * b)
        d = ahead(theta + step * c)
        moved = theta + step * (a + 2 * b + 2 * c + d) / 6
        return moved / jnp.sqrt(jnp.zeros(max(owner) + 1).at[member].add(moved**2))[member]

    return jax.lax.fori_loop(0, count, lambda _, rows: jax.vmap(one)(rows), rows)


def _result(
    con: Constrained,
    chart: Chart,
    u: np.ndarray,
    rows: np.ndarray,
    inside: np.ndarray,
    values: np.ndarray,
    rates: np.ndarray,
    basin: np.ndarray,
    told: list[CriticalPoint],
    at: np.ndarray,
    owners: np.ndarray,
    **settings: Any,
) -> Result:
    problem, shape = con.problem, inside.shape
    which = np.arange(shape[0])[:, None, None]
    # The field in coordinates of the chart, by central differences along it: charts are smooth and cheap.
    rates = rates.reshape(rows.shape)
    small = 1e-6 / np.maximum(np.linalg.norm(rates, axis=-1, keepdims=True), 1e-300)
    _, u1, v1 = chart.place(_projected(con, rows + small * rates), which)
    _, u0, v0 = chart.place(_projected(con, rows - small * rates), which)
    turn = (lambda a: (a + np.pi) % (2 * np.pi) - np.pi) if chart.torus else (lambda a: a)
    with np.errstate(invalid="ignore", over="ignore"):
        du, dv = turn(u1 - u0) / (2 * small[..., 0]), turn(v1 - v0) / (2 * small[..., 0])
    log_loss = values.reshape(shape) if con.is_logarithm else np.log(values.reshape(shape))
    margins = np.full(shape, np.nan)
    if problem.loss.classifies:
        for k in np.argwhere(inside):
            V = {name: np.asarray(v) for name, v in blocks(con.spheres.layout, rows[tuple(k)]).items()}
            margins[tuple(k)] = np.min(np.asarray(problem.margins(V, con.data, np)))
    charts, pu, pv = chart.place(at)
    cells = {"field_u": du, "field_v": dv, "log_loss": log_loss, "margin": margins}
    entries: Record = {name: (("chart", "i", "j"), np.where(inside, a, np.nan)) for name, a in cells.items()}
    entries["basin"] = (("chart", "i", "j"), np.where(inside, basin.reshape(shape), -2))
    columns = {
        "chart": charts,
        "u": pu,
        "v": pv,
        "kind": np.array([p.kind for p in told]),
        "index": np.array([p.index for p in told]),
        "log_loss": np.array([p.log_loss for p in told]),
        "basin": owners,
        "nullity": np.array([p.nullity for p in told]),
    }
    entries |= {f"point_{name}": ("point", values) for name, values in columns.items()}
    entries["point_row"] = (("point", "coordinate"), at)
    euler = int(((-1) ** columns["index"]).sum())
    told_by_index = not any(p.nullity or p.kinks for p in told)
    entries |= {
        "euler": ((), euler),
        "complete": ((), int(euler == (0 if chart.torus else 2)) if told_by_index else -1),
    }
    coordinates = {"u": ("i", u), "v": ("j", u)}
    dataset = xr.Dataset(entries, coords=coordinates, attrs={"geometry": "torus" if chart.torus else "sphere"})
    rho = {k: np.asarray(r).tolist() for k, r in con.spheres.rho.items()}
    names = [f"{name}[{','.join(map(str, np.array(i) + 1))}]" for name, s in con.spheres.layout for i in np.ndindex(*s)]
    return Result.of(
        "portrait",
        dataset.assign_coords(coordinate=names),
        problem,
        con.data,
        rho=rho,
        step=_STEP,
        length=_LENGTH,
        **settings,
    )


def _projected(con: Constrained, rows: np.ndarray) -> np.ndarray:
    member = con.spheres.owner
    out = rows.copy()
    for k in range(con.spheres.count):
        out[..., member == k] /= np.linalg.norm(rows[..., member == k], axis=-1, keepdims=True)
    return out
