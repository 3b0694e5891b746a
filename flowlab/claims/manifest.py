"""Which claims the library has, told by a file that is written from them, so that listing them imports none."""

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

LIBRARY = Path(__file__).parent / "library"
PACKAGE = "flowlab.claims.library"
FILE = LIBRARY / "manifest.json"


class Entry(NamedTuple):
    """A claim of the library: its pack, which is a folder; its module in that folder; its title."""

    pack: str
    module: str
    title: str

    @property
    def home(self) -> str:
        """The full name of the module."""
        return f"{PACKAGE}.{self.pack}.{self.module}"


@cache
def entries() -> dict[str, Entry]:
    """All claims of the library by id, in the order of packs and ids."""
    return {name: Entry(**told) for name, told in json.loads(FILE.read_text(encoding="utf-8")).items()}


def packs() -> dict[str, tuple[str, ...]]:
    """The packs of the library, one per paper and folder, with the ids of their claims."""
    ids: dict[str, tuple[str, ...]] = {}
    for name, entry in entries().items():
        ids[entry.pack] = (*ids.get(entry.pack, ()), name)
    return ids
