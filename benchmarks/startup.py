"""Seconds in fresh processes: whole commands, first with nothing kept and then again, and what integration compiles;
and of the processor for seeds of a ReLU net on Iris to log t = 1e5, the first of which compiles.

python benchmarks/startup.py [--small] [--packs]
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


NETS = {"smooth": "W2 @ tanh(W1 @ x)", "relu": "W2 @ relu(W1 @ x)", "three": "W3 @ relu(W2 @ relu(W1 @ x))"}


def compiled(name: str) -> None:
    """Print processor seconds of a first short run less those of a second one, once what it needs is imported; and what
    the run itself says of it.
    """
    import jax
    import numpy as np

    jax.config.update("jax_enable_x64", True)
    import flowlab as fl

    if os.environ.get("FLOWLAB_CACHE") != "off":
        fl.keep_compiled()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 5))
    data, net = fl.Data(x, np.where(x[:, 0] + 0.3 * x[:, 1] > 0, 1.0, -1.0)), fl.Network(NETS[name])
    began = time.process_time()
    import flowlab.dynamics

    imported = time.process_time() - began
    began = time.process_time()
    field = fl.lower(fl.derive(fl.Problem(net, "logistic")))
    derived = time.process_time() - began
    start = fl.initial_state(net, data, seed=0, default_width=8)
    took = []
    for _ in range(2):
        began = time.process_time()
        path = fl.integrate(field, start, data, until=fl.log_time(1.0))
        took.append((time.process_time() - began, path.stats["compile_seconds"]))
    print(
        json.dumps(
            {
                "import": imported,
                "derive": derived,
                "compile": took[0][0] - took[1][0],
                "told": took[0][1],
                "run": took[1][0],
            }
        )
    )


def seeds(count: int) -> None:
    """Print processor seconds of runs on Iris, width 16, from so many starts to log t = 1e5."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import flowlab as fl

    data, net = fl.load("iris:setosa", standardize=True), fl.Network(NETS["relu"])
    field, found = fl.lower(fl.derive(fl.Problem(net, "exponential"))), {}
    for seed in range(count):
        start, began = fl.initial_state(net, data, widths={"W1": 16}, seed=seed), time.process_time()
        path = fl.integrate(field, start, data, until=fl.log_time(1e5))
        assert path.outcome.kind == "done", path.outcome
        found[f"seed {seed}"] = time.process_time() - began
    print(json.dumps(found))


def fresh(name: str, cache: str) -> dict[str, float]:
    """What `compiled`, or `seeds`, prints in a process of its own."""
    told = subprocess.run(
        [sys.executable, __file__, "--net", name],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"FLOWLAB_CACHE": cache},
    )
    return json.loads(told.stdout)


def main(small: bool = False, packs: bool = False) -> dict[str, Any]:
    """Measure; `small` leaves out all runs, `packs` adds a pack of claims with two jobs."""
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Any] = {"--help": seconds(folder, "--help"), "list": seconds(folder, "list")}
        for name in () if small else ("iris", "digits"):
            spec = str(ROOT / "examples" / f"{name}.toml")
            for turn in ("first", "second", "third"):
                found[f"run {name}, {turn}"] = seconds(
                    folder, "run", spec, "--out", str(Path(folder) / f"{name}-{turn}")
                )
        if packs:
            for turn in ("first", "second"):
                found[f"verify poggio2020, {turn}"] = seconds(
                    folder, "verify", "--pack", "poggio2020", "--jobs", "2", "--out", str(Path(folder) / f"pack-{turn}")
                )
    with tempfile.TemporaryDirectory() as folder:
        for name in () if small else NETS:
            for turn in ("cold", "second process"):
                found |= {f"{name}, {what}, {turn}": took for what, took in fresh(name, folder).items()}
        if not small:
            found |= {f"Iris to log t = 1e5, {what}": took for what, took in fresh("seeds", "off").items()}
    return {"seconds": found, "versions": versions()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--packs", action="store_true")
    parser.add_argument("--net", choices=[*NETS, "seeds"])
    given = parser.parse_args()
    if given.net:
        seeds(4) if given.net == "seeds" else compiled(given.net)
    else:
        result = main(given.small, given.packs)
        for name, took in result["seconds"].items():
            print(f"{name:>32} {took:7.2f} s")
        print(json.dumps(result))
