"""Arrays are taken as they are meant, or refused by one sentence; never silently changed."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse

jax.config.update("jax_enable_x64", True)

import flowlab as fl
from flowlab.core import memory
from flowlab.language.arrays import standardized

X, Y = np.arange(6.0).reshape(3, 2), np.array([1.0, -1.0, 1.0])


class Frame:
    """What a data frame is to numpy."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        return self.array


class Broken:
    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        raise RuntimeError("no array today")


TAKEN = {
    "lists": X.tolist(),
    "integers": X.astype(np.int32),
    "jax": jnp.asarray(X),
    "frame": Frame(X),
    "objects": X.astype(object),
    "fractions": np.array([[Fraction(v) for v in row] for row in X.tolist()]),
    "column order": np.asfortranarray(X),
}


@pytest.mark.parametrize("x", TAKEN.values(), ids=TAKEN)
def test_samples_that_are_taken(x):
    data = fl.Data(x, Y)
    assert data.x.dtype == np.float64
    assert np.array_equal(data.x, X)


BIG = 2**53 + 1
REFUSED = {
    "masked": (np.ma.masked_array(X, X == 3), "masked array .1 masked"),
    "masked nowhere": (np.ma.masked_array(X), "masked array .0 masked"),
    "masked rows": ([np.ma.masked_array(row, row == 3) for row in X], "masked array .1 masked"),
    "ragged": ([[1, 2], [3], [4, 5]], "rows of one length"),
    "complex": (X + 0j, "complex128"),
    "dates": (X.astype(int).astype("datetime64[D]"), "datetime64"),
    "spans": (X.astype(int).astype("timedelta64[D]"), "timedelta64"),
    "records": (np.zeros((3, 2), dtype=[("a", "f8")]), "'a'"),
    "text": (X.astype(str), "<U"),
    "text of numbers": (np.array([["1", "2"]] * 3, dtype=object), "'1' in row 1, column 1"),
    "None": ([[1, None], [2, 3], [4, 5]], "None in row 1, column 2"),
    "sparse": (sparse.csr_matrix(X), "toarray"),
    "a set": ({1, 2}, "numbers"),
    "broken": (Broken(), "no array today"),
    "integers beyond float64": ([[1, 2], [3, BIG], [4, 5]], f"{BIG} in row 2, column 2"),
    "unsigned beyond float64": (
        np.array([[1, 2], [3, 2**64 - 1], [4, 5]], dtype=np.uint64),
        "18446744073709551615 in row 2, column 2",
    ),
    "integers beyond everything": ([[1, 2], [3, 10**400], [4, 5]], "float64"),
    "nan": (np.where(X == 3, np.nan, X), "nan in row 2, column 2 .1 such"),
}


@pytest.mark.parametrize(("x", "word"), REFUSED.values(), ids=REFUSED)
def test_samples_that_are_refused(x, word):
    with pytest.raises(fl.DataError, match=word) as told:
        fl.Data(x, Y, name="n\n" * 500)
    assert len(str(told.value)) <= 300
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("value", [2**53, -(2**53), 2**60, np.uint64(2**63)])
def test_large_integers_that_float64_holds_are_taken(value):
    assert int(fl.Data([[1, value], [2, 3]], [1, -1]).x[0, 1]) == int(value)


