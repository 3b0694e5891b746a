"""A drawn figure on disk: the picture, its numbers as CSV, and where they are from as JSON."""

import csv
import hashlib
import io
import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowlab.core.display import clipped
from flowlab.core.errors import MissingExtra, OutputError
from flowlab.core.files import writing
from flowlab.core.hashing import sha256_arrays, sha256_json
from flowlab.core.provenance import versions
from flowlab.core.typing import ArrayLike, Record
from flowlab.figures.style import house

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOTEBOOK_DPI = 150
FORMATS = (".pdf", ".svg", ".png", ".pgf")
_LATEX = ("pdflatex", "xelatex", "lualatex")
_MACHINE = ("machine", "system", "cpu_count", "dtype", "hash_seed", "stats", "monitors", "switches")
"""What a record of a run says of the machine and of the way there, not of the result."""


@dataclass
class Drawn:
    """A drawn figure.

    Attributes:
        name: of the figure.
        canvas: the matplotlib figure.
        curves: all that is drawn.
        subject: one line on what it was drawn of.
        title: what the figure shows.
        sources: one record for every result: kind, problem, data, seed, settings, versions, and a hash of its numbers.
        caption: what it is of, and what is seen in it.
        style: the user's settings on top of those of the house.
    """

    name: str
    canvas: "Figure"
    curves: list[Any] = field(default_factory=list)
    subject: str = ""
    title: str = ""
    sources: list[Record] = field(default_factory=list)
    caption: str = ""
    style: Record = field(default_factory=dict)

    def __repr__(self) -> str:
        return clipped(f"Drawn({self.name!r}, {len(self.curves)} curves, {self.subject!r})")

    def _repr_png_(self) -> bytes:
        """The picture, for notebooks."""
        file = io.BytesIO()
        with house(self.style):
            self.canvas.savefig(file, format="png", dpi=NOTEBOOK_DPI, metadata={"Software": None})
        return file.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write the picture (PDF, SVG, PNG or PGF), its numbers as `<name>.csv` and where they are from as
        `<name>.json` beside it.

        Equal results give equal bytes. PGF needs a LaTeX program, which measures the text.

        Raises:
            OutputError: if the format is unknown, the place cannot be written, or holds another file in the place of
                the CSV or JSON; MissingExtra: for PGF without LaTeX.
        """
        path = Path(path)
        if path.suffix not in FORMATS:
            raise OutputError(f"`{path.name}` has no known picture format; use .pdf, .svg, .png or .pgf.")
        maker = f"flowlab {versions()['flowlab']}"
        # Dates would make equal pictures differ.
        told: Record = {
            ".pdf": {"CreationDate": None, "Title": self.name, "Subject": self.subject, "Creator": maker},
            ".svg": {"Date": None, "Title": self.name, "Description": self.subject, "Creator": maker},
            ".png": {"Title": self.name, "Description": self.subject, "Software": maker},
        }
        look = self.style | ({"pgf.texsystem": _latex(path)} if path.suffix == ".pgf" else {})
        options = {"metadata": told[path.suffix]} if path.suffix in told else {}
        table = self.table()
        _own(path.with_suffix(".csv"), path)
        _own(path.with_suffix(".json"), path)
        with writing(path):
            with house(look), _quiet("fontTools"):
                self.canvas.savefig(path, dpi=300 if path.suffix == ".png" else None, **options)
            path.with_suffix(".csv").write_text(table, encoding="utf-8", newline="")
            text = json.dumps(self.record(table), indent=1, sort_keys=True, allow_nan=False)
            path.with_suffix(".json").write_text(text + "\n", encoding="utf-8", newline="")
        return path

    def table(self) -> str:
        """Every drawn number as CSV: curve, x, y; where a figure has them also the panel, and where arrows and bars
        end.
        """
        panels = len({c.panel for c in self.curves}) > 1
        ends = any(c.x_to is not None for c in self.curves)
        text = io.StringIO()
        out = csv.writer(text, lineterminator="\n")
        out.writerow(["curve", "x", "y", *(["x_to", "y_to"] if ends else []), *(["panel"] if panels else [])])
        for c in self.curves:
            columns = [c.x, c.y]
            if ends:
                columns += [c.x if c.x_to is None else c.x_to, c.y if c.y_to is None else c.y_to]
            for row in zip(*(np.asarray(column, dtype=np.float64).tolist() for column in columns), strict=True):
                out.writerow([c.label, *map(repr, row), *([c.panel] if panels else [])])
        return text.getvalue()

    def record(self, table: str) -> Record:
        """Where the numbers are from."""
        return {
            "figure": self.name,
            "title": self.title,
            "caption": self.caption,
            "style": {key: str(value) for key, value in self.style.items()},
            "versions": versions() | {"matplotlib": metadata.version("matplotlib")},
            "size_inches": [round(float(v), 4) for v in self.canvas.get_size_inches()],
            "csv_sha256": hashlib.sha256(table.encode()).hexdigest(),
            "sources": self.sources,
        }


def source(result: Any) -> Record:
    """Kind, problem, data, seeds and settings of a result, and a hash of its numbers."""
    told = {k: v for k, v in (getattr(result, "provenance", None) or {}).items() if k not in _MACHINE}
    told |= {"kind": result.kind, "problem": result.problem.describe()}
    data = getattr(result, "data", None)
    if "data" not in told and data is not None:
        told["data"] = {"name": data.name, "sha256": data.sha256()}
    if hasattr(result, "dataset"):
        told["sha256"] = sha256_arrays({str(k): _plain(v.values) for k, v in result.dataset.variables.items()})
    else:
        told["sha256"] = sha256_json([point.to_dict() for point in result])
    return json.loads(json.dumps(told, sort_keys=True, default=str))


def _plain(values: ArrayLike) -> np.ndarray:
    """An array whose bytes do not depend on whether it has been on disk."""
    array = np.asarray(values)
    if array.dtype.kind in "OSU":
        return np.frombuffer("\0".join(map(str, array.ravel().tolist())).encode(), dtype=np.uint8)
    return array.astype(np.float64)


def _own(beside: Path, path: Path) -> None:
    """Refuse to overwrite a file that is not an earlier picture's."""
    if not beside.is_file():
        return
    with beside.open(encoding="utf-8", errors="replace") as file:
        begin = file.read(4000)
    if not (begin.startswith("curve,x,y") if beside.suffix == ".csv" else '"csv_sha256"' in begin):
        raise OutputError(
            f"`{path}` would overwrite `{beside.name}`, which belongs to no figure; choose another name for the"
            " picture."
        )


def _latex(path: Path) -> str:
    found = next((program for program in _LATEX if shutil.which(program)), None)
    if found is None:
        raise MissingExtra(
            f"`{path.name}` needs a LaTeX program ({', '.join(_LATEX)}), got none on the PATH; install TeX Live (on"
            " Debian `texlive-latex-recommended texlive-pictures`), or use .pdf."
        )
    return found


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """No warnings of one logger: Computer Modern was dated before fontTools believes in dates."""
    log = logging.getLogger(name)
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
