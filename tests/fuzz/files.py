"""Surfaces three and four: data files whose numbers are known, and stored results whose bytes are damaged."""

import csv
import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import flowlab as fl
from flowlab.core.hashing import sealed, unsealed
from flowlab.dynamics.storage.archive import Archive
from tests.figures import instances
from tests.fuzz.cases import Case

BAD_CELLS = [
    "NA",
    "0x10",
    "1_0",
    "1%",
    "",
    "nan",
    "inf",
    "-inf",
    "1e400",
    "1e-400",
    "1 2",
    "\uff11",
    "1,5",
    "--1",
    "1e",
    "None",
    "True",
    "1j",
    "\x00",
    "١",
]
TAB = "\t"
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


def _samples(rng: random.Random) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of many sizes, and labels that are ±1, classes or targets."""
    n, d = rng.randrange(2, 9), rng.randrange(1, 5)
    x = np.array([[rng.gauss(0, 1) * 10.0 ** rng.randrange(-12, 13) for _ in range(d)] for _ in range(n)])
    kind = rng.choice(["signs", "signs", "classes", "targets"])
    labels = {"signs": [1.0, -1.0], "classes": [0.0, 1.0, 2.0]}.get(kind)
    y = np.array([labels[i % len(labels)] for i in range(n)] if labels else [rng.gauss(0, 1) + 0.25 for _ in range(n)])
    return x, y[:n] if kind != "classes" or n >= 3 else np.array([0.0, 1.0])


def _table(rng: random.Random, x: np.ndarray, y: np.ndarray) -> tuple[str, str]:
    """One of the many spellings of a table, and its separator."""
    sep = rng.choice([",", ",", ";", "\t"])
    number = rng.choice(
        [repr, lambda v: f"{v:.17g}", lambda v: f"{v:.17e}", lambda v: f"{v:+.17g}", lambda v: f" {v!r} "]
    )
    whole = bool((y % 1 == 0).all())
    rows = [
        [*(number(float(v)) for v in row), str(int(label)) if whole else number(float(label))]
        for row, label in zip(x, y, strict=True)
    ]
    names = [f"f{i}" for i in range(x.shape[1])] + ["label"]
    if rng.random() < 0.2:
        names, rows = [rng.choice(["", "Unnamed: 0"]), *names], [[str(i), *row] for i, row in enumerate(rows)]
        lines = [names, *rows]
    else:
        lines = [names, *rows] if rng.random() < 0.6 else rows
    if rng.random() < 0.2:
        lines = [[f'"{cell}"' for cell in row] for row in lines]
    text = [sep.join(row) for row in lines]
    if rng.random() < 0.2:
        text.insert(rng.randrange(len(text)), rng.choice(["", "# a remark", "   "]))
    return rng.choice(["", "", "\ufeff"]) + rng.choice(["\n", "\n", "\r\n"]).join(text) + rng.choice(["", "\n"]), sep


def plainly(raw: bytes, sep: str) -> tuple[np.ndarray, list[str]] | None:
    """An independent reading of a table: inputs, and labels as text; None for what has none."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    lines = [line for line in re.split(r"\r\n|\n|\r", text) if not line.lstrip().startswith("#")]
    rows = [
        [cell.strip() for cell in row]
        for row in csv.reader(lines, delimiter=sep, skipinitialspace=sep != "\t")
        if any(cell.strip() for cell in row)
    ]
    if not rows:
        return None
    if not any(map(_NUMBER.fullmatch, rows[0])):
        rows = [row[1:] if rows[0][0] in ("", "Unnamed: 0") else row for row in rows[1:]]
    if (
        not rows
        or len({len(row) for row in rows}) > 1
        or not all(_NUMBER.fullmatch(cell) for row in rows for cell in row[:-1])
    ):
        return None
    return np.array([[float(cell) for cell in row[:-1]] for row in rows]), [row[-1] for row in rows]


