"""No root of a step's polynomials is missed: 3,000 of them with known roots, and random ones against numpy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab.dynamics.kinks.bernstein import from_values, halves, nodes, roots, value, variations


def polynomial(r, rest):
    return lambda t: (
        np.prod([t - each for each in r], axis=0) * np.prod([each - t for each in rest], axis=0) * np.ones_like(t)
    )


def made(seed):
    """A polynomial of degree 3 to 12 with up to six roots inside, every third time with a close pair of them."""
    rng = np.random.default_rng(seed)
    degree = int(rng.integers(3, 13))
    inside = np.sort(rng.uniform(0, 1, int(rng.integers(0, min(degree, 6) + 1))))
    if seed % 3 == 0 and len(inside) > 1:
        inside[1] = inside[0] + 10.0 ** -rng.integers(1, 5)
    inside = np.sort(inside[inside < 1])
    return degree, inside, rng.uniform(1.1, 3, degree - len(inside))


def test_three_thousand_polynomials_with_several_roots_in_a_step():
    missed = total = several = 0
    for seed in range(3000):
        degree, inside, rest = made(seed)
        f = polynomial(inside, rest)
        found = roots(from_values(degree) @ f(nodes(degree)))
        several += len(inside) > 1
        total += len(inside)
        # Each interval has one change of sign, and together they have every root.
        missed += len(found) != len(inside) or any(
            not (a - 1e-7 <= r <= b + 1e-7) for (a, b), r in zip(found, inside, strict=True)
        )
    assert (missed, total > 6000, several > 1500) == (0, True, True)


def test_signs_at_the_ends_alone_miss_every_second_crossing():
    """Control: what an event locator sees that looks at both ends of a step."""
    missed = sum(len(inside) % 2 == 0 and len(inside) > 0 for _, inside, _ in map(made, range(3000)))
    assert missed > 700


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.floats(-1, 1), min_size=3, max_size=9))
def test_coefficients_bound_the_polynomial(coefficients):
    b = np.array(coefficients)
    t = np.linspace(0, 1, 101)
    values = np.array([value(b, each) for each in t])
    assert values.min() >= b.min() - 1e-12
    assert values.max() <= b.max() + 1e-12
    left, right = halves(b)
    assert np.allclose([value(left, each) for each in t], [value(b, each / 2) for each in t], atol=1e-12)
    assert np.allclose([value(right, each) for each in t], [value(b, (1 + each) / 2) for each in t], atol=1e-12)
    assert len(roots(b)) <= variations(b)


@pytest.mark.parametrize(
    ("coefficients", "expected"),
    [
        ([1.0, -1.0, 1.0], 0),  # touches zero in the middle
        ([1.0, -1.1, 1.0], 2),
        ([0.0, 1.0, 1.0], 0),  # leaves zero
        ([0.0, 1.0, -1.0], 1),  # leaves zero and comes back
        ([1.0, 1.0, 0.0], 0),  # arrives at zero
        ([1.0, 0.0, -1.0], 1),  # zero at the point of bisection
        ([1.0, 2.0, 3.0], 0),
    ],
)
def test_edges(coefficients, expected):
    assert len(roots(np.array(coefficients))) == expected


def test_events_ten_units_in_the_last_place_apart_are_told_apart():
    apart = 10 * np.finfo(float).eps
    lines = [np.array([0.5 + i * apart, 0.5 + i * apart - 1.0]) for i in range(5)]
    found = [roots(line)[0] for line in lines]
    places = [0.5 * (a + b) for a, b in found]
    assert all(len(roots(line)) == 1 for line in lines)
    assert sorted(places) == places
