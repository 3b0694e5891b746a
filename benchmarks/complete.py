"""Critical points of twelve smooth nets against an independent count, with the sum by which missing points show.

    python benchmarks/critical.py complete            all of them
    python benchmarks/complete.py [network ...]      some of them

300 starts each of two root finders of SciPy, Powell's hybrid method and Levenberg-Marquardt, on the equations g = λ V,
|V| = 1 of weights and multipliers, whose derivatives are written here from the loss by autodiff. Roots are one where
objective and eigenvalues agree: no symmetry of the package has a part in it. Told are points that only they found,
points told twice, the sum of (-1)^index, and whether the least loss is the least.
"""

import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np
from scipy.optimize import root

import flowlab as fl

STARTS = 300
SAME = 1e-6


class Net(NamedTuple):
    """A net, its loss, rows of hidden blocks, norms of all blocks, samples and features, and the seed of the data."""

    text: str
    loss: str
    widths: dict[str, int]
    norm: float
    n: int
    d: int
    seed: int


NETS = (
    Net("W1 @ x", "logistic", {}, 6.0, 7, 3, 1),
    Net("(W1 @ x) * (W2 @ x)", "logistic", {}, 2.0, 8, 3, 2),
    Net("(W1 @ x) * (W2 @ x) * (W3 @ x)", "exponential", {}, 1.3, 6, 2, 3),
    Net("W2 @ (W1 @ x)**2", "logistic", {"W1": 2}, 0.4, 8, 3, 4),
    Net("W2 @ (W1 @ x)**3", "logistic", {"W1": 2}, 1.3, 8, 3, 5),
    Net("W3 @ ((W1 @ x) * (W2 @ x))", "logistic", {"W1": 2, "W2": 2}, 0.4, 8, 2, 6),
    Net("W2 @ tanh(W1 @ x)", "logistic", {"W1": 2}, 2.0, 8, 3, 7),
    Net("W2 @ softplus(W1 @ x)", "square", {"W1": 2}, 1.5, 8, 2, 8),
    Net("W2 @ W1 @ x", "exponential", {"W1": 3}, 1.5, 8, 3, 9),
    Net("W2 @ sigmoid(W1 @ x)", "square", {"W1": 2}, 1.5, 8, 2, 10),
    Net("(w * u) @ x", "logistic", {}, 2.0, 8, 3, 11),
    Net("W2 @ gelu(W1 @ x)", "square", {"W1": 2}, 1.5, 8, 2, 12),
)


def samples(net: Net) -> Any:
    """Gaussian inputs with labels, or targets, that are noise: no direction is right for all."""
    rng = np.random.default_rng(net.seed)
    x = rng.normal(size=(net.n, net.d))
    return (
        fl.Data(x, rng.normal(size=net.n), kind="targets")
        if net.loss == "square"
        else fl.Data(x, np.where(np.arange(net.n) % 2, 1.0, -1.0))
    )


class Roots:
    """The equations by autodiff of the loss as it is written on paper."""

    def __init__(self, net: Net, data: Any, shapes: dict[str, tuple[int, ...]]) -> None:
        network, x, y = fl.Network(net.text), jnp.asarray(data.x), jnp.asarray(data.y)
        sizes = [int(np.prod(s)) for s in shapes.values()]
        self.owner, self.count, self.size = np.repeat(np.arange(len(sizes)), sizes), len(sizes), sum(sizes)
        cuts = np.cumsum(sizes)[:-1]

        def objective(t: Any) -> Any:
            W = {
                k: net.norm * part.reshape(shape)
                for (k, shape), part in zip(shapes.items(), jnp.split(t, cuts), strict=True)
            }
            f = network.outputs(W, x, jnp).reshape(-1)
            if net.loss == "square":
                return 0.5 * ((f - y) ** 2).sum()
            return jax.nn.logsumexp(-y * f) if net.loss == "exponential" else jnp.log(jax.nn.softplus(-y * f).sum())

        self.value, gradient, owner = jax.jit(objective), jax.grad(objective), self.owner

        def equations(z: Any) -> Any:
            t, lam = z[: self.size], z[self.size :]
            squares = jnp.zeros(self.count).at[owner].add(t * t)
            return jnp.concatenate([gradient(t) - lam[owner] * t, 0.5 * (squares - 1.0)])

        self.equations, self.jacobian = jax.jit(equations), jax.jit(jax.jacfwd(equations))
        self.gradient = jax.jit(gradient)

    def found(self, rng: np.random.Generator) -> list[tuple[float, np.ndarray]]:
        """Objective and eigenvalues of every different root."""
        kept: list[tuple[float, np.ndarray]] = []
        for _ in range(STARTS):
            t = rng.normal(size=self.size)
            t /= np.sqrt(np.bincount(self.owner, t * t))[self.owner]
            begin = np.r_[t, np.bincount(self.owner, np.asarray(self.gradient(t)) * t)]
            for method in ("hybr", "lm"):
                end = root(
                    lambda z: np.asarray(self.equations(z)),
                    begin,
                    jac=lambda z: np.asarray(self.jacobian(z)),
                    method=method,
                    tol=1e-13,
                )
                if np.abs(self.equations(end.x)).max() > 1e-10:
                    continue
                J = np.asarray(self.jacobian(end.x))
                normals = J[self.size :, : self.size]
                free = np.linalg.svd(normals)[2][self.count :].T
                new = (
                    float(self.value(end.x[: self.size])),
                    np.linalg.eigvalsh(free.T @ J[: self.size, : self.size] @ free),
                )
                if not any(alike(new, old) for old in kept):
                    kept.append(new)
        return kept


