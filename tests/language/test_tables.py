"""Files are read as they are meant, or refused in one sentence that names the cell."""

import io
import os
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)

import flowlab as fl
from flowlab.core import memory

X = np.array([[1.5, 2.0], [2.5, -3.0], [0.25, 4.0]])
ROWS = ["1.5,2,1", "2.5,-3,-1", ".25,4e0,1"]
PLAIN = "\n".join(ROWS)
COUNTERS = ("id", "Id", "ID", "index", "rownames", "PassengerId", "customerID", "sample_id")
MEANT = {
    "plain": PLAIN,
    "header": "a,b,label\n" + PLAIN,
    "byte order mark": "\ufeffa,b,label\n" + PLAIN,
    "carriage returns": "a,b,label\r\n" + "\r\n".join(ROWS) + "\r\n",
    "old carriage returns": "\r".join(ROWS),
    "blank lines": "\n\na,b,label\n\n" + "\n  \n".join(ROWS) + "\n\n",
    "comments": "# by hand\na,b,label\n" + "\n# more\n".join(ROWS),
    "header of numpy": "# a,b,label\n" + PLAIN,
    "semicolons": "a;b;label\n" + PLAIN.replace(",", ";"),
    "semicolons without header": PLAIN.replace(",", ";"),
    "tabs": "a\tb\tlabel\n" + PLAIN.replace(",", "\t"),
    "padded": PLAIN.replace(",", ", "),
    "padded by tabs": PLAIN.replace(",", ",\t"),
    "quoted": '"a","b","label"\n' + "\n".join(",".join(f'"{cell}"' for cell in row.split(",")) for row in ROWS),
    "separator in a quoted name": '"a;b","c\td",label\n' + PLAIN,
    "line break in a quoted name": '"a\nunit",b,label\n' + PLAIN,
    "index of pandas": ",a,b,label\n" + "\n".join(f"{i},{row}" for i, row in enumerate(ROWS)),
    "index of R": '"","a","b","label"\n' + "\n".join(f'"{i}",{row}' for i, row in enumerate(ROWS, 1)),
    "index read and written": "Unnamed: 0,a,b,label\n" + "\n".join(f"{i},{row}" for i, row in enumerate(ROWS)),
    "column of names with digits": "x1,2nd,label\n" + PLAIN,
    "index read and written twice": (
        "Unnamed: 0.1,Unnamed: 0,a,b,label\n" + "\n".join(f"{i},{i},{row}" for i, row in enumerate(ROWS))
    ),
    "a label beside a coordinate": "x,y,label\n" + PLAIN,
    **{
        f"counter {name}": f"{name},a,b,label\n" + "\n".join(f"{i},{row}" for i, row in enumerate(ROWS, 1))
        for name in COUNTERS
    },
}


@pytest.mark.parametrize("text", MEANT.values(), ids=MEANT)
def test_tables_are_read_as_meant(tmp_path, text):
    file = tmp_path / "a.csv"
    file.write_bytes(text.encode())
    data = fl.load(file)
    assert data.kind == "binary"
    assert np.array_equal(data.x, X)
    assert np.array_equal(data.y, [1, -1, 1])


