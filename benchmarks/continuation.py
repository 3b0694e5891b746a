"""Critical points of regularised linear nets as the penalty falls: all branches against closed forms, beside AUTO-07p
and jaxcont.

    python benchmarks/continuation.py [--small]

½ Σ ‖f - y‖² + ω Σ ‖W_k‖², from an ω where only the origin is critical. With whitened inputs and singular values s of
the targets a net of two layers has one curve for every set S of at most h of them, W2 W1 = Σ_S (s_i - 2ω) u_i v_iᵀ:
each leaves by a pitchfork at 2ω = s_i. A net of three layers of width one has ω = (b s - s⁴) / 2 instead: transcritical
at the origin, a fold at s³ = b / 4.

Told are events found of those that exist, events that do not exist, the largest error of a parameter, the largest
distance of a point from the closed forms, points with the wrong stability, and seconds of a second run over ours.
AUTO-07p (Debian's `auto-07p`, with a Fortran compiler) and jaxcont are left out where they are not installed. Neither
knows of symmetries: hidden rotations make their Jacobians singular along every curve but the first.
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
from pathlib import Path
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np
import sympy as sp
from regularised_nets import NEAR, Case, cubic, judged, matrix, samples, scalar

import flowlab as fl
from flowlab.core.provenance import versions


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
    rows = [
        (u, float(p), int(k))
        for u, p, k in zip(ds["row"].values, ds["parameter"].values, ds["index"].values, strict=True)
    ]
    found = judged(case, [(e.parameter, e.kind) for e in tree.events], [(u, p, k == 0) for u, p, k in rows])
    known = [
        (case.closed(case.blocks(u), p)[1], k)
        for u, p, k in rows
        if all(abs(p - w) > NEAR * (1 + abs(w)) for w, _ in case.events)
    ]
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
    return {
        "tool": "jaxcont",
        **judged(case, [(float(e.p), e.kind) for e in result.events], points),
        "branches": 1,
        "seconds": seconds,
    }


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
    rows = [
        sp.fcode(-sp.diff(whole, s).xreplace(names), assign_to=f"F({k + 1})", source_format="free", standard=95)
        for k, s in enumerate(u)
    ]
    begin = [f"U({k + 1}) = {value!r}D0" for k, value in enumerate(map(float, case.begin))]
    return "\n".join(
        [
            "SUBROUTINE FUNC(NDIM,U,ICP,PAR,IJAC,F,DFDU,DFDP)",
            "IMPLICIT NONE",
            "INTEGER, INTENT(IN) :: NDIM, ICP(*), IJAC",
            "DOUBLE PRECISION, INTENT(IN) :: U(NDIM), PAR(*)",
            "DOUBLE PRECISION, INTENT(OUT) :: F(NDIM)",
            "DOUBLE PRECISION, INTENT(INOUT) :: DFDU(NDIM,NDIM), DFDP(NDIM,*)",
            *rows,
            "END SUBROUTINE FUNC",
            "SUBROUTINE STPNT(NDIM,U,PAR,T)",
            "IMPLICIT NONE",
            "INTEGER, INTENT(IN) :: NDIM",
            "DOUBLE PRECISION, INTENT(INOUT) :: U(NDIM), PAR(*)",
            "DOUBLE PRECISION, INTENT(IN) :: T",
            *begin,
            f"PAR(1) = {float(case.span[0])!r}D0",
            "END SUBROUTINE STPNT",
            *(line for name in ROUTINES for line in (f"SUBROUTINE {name}", f"END SUBROUTINE {name}")),
            "",
        ]
    )


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
            done = subprocess.run(
                ["auto-07p", "net.auto"], cwd=folder, capture_output=True, text=True, timeout=300, check=False
            )
            return done.stdout

        out, seconds = timed(run)
        if not (folder / "b.net").exists():
            raise RuntimeError(f"auto-07p gave no result: {out[-300:]}")
        lines = [line.split() for line in (folder / "b.net").read_text().splitlines()]
    n = case.begin.size
    # b.net shows at most seven coordinates: points of larger nets cannot be compared.
    rows = [row for row in lines if row and row[0] != "0"]
    values = [[float(_number(v)) for v in row[4:]] for row in rows]
    points = (
        [(np.array(v[2 : 2 + n]), v[0], int(row[1]) < 0) for row, v in zip(rows, values, strict=True)] if n <= 6 else []
    )
    kinds = {1: "branch point", 2: "fold", 5: "fold"}  # AUTO does not tell sorts of branch points apart
    events = [
        (v[0], kinds[abs(int(row[2])) % 10])
        for row, v in zip(rows, values, strict=True)
        if abs(int(row[2])) % 10 in kinds
    ]
    return {
        "tool": "auto-07p",
        **judged(case, events, points),
        "branches": len({row[0] for row in rows}),
        "seconds": seconds,
    }


def _number(text: str) -> str:
    """Fortran leaves the letter out where the exponent has three digits, as in 1.5-100."""
    return re.sub(r"(\d)([+-]\d+)$", r"\1e\2", text)


def main(small: bool = False) -> dict[str, Any]:
    """Print the table and return its rows."""
    cases = [scalar(), matrix((2.0, 1.3, 0.7), 2, 5, 0.1)]
    if not small:
        more = [matrix((2.0, 1.3, 0.7), h, 6, 0.1) for h in (1, 3)]
        cases += [
            *more,
            matrix((3.1, 2.2, 1.4, 0.9), 2, 7, 0.2),
            cubic(1.0),
            cubic(2.3),
            samples(12, 3, 1, 8),
            samples(20, 4, 3, 9),
        ]
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
                f"  {row['tool']:9s} events {row['events']:2d}/{row['of']:2d}, type right {row['types']:2d}, spurious"
                f" {row['spurious']:3d}, error {error:>8s}, branches {row['branches']:2d}/{case.branches}, distance"
                f" {row['away']:8.1e}, stability wrong {row['wrong']:3d}/{row['points']:3d}, seconds"
                f" {row['seconds']:7.3f} ({row['ratio']:.2f} of ours)"
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
