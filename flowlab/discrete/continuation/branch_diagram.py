"""Curves of critical points with the events on them: what a continuation answers with, as a table and as labelled
columns.
"""

from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
import xarray as xr

from flowlab.core.arguments import must_be
from flowlab.core.display import displayed
from flowlab.core.errors import LanguageError
from flowlab.core.typing import Record
from flowlab.discrete.continuation.arclength import Spot
from flowlab.discrete.continuation.bifurcations import same
from flowlab.discrete.continuation.curve_tracing import section
from flowlab.discrete.continuation.parameter_families import Family, Norms
from flowlab.language.problem import Problem
from flowlab.language.trajectory import Trajectory


@dataclass(frozen=True)
@displayed
class Event:
    """A point where a curve turns or others pass through it.

    Attributes:
        kind: `"fold"` (also one with a corner, where second derivatives jump as those of squared ReLU do), `"jump"`
            (they jump, the curve goes on), `"supercritical pitchfork"`, `"subcritical pitchfork"`, `"transcritical"`,
            `"vertical"` (a curve at one parameter), several joined by "and", or `"crossing"` where no other curve was
            found.
        parameter: where; `branch`, the curve on which it was found; `leads_to`, the curves that were followed from it.
        multiplicity: dimension of the kernel of the Hessian, directions of symmetry apart.
        index: number of negative eigenvalues before and after, along the curve.
        residual: of the gradient there.
    """

    kind: str
    parameter: float
    branch: int
    leads_to: tuple[int, ...]
    multiplicity: int
    index: tuple[int, int]
    residual: float
    _spot: Spot = field(repr=False, compare=False)


@dataclass(frozen=True)
@displayed
class Branch:
    """A curve of critical points: its points in order, the event it left (none for the first), and why it ended.

    Attributes:
        end: `"end"` (of the range, far side), `"begin"` (near side), `"closed"` (back where it began, or at an image of
            that under a symmetry), `"branch point"` (it turns there, and what lies beyond is a branch of its own or an
            image of this one), `"far"` (weights grew beyond three times those at the beginning without a change of the
            parameter, or ten thousand times with one), `"budget"` (of points), `"flat"` (critical points fill more than
            a curve, or cannot be told from such: curvatures are below a millionth of the largest), or `"lost"`: no step
            however short succeeded.
    """

    spots: tuple[Spot, ...]
    event: int | None
    end: str


