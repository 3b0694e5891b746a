"""Run the notebook of the five minutes and store what its cells show: `python docs/tools/notebook.py`.

It needs the extra `docs`. The figure it draws is kept for the first page and for README.
"""

import base64
import sys
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parents[1]
NOTEBOOK = HOME / "five_minutes.ipynb"


def executed(path: Path = NOTEBOOK) -> Any:
    """The notebook after all of its cells have run, in a kernel of this environment."""
    import nbclient
    import nbformat

    book = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(book, timeout=900, kernel_name="python3", resources={"metadata": {"path": "."}})
    client.execute()
    for cell in book.cells:
        # When a cell ran, and where progress was shown, would differ from run to run.
        cell.metadata.pop("execution", None)
        cell.pop("id", None)
    book.nbformat_minor = 4
    return book


def pictures(book: Any) -> list[bytes]:
    """All pictures that cells show."""
    shown = (out["data"] for cell in book["cells"] for out in cell.get("outputs", []) if "data" in out)
    return [base64.b64decode(data["image/png"]) for data in shown if "image/png" in data]


if __name__ == "__main__":
    import nbformat

    book = executed()
    nbformat.write(book, NOTEBOOK)
    (HOME / "pictures" / "margin.png").write_bytes(pictures(book)[-1])
    sys.stdout.write(f"{NOTEBOOK} {NOTEBOOK.stat().st_size}\n")