REFUSED = {
    "half a header": ("1,NA,1\n1,2,-1", r"'NA' in row 1 \(line 1\), column 2; every cell"),
    "hexadecimal": ("0x10,2,1\n1,2,-1", r"'0x10' in row 1 \(line 1\), column 1"),
    "hexadecimal alone": ("0x10,0x11,a\n1,2,b", "'0x10' in row 1"),
    "per cent": ("1%,2,1\n1,2,-1", "'1%' in row 1"),
    "per cent alone": ("1%,2%,a\n1,2,b", "'1%' in row 1"),
    "underscore": ("a,b,label\n1_0,2,1\n1,2,-1", r"'1_0' in row 1 \(line 2\), column 1"),
    "wide digits": ("\uff11,2,1\n1,2,-1", "row 1"),
    "infinite": ("inf,2,1\n1,2,-1", "'inf' in row 1"),
    "not a number": ("1,2,1\n\n1,nan,-1", r"'nan' in row 2 \(line 3\), column 2"),
    "beyond the range": ("1e400,2,1\n1,2,-1", "1e400.*1e308"),
    "below the range": ("1e-400,2,1\n1,2,-1", "1e-400.*1e-308"),
    "empty cell": ("a,b,label\n1,,1\n1,2,-1", r"'' in row 1 \(line 2\), column 2"),
    "no label": ("a,b,label\n1,2,\n1,2,-1", "'' in row 1.*column 3"),
    "empty first row": (",,a\n1,2,b", "'' in row 1"),
    "missing first row": ("NA,NA,a\n1,2,b", "'NA' in row 1"),
    "decimal commas": ("1,5;2,5;1\n1,0;2,0;-1", "'1,5' in row 1.*decimal point"),
    "decimal commas and tabs": ("1,5\t2,5\t1\n1,0\t2,0\t-1", "row 1"),
    "numeric header": ("0,1,2,3\n1.5,2,1,1\n1,2,1,-1", "begins with 0,1,2,3, a header"),
    "numeric header and index": (",0,1,2\n0,1.5,2,1\n1,1,2,-1", "'' in row 1"),
    "numeric header of two": ("0,1\n1.5,1\n2,-1", "begins with 0,1, a header"),
    "numeric header with class names": ("0,1,species\n1.5,2,a\n1,2,b\n2,2,a", "begins with 0,1,species"),
    "header with a number": ("a,2,label\n1,2,1\n1,2,-1", "'a' in row 1"),
    "row number without its rows": (",a,label\n7,1,1\n3,2,-1", "no name over column 1"),
    "row numbers in another order": ("Id,a,y\n2,5,1\n1,6,-1", "'Id' that does not count the rows; rename"),
    "identifiers": ("id,a,y\n842302,5,1\n842517,6,-1", "'id' that does not count the rows; rename"),
    "nothing but the row number": ("index,y\n0,1\n1,-1", "no feature beside the number of the row"),
    **{
        f"label first: {name}": (f"{name},a,b\n1,5,2\n-1,6,3", f"'{name}' before the last one; give `label=`")
        for name in ("y", "label", "Class", "target")
    },
    "label first, class names": ("class;a;b\nyes;5;2\nno;6;3", "'class' before the last one"),
    "label in the middle": ("a,target,id\n5,1,1\n6,-1,2", "'target' before the last one"),
    "column without a name": ("a,,label\n1,2,1\n1,3,-1", "no name over column 2"),
    "index alone": (",label\n0,1\n1,-1", "'' in row 1"),
    "fewer names than columns": ("a,label\n1,2,1\n1,2,-1", "3 columns in row 1 .line 2. but 2 before"),
    "one column": ("1 2 1\n1 2 -1", "one column in row 1.*'1 2 1'; separate"),
    "ragged": ("1,2,1\n1,-1", r"2 columns in row 2 \(line 2\) but 3"),
    "header alone": ("a,b,label\n", "no rows"),
    "nothing": ("\n# nothing\n", "no rows"),
    "names and numbers": ("1,2,a\n1,3,b\n1,4,1", "'1' in row 3.*among class names"),
    "missing among names": ("1,2,a\n1,3,b\n1,4,NA", "'NA' in row 3.*among class names"),
    "names among numbers": ("1,2,1\n1,3,-1\n1,4,b", "'b' in row 3"),
    "large label": ("1,2,9223372036854775808\n1,3,0", "9223372036854775808"),
    "integer that float64 rounds": ("9007199254740993,2,1\n1,2,-1", "integer '9007199254740993' in row 1"),
    "negative classes": ("1,2,-2\n1,3,0", "-2"),
    "open quote": ('1,2,"1\n1,2,-1', "cannot be read"),
    "no text": ("\x00\x01\x02", "row 1"),
}


@pytest.mark.parametrize(("text", "word"), REFUSED.values(), ids=REFUSED)
def test_tables_are_refused_by_their_cell(tmp_path, text, word):
    file = tmp_path / "a.csv"
    file.write_text(text, encoding="utf-8", newline="")
    with pytest.raises(fl.DataError, match=word) as told:
        fl.load(file)
    assert len(str(told.value).replace(str(tmp_path), "")) <= 200


