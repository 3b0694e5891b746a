"""Flows at frozen norms against critical points, and the constrained problem against other solvers.

    python benchmarks/critical.py [flows] [solvers] [large] [complete]

flows: 50 random instances of linear, deep linear, squared ReLU and ReLU nets; every flow's end against the critical
points, and a flow from
    beside every attracting one, within its basin. A flow that is not unique is counted apart, and each of its
    continuations followed to its end.
solvers: the same problem by SLSQP and, where it is installed, pymanopt: objective reached and seconds over ours.
complete: critical points of twelve smooth nets against 300 starts of two root finders, modulo symmetry, and the Euler
characteristic. large: a two-layer net of d = 784, width 256 on 1,000 samples: a minimum, its 20 lowest eigenvalues,
seconds and memory.
"""

import resource
import sys
import time
from typing import Any

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import complete

import flowlab as fl
from flowlab.discrete.critical.constrained_problem import Constrained
from flowlab.discrete.critical.trust_region import minimize

NETS: list[tuple[str, dict[str, int], float, float, dict[str, Any]]] = [
    ("W1 @ x", {}, 8.0, 25.0, {"solver": "kvaerno5", "clock": "time"}),
    ("W2 @ W1 @ x", {"W1": 3}, 8.0, 22.0, {}),
    ("W2 @ relu(W1 @ x)**2", {"W1": 4}, 8.0, 60.0, {"solver": "kvaerno5", "clock": "time"}),
    ("W2 @ relu(W1 @ x)", {"W1": 4}, 5.0, 14.0, {"rtol": 1e-9, "atol": 1e-11}),
]


