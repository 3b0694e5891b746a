"""Critical points of regularised linear nets as the penalty falls: all branches against closed forms, beside AUTO-07p and jaxcont.

    python benchmarks/continuation.py [--small]

½ Σ ‖f - y‖² + ω Σ ‖W_k‖², from an ω where only the origin is critical. With whitened inputs and singular values s of the targets a net of two
layers has one curve for every set S of at most h of them, W2 W1 = Σ_S (s_i - 2ω) u_i v_iᵀ: each leaves by a pitchfork at 2ω = s_i. A net of
three layers of width one has ω = (b s - s⁴) / 2 instead: transcritical at the origin, a fold at s³ = b / 4.

Told are events found of those that exist, events that do not exist, the largest error of a parameter, the largest distance of a point from the
closed forms, points with the wrong stability, and seconds of a second run over ours. AUTO-07p (Debian's `auto-07p`, with a Fortran
compiler) and jaxcont are left out where they are not installed. Neither knows of symmetries: hidden rotations make their Jacobians
singular along every curve but the first.
"""

import argparse
import importlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np
import sympy as sp
from scipy.optimize import brentq

import flowlab as fl
from flowlab.core.provenance import versions

Blocks = dict[str, np.ndarray]
NEAR = 1e-3
"""Stability is not compared closer to an event, nor events with what is further away."""


@dataclass
class Case:
    """A net, a range of penalties, and what is known of its critical points.

    Attributes:
        shapes: of the blocks.
        events: parameters and kinds, over all branches.
        branches: how many there are, modulo symmetry.
        closed: from weights and ω to the distance from the nearest closed form and the index there (None where that is not known).
    """

    name: str
    shapes: dict[str, tuple[int, int]]
    x: np.ndarray
    y: np.ndarray
    span: tuple[float, float]
    start: Blocks
    events: list[tuple[float, str]]
    branches: int
    closed: Callable[[Blocks, float], tuple[float, int | None]]
    text: str = field(init=False)

    def __post_init__(self) -> None:
        self.text = " @ ".join([*reversed(self.shapes), "x"])

    def blocks(self, u: Any) -> Any:
        """Weights of a row, in the order of the layers."""
        found, at = {}, 0
        for name, (m, n) in self.shapes.items():
            found[name] = u[at : at + m * n].reshape(m, n)
            at += m * n
        return found

    def objective(self, u: Any, omega: Any, xp: Any) -> Any:
        """The same by hand, for the other tools; of arrays, or of an object array of symbols."""
        out = self.x.T
        for block in self.blocks(u).values():
            out = block @ out
        return 0.5 * xp.sum((out - self.y.T) ** 2) + omega * xp.sum(u**2)

    @property
    def begin(self) -> np.ndarray:
        """The start as a row."""
        return np.concatenate([self.start[name].ravel() for name in self.shapes])


def matrix(spectrum: tuple[float, ...], h: int, seed: int, low: float) -> Case:
    """W2 W1 on whitened inputs."""
    s, d = np.array(spectrum), len(spectrum)
    rng = np.random.default_rng(seed)
    x, U, V = (np.linalg.qr(rng.normal(size=shape))[0] for shape in [(d + 4, d), (d, d), (d, d)])
    sets = [S for k in range(h + 1) for S in combinations(range(d), k)]
    # On the curve of S the value s_i passes where all of S have been passed before.
    events = [
        (s[i] / 2, "supercritical pitchfork")
        for S in sets if len(S) < h
        for i in range(d) if i not in S and s[i] > 2 * low and all(s[j] > s[i] for j in S)
    ]  # fmt: skip

    def closed(W: Blocks, omega: float) -> tuple[float, int | None]:
        M = U.T @ W["W2"] @ W["W1"] @ V
        held = np.clip(s - 2 * omega, 0, None)
        on = (np.diag(M) > 0.5 * held) & (held > 0)
        away = np.linalg.norm(M - np.diag(np.where(on, held, 0.0))) + np.linalg.norm(W["W2"].T @ W["W2"] - W["W1"] @ W["W1"].T)
        index = sum((h - int(on.sum())) * (s[i] > 2 * omega) + int((on & (s < s[i])).sum()) for i in range(d) if not on[i])
        return float(away), int(index)

    shapes = {"W1": (h, d), "W2": (d, h)}
    zeros = {name: np.zeros(shape) for name, shape in shapes.items()}
    name = f"{d} singular values, width {h}"
    return Case(name, shapes, x, x @ (V * s) @ U.T, (0.6 * s[0], low), zeros, events, sum(all(s[i] > 2 * low for i in S) for S in sets), closed)


