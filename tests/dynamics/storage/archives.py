"""Small archives of known chunks, and what is read of them."""

from pathlib import Path

import numpy as np

from flowlab.dynamics.storage.archive import Archive

HEADER = {"network": "w @ x", "rtol": 1e-6}


def chunk(i: int) -> tuple[dict, dict]:
    rng = np.random.default_rng(i)
    return {"V_W1": rng.normal(size=(3, i + 1)), "rho": rng.normal(size=2), "on": rng.normal(size=4) > 0}, {
        "t": float(rng.normal()),
        "i": i,
    }


def made(folder: Path, count: int = 4) -> Path:
    with Archive.create(folder, HEADER) as kept:
        for i in range(count):
            kept.append(*chunk(i))
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def same(read, appended) -> bool:
    (arrays, meta), (given, told) = read, appended
    return (
        meta == told
        and arrays.keys() == given.keys()
        and all(np.array_equal(arrays[n], given[n]) and arrays[n].dtype == given[n].dtype for n in given)
    )
