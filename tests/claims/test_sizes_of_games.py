"""O8: quantiles of times that end at a cap, and the experiment at sizes of the paper."""

import math

import pytest

from flowlab.claims import claims
from flowlab.claims.case import Case
from flowlab.claims.library.daskalakis2019.random_games import quantile


def test_quantiles_of_times_that_are_cut_off_are_lower_bounds():
    times = [3.0, 1.0, math.inf, 2.0, math.inf]
    assert [quantile(times, level, 10) for level in (0.2, 0.4, 0.6, 0.8, 1.0)] == [1.0, 2.0, 3.0, 10.0, 10.0]
    assert quantile([math.inf] * 3, 0.1, 7) == 7.0


@pytest.mark.slow
def test_sizes_of_the_paper():
    word = claims["O8"]
    case, at_scale = Case(seed=0), {"sizes": (25, 50, 100), "cap": 2_000_000, "errors": (0.5, 0.25, 0.1)}
    measured = word().measure(case, word.stated.but("sizes of the paper", **at_scale))
    assert measured.stands, ([str(q) for q in measured.quantities], measured.details)
    for mutant in word.mutants:
        assert word().measure(case, mutant.but(mutant.name, **at_scale)).fails, mutant.name