def labelled(n: int, d: int, seed: int) -> Any:
    """Samples that a hyperplane separates."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(n, d)), rng.normal(size=d)
    return fl.Data(x, np.sign(x @ w))


def flows(count: int = 50) -> None:
    """Every flow to a critical point, every attracting point reached."""
    fields = {}
    matched = attracting = reached = split = 0
    worst = 0.0
    began = time.perf_counter()
    for seed in range(count):
        text, widths, norm, log_t, told = NETS[seed % len(NETS)]
        problem = fl.Problem(fl.Network(text), scheme="fixed_norm", coordinates="polar")
        field = fields.setdefault(text, fl.lower(fl.derive(problem)))
        data = labelled(8, 3, 1000 + seed)
        first = fl.critical_points(
            problem,
            data,
            norm=norm,
            widths=widths,
            starts=0,
            near=[fl.initial_state(problem.network, data, widths=widths, seed=0)],
        )
        con = first.constrained
        start = con.spheres.state(con.random(np.random.default_rng(seed)))

        def run(state: Any, field: Any = field, data: Any = data, log_t: float = log_t, told: Any = told) -> Any:
            return fl.integrate(field, state, data, until=fl.log_time(log_t), max_steps=20_000, **told)

        path = run(start)
        ends = ended(run, con, path)
        points = fl.critical_points(
            problem, data, norm=norm, widths=widths, starts=24, seed=seed, near=[p.last for p in ends]
        )
        beside = [(k, run(fl.beside(points, k, seed=k))) for k, point in enumerate(points) if point.attracting]
        found = fl.flow_limits([*ends, *(p for _, p in beside)], points, field=field)
        ds, first = found.dataset, len(ends)
        home = [
            bool(ds["matched"][i + first]) and int(ds["nearest"][i + first]) == k for i, (k, _) in enumerate(beside)
        ]
        far = float(ds["distance"][:first].max())
        matched, split = matched + bool(ds["matched"][:first].all()), split + (path.outcome.kind == "nonunique")
        attracting, reached, worst = attracting + len(home), reached + sum(home), max(worst, far)
        print(
            f"{seed:3d}  {text:22s} {path.outcome.kind:8s} ends {first}  distance {far:8.1e}  points {len(points):3d} "
            f" attracting {len(home)}, reached {sum(home)}  rate {np.nanmax(np.r_[0.0, ds['rate'].values]):.1e},"
            f" elsewhere >= {found.random_rate:.1e}",
            flush=True,
        )
    print(
        f"{matched} of {count} flows ended at a critical point (worst {worst:.1e}), {split} split; {reached} of"
        f" {attracting} attracting reached; {time.perf_counter() - began:.0f} s"
    )


def ended(run: Any, con: Any, path: Any, deep: int = 4) -> list[Any]:
    """The runs that a run ends with: itself, or where it is not unique, all of its continuations; those that meet again
    count once.
    """
    if path.outcome.kind != "nonunique" or not deep:
        return [path]
    distinct: list[Any] = []
    for state in fl.branches(con, path.last):
        on = run(state)
        if all(np.linalg.norm(con.row(on.last) - con.row(other.last)) > 1e-5 for other in distinct):
            distinct.append(on)
    return [end for on in distinct for end in ended(run, con, on, deep - 1)] or [path]


def solvers() -> None:
    """Objective and seconds of three solvers from the same ten starts."""
    from scipy.optimize import minimize as scipy_minimize

    for text, widths, norm in (
        ("W1 @ x", {}, 20.0),
        ("W2 @ W1 @ x", {"W1": 4}, 20.0),
        ("W2 @ relu(W1 @ x)**2", {"W1": 6}, 20.0),
    ):
        con = Constrained(fl.Problem(text), labelled(20, 5, 7), norm=norm, widths=widths)
        starts = [con.random(np.random.default_rng(k)) for k in range(10)]
        minimize(con, starts[0])
        began = time.perf_counter()
        ours = [con.value(minimize(con, t)[0]) for t in starts]
        own = time.perf_counter() - began
        spheres = {
            "type": "eq",
            "fun": lambda t, c=con: c.spheres.squares(t, t) - 1.0,
            "jac": lambda t, c=con: 2.0 * c.spheres.normals(t),
        }
        began = time.perf_counter()
        slsqp = []
        for t in starts:
            end = scipy_minimize(
                con.value,
                t,
                jac=con.gradient,
                method="SLSQP",
                constraints=[spheres],
                options={"maxiter": 1000, "ftol": 1e-15},
            ).x
            slsqp.append(con.value(con.spheres.project(end)))
        other = time.perf_counter() - began
        print(compared(f"{text:22s} SLSQP", other / own, np.array(ours), np.array(slsqp)))
        manopt(con, starts, ours, own, text)


def manopt(con: Any, starts: Any, ours: Any, own: float, text: str) -> None:
    """The trust regions of pymanopt on one product of spheres, from the same starts and derivatives."""
    try:
        import pymanopt
        from pymanopt.manifolds import Product, Sphere
        from pymanopt.optimizers import TrustRegions
    except ImportError:
        print("                       pymanopt is not installed; `pip install pymanopt` to see it")
        return
    sizes = np.bincount(con.spheres.owner)
    # Coordinates of each sphere lie together, in the order of a row, when spheres are blocks.
    manifold = Product([Sphere(int(n)) for n in sizes])
    split = np.cumsum(sizes)[:-1]

    @pymanopt.function.numpy(manifold)
    def cost(*parts: Any) -> float:
        return con.value(np.concatenate(parts))

    @pymanopt.function.numpy(manifold)
    def gradient(*parts: Any) -> Any:
        return list(np.split(con.gradient(np.concatenate(parts)), split))

    @pymanopt.function.numpy(manifold)
    def hessian(*parts: Any) -> Any:
        half = len(parts) // 2
        return list(np.split(con.times(np.concatenate(parts[:half]), np.concatenate(parts[half:])), split))

    problem = pymanopt.Problem(manifold, cost, euclidean_gradient=gradient, euclidean_hessian=hessian)
    optimizer = TrustRegions(verbosity=0, min_gradient_norm=1e-11, max_iterations=500)
    began = time.perf_counter()
    theirs = [optimizer.run(problem, initial_point=list(np.split(t, split))).cost for t in starts]
    print(compared(f"{text:22s} pymanopt", (time.perf_counter() - began) / own, np.array(ours), np.array(theirs)))


def compared(name: str, ratio: float, ours: np.ndarray, theirs: np.ndarray) -> str:
    """A line: seconds over ours, and objectives. Which of several minima one start leads to is chance; the best of ten
    and the median are not.
    """
    return (
        f"{name}: seconds / ours {ratio:6.2f}; ours - theirs: best of ten {ours.min() - theirs.min():.1e}, median"
        f" {np.median(ours) - np.median(theirs):.1e}; start by start lower in {int((ours < theirs - 1e-9).sum())},"
        f" equal in {int((np.abs(ours - theirs) <= 1e-9).sum())}, higher in {int((ours > theirs + 1e-9).sum())}, from"
        f" {(ours - theirs).min():.1e} to {(ours - theirs).max():.1e}"
    )


def large() -> None:
    """Large two-layer nets; the whole, compilation included. CPU seconds tell what a busy machine's wall clock does
    not.
    """
    from flowlab.discrete.critical.spectrum import lowest

    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 784)) / np.sqrt(784)
    synthetic = fl.Data(x, np.sign((x @ rng.normal(size=784)) * (x @ rng.normal(size=784))))
    cases = [(f"W2 @ {f}", synthetic) for f in ("relu(W1 @ x)**2", "tanh(W1 @ x)", "softplus(W1 @ x)", "gelu(W1 @ x)")]
    cases.append(("W2 @ tanh(W1 @ x)", fl.load("digits:3v8", standardize=True)))
    for text, data in cases:
        began, cpu = time.perf_counter(), time.process_time()
        con = Constrained(fl.Problem(text, "logistic"), data, norm={"W1": 6.0, "W2": 6.0}, widths={"W1": 256})
        theta, steps = minimize(con, con.random(np.random.default_rng(0)), steps=300)
        middle, cpu_middle = time.perf_counter(), time.process_time()
        values, residuals = lowest(con, theta, 20)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{text} on {data.n} x {data.d}: {len(theta)} weights, minimum in {middle - began:.1f} s (CPU"
            f" {cpu_middle - cpu:.1f}), {steps} steps, residual {con.residual(theta):.1e}, log loss"
            f" {con.value(theta):.4f}; 20 eigenvalues {values[0]:.3e} .. {values[-1]:.3e} in"
            f" {time.perf_counter() - middle:.1f} s (CPU {time.process_time() - cpu_middle:.1f}), residuals <="
            f" {residuals.max():.0e}; {memory:.2f} GB",
            flush=True,
        )
    began = time.perf_counter()
    try:
        fl.constrained_minimum(
            fl.Problem("W2 @ relu(W1 @ x)", "logistic"), synthetic, norm={"W1": 6.0, "W2": 6.0}, widths={"W1": 256}
        )
    except fl.RunFailed as failed:
        print(f"W2 @ relu(W1 @ x): {failed} ({time.perf_counter() - began:.1f} s)")


if __name__ == "__main__":
    chosen = sys.argv[1:] or ["flows", "solvers", "large", "complete"]
    for name, run in (("flows", flows), ("solvers", solvers), ("large", large), ("complete", complete.main)):
        if name in chosen:
            run()
