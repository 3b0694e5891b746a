"""Batches: many seeds of a smooth net as one program, beside `vmap` of diffrax and beside a loop over single runs.

Early (to log t = 6): flowlab's whole `integrate` of all seeds with its checks, rows and outcomes; `vmap(diffeqsolve)`
of the same rate, which keeps the last states alone; and a loop over `integrate`. Late (to log t = 1e4): the loop alone,
for diffrax does not get there. Processor seconds, medians of interleaved repetitions; a loop is measured on some seeds
and scaled to all. Devices: the same early batch in fresh processes, on one processor as one device and on two as two;
seconds on the wall, which need a machine with two idle processors.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import diffrax
import jax.numpy as jnp
import numpy as np

import flowlab as fl
from flowlab.core.provenance import versions

RTOL, ATOL, WIDTH, SAMPLED = 1e-6, 1e-8, 16, 10


def instance(seeds: int) -> tuple[Any, fl.State, fl.Data]:
    """f = W2 tanh(W1 x), W1 (16, 4), exponential loss, 20 samples that a plane separates."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 4))
    data = fl.Data(x, np.sign(x @ rng.normal(size=4)))
    net = fl.Network("W2 @ tanh(W1 @ x)")
    field = fl.lower(fl.derive(fl.Problem(net, loss="exponential")))
    return field, fl.initial_state(net, data, widths={"W1": WIDTH}, seed=range(seeds)), data


def single(starts: fl.State, seed: int) -> fl.State:
    """The start of one seed."""
    return jax.tree.map(lambda leaf: leaf[seed], starts)


def seconds_of(sides: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median processor seconds of each side, interleaved; the first call of each compiles and does not count."""
    for run in sides.values():
        run()
    found: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(repeats):
        for side, run in sides.items():
            began = time.process_time()
            run()
            found[side].append(time.process_time() - began)
    return {side: float(np.median(each)) for side, each in found.items()}


def early(seeds: int, horizon: float, repeats: int) -> dict[str, Any]:
    """A batch in ordinary time."""
    field, starts, data = instance(seeds)
    asked: dict[str, Any] = {"until": fl.log_time(horizon), "rtol": RTOL, "atol": ATOL}
    control = diffrax.PIDController(rtol=RTOL, atol=ATOL, pcoeff=0.3, icoeff=0.4)
    term = diffrax.ODETerm(lambda _, y, data: field.rate(0.0, y, data))

    @jax.jit
    def bare(y: Any, data: fl.Data) -> Any:
        def one(y: Any) -> Any:
            t_end = float(np.exp(horizon))
            return diffrax.diffeqsolve(
                term, diffrax.Tsit5(), 0.0, t_end, None, y, args=data, stepsize_controller=control, max_steps=4096
            ).ys

        return jax.vmap(one)(y)

    y0 = jax.vmap(field.pack)(starts)
    some = min(SAMPLED, seeds)
    told = seconds_of(
        {
            "batch": lambda: fl.integrate(field, starts, data, **asked),
            "vmap(diffeqsolve)": lambda: jax.block_until_ready(bare(y0, data)),
            "loop": lambda: [fl.integrate(field, single(starts, seed), data, **asked) for seed in range(some)],
        },
        repeats,
    )
    told["loop"] *= seeds / some
    ends, peer = fl.integrate(field, starts, data, **asked), bare(y0, data)
    last = jnp.stack([path.last.rho["W1"] for path in ends[:some]])
    apart = float(jnp.abs(last - peer[0]["W1"][:some, -1]).max())
    ratios = {"of diffrax": told["batch"] / told["vmap(diffeqsolve)"], "of the loop": told["batch"] / told["loop"]}
    return {"seeds": seeds, "log_t": horizon, "seconds": told, "ratios": ratios, "apart": apart}


def late(seeds: int, horizon: float, repeats: int) -> dict[str, Any]:
    """A batch that goes on in the late clock."""
    field, starts, data = instance(seeds)
    asked: dict[str, Any] = {"until": fl.log_time(horizon), "rtol": RTOL, "atol": ATOL}
    some = min(SAMPLED, seeds)
    told = seconds_of(
        {
            "batch": lambda: fl.integrate(field, starts, data, **asked),
            "loop": lambda: [fl.integrate(field, single(starts, seed), data, **asked) for seed in range(some)],
        },
        repeats,
    )
    told["loop"] *= seeds / some
    return {"seeds": seeds, "log_t": horizon, "seconds": told, "ratios": {"of the loop": told["batch"] / told["loop"]}}


def wall(seeds: int, horizon: float) -> float:
    """Least seconds on the wall of an early batch in this process."""
    field, starts, data = instance(seeds)
    found = []
    for _ in range(4):
        began = time.perf_counter()
        fl.integrate(field, starts, data, until=fl.log_time(horizon), rtol=RTOL, atol=ATOL)
        found.append(time.perf_counter() - began)
    return min(found[1:])


def devices(seeds: int, horizon: float) -> dict[str, float]:
    """The same batch on one and on two devices of one processor each, in processes of their own."""
    found = {}
    free = sorted(os.sched_getaffinity(0))
    for count in (1, 2):
        # One thread for each device: else one device takes both processors.
        flags = f"--xla_force_host_platform_device_count={count} --xla_cpu_multi_thread_eigen=false"
        own = f"import os; os.sched_setaffinity(0, {set(free[:count])})"
        script = f"{own}; import batch; print(batch.wall({seeds}, {horizon}))"
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent,
            env=os.environ | {"XLA_FLAGS": flags},
        )
        found[f"{count}"] = float(done.stdout.split()[-1])
    return {**found, "speed-up": found["1"] / found["2"]}


def main(small: bool = False) -> dict[str, Any]:
    """All comparisons; `small` is a rehearsal."""
    repeats = 1 if small else 5
    rows = [early(seeds, 2.0 if small else 6.0, repeats) for seeds in ((3,) if small else (100, 1_000))]
    rows.append(late(2 if small else 1_000, 40.0 if small else 1e4, 1 if small else 3))
    return {"rows": rows, "devices": None if small else devices(1_000, 6.0), "versions": versions()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", action="store_true")
    result = main(parser.parse_args().small)
    for row in result["rows"]:
        told = ", ".join(f"{side} {seconds:.3g} s" for side, seconds in row["seconds"].items())
        ratios = ", ".join(f"{ratio:.2f} {of}" for of, ratio in row["ratios"].items())
        print(f"{row['seeds']:5d} seeds to log t = {row['log_t']:g}: {told}; batch {ratios}")
    if result["devices"]:
        print(f"two devices of one processor each: {result['devices']['speed-up']:.2f} times as fast as one")
    print(json.dumps(result))
