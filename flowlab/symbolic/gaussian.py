"""Population losses: the expected square loss over Gaussian inputs, rewritten as an expression of the weights alone.

A mean of two units, E σ(a·x) τ(b·x), depends on |a|, |b| and a·b. Units are sums of an even and an odd part, of which
only like ones meet: 1, |z|, z² and z, sign(z), erf(z). Every pair of these has a closed form in lengths and one angle,
since erf(z) is the mean of sign(z + ξ) over a normal ξ of variance 1/2 (Cho and Saul 2009; Saad and Solla 1995).

By Stein's lemma E σ(a·x) τ'(b·x) x is the slope of that mean in b. So what a coarse gradient does on average, σ in the
error and the slope of a surrogate τ behind it, is the slope of the same forms in the arguments of the surrogate alone,
all others being held.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from flowlab.core.arguments import guarded, short, shown
from flowlab.core.errors import DataError, ShapeMismatch, UnknownName, several
from flowlab.core.typing import ArrayLike
from flowlab.language.arrays import numbers
from flowlab.language.calls import apply
from flowlab.language.data import Data
from flowlab.language.declarations import Shapes
from flowlab.language.expr import Expr, constant, rebuilt
from flowlab.language.network import Network
from flowlab.language.operations import operations
from flowlab.language.problem import Problem
from flowlab.symbolic.one_layer import ARC, EVEN, MEAN_ABS, NOISE, ODD, Layer, Value, no_form, read

TEACHER = "_star"
"""Behind a block's name, the teacher's."""


class Population(Problem):
    """The expected loss as a problem without samples: an objective of the weights and of the teacher's constants.

    Attributes:
        exact: the same objective without coarse slopes, whose flow is the gradient flow of the expected loss.
        data: the teacher's weights, as constants called like the blocks with `_star` behind; they stand for data that
            are not given.

    Examples:
        >>> net = fl.Network("v @ coarse(step, relu)(X @ w)", inputs={"X": ("m", "n")})
        >>> pop = fl.population(net, teacher={"v": [0.8, 0.3], "w": [1.0, 0.0]})
        >>> type(pop).__name__, sorted(pop.data.given)
        ('Population', ['v_star', 'w_star'])
        >>> str(fl.derive(pop.exact).curl()).partition(":")[0]
        'no curl'
    """

    def __init__(self, coarse: Expr, plain: Expr, shapes: Shapes, data: Data) -> None:
        super().__init__(Network(coarse, shapes=shapes), "value", coordinates="weights")
        self.exact: Population = self if coarse is plain else Population(plain, plain, shapes, data)
        self.data = data

    @property
    def own_data(self) -> Data:
        return self.data


@guarded
def population(
    network: "Network | Expr | str",
    loss: str = "square",
    *,
    teacher: Mapping[str, ArrayLike],
    inputs: str = "gaussian",
) -> Population:
    """The expected loss of a network of one or two layers against a teacher of the same form, in closed form.

    The entries of the inputs are independent standard normal numbers. Units are `step`, `sign`, `relu`, `leaky_relu`,
    `abs`, `identity`, `erf`, a square, or `coarse` pairs of them, without biases: `a @ relu(W @ x)`,
    `sum(erf(W @ x))`, `v @ step(X @ w)` with one filter for all rows of X.

    Args:
        network: what is trained.
        loss: `"square"`, half of the squared difference.
        teacher: weights by block; hidden units may be more or fewer than the network's.
        inputs: `"gaussian"`.

    Returns:
        A problem for `fl.derive`; `.exact` is the one without coarse slopes, and `.data` goes wherever data are taken.

    Raises:
        LanguageError: for a network of another form, naming what has no closed form.
        ShapeMismatch: for teacher's weights with another number of axes; UnknownName: for other blocks.

    Examples:
        >>> net = fl.Network("v @ coarse(step, relu)(X @ w)", inputs={"X": ("m", "n")})
        >>> pop = fl.population(net, teacher={"v": [0.8, 0.3], "w": [1.0, 0.0]})
        >>> str(fl.derive(pop).curl()).partition(";")[0]
        'curl of the blocks v-w'
    """
    net = network if isinstance(network, Network) else Network(network)
    if loss != "square":
        raise UnknownName(f'`loss` of `population` must be "square", got {short(loss)}; other means are not known.')
    if inputs != "gaussian":
        raise UnknownName(f'`inputs` must be "gaussian", got {short(inputs)}; other means are not known.')
    student = read(net)
    stars, data = _teacher(net, teacher, student.rows.block)
    plain = student.through(lambda z: _swapped(z, {}))
    other = student.through(lambda z: _swapped(z, stars))
    half = Fraction(1, 2)
    value = _expression(net, half * mean(plain, plain) - mean(plain, other) + half * mean(other, other))
    held = plain.through(lambda z: Expr("stop", (z,)))

    def pulled(moving: Layer) -> Value:
        return mean(moving, held) - mean(moving, other)

    if net.is_gradient:
        return Population(value, value, net.shapes, data)
    moved = pulled(replace(held, rows=student.rows, parts=student.slopes))
    if student.head is not None:
        moved = pulled(replace(held, head=student.head)) + moved
    # An odd unit and an even surrogate have no mean in common, and nothing is pulled on.
    moved = moved if isinstance(moved, Expr) else Expr("stop", (value,))
    return Population(apply("coarse", value, moved), value, net.shapes, data)


def mean(p: Layer, q: Layer) -> Value:
    """The expected product of two networks' outputs, added up over outputs."""
    if not p.patches:
        return _times(p.factor * q.factor, _units(p, q))
    # Units of different inputs are independent. Constant parts have no covariance.
    one, other = (replace(z, head=None, parts={k: c for k, c in z.parts.items() if k != "one"}) for z in (p, q))
    same, apart = _units(one, other), (_average(one), _average(other))
    if 0 not in apart:
        same = same - apart[0] * apart[1]
    assert p.head is not None
    assert q.head is not None
    found, means = same * (p.head @ q.head), (_average(p), _average(q))
    if 0 not in means:
        found = found + means[0] * means[1] * (apply("sum", p.head) * apply("sum", q.head))
    return _times(p.factor * q.factor, found)


