"""The product of d variables as a sum of d-th powers of linear forms: how many it takes."""

import itertools
from math import comb

import numpy as np
import sympy as sp


def rank(d: int) -> int:
    """Rank of the flattening of x_1 ...

    x_d at half its degree: a lower bound for the number of d-th powers of linear forms that add up to it.
    """
    half = d // 2
    rows, columns = (list(itertools.combinations(range(d), k)) for k in (half, d - half))
    # Derivatives by a set of half the variables leave the product of the others; those by a repeated variable vanish.
    matrix = np.array([[float(not set(r) & set(c)) for c in columns] for r in rows])
    return int(np.linalg.matrix_rank(matrix))


def powers(d: int) -> bool:
    """x_1 ... x_d = Σ_ε (Π ε) (x_1 + ε_2 x_2 + ...)^d/(2^{d-1} d!), expanded."""
    x = sp.symbols(f"x1:{d + 1}")
    total = sp.Integer(0)
    for signs in itertools.product((1, -1), repeat=d - 1):
        total += sp.prod(signs) * (x[0] + sum(e * v for e, v in zip(signs, x[1:], strict=True))) ** d
    return sp.expand(total - 2 ** (d - 1) * sp.factorial(d) * sp.prod(x)) == 0


def binomial(d: int) -> int:
    """binom(d, d/2)."""
    return comb(d, d // 2)
