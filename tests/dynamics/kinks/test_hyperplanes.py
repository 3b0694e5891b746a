"""Kinks worked out apart where they know nothing of one another, against all of them at once."""

import jax
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)

import flowlab as fl
from flowlab.dynamics.kinks.hyperplanes import Block, coupled, parallel
from flowlab.dynamics.kinks.tracker import Tracker


def drawn(seed):
    """Normals of three groups of coordinates, one of them with more normals than dimensions, in a mixed order."""
    rng = np.random.default_rng(seed)
    rows, groups = [], []
    for start, dims, count in ((0, 3, 2), (3, 2, 4), (5, 4, 3)):
        for _ in range(count):
            row = np.zeros(10)
            row[start : start + dims] = rng.normal(size=dims)
            rows.append(row)
            groups.append(start)
    order = rng.permutation(len(rows))
    return np.array(rows)[order], np.array(groups)[order]


@pytest.mark.parametrize("seed", range(5))
def test_blocks_together_are_what_all_normals_are(seed):
    normals, groups = drawn(seed)
    found = coupled([np.flatnonzero(row) for row in normals], 10)
    assert sorted(sorted(group) for group in found) == sorted(np.flatnonzero(groups == g).tolist() for g in set(groups))
    projector, moved, z = np.zeros((10, 10)), np.zeros(10), np.random.default_rng(seed + 100).normal(size=len(normals))
    # Within the range, as pre-activations of a state always are.
    z = normals @ (np.linalg.pinv(normals) @ z)
    for group in found:
        block = Block.of(group, normals[group])
        at = block.span.coordinates
        projector[np.ix_(at, at)] += block.span.basis @ block.span.basis.T
        moved[at] -= block.onto @ z[list(block.names)]
        live = normals[[block.kinks[i].first for i in block.span.live]]
        assert np.allclose(block.span.dual @ live.T[at], np.eye(len(live)), atol=1e-12)
        assert len(block.span.live) + len(block.span.held) == len(block.kinks)
    assert np.allclose(projector, np.linalg.pinv(normals) @ normals, atol=1e-12)
    assert np.allclose(moved, -np.linalg.lstsq(normals, z, rcond=None)[0], atol=1e-12)
    assert np.allclose(normals @ moved, -z, atol=1e-12)


def test_a_shared_coordinate_couples():
    """Control: the same normals with one more that two groups share are two groups, not three."""
    normals, _ = drawn(0)
    bridge = np.zeros(10)
    bridge[[0, 8]] = 1.0
    assert len(coupled([np.flatnonzero(row) for row in (*normals, bridge)], 10)) == 2
    assert coupled([], 10) == []


def test_parallel_normals_are_one_kink():
    rows = np.array([[1.0, 2.0], [0.0, 1.0], [-2.0, -4.0]])
    assert parallel(rows) == [([0, 2], (1, -1)), ([1], (1,))]
    assert [kink.pairs for kink in Block.of([4, 6, 9], rows).kinks] == [(4, 9), (6,)]


@pytest.mark.parametrize(
    ("text", "coordinates", "fixed"),
    [
        ("W2 @ relu(W1 @ x)", "weights", True),
        ("W2 @ maximum(A @ x, B @ x)", "weights", True),
        ("W2 @ relu(W1 @ x)", "polar", False),
        # The second kink is that of C x against whichever of the others is larger, so its normal hangs on the slope of
        # the first.
        ("W2 @ maximum(A @ x, B @ x, C @ x)", "weights", False),
        ("W3 @ relu(W2 @ relu(W1 @ x))", "weights", False),
    ],
)
def test_which_normals_are_fixed(text, coordinates, fixed):
    net, rng = fl.Network(text), np.random.default_rng(0)
    data = fl.Data(rng.normal(size=(5, 3)), np.array([1.0, -1, 1, -1, 1]))
    start = fl.initial_state(net, data, widths=dict.fromkeys(net.weights[:-1], 4), seed=0)
    field = fl.lower(fl.derive(fl.Problem(net, coordinates=coordinates)))
    pairs = Tracker(field, data, field.pack(start)).pairs
    assert pairs.fixed == fixed
    if fixed:
        other = field.pack(fl.initial_state(net, data, widths=dict.fromkeys(net.weights[:-1], 4), seed=1))
        asked = [0, 3, pairs.count - 1]
        direct = pairs._computed(other, asked, pairs.right)
        assert np.array_equal(pairs.normals(field.pack(start), asked, pairs.left), direct)


def test_a_decision_on_one_unit_is_that_on_all_of_them(monkeypatch):
    """Asked apart or all together, pairs that stand on their kinks go the same way, with the same multipliers."""
    rng = np.random.default_rng(2)
    x, net = rng.normal(size=(20, 4)), fl.Network("W2 @ relu(W1 @ x)")
    data = fl.Data(x, np.sign(x[:, 0] * x[:, 1]))
    W1 = rng.normal(size=(8, 4))
    field = fl.lower(fl.derive(fl.Problem(net, coordinates="weights")))
    start = fl.State.from_weights({"W1": W1, "W2": np.sign(rng.normal(size=(1, 8))) * np.linalg.norm(W1, axis=1)[None]})
    y = field.pack(start)
    on = sorted(
        {int(sample * 8 + unit) for unit, sample in enumerate(rng.permutation(20)[:8])}
        | {int(sample * 8) for sample in rng.permutation(20)[:2]}
    )
    ends = []
    for apart in (True, False):
        tracker = Tracker(field, data, y)
        if not apart:
            monkeypatch.setattr(type(tracker.pairs), "together", lambda pairs, y, names: [names])
        here = tracker.landed(y, on)
        first = tracker.begin(here)
        # Then one of them is asked again, next to the others that slide.
        again = tracker.decide(first[0], [on[0]], [])
        ends.append((tracker.side.tolist(), {e.pair: e.after for e in (*first[1], *again)}, tracker.sliding))
    assert ends[0][:2] == ends[1][:2]
    assert 0 in ends[0][1].values()
    assert ends[0][2].keys() == ends[1][2].keys()
    assert max(abs(ends[0][2][p] - ends[1][2][p]) for p in ends[0][2]) < 1e-10
