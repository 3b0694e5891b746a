"""`asymptotics`: what a trajectory tends to, at two horizons, with bars.

Under losses with an exponential tail and networks of degree K, late norms grow like R ~ (log t)/γ, and everything else
keeps a memory of order 1/R (Soudry et al. 2018 for K = 1; Lyu and Li 2020). With Λ = log 1/L and dΛ/dt = r Λ^{2-2/K}
e^{-Λ},

    log t = Λ - (2 - 2/K) log Λ - log r + O(1/Λ),        r = lim ‖∇L‖² / (L² Λ^{2-2/K}),

so that q = log t + log L + (2 - 2/K) log log t tends to -log r, which is -2 log γ for K = 1. Each quantity is
extrapolated in the variable in which its expansion has no logarithms: margins and directions in 1/R, norms and q in
1/Λ. No time is ever exponentiated. Laws slower than all powers of 1/log t, such as 1/log log t, are beyond what bars of
this kind can know.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import xarray as xr

from flowlab.core.arguments import guarded, must_be
from flowlab.core.display import displayed
from flowlab.core.errors import ShapeMismatch, UnknownName
from flowlab.core.registry import nearest
from flowlab.language.trajectory import Trajectory
from flowlab.late.expansion_powers import factor_of, powers, rising
from flowlab.late.limit_estimate import Comparison, Limit, compare
from flowlab.late.richardson import Estimate, TooEarly, correction, each, gap_exponent, power, richardson
from flowlab.late.support_vectors import joining

LATE, ROWS = 3.0, 8
"""Rows beyond this log t count as late, and how many of them are needed."""

_EARLIER = (10.0, 5.0, 3.0, 2.0)
_EARLIEST = 20.0
"""Before this log t expansions in 1/log t say nothing yet, so that no horizon is placed there."""

_STEPS = 10.0
"""Tolerances of a step that errors of a late run are taken to add up to."""

_SLOWEST = 0.05
"""Exponent of a soft mode below which a decade of the variable changes it by less than a tenth, like a logarithm."""

_VAGUE = 0.3
"""An exponent known no better than this is not known."""

_SAFE = ("exponent rho", "log(1/L)")
"""Limits that are the same whichever samples support the margin."""


@dataclass(frozen=True)
@displayed
class Asymptotics:
    """The limits of a trajectory.

    Attributes:
        limits: by name: `"exponent rho_W1"`, `"R / log_t"`, `"min_margin"`, `"q"`, `"exponent V_W1"`, `"C* V_W1"`, ….
        directions: V_∞ by block with the bars of its components, both in the shape of the block.
        degree: K, or None where the network has none.
        skipped: what was left out, and why.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(1e4))
        >>> found = fl.asymptotics(path)
        >>> found.degree, "R / log_t" in found.limits
        (1.0, True)
    """

    limits: dict[str, Limit]
    directions: dict[str, tuple[np.ndarray, np.ndarray]]
    degree: float | None
    skipped: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Limit:
        if name not in self.limits:
            why = (
                f" it was left out because {self.skipped[name]}"
                if name in self.skipped
                else f" did you mean `{nearest(name, list(self.limits))}`?"
            )
            raise UnknownName(f"`{name}` is not known;{why} Known: {', '.join(self.limits)}.")
        return self.limits[name]

    def compare(self, name: str, value: "float | Estimate | Limit") -> Comparison:
        """Whether a limit is `value`: a number, an estimate, or the limit of another trajectory; see `compare`."""
        return compare(self[name], value)

    @property
    def table(self) -> xr.Dataset:
        """Everything by `quantity`; NaN where there is no estimate."""
        rows, columns = list(self.limits.values()), dict[str, tuple[str, list]]()
        for prefix, estimates in (("", [r.late for r in rows]), ("early_", [r.early for r in rows])):
            for name in ("value", "error", "horizon", "degree", "window", "rows"):
                columns[prefix + name] = (
                    "quantity",
                    [math.nan if e is None else float(getattr(e, name)) for e in estimates],
                )
        for name in ("state", "variable", "reason"):
            columns[name] = ("quantity", [getattr(r, name) for r in rows])
        return xr.Dataset(columns, coords={"quantity": [r.name for r in rows]}, attrs={"units": "dimensionless"})

    def __str__(self) -> str:
        head = ("limit of", "value", "bar", "along", "up to", "earlier", "bar", "up to", "state")
        lines: list[tuple[str, ...]] = [head]
        for r in self.limits.values():
            cells = [
                ("–", "–", "–") if e is None else (f"{e.value:.9g}", f"{e.error:.1e}", f"{e.horizon:.3g}")
                for e in (r.late, r.early)
            ]
            lines.append((r.name, cells[0][0], cells[0][1], r.variable, cells[0][2], *cells[1], r.state))
        wide = [max(len(line[i]) for line in lines) for i in range(len(head))]
        told = ["  ".join(cell.ljust(w) for cell, w in zip(line, wide, strict=True)).rstrip() for line in lines]
        return "\n".join([*told, *(f"left out: {name}: {why}" for name, why in self.skipped.items())])


@guarded
def asymptotics(
    path: Trajectory, *, log_gradient: Sequence[float] | np.ndarray | None = None, tolerance: float = 1e-3
) -> Asymptotics:
    """The limits of a trajectory, at its last row and at an earlier horizon.

    Args:
        path: a flow or a descent; at least eight rows beyond log t = 3.
        log_gradient: log ‖∇L‖ in all weights at every row, (S,), for the limit of r; not stored by runs.
        tolerance: a bar is small below this fraction of the quantity (of one, for exponents and q).

    Returns:
        Exponents of the norms against log t; the limits of R/log t, the smallest margin (along R and along log t),
        log(1/L)/log t and q; exponent and factor of what margin and directions lack (-1 and finite where the gap is
        C*/R). What has no meaning for the problem is named in `skipped`: normalised quantities without homogeneity,
        laws of the loss without an exponential tail.

    Raises:
        TooEarly: without `log_t`, or with fewer than eight late rows.
        LanguageError, ShapeMismatch: for arguments of another kind.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(1e4))
        >>> found, best = fl.asymptotics(path), fl.max_margin("W @ x", data)
        >>> abs(found.limits["R / log_t"].late.value * best.margin - 1) < 1e-3
        True
    """
    if not isinstance(path, Trajectory):
        raise must_be("path", path, "a trajectory", "what `integrate` or `descend` returns")
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 < tolerance < 1:
        raise must_be("tolerance", tolerance, "a number between 0 and 1", "for example 1e-3")
    if log_gradient is not None and np.shape(log_gradient) != (len(path),):
        raise ShapeMismatch(
            f"`log_gradient` must have the shape ({len(path)},), got {np.shape(log_gradient)}; pass one number per row."
        )
    return _Reader(path, float(tolerance)).read(log_gradient)


class _Reader:
    """Late rows of a trajectory, and how each quantity is extrapolated."""

    def __init__(self, path: Trajectory, tolerance: float) -> None:
        if "log_t" not in path.dataset:
            raise TooEarly(
                f"This {path.kind} trajectory has no `log_t`, which limits are read off; make it with `integrate` or"
                " `descend`."
            )
        log_t = path.dataset["log_t"].values
        late = np.isfinite(log_t) & (log_t > LATE)
        if late.sum() < ROWS:
            top = float(np.max(log_t)) if len(log_t) else -math.inf
            raise TooEarly(
                f"{int(late.sum())} rows beyond log t = {LATE:g} (the last at {top:.3g}) tell no limit; run to log t ="
                f" 100, with {ROWS} rows."
            )
        self.path, self.problem, self.tolerance, self.late = path, path.problem, tolerance, late
        self.rows = path.dataset.isel(step=np.flatnonzero(late))
        self.log_t = log_t[late]
        with np.errstate(over="ignore"):
            self.R, self.loss = np.exp(self.rows["log_R"].values), -self.rows["log_loss"].values
        # A run is as accurate as its tolerance at best, and its errors vary smoothly along the path.
        self.rtol = float(path.provenance.get("settings", {}).get("rtol", 0.0))
        self.carried = "clock" in path.dataset and str(path.dataset["clock"].values[-1]) != "time"
        self.drift = self.rtol
        self.limits: dict[str, Limit] = {}
        self.skipped: dict[str, str] = {}

    def read(self, log_gradient: Sequence[float] | np.ndarray | None) -> Asymptotics:
        joint = self.problem.network.symmetry.joint_degree
        homogeneous = joint is not None
        K = float(joint) if joint else None
        self.powers, self.across = powers(K, 2.0), powers(K, 1.0)
        if self.carried and K:
            # There an error of a direction counts by what it does to weights of the size R^{1/K}.
            self.drift = _STEPS * self.rtol * float(np.exp(-self.rows["log_R"].values[-1] / K))
        grows = homogeneous and bool(np.isfinite(self.R).all()) and self.R[-1] > 1.5 * self.R[0]
        tail = self.problem.loss.classifies and not any(self.problem.decay.values())
        tiny = tail and self.loss[-1] > LATE
        self.pace_of_norms(tiny, grows)
        if tiny:
            self.add("log(1/L) / log_t", "log_t", self.log_t, self.loss / self.log_t, self.rtol)
            if K is not None and self.problem.scheme.norms_descend and not self.problem.is_rated and grows:
                self.pace(K, log_gradient)
            else:
                self.skipped["q"] = "its law needs a homogeneous network whose norms follow the gradient."
        else:
            self.skipped["q"] = "the loss has no exponential tail here, or is not small at the end."
        if homogeneous and tail:
            self.margin(grows)
        else:
            self.skipped["min_margin"] = "margins are compared over time for homogeneous networks and classes only."
        directions = self.directions(grows)
        if homogeneous and tail and grows and (doubt := joining(self.path, self.R, np.flatnonzero(self.late))):
            for name, found in self.limits.items():
                if not name.startswith(_SAFE):
                    self.limits[name] = replace(found, doubt=found.doubt or doubt)
        return Asymptotics(self.limits, directions, K, self.skipped)

    def pace_of_norms(self, tiny: bool, grows: bool) -> None:
        """Exponents of the norms and the limit of R/log t.

        Λ = log 1/L takes the place of log t where it can: their ratio tends to one, and norms have no logarithms of Λ
        in them.
        """
        variable, x = ("log 1/L", np.where(self.loss > LATE, self.loss, np.nan)) if tiny else ("log_t", self.log_t)
        for i, label in enumerate(self.rows["block"].values.tolist()):
            rho = self.rows["rho"].values[:, i]
            self.take(
                f"exponent rho_{label}",
                variable,
                x,
                1.0,
                lambda x, h, rho=rho: power(x, rho, horizon=h, powers=self.powers, drift=self.rtol),
            )
        if grows:
            self.add("R / log_t", variable, x, self.R / x, self.rtol * self.R[-1] / x[-1])

    def pace(self, K: float, log_gradient: Sequence[float] | np.ndarray | None) -> None:
        """The limits of q and, with gradients, of log r."""
        late, beta = self.loss > LATE, 2.0 - 2.0 / K
        with np.errstate(invalid="ignore", divide="ignore"):
            # log Λ for log log t: the same limit, and nothing but powers of 1/Λ on the way.
            slow = beta * np.log(self.loss)
        q = np.where(late, self.log_t - self.loss + slow, np.nan)
        # The late clocks carry q itself; in ordinary time it is a difference of two numbers of the size of log t.
        noise = (_STEPS * self.rtol if self.carried else self.rtol * self.loss[-1]) + 64.0 * np.finfo(
            np.float64
        ).eps * self.log_t[-1]
        self.add("q", "log 1/L", self.loss, q, noise, scale=1.0, powers=self.powers)
        if log_gradient is not None:
            log_r = 2.0 * (np.asarray(log_gradient, dtype=np.float64)[self.late] + self.loss) - slow
            self.add("log r", "log 1/L", self.loss, np.where(late, log_r, np.nan), noise, scale=1.0, powers=self.powers)

    def margin(self, grows: bool) -> None:
        """The smallest margin, and how it gets to its limit."""
        margin = self.rows["min_margin"].values
        drift = self.rtol * abs(float(margin[-1]))
        if grows:
            self.add("min_margin", "R", self.R, margin, drift, powers=self.powers)
        self.add("min_margin by log_t", "log_t", self.log_t, margin, drift)
        if grows:
            law = {"powers": self.powers, "drift": drift}
            self.take(
                "exponent margin gap", "R", self.R, 1.0, lambda x, h: gap_exponent(x, margin[:, None], horizon=h, **law)
            )
            self.take("factor margin gap", "R", self.R, None, lambda x, h: correction(x, margin, horizon=h, **law))
            gap = self.limits["exponent margin gap"].late
            if gap is not None and (
                gap.error > _VAGUE or min(abs(gap.value + p) for p in self.powers) > max(3.0 * gap.error, 0.15)
            ):
                told = ", ".join(f"{p:.3g}" for p in self.powers)
                doubt = (
                    f"the gap falls like R^({gap.value:.2g} ± {gap.error:.1g}), which is none of the powers -({told})"
                    " it is extrapolated by"
                )
                for name in ("min_margin", "min_margin by log_t"):
                    found = self.limits[name]
                    # A fitted soft mode has an exponent of its own.
                    if found.late is not None and not found.late.soft:
                        self.limits[name] = replace(found, doubt=doubt)

    def directions(self, grows: bool) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """V_∞ of every block, and exponent and factor C* of the way there."""
        ends = {}
        x, variable = (self.R, "R") if grows else (self.log_t, "log_t")
        law = {"powers": self.across, "drift": self.drift}
        for name in self.problem.network.weights:
            V = self.rows[f"V_{name}"].values
            shape, V = V.shape[1:], V.reshape(len(V), -1)
            if not self.problem.scheme.unit:
                V = V / np.linalg.norm(V, axis=1, keepdims=True)
            try:
                end = each(np.where(rising(x), x, np.nan), V, **law)
            except TooEarly as error:
                self.skipped[f"V_{name}"] = str(error)
                continue
            ends[name] = (end.value.reshape(shape), end.error.reshape(shape))
            if float(np.ptp(V, axis=0).max()) <= 1e-12:
                self.skipped[f"exponent V_{name}"] = "the direction does not move."
                continue
            self.take(f"exponent V_{name}", variable, x, 1.0, lambda x, h, V=V: gap_exponent(x, V, horizon=h, **law))
            seen = self.limits[f"exponent V_{name}"].late
            if seen is not None and seen.error > _VAGUE:
                self.skipped[f"C* V_{name}"] = (
                    f"how the gap falls is not known ({variable}^({seen.value:.2g} ± {seen.error:.1g}))."
                )
                continue
            if seen is not None and abs(seen.value + 1.0) > max(3.0 * seen.error, 0.1):
                self.skipped[f"C* V_{name}"] = f"the gap falls like {variable}^{seen.value:.3g}, not like 1/{variable}."
                continue
            # Without the powers below 1, which the exponent has just excluded.
            first = {"powers": tuple(p + 1.0 - self.across[0] for p in self.across), "drift": self.drift}
            self.take(f"C* V_{name}", variable, x, None, lambda x, h, V=V, first=first: factor_of(x, V, h, first))
        return ends

    def add(
        self,
        name: str,
        variable: str,
        x: np.ndarray,
        y: np.ndarray,
        drift: float,
        *,
        scale: float | None = None,
        powers: Sequence[float] | None = None,
    ) -> None:
        """The limit of y along x."""
        self.take(
            name,
            variable,
            x,
            scale,
            lambda x, h: richardson(x, y, horizon=h, powers=powers or self.powers, drift=drift),
        )

    def take(
        self,
        name: str,
        variable: str,
        x: np.ndarray,
        scale: float | None,
        fit: Callable[[np.ndarray, float | None], Estimate],
    ) -> None:
        """One estimate at both horizons."""
        x = np.where(rising(x), x, np.nan)
        top = float(np.nanmax(x)) if np.isfinite(x).any() else math.nan
        late, early, missing, short = None, None, "", 1.0
        try:
            late = fit(x, None)
        except TooEarly as error:
            missing = str(error)
        size = max(scale if scale is not None else abs(late.value) if late is not None else 1.0, 1e-300)
        for ratio in _EARLIER if late is not None else ():
            if np.nansum(x <= top / ratio) < ROWS or self.log_t[x <= top / ratio].max() < _EARLIEST:
                continue
            try:
                found = fit(x, top / ratio)
            except TooEarly:
                continue
            if late is not None and found.horizon >= late.horizon * (1 - 1e-9):
                # Rows that tell nothing are left out at both, so that this is the same horizon once more.
                continue
            if late is not None and found.error > 0:
                # A bar that was too short before is too short by the same factor now.
                short = max(short, abs(found.value - late.value) / found.error)
            # The farthest horizon with a small bar, else the one that tells most; a wide bar would agree with
            # everything.
            early = found if early is None or found.error < early.error else early
            if early.error <= self.tolerance * size:
                break
        if late is not None and early is None:
            missing = (
                f"no second horizon: too few rows beyond log t = {_EARLIEST:g} below {variable} = {top / 2:.3g}; run to"
                f" {variable} = {4 * top:.3g}."
            )
        late = replace(late, error=late.error * short) if late is not None else None
        doubt = ""
        if late is not None and 0 < late.soft < _SLOWEST:
            doubt = f"a soft mode falls like {variable}^-{late.soft:.2g}, too slowly for a bar"
        self.limits[name] = Limit(name, variable, late, early, size, self.tolerance, missing, doubt)
