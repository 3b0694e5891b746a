"""P23: how many units generic and compositional networks take, on what can be counted exactly and measured without
fitting.
"""

from flowlab.claims.case import Case
from flowlab.claims.claim import Claim, claim
from flowlab.claims.hypotheses import own_instances
from flowlab.claims.library.poggio2020.interpolation import FINE, GRIDS, errors_of_interpolation, exponent
from flowlab.claims.library.poggio2020.products_by_powers import binomial, powers, rank
from flowlab.claims.quantity import Quantity
from flowlab.claims.variant import Variant
from flowlab.claims.verdict import Measurement

DEGREES = (2, 4, 6, 8)


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
        generic, tree, many, few = case.once(f"P23 in {d}", lambda: errors_of_interpolation(case.seed, d))
        # Grids of m cells have (m + 1) nodes to an axis: counted in cells, the power shows without that offset.
        cells, pairs = [g**d for g in GRIDS[: len(generic)]], [g**2 for g in FINE]
        ends = [
            (exponent(generic, cells), exponent(generic[:-1], cells[:-1])),
            (exponent(tree, pairs), exponent(tree[:-1], pairs[:-1])),
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
                    case.once(f"P23 rank {k}", lambda k=k: rank(k)),
                    float(binomial(k)),
                    0.5,
                    altered=0.0,
                    route="rank of its flattening, a matrix of 0 and 1",
                )
            )
        quantities.append(
            Quantity(
                "products written by 2^(d-1) powers, d = 2, 3, 4",
                float(case.once("P23 powers", lambda: sum(powers(k) for k in (2, 3, 4)))),
                3.0,
                0.5,
                altered=0.0,
                route="expanded by sympy",
            )
        )
        quantities.append(
            Quantity("2(d - 1) units less binom(d, d/2) at d = 6", 10.0 - binomial(6), 0.0, 0.0, relation="<=")
        )
        return Measurement.of(
            quantities,
            "orders of interpolation extrapolated over three grids; exact counts",
            errors={"grid": generic, "tree": tree},
            nodes={"grid": many, "tree": few},
            limits="piecewise multilinear interpolation of one smooth function in four variables; products in one "
            "layer of powers of degree d",
        )
