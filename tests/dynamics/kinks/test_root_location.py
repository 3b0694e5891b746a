"""Places where a value falls through zero, from guesses good and bad."""

import numpy as np
import pytest

from flowlab.dynamics.kinks.root_location import Guess, refined, secant


class Counted:
    """A function that counts how often it is asked."""

    def __init__(self, f):
        self.f, self.asked = f, []

    def __call__(self, part):
        self.asked.append(part)
        return self.f(part)


@pytest.mark.parametrize("error", [0.0, 1e-9, -1e-7, 1e-5, -1e-3])
@pytest.mark.parametrize("root", [0.2, 0.5371, 0.93])
def test_a_good_guess_costs_few_values(error, root):
    f = Counted(lambda s: np.exp(root - s) - 1.0 - 0.3 * (s - root) ** 2)
    found = refined(f, Guess(root + error, root - 0.1, root + 0.05, 0, 0), 1e-16)
    assert found == pytest.approx(root, abs=2e-15)
    assert len(set(f.asked)) <= 6


def test_bad_guesses_are_found_too():
    rng = np.random.default_rng(0)
    for _ in range(200):
        root, a, b = rng.uniform(0.1, 0.9), rng.uniform(0, 5), rng.uniform(-20, 20)

        def value(s, root=root, a=a, b=b):
            return (root - s) * np.exp(b * (s - root)) * (1 + a * (s - root) ** 2)

        low, high = max(0.01, root - rng.uniform(0, 0.5)), min(1.0, root + rng.uniform(0, 0.5))
        assert refined(value, Guess(rng.uniform(low, high), low, high, 0, 0), 1e-17) == pytest.approx(root, abs=3e-14)


def test_what_does_not_fall_is_none():
    assert refined(lambda s: 1.0 + s, Guess(0.5, 0.2, 0.8, 0, 0), 1e-16) is None
    # A rise through zero is not a root, also where the guess is right.
    assert secant(lambda s: s - 0.5, Guess(0.49, 0.2, 0.8, 0, 0), 1e-16) is None
    assert refined(lambda s: s - 0.5, Guess(0.49, 0.4, 0.8, 0, 0), 1e-16) is None
    # The dense output had it within its bracket, the solution a little beyond.
    assert refined(lambda s: 0.61 - s, Guess(0.59, 0.5, 0.6, 0, 0), 1e-16) == pytest.approx(0.61, abs=1e-15)


def test_the_start_of_a_step_is_left_for_the_next_root():
    """A pair that stands on its kink has a root at zero; the one sought is where it comes back."""
    assert refined(lambda s: s * (0.3 - s), Guess(0.3, 0.0, 1.0, 0, 0), 1e-16) == pytest.approx(0.3, abs=1e-14)
    assert refined(lambda s: -s, Guess(0.3, 0.0, 1.0, 0, 0), 0.0) == 0.0
