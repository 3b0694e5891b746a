"""Samples and labels from files: tables of text (.csv, .tsv) and archives of arrays (.npz),
read as meant or refused by name.
"""

import csv
import math
import re
import stat
import zipfile
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np

from flowlab.core.arguments import short, tail
from flowlab.core.errors import DataError, FlowlabError, UnknownName
from flowlab.core.memory import require_memory
from flowlab.core.registry import nearest
from flowlab.language.arrays import MISSING, is_value
from flowlab.language.data import fitting

Table = tuple[np.ndarray, np.ndarray]
Row = tuple[int, list[str]]
"""The number of a line, and its cells."""
SUFFIXES = (".npz", ".csv", ".tsv")
_NUMERAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
"""A number as every program reads it; Python's own `float` takes `1_0`, full-width digits and `nan` as well."""
_INTEGER = re.compile(r"[+-]?[0-9]{16,4000}")
"""A whole number that float64 may not hold."""
_NOTHING = re.compile(r"[+-]?[0.]+(?:[eE].*)?")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_SEPARATORS = (";", "\t", ",")
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs"}
_LOOKED_AT = 20
"""Rows by which a separator is chosen."""
_LABEL = ("y", "label", "labels", "target", "targets", "class", "classes")
"""Names, in lower case, that headers give to the label."""
_NAMELESS = re.compile(r"(unnamed: .*)?", re.IGNORECASE)
"""The column in which pandas and R write the number of a row has no name,
or what pandas makes of that when it reads it.
"""
_IDENTIFIER = re.compile(r"(?i:id|idx|index|rownames)|.*([^A-Za-z][Ii][Dd]|[a-z]I[Dd])")
"""Names of a column that tells rows apart, with those that end in the word id, such as `sample_id` and `PassengerId`.
"""


def read_table(path: Path, label: str | None = None) -> Table:
    """Samples and labels of a file, by its suffix.

    A table of text has one sample per line. Cells are separated by commas, semicolons or tabs. A first row without any
    number is the header. The label, a number or a class name, is in the last column, or in the one that `label` names
    in the header. A column without a name, or called id, index or the like, that holds 0..N-1 or 1..N is the number of
    the row and is left out. Blank lines and lines that begin with `#` are left out.

    Raises:
        DataError: for a file that cannot be read, or a value that cannot be used, with its place counted from 1.
        UnknownName: for a label that the header does not have.
        TooLarge: if it does not fit into memory.
    """
    told = f"`{tail(path)}`"
    try:
        about = path.stat()
        # A pipe would wait for a writer, and a device never ends.
        if not stat.S_ISREG(about.st_mode):
            raise DataError(f"{told} is not a regular file; give one that is.")
        if path.suffix.lower() == ".npz":
            if label is not None:
                raise DataError(f"{told} has no columns with names; leave out `label`, an archive has its labels in y.")
            return _npz(path, told)
        # A cell of two characters becomes a number of eight bytes.
        require_memory(4 * about.st_size, told)
        return _text(path, told, label)
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or short(str(error), 80)
        raise DataError(
            f"{told} cannot be read ({reason}); give an existing file, with a table as UTF-8 text."
        ) from None


def _text(path: Path, told: str, label: str | None) -> Table:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        between = "\t" if path.suffix.lower() == ".tsv" else _separator(lines)
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = _rows(lines, between)
        first = next(rows, None)
        if first is None:
            raise DataError(f"{told} has no rows of numbers; put one sample per line, the label last.")
        cells = first[1]
        # A row of nothing but marks of missing values before its label is a sample, not a header.
        header = not any(cell and is_value(cell) for cell in cells) and not all(
            cell.lower() in MISSING for cell in cells[:-1]
        )
        if label is not None and not header:
            raise DataError(f"{told} has no header to find the label {short(label)} in; put names above the columns.")
        at = _label_column(told, cells, label) if header else len(cells) - 1
        x, y = _parsed(told, rows if header else chain([first], rows), len(cells), between, at)
    if header:
        return x[:, _features(told, cells, at, x)], y
    counted = [str(i) for i in range(len(cells))]
    if cells == counted or (cells[:-1] == counted[:-1] and y.dtype.kind == "U" and (y == cells[-1]).sum() == 1):
        start = ",".join(cells) if len(cells) < 5 else "0,1,2,…"
        raise DataError(
            f"{told} begins with {start}, a header of column numbers or a sample; remove it if it is a header, else put"
            " names above it."
        )
    return x, y


def _separator(lines: Iterable[str]) -> str:
    """What separates the cells: that which makes most of them numbers, or else is there at all."""
    sample = list(islice((line for line in lines if line.strip() and not line.lstrip().startswith("#")), _LOOKED_AT))

    def made(between: str) -> int:
        try:
            return sum(
                bool(_NUMERAL.fullmatch(cell)) for _, row in _rows(sample, between) if len(row) > 1 for cell in row
            )
        except csv.Error:
            return 0

    return max(_SEPARATORS, key=lambda between: (made(between), any(between in line for line in sample)))


def _rows(lines: Iterable[str], between: str) -> Iterator[Row]:
    """Rows that are neither blank nor comments; cells lose the white space around them."""
    reader = csv.reader(lines, delimiter=between, skipinitialspace=True, strict=True)
    for row in reader:
        cells = [cell.strip() for cell in row]
        if cells not in ([], [""]) and not cells[0].startswith("#"):
            yield reader.line_num, cells