def _times(number: Fraction, value: Value) -> Value:
    return value if number == 1 else number * value


def _average(p: Layer) -> Value:
    """The mean of one unit."""
    even = {name: share for name, share in p.parts.items() if name in EVEN}
    return _sum([share if name == "one" else _times(share, p.means(name)) for name, share in even.items()])


def _sum(values: Sequence[Value]) -> Value:
    found, *others = values or (Fraction(0),)
    for value in others:
        found = found + value
    return found


def _units(p: Layer, q: Layer) -> Value:
    """The mean over all pairs of units and of their parts; odd and even ones do not meet."""
    pairs = [(a, b) for a in p.parts for b in q.parts if (a in EVEN) == (b in EVEN)]
    return _sum([_times(p.parts[a] * q.parts[b], _pair(p, a, q, b)) for a, b in pairs])


def _pair(p: Layer, a: str, q: Layer, b: str) -> Value:
    """The mean of a product of two parts, weighed by both heads."""
    odd = a in ODD
    order = ODD if odd else EVEN
    if order.index(a) > order.index(b):
        p, a, q, b = q, b, p, a
    return _odd(p, a, q, b) if odd else _even(p, a, q, b)


def _odd(p: Layer, a: str, q: Layer, b: str) -> Value:
    if a != "linear":
        if p.is_same_vector(q) and NOISE[a] == NOISE[b] == 0:
            return p.ones() * q.ones()
        angles = apply("angle", p.rows, q.rows, NOISE[a], NOISE[b])
        return _contracted(p, 1 - ARC * angles, q)
    # E (a·x) σ(b·x) = (a·b) E σ'(b·x).
    right = q.rows if b == "linear" else MEAN_ABS * q.divided(NOISE[b])
    return _dot(p.weigh(p.rows, True), q.weigh(right, True), p.outputs + 1)


