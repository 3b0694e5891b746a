"""P23: how many units generic and compositional networks take, on what can be counted exactly and measured without
fitting.
"""

import itertools
from math import comb

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

GRIDS, FINE = (6, 12, 24, 48), (24, 48, 96)
DEGREES = (2, 4, 6, 8)


def _nodes(seed: int) -> list[tuple[float, float, float]]:
    """Three functions h(u, v) = sin(a u + b v + c) that take [0, 1]² into [0, 1) and grow in both variables."""
    rng = np.random.default_rng(seed)
    return [(*rng.uniform(0.3, 0.6, size=2), rng.uniform(0.0, 0.2)) for _ in range(3)]


def _h(node: tuple[float, float, float], u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.sin(node[0] * u + node[1] * v + node[2])


def _interpolated(axes: list[np.ndarray], values: np.ndarray, at: np.ndarray) -> np.ndarray:
    from scipy.interpolate import RegularGridInterpolator

    return RegularGridInterpolator(axes, values)(at)


def _errors(seed: int, dimension: int) -> tuple[list[float], list[float], list[int], list[int]]:
    """Root mean square errors of generic and compositional interpolation, and numbers of their units, per grid.

    The generic one takes m^d nodes of a grid in all variables; the compositional one m² for each of its functions of
    two variables. `dimension` 4 is h3(h1(x1, x2), h2(x3, x4)); 3 is h3(h1(x1, x2), x3).
    """
    from scipy.stats import qmc

    nodes = _nodes(seed)
    generic, tree, many, few = [], [], [], []

    def exact(x: np.ndarray) -> np.ndarray:
        last = _h(nodes[1], x[..., 2], x[..., 3]) if dimension == 4 else x[..., 2]
        return _h(nodes[2], _h(nodes[0], x[..., 0], x[..., 1]), last)

    for m in GRIDS[: 4 if dimension == 3 else 3]:
        # Midpoints of all cells: there the error of interpolation is largest, and its mean is smooth in m.
        axis, middle = np.linspace(0.0, 1.0, m + 1), (np.arange(m) + 0.5) / m
        at = np.stack(np.meshgrid(*[middle] * dimension, indexing="ij"), axis=-1).reshape(-1, dimension)
        mesh = np.stack(np.meshgrid(*[axis] * dimension, indexing="ij"), axis=-1)
        generic.append(_rms(_interpolated([axis] * dimension, exact(mesh), at) - exact(at)))
        many.append((m + 1) ** dimension)
    # Values of the inner functions lie anywhere in the outer cells: fine grids and evenly spread points average that
    # out.
    at = qmc.Sobol(dimension, scramble=False).random_base2(16)
    for m in FINE:
        axis = np.linspace(0.0, 1.0, m + 1)
        two = np.meshgrid(axis, axis, indexing="ij")
        first = _interpolated([axis, axis], _h(nodes[0], *two), at[:, :2])
        last = _interpolated([axis, axis], _h(nodes[1], *two), at[:, 2:]) if dimension == 4 else at[:, 2]
        values = _interpolated([axis, axis], _h(nodes[2], *two), np.clip(np.stack([first, last], axis=-1), 0.0, 1.0))
        tree.append(_rms(values - exact(at)))
        few.append((dimension - 1) * (m + 1) ** 2)
    return generic, tree, many, few


def _rms(v: np.ndarray) -> float:
    return float(np.sqrt(np.mean(v * v)))


def _exponent(errors: list[float], units: list[int]) -> float:
    """-d log(units)/d log(error) between the last two grids."""
    return float(-np.log(units[-1] / units[-2]) / np.log(errors[-1] / errors[-2]))


def _rank(d: int) -> int:
    """Rank of the flattening of x_1 ...

    x_d at half its degree: a lower bound for the number of d-th powers of linear forms that add up to it.
    """
    half = d // 2
    rows, columns = (list(itertools.combinations(range(d), k)) for k in (half, d - half))
    # Derivatives by a set of half the variables leave the product of the others; those by a repeated variable vanish.
    matrix = np.array([[float(not set(r) & set(c)) for c in columns] for r in rows])
    return int(np.linalg.matrix_rank(matrix))


def _powers(d: int) -> bool:
    """x_1 ... x_d = Σ_ε (Π ε) (x_1 + ε_2 x_2 + ...)^d/(2^{d-1} d!), expanded."""
    import sympy as sp

    x = sp.symbols(f"x1:{d + 1}")
    total = sp.Integer(0)
    for signs in itertools.product((1, -1), repeat=d - 1):
        total += sp.prod(signs) * (x[0] + sum(e * v for e, v in zip(signs, x[1:], strict=True))) ** d
    return sp.expand(total - 2 ** (d - 1) * sp.factorial(d) * sp.prod(x)) == 0


@claim("P23")
class Compositional(Claim):
    """Units grow like ε^{-d/2} on a grid and like ε^{-1} node by node; a product of d variables takes 2(d - 1) against
    binom(d, d/2) and more.
    """

    title = "approximation of compositional functions (experiment with stated limits)"
    statement = (
        "Interpolation of h3(h1(x1, x2), h2(x3, x4)) on grids takes eps^(-d/2) nodes in all d = 4 variables together, "
        "and eps^(-1) node by node. In a tree the product of d variables takes 2(d - 1) quadratic units. In one layer "
        "of d-th powers it takes at least binom(d, d/2) and at most 2^(d-1). The best shallow network, which need not "
        "be a grid, is outside the claim."
    )
    latex = (
        r"N_{\text{grid}} \sim \varepsilon^{-d/2}, \quad N_{\text{tree}} \sim \varepsilon^{-1}; \qquad "
        r"\tbinom{d}{d/2} \le N_{\text{shallow}}(x_1\cdots x_d) \le 2^{d-1},\; N_{\text{tree}} = 2(d-1)"
    )
    source = (
        "Poggio, Banburski, Liao 2020, approximation; Mhaskar and Poggio 2016; Lin, Tegmark and Rolnick 2017 for "
        "products"
    )
    hypotheses = (own_instances,)
    stated = Variant(dimension=4, tree=2.0, derivatives=2.0)
    mutants = (
        stated.but("generic exponent of the tree", tree=4.0),
        stated.but("dimension three", dimension=3),
        stated.but("first derivatives only", derivatives=1.0),
    )
    counter_example = "dimension three: h3(h1(x1, x2), x3) has another exponent, 3/2"

    def measure(self, case: Case, variant: Variant) -> Measurement:
        d, m = variant.dimension, variant.derivatives
        generic, tree, many, few = case.once(f"P23 in {d}", lambda: _errors(case.seed, d))
        # Grids of m cells have (m + 1) nodes to an axis: counted in cells, the power shows without that offset.
        cells, pairs = [g**d for g in GRIDS[: len(generic)]], [g**2 for g in FINE]
        ends = [
            (_exponent(generic, cells), _exponent(generic[:-1], cells[:-1])),
            (_exponent(tree, pairs), _exponent(tree[:-1], pairs[:-1])),
        ]
        # Errors are c m^-2 (1 + O(m^-2)), so that a halved mesh quarters what an exponent lacks.
        quantities = []
        for (late, early), wanted, name in zip(
            ends, (4.0 / m, variant.tree / m), ("a grid of four variables", "grids node by node"), strict=True
        ):
            value = (4 * late - early) / 3 if "grid of" in name else late
            quantities.append(
                Quantity(
                    f"exponent of 1/eps on {name}",
                    value,
                    wanted,
                    5e-3 * wanted,
                    error=abs(late - early) / 3,
                    route="three grids",
                )
            )
        quantities.append(
            Quantity(
                "nodes of the grid over those of the tree, 24 cells to an axis",
                many[2] / few[0],
                50.0,
                0.0,
                relation=">=",
            )
        )
        for k in DEGREES:
            quantities.append(
                Quantity(
                    f"rank of the product of {k} variables",
                    case.once(f"P23 rank {k}", lambda k=k: _rank(k)),
                    float(_binomial(k)),
                    0.5,
                    altered=0.0,
                    route="rank of its flattening, a matrix of 0 and 1",
                )
            )
        quantities.append(
            Quantity(
                "products written by 2^(d-1) powers, d = 2, 3, 4",
                float(case.once("P23 powers", lambda: sum(_powers(k) for k in (2, 3, 4)))),
                3.0,
                0.5,
                altered=0.0,
                route="expanded by sympy",
            )
        )
        quantities.append(
            Quantity("2(d - 1) units less binom(d, d/2) at d = 6", 10.0 - _binomial(6), 0.0, 0.0, relation="<=")
        )
        return Measurement.of(
            quantities,
            "orders of interpolation extrapolated over three grids; exact counts",
            errors={"grid": generic, "tree": tree},
            nodes={"grid": many, "tree": few},
            limits="piecewise multilinear interpolation of one smooth function in four variables; products in one "
            "layer of powers of degree d",
        )


def _binomial(d: int) -> int:
    return comb(d, d // 2)
