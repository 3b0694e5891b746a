"""Runs printed sources: in Python, compiled by gcc, and in Julia; the package itself never runs one."""

import ctypes
import json
import shutil
import subprocess

import numpy as np

from flowlab.symbolic.source.lines import Listing

GCC, JULIA = shutil.which("gcc"), shutil.which("julia")


def drawn(found: Listing, seed: int = 0) -> dict[str, np.ndarray]:
    """Numbers for the arguments of a listing, by name; norms, coefficients and rates are above zero."""
    rng = np.random.default_rng(seed)
    made = {}
    for ref in found.arguments:
        if ref.kind == "i":
            made[ref.name] = np.arange(ref.shape[0]) % 2
        elif ref.name == "y":
            made[ref.name] = np.sign(rng.normal(size=ref.shape))
        else:
            numbers = rng.normal(size=ref.shape)
            positive = ref.name.startswith(("rho", "omega", "eta", "S", "z_"))
            made[ref.name] = np.abs(numbers) + 0.1 if positive else numbers
    return made


def in_python(text: str, given: dict[str, np.ndarray]) -> list[np.ndarray]:
    space: dict = {}
    exec(compile(text, "source", "exec"), space)
    return [np.asarray(rate) for rate in space["rate"](**given)]


def in_c(text: str, given: dict[str, np.ndarray], shapes, folder) -> list[np.ndarray]:
    source, library = folder / "rate.c", folder / f"rate{abs(hash(text))}.so"
    source.write_text(text)
    # Every warning is an error: the source is C99 as it stands.
    flags = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-shared", "-fPIC"]
    subprocess.run([GCC, *flags, source, "-o", library, "-lm"], check=True, capture_output=True)
    pointer = ctypes.POINTER(ctypes.c_double)
    arrays = [np.ascontiguousarray(value, dtype=np.float64) for value in given.values()]
    outs = [np.zeros(shape) for shape in shapes]
    assert ctypes.CDLL(str(library)).rate(*(a.ctypes.data_as(pointer) for a in [*arrays, *outs])) == 0
    return outs


def in_julia(text: str, given: dict[str, np.ndarray], shapes, folder) -> list[np.ndarray]:
    def written(value: np.ndarray) -> str:
        flat = ", ".join(repr(v) for v in value.ravel().tolist())
        if not value.shape:
            return flat
        back = f"reshape([{flat}], {', '.join(map(str, value.shape[::-1]))})"
        return f"permutedims({back}, {value.ndim}:-1:1)"

    call = ", ".join(map(written, given.values()))
    show = f"for r in rate({call})\n println(vec(r isa Number ? [r] : permutedims(r, ndims(r):-1:1)))\nend\n"
    path = folder / "rate.jl"
    path.write_text(text + show)
    told = subprocess.run([JULIA, path], check=True, capture_output=True, text=True).stdout
    rows = [json.loads(line[line.index("[") :]) for line in told.splitlines()]
    return [np.array(row).reshape(shape) for row, shape in zip(rows, shapes, strict=True)]