def test_class_names_are_recorded(tmp_path):
    (tmp_path / "two.csv").write_text("a,b,says\n1,2,yes\n2,3, no\n3,4,yes\n")
    two = fl.load(tmp_path / "two.csv")
    assert (two.kind, two.class_names, two.y.tolist()) == ("binary", ("no", "yes"), [1, -1, 1])
    (tmp_path / "three.TSV").write_text("1\t2\tdog\n2\t3\tcat\n3\t4\tdog\n4\t5\tape")
    three = fl.load(str(tmp_path / "three.TSV"))
    assert (three.kind, three.n_classes, three.class_names, three.y.tolist()) == (
        "classes",
        3,
        ("ape", "cat", "dog"),
        [2, 1, 2, 0],
    )
    assert fl.load("iris").class_names == ("setosa", "versicolor", "virginica")
    assert fl.load("wine:0v2").class_names == ("class_2", "class_0")
    assert fl.load("iris:setosa").class_names is None


def test_suffixes_and_paths(tmp_path):
    for name in ("a.CSV", "b.Csv", "c.csv"):
        (tmp_path / name).write_text(PLAIN)
        assert np.array_equal(fl.load(tmp_path / name).x, X)
    for name in ("a.txt", "a.xlsx", "a"):
        (tmp_path / name).write_text(PLAIN)
        with pytest.raises(fl.DataError, match="no known format"):
            fl.load(tmp_path / name)
    for bad in (
        None,
        3,
        "",
        b"a.csv",
        ["a.csv"],
        tmp_path / "none.csv",
        "a\0.csv",
        "x" * 400 + ".csv",
        tmp_path / ("y/" * 300 + "a.csv"),
    ):
        with pytest.raises(fl.DataError) as told:
            fl.load(bad)
        assert len(str(told.value)) <= 300
        assert "\0" not in str(told.value)
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("folder.csv", "pipe.csv"):
        with pytest.raises(fl.DataError, match="not a regular file"):
            fl.load(tmp_path / name)


def test_whole_labels_are_classes_unless_targets_are_meant(tmp_path):
    (tmp_path / "a.csv").write_text("1,2,100000\n2,3,200000\n")
    with pytest.raises(fl.DataError, match='kind="targets"'):
        fl.load(tmp_path / "a.csv")
    assert fl.load(tmp_path / "a.csv", kind="targets").y.tolist() == [1e5, 2e5]


def _npy(array: np.ndarray, **changed: str) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, array)
    raw = out.getvalue()
    for old, new in changed.items():
        raw = raw.replace(old.encode() + b": " + str(array.shape).encode(), old.encode() + b": " + new.encode())
    return raw


def _archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as box:
        for name, raw in members.items():
            box.writestr(f"{name}.npy", raw)
    return path


@pytest.mark.parametrize(
    "shape",
    ["(100000, 100000)", "(1000000000000000000000000000000, 2)", "(-3, -2)", "(2, 3)" + " " * 3000, "(((" * 2000],
)
def test_shapes_that_archives_claim(tmp_path, shape):
    name = _archive(tmp_path / "a.npz", x=_npy(X).replace(b"(3, 2)", shape.encode()), y=_npy(np.array([1, -1, 1])))
    with pytest.raises(fl.DataError, match=r"a\.npz"):
        fl.load(name)


def test_what_archives_hold_is_compared_before_it_is_unpacked(tmp_path, monkeypatch):
    y = np.array([1, -1, 1])
    good = _archive(tmp_path / "a.npz", x=_npy(X), y=_npy(y))
    assert np.array_equal(fl.load(good).x, X)
    np.save(tmp_path / "b.npy", X)
    (tmp_path / "b.npy").rename(tmp_path / "b.npz")
    with pytest.raises(fl.DataError, match=r"cannot be read as \.npz"):
        fl.load(tmp_path / "b.npz")
    monkeypatch.setattr("flowlab.language.tables._member", lambda *_: pytest.fail("it was unpacked"))
    bomb = _archive(tmp_path / "c.npz", x=_npy(np.zeros((2000, 500))), y=_npy(y))
    assert bomb.stat().st_size < 10_000
    with pytest.raises(fl.DataError, match="x has 2000 samples"):
        fl.load(bomb)
    fits = _archive(tmp_path / "d.npz", x=_npy(np.zeros((2000, 500))), y=_npy(np.ones(2000)))
    monkeypatch.setattr(memory, "machine_memory", lambda: 10**6)
    with pytest.raises(fl.TooLarge, match=r"7\.6 MiB"):
        fl.load(fits)
    monkeypatch.setattr(memory, "machine_memory", lambda: 20)
    (tmp_path / "big.csv").write_text(PLAIN)
    with pytest.raises(fl.TooLarge):
        fl.load(tmp_path / "big.csv")
    with pytest.raises(fl.TooLarge, match="10000000 samples"):
        fl.load("gaussian?n=1e7&d=1e7")