def _even(p: Layer, a: str, q: Layer, b: str) -> Value:
    if a == "one":
        return _inner(p.ones(), q.total(b), p.outputs)
    products = p.rows @ (q.rows.T if q.many else q.rows) if p.many or not q.many else q.rows @ p.rows
    if b == "square":
        # E a(u)² and E |u| of a Gaussian pair (u, v) given u: v = (c/|a|²) u and what is independent of it.
        apart = _inner(p.total(a), q.total(b), p.outputs)
        joint = products**2
        if a == "abs":
            inverse = p.sizes**-1
            joint = MEAN_ABS * (apply("einsum", "ij,i->ij", joint, inverse) if p.many and q.many else inverse * joint)
        return apart + _contracted(p, joint * (2 if a == "square" else 1), q)
    if p.is_same_vector(q):
        return _contracted(p, p.squares, q)
    angles = apply("angle", p.rows, q.rows)
    sizes = apply("outer", p.sizes, q.sizes) if p.many and q.many else p.sizes * q.sizes
    return _contracted(p, products * (1 - ARC * angles) + ARC * (sizes * apply("sin", angles)), q)


def _contracted(p: Layer, kernel: Expr, q: Layer) -> Expr:
    """A kernel with an entry for every pair of units, weighed by both heads."""
    if not (p.many and q.many):
        one, other = (p, q) if p.many else (q, p)
        return other.weigh(one.weigh(kernel))
    left = p.weigh(kernel, True)
    return q.weigh(left) if q.head is None else _dot(left, q.head, p.outputs + 1)


def _inner(a: Value, b: Value, rank: int) -> Value:
    if not (isinstance(a, Expr) and isinstance(b, Expr)):
        return b if a == 1 else a if b == 1 else a * b
    return _dot(a, b, rank)


def _dot(a: Expr, b: Expr, rank: int) -> Expr:
    """The entries of two values of so many axes, multiplied and added up."""
    return a * b if rank == 0 else a @ b if rank == 1 else apply("sum", a * b)


def _expression(network: Network, value: Value) -> Expr:
    """A mean that depends on weights."""
    if not isinstance(value, Expr):
        raise no_form(network)
    return value


def _teacher(network: Network, given: Mapping[str, ArrayLike], units: str | None) -> tuple[dict[str, Expr], Data]:
    """Constants that stand for the teacher's blocks, and their values; `units` is the block of its units."""
    odd = next((name for name in [*given, *network.weights] if (name in given) != (name in network.weights)), None)
    if odd is not None:
        what = "does not have" if odd in given else "has too"
        raise UnknownName(f"`teacher` must have the blocks of the network, got `{shown(str(odd))}`, which it {what}.")
    values, stars = {}, {}
    for name, shape in network.shapes.items():
        values[name + TEACHER] = value = numbers(given[name], f"`teacher[{name!r}]`")
        if value.ndim != len(shape):
            told = f"`teacher[{name!r}]` must have {several(len(shape), 'axis')}, as `{name}` has"
            raise ShapeMismatch(f"{told}, got the shape {value.shape}; pass an array of as many.")
        if not np.isfinite(value).all() or (name == units and not np.abs(value).max(axis=-1, initial=0.0).all()):
            told = f"`teacher[{name!r}]` must be finite" + (", without a unit of zeros" if name == units else "")
            raise DataError(f"{told}, got {short(value.tolist())}; a unit without a direction has no angle.")
        stars[name] = constant(name + TEACHER, tuple(np.shape(value)))
    return stars, Data(constants=values)


def _swapped(expression: Expr, leaves: Mapping[str, Expr]) -> Expr:
    """An expression with other blocks, and without slopes of its own."""

    def instead(node: Expr, args: tuple[Expr, ...]) -> Expr | None:
        return args[0] if args and operations[node.op].own_slope else leaves.get(node.block or "")

    return rebuilt(expression, instead)