def _differs(found: fl.Data, x: np.ndarray, y: Any) -> str:
    """What the numbers of a data set are that they should not be."""
    if not np.array_equal(np.asarray(found.x), x):
        return "other inputs"
    names = found.class_names
    if names:
        labels = [names[int((v + 1) // 2) if found.kind == "binary" else int(v)] for v in np.asarray(found.y)]
        return "" if labels == [str(v) for v in y] else "other class names"
    return "" if np.array_equal(np.asarray(found.y).ravel(), np.asarray(y, dtype=float)) else "other labels"


def data(rng: random.Random, count: int, deep: bool, folder: Path) -> Iterator[Case]:
    """Files of data: spelled in many ways, or damaged."""
    for i in range(count):
        x, y = _samples(rng)
        if i % 4 == 3:
            yield from _archives(rng, x, y, folder / f"a{i}.npz")
            continue
        text, sep = _table(rng, x, y)
        path = folder / f"a{i}{rng.choice(['.csv', '.CSV', '.tsv' if sep == TAB else '.csv'])}"
        way = rng.choice(["spelled", "spelled", "cell", "bytes", "cut", "ragged"])
        raw, bad = text.encode(), False
        if way == "cell":
            cells = list(re.finditer(r"(?<![\d.])[+-]?\d+\.\d+(e[+-]?\d+)?", text))
            spot = rng.choice(cells) if cells else None
            if spot:
                cell = rng.choice([c for c in BAD_CELLS if sep not in c])
                raw, bad = (text[: spot.start()] + cell + text[spot.end() :]).encode(), True
        elif way == "bytes":
            noisy = bytearray(raw)
            for _ in range(rng.randrange(1, 3)):
                noisy[rng.randrange(len(noisy))] = rng.choice([rng.randrange(256), rng.randrange(32, 127)])
            raw = bytes(noisy)
        elif way == "cut":
            raw = raw[: rng.randrange(len(raw))]
        elif way == "ragged":
            lines = text.split("\n")
            spot = rng.randrange(len(lines))
            lines[spot] = rng.choice([lines[spot] + sep + "1", lines[spot].rsplit(sep, 1)[0]])
            raw = "\n".join(lines).encode()
        path.write_bytes(raw)
        yield Case(
            "data", f"{way} {path.name} {raw[:80]!r}", _loads(path, raw, sep, (x, y) if way == "spelled" else None, bad)
        )
        path.unlink()


def _loads(
    path: Path, raw: bytes, sep: str, meant: tuple[np.ndarray, np.ndarray] | None, bad: bool
) -> Callable[[], str]:
    def answer() -> str:
        found = fl.load(path)
        if meant is not None:
            return _differs(found, *meant)
        read = plainly(raw, sep)
        if read is None or bad:
            return "a damaged file was taken"
        return _differs(found, read[0], read[1] if found.class_names else [float(v) for v in read[1]])

    def spelled() -> str:
        # What nothing is wrong with must be taken.
        try:
            return answer()
        except fl.FlowlabError as error:
            return f"it was refused: {error}"

    return answer if meant is None else spelled


def _archives(rng: random.Random, x: np.ndarray, y: np.ndarray, path: Path) -> Iterator[Case]:
    x = x.astype(rng.choice(["f8", ">f8", "f4", "f8"]))
    x, y = (
        (np.asfortranarray(x) if rng.random() < 0.3 else x),
        (y.astype(rng.choice(["f8", "i8", "i1", ">i4"])) if (y % 1 == 0).all() else y),
    )
    way = rng.choice(["spelled", "flip", "flip", "cut", "odd"])
    odd = {
        "names": {"a": x, "y": y},
        "objects": {"x": x.astype(object), "y": y},
        "text": {"x": x.astype(str), "y": y},
        "complex": {"x": x + 1j, "y": y},
        "long": {"x": x, "y": np.r_[y, y]},
        "flat": {"x": x.ravel(), "y": y},
        "empty": {"x": x[:0], "y": y[:0]},
        "number": {"x": np.float64(1), "y": y},
        "nan": {"x": np.where(x == x[0, 0], np.nan, x), "y": y},
        "records": {"x": np.zeros(len(y), "i4,f8"), "y": y},
        "dates": {"x": x, "y": y.astype("M8[D]")},
    }
    arrays: dict[str, Any] = odd[rng.choice(sorted(odd))] if way == "odd" else {"x": x, "y": y}
    rng.choice([np.savez, np.savez_compressed])(path, **arrays)
    raw = bytearray(path.read_bytes())
    if way == "flip":
        for _ in range(rng.randrange(1, 4)):
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    elif way == "cut":
        raw = raw[: rng.randrange(len(raw))]
    path.write_bytes(raw)
    whole = (y % 1 == 0).all() and y.dtype.kind == "f" and not np.isin(y, (-1, 1)).all()

    def answer() -> str:
        found = fl.load(path)
        return "an odd archive was taken" if way == "odd" else _differs(found, x.astype(float), y.astype(float))

    yield Case("data", f"{way} {path.name}{' whole targets' if whole else ''} {sorted(arrays)}", answer)
    path.unlink()


def stored(rng: random.Random, count: int, deep: bool, folder: Path) -> Iterator[Case]:
    """Stored results: bytes flipped, cut, put in, swapped, zeroed; the same numbers come back, or a typed error."""
    makers = [_trajectory, _result, _points, _verdict, _store]
    made = [(read, path, read(path)) for read, path in (make(folder) for make in makers)]
    for i in range(count):
        read, path, truth = made[i % len(made)]
        files = (
            [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file() and p.name != "writer.lock")
        )
        file, copy = rng.choice(files), folder / f"damaged{path.suffix}"
        if path.is_dir():
            shutil.copytree(path, copy)
        target = copy / file.relative_to(path) if path.is_dir() else copy
        way, raw = _bitten(rng, file.read_bytes())
        target.write_bytes(raw)

        def answer(read: Any = read, copy: Path = copy, truth: Any = truth) -> str:
            return "" if read(copy) == truth else "other numbers"

        yield Case("stored", f"{way} {path.name} {file.name}", answer)
        shutil.rmtree(copy, ignore_errors=True)
        copy.unlink(missing_ok=True)


def _bitten(rng: random.Random, raw: bytes) -> tuple[str, bytes]:
    way, bad = (
        rng.choice(["flip", "flip", "flip", "digit", "digit", "cut", "insert", "swap", "zero", "end", "none"]),
        bytearray(raw),
    )
    a, b = sorted((rng.randrange(len(raw)), rng.randrange(len(raw))))
    if way == "flip":
        for _ in range(rng.randrange(1, 4)):
            bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
    elif way == "digit":
        # What only a checksum can notice: another digit in the text of a number.
        digits = [m.start() for m in re.finditer(rb"\d", raw)]
        bad[rng.choice(digits)] = ord(rng.choice("0123456789"))
    elif way == "cut":
        bad = bad[:a]
    elif way == "insert":
        bad[a:a] = rng.randbytes(rng.randrange(1, 9))
    elif way == "swap":
        size = min(16, b - a)
        bad[a : a + size], bad[b : b + size] = bad[b : b + size], bad[a : a + size]
    elif way == "zero":
        bad[a : a + 16] = bytes(len(bad[a : a + 16]))
    elif way == "end":
        bad += rng.randbytes(rng.randrange(1, 9))
    return way, bytes(bad)


def _numbers(dataset: Any) -> dict[str, bytes]:
    return {
        str(name): np.asarray(v.values).astype(str if v.dtype.kind in "OUST" else v.dtype).tobytes()
        for name, v in dataset.variables.items()
    }


def _trajectory(folder: Path) -> tuple[Any, Path]:
    path = instances.trajectory().save(folder / "trajectory.nc")

    def read(file: Path) -> Any:
        (found,) = fl.results(file)
        return (
            _numbers(found.dataset),
            found.outcome,
            found.problem.signature,
            {k: np.asarray(v).tolist() for k, v in found.last.rho.items()},
        )

    return read, path


def _result(folder: Path) -> tuple[Any, Path]:
    path = fl.save(instances.convergence(), folder / "result.nc")

    def read(file: Path) -> Any:
        (found,) = fl.results(file)
        return found.kind, _numbers(found.dataset), found.problem.signature

    return read, path


def _points(folder: Path) -> tuple[Any, Path]:
    points = instances.points(folder)
    points.write_text(json.dumps(sealed(unsealed(points.read_text(encoding="utf-8"))), indent=1), encoding="utf-8")

    def read(file: Path) -> Any:
        (found,) = fl.results(file)
        return [str(p.to_dict()) for p in found], found.problem.signature, found.provenance

    return read, points


def _verdict(folder: Path) -> tuple[Any, Path]:
    numbers = {"measured": 1.25, "bound": 2.5, "error": 0.125}
    verdict = fl.Verdict(
        "P1",
        "holds",
        reason="it was made for this.",
        evidence={"seed": 7, "quantities": [{"measured": 0.5}]},
        **numbers,
    )
    return (lambda file: fl.Verdict.load(file).to_dict()), verdict.save(folder / "verdict.json")


def _store(folder: Path) -> tuple[Any, Path]:
    rng = np.random.default_rng(0)
    with Archive.create(folder / "store", {"network": "w @ x", "rtol": 1e-6}) as kept:
        for i in range(3):
            kept.append({"V": rng.normal(size=(3, 2)), "rho": rng.normal(size=2)}, {"t": float(i)})

    def read(place: Path) -> Any:
        with Archive.open(place) as found:
            return found.header, [
                ({k: v.tobytes() for k, v in arrays.items()}, meta) for arrays, meta in found.chunks()
            ]

    return read, folder / "store"