@pytest.mark.parametrize(
    ("y", "kind", "kept", "names"),
    [
        ([[1.0], [-1.0], [1.0]], "binary", [1, -1, 1], None),
        ([[1], [-1], [1]], "binary", [1, -1, 1], None),
        ([True, False, True], "binary", [1, -1, 1], None),
        ([[True], [False], [True]], "binary", [1, -1, 1], None),
        (np.array([1, -1, 1], dtype=object), "binary", [1, -1, 1], None),
        (np.array([0, 2, 1], dtype=object), "classes", [0, 2, 1], None),
        ([[0], [2], [1]], "classes", [0, 2, 1], None),
        (np.array([0, 1, 2], dtype=np.uint64), "classes", [0, 1, 2], None),
        ([0.0, 1.0, 1.0], "targets", [0, 1, 1], None),
        (["b", "a", "b"], "binary", [1, -1, 1], ("a", "b")),
        ([["b"], ["a"], ["b"]], "binary", [1, -1, 1], ("a", "b")),
        (np.array(["b", "c", "a"], dtype=object), "classes", [1, 2, 0], ("a", "b", "c")),
        (Frame(np.array(["b", "c", "a"], dtype=object)), "classes", [1, 2, 0], ("a", "b", "c")),
        ([[True, False], [False, True], [True, False]], "targets", [[1, 0], [0, 1], [1, 0]], None),
    ],
)
def test_labels_that_are_taken(y, kind, kept, names):
    data = fl.Data(X, y)
    assert (data.kind, data.y.tolist(), data.class_names) == (kind, kept, names)
    if kind == "binary":
        fl.Problem("W1 @ x").loss.check_labels(data)


def test_a_kind_that_is_named_decides():
    assert fl.Data(X, [True, False, True], kind="classes").y.tolist() == [1, 0, 1]
    assert fl.Data(X, [True, False, True], kind="targets").y.tolist() == [1, 0, 1]
    assert fl.Data(X, [0.0, 1.0, 1.0], kind="classes").n_classes == 2
    named = fl.Data(X, ["b", "a", "b"], kind="classes")
    assert (named.y.tolist(), named.class_names) == ([1, 0, 1], ("a", "b"))


@pytest.mark.parametrize(
    ("y", "kind", "word"),
    [
        ([9223372036854775808, 0, 1], None, "labels 0, 1, 9223372036854775808"),
        (np.array([9223372036854775808, 0, 1], dtype=np.uint64), None, "9223372036854775808"),
        ([2**53 + 1, 0, 1], None, "9007199254740993 in row 1"),
        ([1e300, 0.0, 1.0], "classes", r"1e\+300"),
        ([0.0, 1.0, 1.0], "binary", "2.y - 1"),
        ([1, -1, 0], None, "labels -1, 0, 1"),
        (np.ma.masked_array(Y, [0, 0, 1]), None, "masked"),
        (["a", "a", "a"], None, "one class only .'a'"),
        (["a", "b", "NA"], None, "'NA' in row 3, which reads as a missing"),
        (["a", "b", ""], None, "row 3"),
        (["a", "b", " NaN"], None, "row 3"),
        (["1", "-1", "1"], None, "text '1' in row 1"),
        (["a", "b", "2"], None, "text '2' in row 3"),
        (np.array(["a", "b", 2.0], dtype=object), None, "2.0 in row 3 among class names"),
        (np.array(["a", "b", None], dtype=object), None, "None in row 3"),
        (["a", "b", "c"], "targets", "class names such as 'a'"),
        (["a", "b", "c"], "binary", "label 0"),
        ([["a", "b"], ["c", "d"], ["e", "f"]], None, "one class name per sample"),
        ([b"a", b"b", b"c"], None, "S1"),
        (np.zeros((3, 0)), None, "one label per sample"),
        ([[1, -1], [1, 1], [-1, 1]], "binary", r"shape \(3, 2\)"),
        (Y, ["binary"], "kind"),
    ],
)
def test_labels_that_are_refused(y, kind, word):
    with pytest.raises(fl.DataError, match=word) as told:
        fl.Data(X, y, kind=kind)
    assert len(str(told.value)) <= 300


@pytest.mark.parametrize(
    ("y", "loss", "word"),
    [
        ([0.0, 1.0, 1.0], "exponential", r"labels -1 and \+1, but the labels are targets 0, 1; give 2.y - 1"),
        ([0, 1, 1], "logistic", "but the labels are classes 0, 1; give 2.y - 1"),
        ([[1.0, -1.0], [1, 1], [-1, 1]], "exponential", r"targets of shape \(3, 2\)"),
        ([0.0, 1.0, 1.0], "cross_entropy", 'targets 0, 1; say .*kind="classes"'),
    ],
)
def test_a_loss_says_what_labels_it_was_given(y, loss, word):
    with pytest.raises(fl.DataError, match=word):
        fl.Problem("W1 @ x", loss).loss.check_labels(fl.Data(X, y))