def scalar() -> Case:
    """(uv - 1)²/2 + ω (u² + v²), through ω = 0, where uv = 1 is a curve of minima, and beyond."""

    def closed(W: Blocks, w: float) -> tuple[float, int | None]:
        u, v = float(W["W1"][0, 0]), float(W["W2"][0, 0])
        known = [
            (max(abs(u), abs(v)), int(w < 0.5) + int(w < -0.5)), (max(abs(u - v), abs(u * u + 2 * w - 1)), int(w < 0)),
            (max(abs(u + v), abs(u * u + 2 * w + 1)), 1), (max(abs(w), abs(u * v - 1)), None),
        ]  # fmt: skip
        return min(known, key=lambda item: item[0])

    one, pitchfork = np.ones((1, 1)), "supercritical pitchfork"
    events = [(0.5, pitchfork), (0.0, "vertical"), (-0.5, pitchfork)]
    return Case("2 layers, scalar", {"W1": (1, 1), "W2": (1, 1)}, one, one, (0.75, -0.75), {"W1": 0 * one, "W2": 0 * one}, events, 5, closed)


def cubic(b: float) -> Case:
    """Three layers of width one: from the origin's neighbour at small ω round the fold and back."""

    def closed(W: Blocks, w: float) -> tuple[float, int | None]:
        s = np.array([float(W[name][0, 0]) for name in ("W1", "W2", "W3")])
        size, q = float(np.abs(s).mean()), float(np.prod(s))
        if size < 1e-9:
            return size, 0
        away = float(np.ptp(np.abs(s))) + abs(2 * w * size - np.sign(q) * b * size**2 + size**5)
        # Of the Hessian's eigenvalues only that along (1, 1, 1) changes sign, at the fold.
        return away, int(size**3 < b / 4)

    top = (b / 4) ** (1 / 3)
    fold = 0.5 * (b * top - top**4)
    begin = brentq(lambda s: b * s - s**4 - fold, top, 2 * b)
    ones = {name: np.full((1, 1), begin) for name in ("W1", "W2", "W3")}
    shapes = dict.fromkeys(ones, (1, 1))
    one = np.ones((1, 1))
    return Case(f"3 layers, scalar, b = {b:g}", shapes, one, b * one, (fold / 2, 1.5 * fold), ones, [(fold, "fold")], 1, closed)