def _label_column(told: str, header: list[str], label: str | None) -> int:
    """Where the label is: in the last column, or in the one that is named;
    an error where the header names it elsewhere.
    """
    if label is None:
        called = [name for name in header if name.lower() in _LABEL]
        if called and header[-1] not in called:
            raise DataError(
                f"{told} has the column {short(called[0])} before the last one; give `label=` with the name of the"
                " label, or move the label last."
            )
        return len(header) - 1
    if header.count(label) != 1:
        guess = nearest(label, header)
        hint = f"did you mean `{guess}`?" if guess and guess != label else f"its columns are {', '.join(header)}."
        raise UnknownName(
            f"{told} has {header.count(label)} columns called {short(label)}, but the label is one; {hint}"
        )
    return header.index(label)


def _parsed(told: str, rows: Iterable[Row], columns: int, between: str, at: int) -> Table:
    """Numbers of all rows, and labels: numbers, or class names; the label is in column `at`, counted from 0."""
    values, names, n = array("d"), [], 0
    for n, (line, cells) in enumerate(rows, 1):
        where = f"in row {n} (line {line})"
        if len(cells) != columns:
            raise DataError(
                f"{told} has {len(cells)} columns {where} but {columns} before it; every row needs the features and a"
                " label."
            )
        if columns < 2:
            raise DataError(
                f"{told} has one column {where}, {short(cells[0])}; separate the features and the label by"
                f" {_NAMES[between]}."
            )
        named = not is_value(cells[at]) and cells[at].lower() not in MISSING
        if named and (names or n == 1):
            names.append(cells[at])
        elif names:
            raise DataError(
                f"{told} has {short(cells[at])} {where}, column {at + 1}, among class names; give names alone, or"
                " numbers alone."
            )
        values.extend(
            _number(told, cell, f"{where}, column {j + 1}") for j, cell in enumerate(cells) if not (names and j == at)
        )
    if not n:
        raise DataError(f"{told} has a header but no rows of numbers; put one sample per line, the label last.")
    table = np.frombuffer(values, dtype=np.float64).reshape(n, -1)
    return (table, np.array(names)) if names else (np.delete(table, at, axis=1), table[:, at])


def numeral(text: str) -> float:
    """The number that text is, infinite beyond the range of float64; nan for what is none."""
    return float(text) if _NUMERAL.fullmatch(text) else math.nan


def _number(told: str, cell: str, where: str) -> float:
    """A cell as the float64 that is nearest to it; DataError where there is none,
    and for a whole number that would become another.
    """
    value = numeral(cell)
    if math.isfinite(value) and (value or _NOTHING.fullmatch(cell)):
        if _INTEGER.fullmatch(cell) and int(cell) != int(value):
            raise DataError(
                f"{told} has the integer {short(cell)} {where}, which float64 cannot hold; scale it or leave it out."
            )
        return value
    need = "a number needs a decimal point" if _DECIMAL_COMMA.fullmatch(cell) else "every cell needs a finite number"
    if not math.isnan(value):
        need = "float64 holds numbers from 1e-308 to 1e308, scale the feature"
    raise DataError(f"{told} has {short(cell)} {where}; {need}.")


def _features(told: str, header: list[str], at: int, x: np.ndarray) -> list[int]:
    """Columns of x that are features: those that only number rows are left out; the header has the label at `at`."""
    count, kept = np.arange(len(x)), []
    for j, (place, name) in enumerate((place, name) for place, name in enumerate(header, 1) if place != at + 1):
        nameless, column = _NAMELESS.fullmatch(name), x[:, j]
        if not nameless and not (_IDENTIFIER.fullmatch(name) and (column % 1 == 0).all()):
            kept.append(j)
        elif not (np.array_equal(column, count) or np.array_equal(column, count + 1)):
            what = f"no name over column {place}, which" if nameless else f"a column {short(name)} that"
            raise DataError(
                f"{told} has {what} does not count the rows; {'' if nameless else 're'}name it in the header if it is a"
                " feature, or remove it."
            )
    if not kept:
        raise DataError(f"{told} has no feature beside the number of the row; rename that in the header if it is one.")
    return kept


def _npz(path: Path, told: str) -> Table:
    try:
        with zipfile.ZipFile(path) as box:
            members = {member.filename.removesuffix(".npy"): member for member in box.infolist()}
            missing = [key for key in ("x", "y") if key not in members]
            if missing:
                raise DataError(f"{told} has the arrays {short(list(members))}; save it with arrays named x and y.")
            # Shapes and sizes are compared before anything is unpacked, whatever they claim.
            fitting(_declared(box, members["x"], told), _declared(box, members["y"], told), told)
            require_memory(sum(members[key].file_size for key in ("x", "y")), told)
            return _member(box, members["x"]), _member(box, members["y"])
    except FlowlabError:
        raise
    except Exception as error:
        # What is no archive, or a damaged one, can make its reader raise anything.
        raise DataError(
            f"{told} cannot be read as .npz ({short(str(error), 80)}); write it with numpy.savez(path, x=…, y=…)."
        ) from None


def _declared(box: zipfile.ZipFile, member: zipfile.ZipInfo, told: str) -> tuple[int, ...]:
    """The shape of an array in an archive; DataError unless its numbers are as many bytes as the archive holds."""
    heads: dict[tuple[int, int], Callable[..., tuple[tuple[int, ...], bool, np.dtype]]]
    heads = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with box.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in heads:
            raise ValueError(f"{member.filename} has the format {version}")
        shape, _, dtype = heads[version](stream)
        size = stream.tell() + math.prod(shape) * dtype.itemsize
    if dtype.hasobject:
        raise DataError(f"{told} has Python objects in {short(member.filename)}; save arrays of numbers.")
    if size != member.file_size or min(shape, default=0) < 0:
        raise DataError(
            f"{told} declares {short(member.filename)} with the shape {short(shape)}, which is not what it holds; save"
            " it again."
        )
    return shape


def _member(box: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with box.open(member) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)