def test_samples_beyond_the_memory_are_refused_before_they_are_copied(monkeypatch):
    x = np.broadcast_to(np.float32(1.0), (10**6, 10**6))
    with pytest.raises(fl.TooLarge, match=r"7\.3 TiB"):
        fl.Data(x, np.ones(10**6))
    monkeypatch.setattr(memory, "machine_memory", lambda: 47)
    with pytest.raises(fl.TooLarge):
        fl.Data(X, Y)


def _plain(x: np.ndarray) -> np.ndarray:
    spread = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def test_standard_features_have_the_values_they_always_had():
    for name in ("iris", "wine", "digits"):
        x = np.asarray(fl.load(name).x)
        x = x[:, x.max(axis=0) > x.min(axis=0)]
        assert np.array_equal(standardized(x), _plain(x))


@pytest.mark.parametrize("value", [0.3, 0.1, -7.7, 1e-320, 1e-200, 1e200, 1.7e308, 0.0])
def test_constant_features_become_zero(value):
    x = np.column_stack([np.full(7, value), np.arange(7.0)])
    assert (standardized(x)[:, 0] == 0).all()
    assert np.allclose(standardized(x)[:, 1], _plain(x[:, 1:])[:, 0])


@pytest.mark.parametrize("scale", [2.0**-1060, 1e-300, 1e-200, 1.0, 1e200, 2.0**1022])
@pytest.mark.parametrize("offset", [0.0, 1.0, -0.25])
def test_extreme_features_are_scaled_rightly(scale, offset):
    z = np.array([-1.0, 0.5, 0.25, 1.0, -0.5]) + offset
    if abs(scale) > 1e300:
        z = z / 2
    x = np.column_stack([z * scale, z])
    found = standardized(x)
    assert np.allclose(
        found[:, 0],
        _plain(z[:, None])[:, 0],
        rtol=1e-12 if scale > 1e-310 else 1e-3,
        atol=1e-12 if scale > 1e-310 else 1e-3,
    )
    assert np.array_equal(found[:, 1], _plain(x[:, 1:])[:, 0])


def test_features_that_hardly_differ_from_their_least_value_are_scaled_rightly():
    z = np.array([0, 1, 2, 4, 1])
    # Steps of one unit in the last place, where a mean has no digits left.
    x = (1.0 + z * 2.0**-52)[:, None]
    found = standardized(x)[:, 0]
    assert np.allclose(found, (z - z.mean()) / z.std(), rtol=1e-14)
    assert not np.allclose(_plain(x)[:, 0], found, rtol=1e-3)


def test_values_that_are_missing_are_refused_before_they_are_scaled(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.where(X == 3, np.nan, X), y=Y)
    with pytest.raises(fl.DataError, match="nan in row 2, column 2"):
        fl.load(tmp_path / "a.npz", standardize=True)


@pytest.mark.parametrize(
    "value", [Fraction(1, 10**400), np.longdouble("1e-400"), np.longdouble("1e400")], ids=["fraction", "small", "large"]
)
def test_numbers_beyond_the_range_of_float64_are_refused(value):
    if isinstance(value, np.longdouble) and np.finfo(np.longdouble).maxexp == np.finfo(np.float64).maxexp:
        pytest.skip("long double is float64 here")
    with pytest.raises(fl.DataError, match="row 1, column 1; float64 holds numbers from"):
        fl.Data(np.array([[value], [type(value)(2)]]), [1.0, -1.0])
    assert float(fl.Data(np.array([[type(value)(0)], [type(value)(2)]]), [1.0, -1.0]).x[1, 0]) == 2.0


def test_truth_values_are_signs_in_arrays_of_objects_too():
    found = fl.Data(X, np.array([True, False, True], dtype=object))
    assert found.kind == "binary"
    assert found.y.tolist() == [1.0, -1.0, 1.0]