def samples(n: int, d: int, h: int, seed: int) -> Case:
    """One output on inputs that are not whitened: a pitchfork at 2ω = ‖Xᵀy‖, and the minimum (XᵀX + 2ω/s²) β = Xᵀy with ‖β‖ = s²."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    y = (x @ rng.normal(size=d) + 0.3 * rng.normal(size=n))[:, None]
    G, b = x.T @ x, (x.T @ y)[:, 0]
    size = float(np.linalg.norm(b))

    def closed(W: Blocks, w: float) -> tuple[float, int | None]:
        if max(float(np.abs(block).max()) for block in W.values()) < 1e-9:
            return 0.0, h * (2 * w < size)
        beta = (W["W2"] @ W["W1"])[0]
        near = np.linalg.solve(np.linalg.norm(beta) * G + 2 * w * np.eye(d), np.linalg.norm(beta) * b)
        return float(np.linalg.norm(beta - near) + np.linalg.norm(W["W2"].T @ W["W2"] - W["W1"] @ W["W1"].T)), 0

    shapes = {"W1": (h, d), "W2": (1, h)}
    zeros = {name: np.zeros(shape) for name, shape in shapes.items()}
    return Case(f"{n} samples, d = {d}, width {h}", shapes, x, y, (0.6 * size, 0.05 * size), zeros, [(size / 2, "supercritical pitchfork")], 2, closed)


def judged(case: Case, events: list[tuple[float, str]], points: list[tuple[np.ndarray, float, bool]]) -> dict[str, Any]:
    """Events against those that exist, points (row, ω, stable) against closed forms."""
    left, errors, right = list(case.events), [], 0
    spurious = 0
    for p, kind in events:
        near = min(left, key=lambda item: abs(item[0] - p), default=None)
        if near is None or abs(near[0] - p) > NEAR:
            spurious += 1
            continue
        left.remove(near)
        errors.append(abs(near[0] - p))
        right += near[1] == kind
    low, high = min(case.span), max(case.span)
    away, wrong, compared = 0.0, 0, 0
    for row, p, stable in points:
        if not low - 1e-9 <= p <= high + 1e-9:
            continue
        distance, index = case.closed(case.blocks(row), p)
        away = max(away, distance)
        if index is not None and all(abs(p - w) > NEAR * (1 + abs(w)) for w, _ in case.events):
            compared += 1
            wrong += (index == 0) != stable
    return {
        "events": len(errors), "of": len(case.events), "types": right, "spurious": spurious, "error": max(errors, default=None), "away": away,
        "wrong": int(wrong), "points": compared,
    }  # fmt: skip


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """The answer, and seconds of a second call."""
    call()
    began = time.perf_counter()
    return call(), time.perf_counter() - began


def ours(case: Case) -> dict[str, Any]:
    """flowlab: every branch, index and type."""
    problem = fl.Problem(case.text, loss="square")
    single = case.y.shape[1] == 1
    data = fl.Data(case.x, case.y[:, 0] if single else case.y, kind="targets")
    tree, seconds = timed(lambda: fl.penalty_path(problem, data, penalties=case.span, start=case.start))
    ds = tree.dataset
    rows = [(u, float(p), int(k)) for u, p, k in zip(ds["row"].values, ds["parameter"].values, ds["index"].values, strict=True)]
    found = judged(case, [(e.parameter, e.kind) for e in tree.events], [(u, p, k == 0) for u, p, k in rows])
    known = [(case.closed(case.blocks(u), p)[1], k) for u, p, k in rows if all(abs(p - w) > NEAR * (1 + abs(w)) for w, _ in case.events)]
    wrong = sum(index is not None and index != k for index, k in known)
    return {"tool": "flowlab", **found, "branches": len(tree.branches), "wrong_index": wrong, "seconds": seconds}


def jaxcont(case: Case) -> dict[str, Any]:
    """jaxcont: one curve, with folds, which are the only events of critical points that it knows."""
    tool: Any = importlib.import_module("jaxcont")
    jnp = jax.numpy

    def down(u: Any, p: Any, _: Any) -> Any:
        return -jax.grad(lambda v: case.objective(v, p, jnp))(u)

    problem = tool.bif_problem(down, case.begin, case.span[0])
    settings = tool.ContinuationPar(ds=0.01, ds_max=0.1, max_steps=1000, newton_tol=1e-10)

    def run() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return tool.continuation(problem, p_span=case.span, settings=settings, events=[tool.Fold()])

    result, seconds = timed(run)
    branch = result.branch
    points = list(zip(np.asarray(branch.states), np.asarray(branch.params), np.asarray(branch.stable), strict=True))
    # Branch points are none of its events.
    return {"tool": "jaxcont", **judged(case, [(float(e.p), e.kind) for e in result.events], points), "branches": 1, "seconds": seconds}


ROUTINES = "BCND", "ICND", "FOPT", "PVLS"
CONSTANTS = """NDIM={n}, IPS=1, IRS=0, ILP=1
ICP=[1]
NTST=15, NCOL=4, IAD=3, ISP=2, ISW=1, IPLT=0, NBC=0, NINT=0
NMX=300, NPR=1000, MXBF=24, IID=2, ITMX=8, ITNW=5, NWTN=3, JAC=0
EPSL=1e-10, EPSU=1e-10, EPSS=1e-8
DS={ds}, DSMIN=1e-6, DSMAX={longest}, IADS=1
RL0={low}, RL1={high}
"""


def fortran(case: Case) -> str:
    """-∇ of the objective as AUTO wants it: negative eigenvalues are stable."""
    n = case.begin.size
    u, p = sp.symbols(f"u1:{n + 1}", real=True), sp.Symbol("omega", real=True)
    whole = sp.expand(case.objective(np.array(u, dtype=object), p, np))
    names = {s: sp.Symbol(f"U({k + 1})") for k, s in enumerate(u)} | {p: sp.Symbol("PAR(1)")}
    rows = [sp.fcode(-sp.diff(whole, s).xreplace(names), assign_to=f"F({k + 1})", source_format="free", standard=95) for k, s in enumerate(u)]
    begin = [f"U({k + 1}) = {value!r}D0" for k, value in enumerate(map(float, case.begin))]
    return "\n".join([
        "SUBROUTINE FUNC(NDIM,U,ICP,PAR,IJAC,F,DFDU,DFDP)", "IMPLICIT NONE", "INTEGER, INTENT(IN) :: NDIM, ICP(*), IJAC",
        "DOUBLE PRECISION, INTENT(IN) :: U(NDIM), PAR(*)", "DOUBLE PRECISION, INTENT(OUT) :: F(NDIM)",
        "DOUBLE PRECISION, INTENT(INOUT) :: DFDU(NDIM,NDIM), DFDP(NDIM,*)", *rows, "END SUBROUTINE FUNC",
        "SUBROUTINE STPNT(NDIM,U,PAR,T)", "IMPLICIT NONE", "INTEGER, INTENT(IN) :: NDIM", "DOUBLE PRECISION, INTENT(INOUT) :: U(NDIM), PAR(*)",
        "DOUBLE PRECISION, INTENT(IN) :: T", *begin, f"PAR(1) = {float(case.span[0])!r}D0", "END SUBROUTINE STPNT",
        *(line for name in ROUTINES for line in (f"SUBROUTINE {name}", f"END SUBROUTINE {name}")), "",
    ])  # fmt: skip


def auto(case: Case) -> dict[str, Any]:
    """AUTO-07p through its command line; algebraic problems switch at branch points by themselves."""
    if shutil.which("auto-07p") is None or shutil.which("gfortran") is None:
        raise ImportError("auto-07p")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "net.f90").write_text(fortran(case))
        first, last = case.span
        low, high = (last, first * 1.1 + 0.1) if last < first else (0.0, last)
        told = CONSTANTS.format(n=case.begin.size, ds=np.copysign(0.02, last - first), longest=0.1, low=low, high=high)
        (folder / "c.net").write_text(told)
        (folder / "net.auto").write_text("run('net')\nsave('net')\n")

        def run() -> str:
            done = subprocess.run(["auto-07p", "net.auto"], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
            return done.stdout

        out, seconds = timed(run)
        if not (folder / "b.net").exists():
            raise RuntimeError(f"auto-07p gave no result: {out[-300:]}")
        lines = [line.split() for line in (folder / "b.net").read_text().splitlines()]
    n = case.begin.size
    # b.net shows at most seven coordinates: points of larger nets cannot be compared.
    rows = [row for row in lines if row and row[0] != "0"]
    values = [[float(_number(v)) for v in row[4:]] for row in rows]
    points = [(np.array(v[2 : 2 + n]), v[0], int(row[1]) < 0) for row, v in zip(rows, values, strict=True)] if n <= 6 else []
    kinds = {1: "branch point", 2: "fold", 5: "fold"}  # AUTO does not tell sorts of branch points apart
    events = [(v[0], kinds[abs(int(row[2])) % 10]) for row, v in zip(rows, values, strict=True) if abs(int(row[2])) % 10 in kinds]
    return {"tool": "auto-07p", **judged(case, events, points), "branches": len({row[0] for row in rows}), "seconds": seconds}


def _number(text: str) -> str:
    """Fortran leaves the letter out where the exponent has three digits, as in 1.5-100."""
    return re.sub(r"(\d)([+-]\d+)$", r"\1e\2", text)


def main(small: bool = False) -> dict[str, Any]:
    """Print the table and return its rows."""
    cases = [scalar(), matrix((2.0, 1.3, 0.7), 2, 5, 0.1)]
    if not small:
        more = [matrix((2.0, 1.3, 0.7), h, 6, 0.1) for h in (1, 3)]
        cases += [*more, matrix((3.1, 2.2, 1.4, 0.9), 2, 7, 0.2), cubic(1.0), cubic(2.3), samples(12, 3, 1, 8), samples(20, 4, 3, 9)]
    rows: list[dict[str, Any]] = []
    for case in cases:
        print(f"\n{case.name}: {len(case.events)} events, {case.branches} branches, {case.begin.size} weights")
        for tool in (ours, jaxcont, auto):
            try:
                row = {"case": case.name, **tool(case)}
            except ImportError:
                print(f"  {tool.__name__:9s} is not installed: left out")
                continue
            except (RuntimeError, ValueError, subprocess.TimeoutExpired) as failed:
                print(f"  {tool.__name__:9s} failed: {str(failed)[:150]}")
                continue
            rows.append(row)
            row["ratio"] = row["seconds"] / next(r["seconds"] for r in rows if r["case"] == case.name)
            error = "none" if row["error"] is None else f"{row['error']:.1e}"
            print(
                f"  {row['tool']:9s} events {row['events']:2d}/{row['of']:2d}, type right {row['types']:2d}, spurious {row['spurious']:3d}, "
                f"error {error:>8s}, branches {row['branches']:2d}/{case.branches}, distance {row['away']:8.1e}, "
                f"stability wrong {row['wrong']:3d}/{row['points']:3d}, seconds {row['seconds']:7.3f} ({row['ratio']:.2f} of ours)"
                + (f", index wrong {row['wrong_index']}" if "wrong_index" in row else "")
            )
    result = {"rows": rows, "versions": versions()}
    print(json.dumps(result))
    return result


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", action="store_true")
    main(parser.parse_args().small)