def flat(values: np.ndarray) -> np.ndarray:
    """Which eigenvalues are zero."""
    return np.abs(values) <= 1e-6 * np.abs(values).max()


def alike(a: tuple[float, np.ndarray], b: tuple[float, np.ndarray]) -> bool:
    """Whether two roots are one: eigenvalues change along sets of roots that are not isolated, their index and number
    of zeros do not.
    """
    if abs(a[0] - b[0]) > SAME * max(1.0, abs(a[0])):
        return False
    if flat(a[1]).any() or flat(b[1]).any():
        return [int((v[~flat(v)] < 0).sum()) for v in (a[1],)] == [
            int((v[~flat(v)] < 0).sum()) for v in (b[1],)
        ] and flat(a[1]).sum() == flat(b[1]).sum()
    return bool(np.abs(a[1] - b[1]).max() <= SAME * max(1.0, float(np.abs(a[1]).max())))


def judged(net: Net, starts: int = 64) -> dict[str, Any]:
    """One net: ours, theirs, and what either lacks."""
    data = samples(net)
    problem = fl.Problem(net.text, net.loss)
    began = time.process_time()
    points = fl.critical_points(
        problem, data, norm=dict.fromkeys(problem.network.weights, net.norm), widths=net.widths, starts=starts, seed=0
    )
    seconds = time.process_time() - began
    shapes = {name: np.shape(v) for name, v in points[0].state.V.items()}
    ours = [(p.log_loss if net.loss != "square" else float(np.exp(p.log_loss)), p.eigenvalues) for p in points]
    theirs = Roots(net, data, shapes).found(np.random.default_rng(net.seed))
    missed = [r for r in theirs if not any(alike(r, o) for o in ours)]
    twice = sum(any(alike(o, p) for p in ours[:k]) for k, o in enumerate(ours))
    everything = len(ours) + len(missed)
    return {
        "ours": len(ours),
        "theirs": len(theirs),
        "of": everything,
        "missed": len(missed),
        "twice": twice,
        "sum": points.euler_sum,
        "characteristic": points.euler_characteristic,
        "complete": points.complete,
        "searches": points.starts,
        "seconds": seconds,
        "least": bool(ours[0][0] <= min(r[0] for r in theirs) + 1e-8),
    }


def main(names: Sequence[str] = ()) -> None:
    """A line per net, and the sums."""
    told = []
    for net in NETS:
        if names and net.text not in names:
            continue
        found = judged(net)
        told.append(found)
        print(
            f"{net.text:32s} ours {found['ours']:3d}  theirs {found['theirs']:3d}  missed {found['missed']:2d}  twice"
            f" {found['twice']}  sum {found['sum']} of {found['characteristic']} ({found['complete']})  least"
            f" {found['least']}  {found['searches']} searches, CPU {found['seconds']:.1f} s",
            flush=True,
        )
    missed, everything = (sum(f[k] for f in told) for k in ("missed", "of"))
    print(
        f"missed {missed} of {everything}; told twice {sum(f['twice'] for f in told)}; sum right on"
        f" {sum(f['sum'] == f['characteristic'] for f in told)} of {len(told)}; least loss found on"
        f" {sum(f['least'] for f in told)}"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