@dataclass(frozen=True)
@displayed
class Continuation:
    """Curves of critical points; prints as a table and is drawn by `draw("continuation", …)`.

    Attributes:
        branches: the curves, the first of them through the start.
        events: folds and branch points, in the order in which they were found.
        dataset: over `point`: `branch`, `parameter` (log R, ω or log ω, as `name` says), `length`, `log_loss`, `margin`
            (of unit directions), `norm` (of all weights), `index`, `nullity`, `least` (smallest eigenvalue),
            `residual`; and `row` over (`point`, `coordinate`).
        name: of the parameter: `"log_norm"`, `"decay"` or `"log_decay"`.
        family: the equations.
        provenance: versions, seed, hashes.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> tree = fl.penalty_path(
        ...     fl.Problem("W2 @ W1 @ x", loss="square"), data, penalties=(0.75, 0.5), widths={"W1": 1}, points=5
        ... )
        >>> len(tree.branches), tree.name
        (4, 'decay')
        >>> drawn = fl.draw("continuation", tree)
    """

    branches: tuple[Branch, ...]
    events: tuple[Event, ...]
    dataset: xr.Dataset
    name: str
    family: Family
    provenance: Record
    kind = "continuation"

    @property
    def problem(self) -> Problem:
        """Network and loss."""
        return self.family.problem

    def at(self, parameter: float, branch: int | None = None) -> list[dict[str, np.ndarray]]:
        """All critical points on the curves (on one of them) at a parameter, as weights by block; each solved again,
        to a residual of 1e-10.

        Images under symmetries of the network, such as mirror images, count once.
        """
        if isinstance(parameter, bool) or not isinstance(parameter, Real) or not np.isfinite(parameter):
            raise must_be("parameter", parameter, f"a finite value of {self.name}", "for example 0.5")
        chosen = self.branches if branch is None else [self._branch(branch)]
        found: list[np.ndarray] = []
        for u in (u for of in chosen for u in section(self.family, of.spots, parameter)):
            if not any(same(self.family, u, parameter, v, parameter) for v in found):
                found.append(u)
        return [self.family.weights(u, parameter) for u in found]

    def _branch(self, number: int) -> Branch:
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(self.branches):
            raise must_be("branch", number, f"an integer from 0 to {len(self.branches) - 1}", "the number of a curve")
        return self.branches[number]

    def distance(self, path: Trajectory, branch: int = 0, rows: int = 200) -> xr.Dataset:
        """How far the directions of a flow or a descent are from a curve at the same R.

        Under gradient flow the distance of one layer is bounded by a multiple of 1/R (N3). Deeper nets keep what no
        sample drives, next to weights that grow like R^(1/K): the distance falls like R^(-1/K), and `scaled` grows,
        unless the start was balanced.

        Args:
            path: of the same network and data.
            branch: the curve.
            rows: at most so many rows of the path, evenly spread.

        Returns:
            Over `row`, those whose R the curve reaches: `log_t`, `log_norm` (log R), `distance` modulo symmetry, and
            `scaled`, R times it.

        Raises:
            LanguageError: on a penalty path, for a branch that is none, or where the path reaches no R of the curve;
                ShapeMismatch: for another network.
        """
        if not isinstance(self.family, Norms):
            raise LanguageError("the path must vary norms, got one of penalties; make it with `norm_path`.")
        found, spots = [], self._branch(branch).spots
        for i in np.unique(np.linspace(0, len(path) - 1, min(rows, len(path))).round().astype(int)):
            state = path.state(int(i))
            rho, V = ({k: np.asarray(v) for k, v in part.items()} for part in (state.rho, state.V))
            p = float(
                np.asarray(path.problem.log_product(path.problem.scheme.weights(np, rho, V, path.problem.per), np))
            )
            there = section(self.family, spots, p)
            if there:
                row = self.family.row(state)
                near = min(self.family.symmetries.distance(row, u) for u in there)
                found.append((float(path.dataset["log_t"].values[i]), p, near, near * float(np.exp(p))))
        if not found:
            raise LanguageError(
                f"the path must have rows at the norms of branch {branch}, got none; follow the branch over other"
                " `norms`."
            )
        told = (
            "log of flow time t",
            "log R",
            "distance of directions from the curve, modulo symmetry",
            "R times the distance",
        )
        columns = zip(("log_t", "log_norm", "distance", "scaled"), np.array(found).T, told, strict=True)
        return xr.Dataset(
            {name: ("row", values, {"units": "dimensionless", "long_name": text}) for name, values, text in columns}
        )

    def __str__(self) -> str:
        ds, lines = self.dataset, [f"{len(self.branches)} branches, {len(self.events)} events; parameter {self.name}"]
        lines.append(f"branch  points  {'from':>11s}  {'to':>11s}  {'index':>9s}  {'residual':>8s}  {'left':>5s}  ends")
        for b, branch in enumerate(self.branches):
            of = ds.isel(point=ds["branch"].values == b)
            p, index = of["parameter"].values, of["index"].values
            shown = f"{index.min()}" if index.min() == index.max() else f"{index.min()}..{index.max()}"
            left = "start" if branch.event is None else f"#{branch.event}"
            lines.append(
                f"{b:6d}  {len(p):6d}  {p[0]:11.5g}  {p[-1]:11.5g}  {shown:>9s}  {float(of['residual'].max()):8.1e} "
                f" {left:>5s}  {branch.end}"
            )
        if flat := [str(b) for b, branch in enumerate(self.branches) if branch.end == "flat"]:
            lines.append(
                f"flat: beyond the end of {', '.join(flat)} critical points fill more than a curve; `critical_points`"
                " finds some of them"
            )
        if self.events:
            lines.append(f" event  {'parameter':>16s}  branch  index    kernel  kind")
            lines += [
                f"{'#' + str(k):>6s}  {e.parameter:16.10g}  {e.branch:6d}  {e.index[0]:2d} → {e.index[1]:<2d} "
                f" {e.multiplicity:6d}  {e.kind}" + (f" to {', '.join(map(str, e.leads_to))}" if e.leads_to else "")
                for k, e in enumerate(self.events)
            ]
        return "\n".join(lines)


def columns(family: Family, branches: list[Branch]) -> xr.Dataset:
    """The points of all branches, in order, as `Continuation.dataset` has them."""
    spots = [s for branch in branches for s in branch.spots]
    plain = "dimensionless"
    columns: dict[str, tuple[list[Any], str]] = {
        "branch": ([k for k, branch in enumerate(branches) for _ in branch.spots], "curve"),
        "parameter": ([s.p for s in spots], family.name),
        "length": ([s.length for s in spots], "length of the curve from its beginning"),
        "log_loss": ([family.log_loss(s.u, s.p) for s in spots], "log of the data loss"),
        "margin": ([family.margin(s.u, s.p) for s in spots], "smallest margin of unit directions"),
        "norm": (
            [float(np.sqrt(sum((w**2).sum() for w in family.weights(s.u, s.p).values()))) for s in spots],
            "norm of all weights",
        ),
        "index": ([s.index for s in spots], "negative eigenvalues of the Hessian"),
        "nullity": ([s.nullity for s in spots], "zero eigenvalues, directions of symmetry apart"),
        "least": (
            [float(s.eigenvalues.min(initial=np.inf)) for s in spots],
            "smallest eigenvalue, directions of symmetry apart",
        ),
        "residual": ([s.residual for s in spots], "of the gradient, relative"),
    }
    variables: Record = {
        k: ("point", np.array(v), {"units": plain, "long_name": told}) for k, (v, told) in columns.items()
    }
    variables["row"] = (
        ("point", "coordinate"),
        np.array([s.u for s in spots]),
        {"units": plain, "long_name": "unknowns"},
    )
    names = [
        f"{name}[{','.join(map(str, np.array(i) + 1))}]" for name, shape in family.layout for i in np.ndindex(*shape)
    ]
    return xr.Dataset(variables, coords={"coordinate": names})
