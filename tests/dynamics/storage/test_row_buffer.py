"""The store keeps the first and the last row and thins evenly, however the rows come."""

import numpy as np
import pytest

from flowlab.dynamics.storage.row_buffer import Store


def block(start, stop):
    return [np.arange(start, stop, dtype=float), np.arange(start, stop)[:, None] * np.ones(2)]


def fed(limit, count, size, record=False):
    store = Store(limit, record)
    for at in range(0, count, size):
        store.offer(block(at, min(at + size, count)))
    return store


@pytest.mark.parametrize("limit", [4, 5, 50, 51])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 49, 50, 51, 100, 999])
def test_first_and_last_are_kept_and_the_rest_is_even(limit, count):
    rows = fed(limit, count, 7).close()
    assert rows.index[0] == 0
    assert rows.index[-1] == count - 1
    assert len(rows.index) <= limit + 1
    assert (rows.leaves[0] == rows.index).all()
    assert (rows.leaves[1] == rows.index[:, None]).all()
    assert len(set(np.diff(rows.index)[:-1])) <= 1


@pytest.mark.parametrize("size", [1, 2, 3, 10, 64, 999])
def test_what_is_kept_does_not_depend_on_the_blocks(size):
    whole, parts = fed(20, 999, 999).close(), fed(20, 999, size).close()
    assert (whole.index == parts.index).all()


def test_a_landing_comes_last():
    store = fed(10, 5, 5)
    store.land([np.array([4.5]), np.zeros((1, 2))])
    assert store.close().leaves[0].tolist() == [0, 1, 2, 3, 4, 4.5]


@pytest.mark.parametrize("cuts", [(3, 10, 11, 400, 998), (1, 2), ()])
def test_rows_that_come_back_make_the_same_store(cuts):
    first, again = Store(20, record=True), Store(20, record=True)
    for a, b in zip((0, *cuts), (*cuts, 999), strict=True):
        first.offer(block(a, b))
        rows = first.fresh()
        assert rows.index[-1] == b - 1
        again.offer(rows.leaves, rows.index)
    assert (first.close().index == again.close().index).all()
    assert (first.stride, first.offered, first.held) == (again.stride, again.offered, again.held)


def test_rows_are_copies():
    store, leaves = Store(10), block(0, 3)
    store.offer(leaves)
    leaves[0][:] = -1.0
    assert store.close().leaves[0].tolist() == [0, 1, 2]
