"""Penalty paths do not depend on their direction: the same events from both ends, the origin among the points, and
mirror images once.
"""

import numpy as np
import pytest

import flowlab as fl

NETS = (
    ("W2 @ W1 @ x", {"W1": 1}),
    ("W2 @ W1 @ x", {"W1": 2}),
    ("W2 @ tanh(W1 @ x)", {"W1": 1}),
    ("W2 @ tanh(W1 @ x)", {"W1": 2}),
    ("(W1 @ x) * (W2 @ x)", {}),
)
"""Networks with f = 0 and a gradient of zero at the origin; the trivial curve passes through every range."""


def samples(seed, d=2, n=8):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    return fl.Data(x, x @ rng.normal(size=d) + 0.5 * rng.normal(size=n), kind="targets")


def events(tree):
    return sorted((round(e.parameter, 6), e.kind) for e in tree.events)


def both(text, widths, data, span):
    problem = fl.Problem(text, loss="square")
    return [fl.penalty_path(problem, data, penalties=ends, widths=widths) for ends in (span, span[::-1])]


def agree(one, other):
    """Types are equal and parameters to 1e-6."""
    a, b = (
        [(e.parameter, e.kind) for e in sorted(tree.events, key=lambda e: (e.parameter, e.kind))]
        for tree in (one, other)
    )
    return len(a) == len(b) and all(k == m and abs(p - q) <= 1e-6 for (p, k), (q, m) in zip(a, b, strict=True))


def told(tree, parameter):
    """Critical points at a parameter by their objective, and whether the origin is one."""
    points = tree.at(parameter)
    sizes = [max(float(np.abs(w).max()) for w in W.values()) for W in points]
    return sorted(float(tree.family.value(tree.family.row(W), parameter)) for W in points), sum(
        size < 1e-9 for size in sizes
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_a_pitchfork_is_the_same_from_both_ends(seed):
    """W2 W1 x: the origin loses its stability where 2ω = ‖Xᵀy‖, and the branch, with its mirror images, is one."""
    data = samples(seed)
    top = float(np.linalg.norm(np.asarray(data.x).T @ np.asarray(data.y)))
    down, up = both("W2 @ W1 @ x", {"W1": 1}, data, (0.8 * top, 0.05 * top))
    for tree in (down, up):
        assert [(e.kind, e.parameter) for e in tree.events] == [
            ("supercritical pitchfork", pytest.approx(0.5 * top, abs=1e-8))
        ]
        assert len(tree.branches) == 2
        values, origins = told(tree, 0.2 * top)
        assert (len(values), origins) == (2, 1)
        assert told(tree, 0.7 * top)[1] == 1
    assert agree(down, up)
    # Control: the comparison tells a path with an event less, or one that is elsewhere.
    away = fl.penalty_path(
        fl.Problem("W2 @ W1 @ x", loss="square"), data, penalties=(0.8 * top, 0.6 * top), widths={"W1": 1}
    )
    assert not agree(down, away)


def test_a_branch_that_turns_at_a_pitchfork_is_no_fold():
    """From a minimum alone: its curve turns at the origin, where the trivial curve passes through, and its mirror image
    is not followed again.
    """
    data = samples(0)
    top = float(np.linalg.norm(np.asarray(data.x).T @ np.asarray(data.y)))
    start = {"W1": np.linalg.lstsq(np.asarray(data.x), np.asarray(data.y), rcond=None)[0][None], "W2": np.ones((1, 1))}
    problem = fl.Problem("W2 @ W1 @ x", loss="square")
    near = fl.penalty_path(problem, data, penalties=(0.05 * top, 0.8 * top), start=start)
    assert [(e.kind, e.parameter) for e in near.events] == [
        ("supercritical pitchfork", pytest.approx(0.5 * top, abs=1e-6))
    ]
    assert told(near, 0.2 * top)[1] == 1
    assert len(near.at(0.2 * top)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_twenty_data_sets_have_the_same_events_from_both_ends(seed):
    text, widths = NETS[seed % len(NETS)]
    data = samples(100 + seed, d=2 + seed % 2)
    top = float(np.linalg.norm(np.asarray(data.x).T @ np.asarray(data.y)))
    down, up = both(text, widths, data, (0.8 * top, 0.02 * top))
    assert events(down), "a data set without events shows nothing"
    assert agree(down, up), f"{events(down)} and {events(up)}"
    for share in (0.04, 0.3, 0.7):
        one, other = told(down, share * top), told(up, share * top)
        assert one[1] == other[1] == 1
        assert len(one[0]) == len(other[0])
        assert one[0] == pytest.approx(other[0], rel=1e-8)


def test_a_path_too_large_for_the_machine_is_refused_with_its_size():
    data = fl.Data(np.eye(2), np.array([1.0, -1.0]))
    with pytest.raises(fl.TooLarge, match=r"weights needs .* of memory"):
        fl.penalty_path(fl.Problem("W2 @ W1 @ x", "square"), data, penalties=(1.0, 0.1), widths={"W1": 10**6})


def test_no_start_at_all_is_refused():
    data = fl.Data(np.eye(2), np.array([1.0, -1.0]))
    with pytest.raises(fl.LanguageError, match="got 0"):
        fl.critical_points(fl.Problem("W2 @ W1 @ x"), data, norm=1.0, widths={"W1": 1}, starts=0)
