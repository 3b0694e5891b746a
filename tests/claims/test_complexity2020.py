"""The pack complexity2020: filters, minimum norm, hidden regularisation, norm and errors."""

import numpy as np


def test_the_constrained_minimiser_has_no_gradient_along_the_sphere():
    """N3's witness: at its answer the softmax of margins pulls along it alone; from a direction beside it, not."""
    from flowlab.claims.library.complexity2020.fixed_norm_minimiser import minimiser

    rng = np.random.default_rng(0)
    z = rng.normal(size=(4, 6))
    w = np.linalg.pinv(z) @ np.ones(4)

    def across(v):
        q = 12.0 * z @ v
        pull = z.T @ np.exp(q.min() - q)
        return np.linalg.norm(pull - v * (v @ pull)) / np.linalg.norm(pull)

    v = minimiser(z, 12.0, w)
    assert across(v) < 1e-12
    aside = v + 1e-3 * rng.normal(size=6)
    assert across(aside / np.linalg.norm(aside)) > 1e-5


def test_the_enclosure_of_the_largest_difference():
    from flowlab.claims.library.complexity2020.spectral_filters import enclosed

    a, b, low, high = enclosed()
    assert a <= 2.51286238 <= b
    x = np.linspace(0.0, 60.0, 100_001)
    assert np.abs(1 - np.exp(-x) - x / (1 + x)).max() <= high < low + 1e-7
