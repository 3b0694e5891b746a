"""A run that is worth killing: some thousands of explicit steps and then implicit ones, written down on the way.

Called as `python resume_run.py FOLDER`; prints a line after every chunk that is on the disk.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("FLOWLAB_CACHE", "off")

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import flowlab as fl
from flowlab.dynamics.storage.archive import Archive


def problem():
    """A field, a start and samples."""
    rng = np.random.default_rng(7)
    x, w = rng.normal(size=(10, 3)), rng.normal(size=3)
    y = np.sign(x @ w)
    data = fl.Data(x + 0.1 * np.outer(y, w) / np.linalg.norm(w), y)
    text = "W2 @ tanh(W1 @ x)"
    return (
        fl.lower(fl.derive(fl.Problem(text, coordinates="weights", decay=0.01))),
        fl.initial_state(text, data, widths={"W1": 3}, seed=3),
        data,
    )


def go(folder, **limits):
    """The run."""
    field, start, data = problem()
    return fl.integrate(
        field, start, data, until=fl.time(20_000.0), solver="tsit5", rtol=1e-9, atol=1e-11, store=folder, **limits
    )


if __name__ == "__main__":
    append = Archive.append

    def told(self, *args, **kwargs):
        append(self, *args, **kwargs)
        sys.stdout.write(f"{self.count}\n")
        sys.stdout.flush()

    Archive.append = told
    go(Path(sys.argv[1]))
