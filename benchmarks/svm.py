"""Hard margins against general solvers: the machine against Clarabel, qpax and scikit-learn, margins of networks
against IPOPT.

    python benchmarks/svm.py [machines] [networks]

machines: n = 200, d = 50, separable; every solver's w is scaled to the data's own smallest margin and judged by the
same residuals. networks: min ½‖θ‖² subject to y f(θ; x) ≥ 1 on squared ReLU nets, IPOPT (through CasADi) from as many
random starts. Solvers that are not installed are left out. Seconds are of the second of two calls, and told as ratios
to ours.
"""

import importlib
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import flowlab as fl
from flowlab.discrete.margin.svm import hard_margin


def separable(n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples with a margin of some thousandths."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(4 * n, d)), rng.normal(size=d)
    keep = np.argsort(-np.abs(x @ w))[:n]
    return x[keep], np.sign(x[keep] @ w)


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """The answer, and seconds of a second call."""
    call()
    began = time.perf_counter()
    return call(), time.perf_counter() - began


def judged(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> dict[str, float]:
    """Margin, and the distance of w/‖w‖ from the cone of the samples whose margin is the least to a millionth."""
    from scipy.optimize import nnls

    z = y[:, None] * x
    margin = (z @ w).min() / np.linalg.norm(w)
    near = z @ w / np.linalg.norm(w) <= margin * (1 + 1e-6)
    return {"margin": margin, "stationarity": nnls(z[near].T, w / np.linalg.norm(w))[1]}


def machines() -> None:
    """One table per seed."""

    def clarabel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        from scipy.sparse import csc_matrix, eye

        c: Any = importlib.import_module("clarabel")
        n, d = x.shape
        settings = c.DefaultSettings()
        settings.verbose = False
        cone = [c.NonnegativeConeT(n)]
        return np.array(
            c.DefaultSolver(csc_matrix(eye(d)), np.zeros(d), csc_matrix(-y[:, None] * x), -np.ones(n), cone, settings)
            .solve()
            .x
        )

    def qpax(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        q: Any = importlib.import_module("qpax")
        d = x.shape[1]
        return np.array(
            q.solve_qp(
                np.eye(d),
                np.zeros(d),
                np.zeros((0, d)),
                np.zeros(0),
                -y[:, None] * x,
                -np.ones(len(x)),
                solver_tol=1e-10,
            )[0]
        )

    def sklearn(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        from sklearn.svm import SVC

        # A bias is not asked for, and cannot be left out but by mirrored samples.
        return SVC(kernel="linear", C=1e10, tol=1e-10).fit(np.vstack([x, -x]), np.r_[y, -y]).coef_[0]

    for seed in range(3):
        x, y = separable(200, 50, seed)
        ours, seconds = timed(lambda x=x, y=y: hard_margin(x, y).w)
        best = judged(x, y, ours)
        print(
            f"seed {seed}: flowlab     {seconds:8.3f} s           margin {best['margin']:.15g}  stationarity"
            f" {best['stationarity']:.1e}"
        )
        for other in (clarabel, qpax, sklearn):
            try:
                w, took = timed(lambda x=x, y=y, other=other: other(x, y))
            except ImportError:
                continue
            found = judged(x, y, w)
            off = 1.0 - found["margin"] / best["margin"]
            print(
                f"        {other.__name__:11s} {took / seconds:8.3f} of ours    margin lower by {off:8.1e}    "
                f" stationarity {found['stationarity']:.1e}"
            )


def networks(starts: int = 8) -> None:
    """Squared ReLU: the best joint margin of as many starts."""
    try:
        ca: Any = importlib.import_module("casadi")
    except ImportError:
        print("casadi is not installed; use `pip install casadi`.")
        return
    for seed, (n, d, h) in enumerate([(8, 3, 3), (12, 4, 4), (20, 5, 6), (18, 4, 8)]):
        x, y = separable(n, d, 50 + seed)
        data = fl.Data(x, y)
        ours, seconds = timed(
            lambda data=data, h=h: fl.max_margin("W2 @ relu(W1 @ x)**2", data, widths={"W1": h}, starts=starts)
        )
        W, a = ca.SX.sym("W", h, d), ca.SX.sym("a", 1, h)
        theta = ca.vertcat(ca.vec(W), ca.vec(a))
        q = ca.vec(a @ ca.fmax(W @ x.T, 0) ** 2) * ca.DM(y)
        problem = {"x": theta, "f": 0.5 * ca.dot(theta, theta), "g": q}
        solver = ca.nlpsol(
            "s",
            "ipopt",
            problem,
            {"print_time": False, "ipopt": {"print_level": 0, "tol": 1e-12, "max_iter": 2000, "sb": "yes"}},
        )
        rng = np.random.default_rng(seed)
        margins = []
        began = time.perf_counter()
        for _ in range(starts):
            end = solver(x0=rng.normal(size=h * (d + 1)), lbg=np.ones(n), ubg=np.full(n, np.inf))
            least = float(np.min(end["g"]))
            # q has degree 3; what violates its constraints a little is scaled to its true margin. All norms with
            # ρ_k²/κ_k equal are least at the optimum.
            margins.append(least / float(2.0 * end["f"]) ** 1.5 if least > 0.9 else 0.0)
        took = time.perf_counter() - began
        print(
            f"n={n} d={d} width={h}: flowlab {ours.joint_margin:.12g} in {seconds:.2f} s ({1 + len(ours.others)}"
            f" points); IPOPT {max(margins):.12g} in {took / seconds:.2f} of that; ours over theirs"
            f" {ours.joint_margin / max(margins):.9f}"
        )


if __name__ == "__main__":
    for name in sys.argv[1:] or ["machines", "networks"]:
        {"machines": machines, "networks": networks}[name]()
