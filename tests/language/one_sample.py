"""The value of an expression at one sample, written out without batches; and random expressions to hold against it."""

import math

import numpy as np

import flowlab as fl
from flowlab.language.expr import Expr

ERF = np.vectorize(math.erf, otypes=[float])
FUNCTIONS = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0.0),
    "leaky_relu": lambda z, a=0.01: np.where(z > 0, z, float(a) * z),
    "abs": np.abs,
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "gelu": lambda z: z * (1 + ERF(z / np.sqrt(2))) / 2,
}
WORDS = {
    "matmul": lambda a, b: a @ b,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "hadamard": lambda a, b: a * b,
    "scale": lambda a, c: float(c) * a,
    "power": lambda a, c: a ** float(c),
    "transpose": lambda a: a.T,
    "sum": lambda a: a.sum(),
    "mean": lambda a: a.mean(),
    "activation": lambda a, name, *numbers: FUNCTIONS[name](a, *numbers),
}


def value(expression: Expr, weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """f(W; x) of a single input vector, by numpy's own operators."""
    values: dict[int, np.ndarray] = {}
    for node in expression.nodes():
        if node.op == "input":
            values[id(node)] = x
        elif node.op == "weight":
            values[id(node)] = weights[node.params[0]]
        else:
            values[id(node)] = np.asarray(WORDS[node.op](*(values[id(a)] for a in node.args), *node.params))
    return values[id(expression)]


def outputs(expression: Expr, weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """The same for every row of x, as `Network.outputs` answers: (N, C), with C = 1 for a scalar."""
    return np.stack([np.atleast_1d(value(expression, weights, row)) for row in x])


def draw(
    network: fl.Network, rng: np.random.Generator, d: int = 3, outputs: int = 2, n: int = 5
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Weights in the shapes a network resolves to, and inputs."""
    shape = network.output_shape
    count = 1 if not shape else d if shape == (network.input_dim,) else outputs
    shapes = network.resolve(d, count, default_width=4)
    return {w: 0.5 * rng.normal(size=s) for w, s in shapes.items()}, rng.normal(size=(n, d))


class Draw:
    """Random expressions, drawn by the rank of what is wanted: matrices do not depend on x, vectors and scalars may."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.leaves = {name: fl.weight(name) for name in ("W", "V", "U", "a", "b")} | {"x": fl.x}

    def network(self) -> fl.Network:
        """A random network that the language accepts."""
        while True:
            try:
                return fl.Network(self.expression(int(self.rng.integers(0, 2)), int(self.rng.integers(1, 5))))
            except fl.FlowlabError:
                continue

    def one_of(self, *words: object) -> str:
        return str(self.rng.choice([str(w) for w in words]))

    def expression(self, rank: int, depth: int) -> Expr:
        def of(rank: int) -> Expr:
            return self.expression(rank, depth - 1)

        if depth <= 0:
            if rank == 0:
                return of(1) @ of(1) if self.rng.random() < 0.5 else fl.sum(of(1))
            return self.leaves[self.one_of("W", "V", "U") if rank == 2 else self.one_of("x", "x", "a", "b")]
        kind = int(self.rng.integers(0, 9))
        if kind < 3:
            a, b = of(rank), of(rank)
            return a + b if kind == 0 else a - b if kind == 1 else a * b
        if kind == 3:
            return float(self.rng.choice([2, -1, 0.5, 0.3])) * of(rank)
        if kind == 4:
            return of(rank) ** int(self.rng.integers(1, 4))
        if kind == 5:
            return getattr(fl, self.one_of(*FUNCTIONS))(of(rank))
        if kind == 6:
            return of(0) * of(rank)
        if rank == 2:
            return of(2) @ of(2) if kind == 7 else of(2).T
        if rank == 1:
            return of(2) @ of(1) if self.rng.random() < 0.7 else of(1) @ of(2)
        return of(1) @ of(1) if kind == 7 else getattr(fl, self.one_of("sum", "mean"))(of(1))
