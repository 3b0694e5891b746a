"""Seconds of whole commands in fresh processes: a first run with nothing kept, a second one, and the light verbs.

python benchmarks/startup.py
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from flowlab.core.provenance import versions

ROOT = Path(__file__).resolve().parents[1]


def seconds(cache: str, *args: str) -> float:
    """Seconds of one command, of the installed package, with compiled programs kept under `cache`."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "flowlab.cli", *args],
        check=True,
        capture_output=True,
        cwd=cache,
        env=os.environ | {"FLOWLAB_CACHE": cache},
    )
    return time.perf_counter() - began


def main(small: bool = False) -> dict[str, Any]:
    """Measure; `small` leaves out the runs."""
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Any] = {"--help": seconds(folder, "--help"), "list": seconds(folder, "list")}
        for name in () if small else ("iris", "digits"):
            spec = str(ROOT / "examples" / f"{name}.toml")
            for turn in ("first", "second", "third"):
                found[f"run {name}, {turn}"] = seconds(
                    folder, "run", spec, "--out", str(Path(folder) / f"{name}-{turn}")
                )
    return {"seconds": found, "versions": versions()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", action="store_true")
    result = main(parser.parse_args().small)
    for name, took in result["seconds"].items():
        print(f"{name:>20} {took:7.2f} s")
    print(json.dumps(result))
