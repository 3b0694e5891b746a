"""The value of an expression at one sample, written out without batches; and random expressions to hold against it."""

import math
from fractions import Fraction

import numpy as np
import scipy.linalg

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
    "exp": np.exp,
    "sin": np.sin,
    "cos": np.cos,
    "erf": ERF,
    "silu": lambda z: z / (1 + np.exp(-z)),
    "mish": lambda z: z * np.tanh(np.log(1 + np.exp(z))),
    "elu": lambda z, a=1.0: np.where(z > 0, z, float(a) * (np.exp(z) - 1)),
    "selu": lambda z: 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * (np.exp(z) - 1)),
    "step": lambda z: np.where(z > 0, 1.0, 0.0),
    "sign": np.sign,
    "quantised_relu": lambda z, bits=2, size=1: sum(
        (float(size) * (z > k * float(size)) for k in range(2 ** int(bits) - 1)), 0.0 * z
    ),
    "clipped_relu": lambda z, top=1: np.minimum(np.maximum(z, 0.0), float(top)),
}
WORDS = {
    "matmul": lambda a, b: np.tensordot(a, b, axes=1),
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "hadamard": lambda a, b: a * b,
    "scale": lambda a, c: float(c) * a,
    "power": lambda a, c: a ** float(c),
    "transpose": lambda a: a.T,
    "sum": lambda a, axis=None: a.sum(None if axis is None else int(axis)),
    "mean": lambda a, axis=None: a.mean(None if axis is None else int(axis)),
    "activation": lambda a, name, *numbers: FUNCTIONS[name](a, *numbers),
    "shift": lambda a, c: a + float(c),
    "coarse": lambda a, b: a + 0 * b,
    "stop": lambda a: a,
    "magnitude": lambda a: np.sqrt((a * a).sum(axis=-1)),
    "angle": lambda a, b, p=0, q=0: np.arccos(
        np.tensordot(a, b, axes=(-1, -1))
        / np.multiply.outer(np.sqrt((a * a).sum(-1) + float(p)), np.sqrt((b * b).sum(-1) + float(q)))
    ),
    "einsum": lambda *args: np.einsum(args[-1], *args[:-1]),
    "take": lambda a, places: a[tuple(slice(*p) if isinstance(p, tuple) else p for p in places)],
    "flatten": np.ravel,
    "split": lambda a, parts: np.stack(np.split(a, int(parts))),
    "concat": lambda *parts: np.concatenate(parts),
    "window": lambda a, *told: windows(a, *map(int, (*told, *(0, 1, 1, 1)[len(told) :]))),
    "center": lambda a, axis=-1: a - a.mean(axis=int(axis), keepdims=True),
    "softmax": lambda a, axis=-1: np.exp(a) / np.exp(a).sum(axis=int(axis), keepdims=True),
    "rms_norm": lambda a, axis=-1, eps=0: a / np.sqrt((a * a).mean(axis=int(axis), keepdims=True) + float(eps)),
    "causal": lambda a: np.where(np.tril(np.ones(a.shape[-2:])) > 0, a, -np.inf),
    "tril": np.tril,
    "trace": np.trace,
    "root": scipy.linalg.sqrtm,
    "inverse": lambda a: np.linalg.solve(a, np.eye(len(a))),
    "logdet": lambda a: np.log(np.linalg.det(a)),
    "nuclear": lambda a: scipy.linalg.svdvals(a).sum(),
    "add_eye": lambda a, c: a + float(c) * np.eye(len(a)),
    "per_size": lambda a, axis=-1, power=1: a / a.shape[int(axis)] ** float(power),
    "conv": lambda w, x, stride=1, padding=0: conv(w, x, int(stride), padding),
    "depthwise_conv": lambda w, x, stride=1, padding=0: np.stack(
        [conv(one, own, int(stride), padding) for one, own in zip(w, x, strict=True)]
    ),
}


def windows(a: np.ndarray, place: int, size: int, stride: int, axes: int) -> np.ndarray:
    """One entry of every window along the last axes."""
    for axis, offset in zip(range(-axes, 0), np.unravel_index(place, (size,) * axes), strict=True):
        starts = np.arange(0, a.shape[axis] - size + 1, stride)
        a = np.take(a, starts + offset, axis=axis)
    return a


def conv(w: np.ndarray, x: np.ndarray, stride: int, padding: str | Fraction) -> np.ndarray:
    """A convolution as sums over the entries of every patch."""
    if w.ndim == x.ndim + 1:
        return np.stack([sum(conv(k, c, stride, padding) for k, c in zip(one, x, strict=True)) for one in w])
    margins = []
    for length, size in zip(x.shape, w.shape, strict=True):
        extra = max((-(-length // stride) - 1) * stride + size - length, 0)
        ends = {"circular": (0, size - 1), "same": (extra // 2, extra - extra // 2)}
        margins.append(ends[padding] if isinstance(padding, str) else (int(padding),) * 2)
    wide = np.pad(x, margins, mode="wrap" if padding == "circular" else "constant")
    counts = [
        -(-length // stride) if isinstance(padding, str) else (n - size) // stride + 1
        for length, n, size in zip(x.shape, wide.shape, w.shape, strict=True)
    ]
    made = np.empty(counts)
    for place in np.ndindex(*counts):
        made[place] = (
            w * wide[tuple(slice(stride * i, stride * i + k) for i, k in zip(place, w.shape, strict=True))]
        ).sum()
    return made


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
        """A random network over samples that the language accepts."""
        while True:
            try:
                made = fl.Network(self.expression(int(self.rng.integers(0, 2)), int(self.rng.integers(1, 5))))
            except fl.FlowlabError:
                continue
            if made.has_samples:
                return made

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