def test_options_are_numbers_given_once():
    for options in ("n=1_0", "n=inf", "n=10&n=20", "n=\uff11\uff10", "n=" + "9" * 5000):
        with pytest.raises(fl.DataError) as told:
            fl.load(f"gaussian?{options}")
        assert len(str(told.value)) <= 300


def test_a_table_by_tabs_says_tabs(tmp_path):
    file = tmp_path / "a.tsv"
    file.write_text("1,2,1\n3,4,-1\n", encoding="utf-8")
    with pytest.raises(fl.DataError, match="separate the features and the label by tabs"):
        fl.load(file)


def test_whole_numbers_that_float64_holds_are_taken(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("9007199254740994,2,1\n100000000000000000000,2,-1\n", encoding="utf-8")
    assert fl.load(file).x[:, 0].tolist() == [9007199254740994.0, 1e20]


def test_features_that_count_or_sound_like_labels_stay(tmp_path):
    file = tmp_path / "a.csv"
    for header, rows, kept in (
        ("time,a,label", "0,5,1\n1,6,-1", [[0, 5], [1, 6]]),
        ("index,a,label", "1.5,5,1\n1.25,6,-1", [[1.5, 5], [1.25, 6]]),
        ("grid,acid,class", "0,5,1\n1,6,-1", [[0, 5], [1, 6]]),
        ("label,class,target", "0,5,1\n1,6,-1", [[0, 5], [1, 6]]),
    ):
        file.write_text(f"{header}\n{rows}")
        assert fl.load(file).x.tolist() == kept


def test_the_label_is_found_by_its_name(tmp_path):
    file = tmp_path / "a.csv"
    for header, rows in (
        ("label,a,b", "1,5,2\n-1,6,3"),
        ("a,label,b", "5,1,2\n6,-1,3"),
        ("a,b,label", "5,2,1\n6,3,-1"),
        ("id,label,a,b", "1,1,5,2\n2,-1,6,3"),
        ("label,a,b", "yes,5,2\nno,6,3"),
        ("y,label,a,b,id", "5,yes,2,7,0\n6,no,3,8,1"),
    ):
        file.write_text(f"{header}\n{rows}")
        data = fl.load(file, label="label")
        assert data.y.tolist() == [1, -1]
        assert data.x[:, :2].tolist() == [[5, 2], [6, 3]]
    with pytest.raises(fl.UnknownName, match=r"0 columns called 'lable'.* did you mean `label`"):
        fl.load(file, label="lable")
    file.write_text("label,a,b\nyes,5,2\n1,6,3")
    with pytest.raises(fl.DataError, match=r"'1' in row 2 \(line 3\), column 1, among class names"):
        fl.load(file, label="label")
    file.write_text("a,a,b\n1,5,2\n-1,6,3")
    with pytest.raises(fl.UnknownName, match="2 columns called 'a'"):
        fl.load(file, label="a")
    file.write_text(PLAIN)
    with pytest.raises(fl.DataError, match="no header to find the label 'label' in"):
        fl.load(file, label="label")
    with pytest.raises(fl.DataError, match="leave out `label`"):
        fl.load("iris", label="species")
    with pytest.raises(fl.DataError, match="leave out `label`"):
        fl.load(_archive(tmp_path / "a.npz", x=_npy(X), y=_npy(np.array([1, -1, 1]))), label="y")
