"""The store keeps the first and the last row and thins evenly."""

import pytest

from flowlab.dynamics.store import Store


@pytest.mark.parametrize("limit", [4, 5, 50, 51])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 49, 50, 51, 100, 999])
def test_first_and_last_are_kept_and_the_rest_is_even(limit, count):
    store = Store(limit)
    for i in range(count):
        store.offer(float(i), lambda i=i: i)
        assert store.now == i
    store.close()
    assert store.rows[0] == 0
    assert store.rows[-1] == count - 1
    assert len(store.rows) <= limit
    assert store.times == [float(r) for r in store.rows]
    gaps = {b - a for a, b in zip(store.rows[:-1], store.rows[1:-1], strict=False)}
    assert len(gaps) <= 1


def test_a_landing_comes_last_and_never_goes_back():
    store = Store(10)
    for i in range(5):
        store.offer(float(i), lambda i=i: i)
    store.land(4.0, "same time")
    store.land(4.5, "landed")
    store.close()
    assert store.rows[-2:] == [4, "landed"]


def test_flush_frees_what_the_row_was_cut_from():
    store, calls = Store(4), []
    for i in range(6):
        store.offer(float(i), lambda i=i: calls.append(i) or i)
    store.flush()
    before = len(calls)
    store.close()
    assert len(calls) == before
