"""Prints as they were before tensors: what is printed of a network of one input vector changes only on purpose.

`python tests/symbolic/golden.py` writes them down anew, for a change that is meant.
"""

import hashlib
import json
from pathlib import Path

import corpus
import networks

import flowlab as fl

FILE = Path(__file__).with_name("golden_prints.json")
DRAWN = 40
"""Random networks, every other one with odd names of blocks."""


def problems():
    """Problems by a name of their own."""
    found = {f"{text} {settings}": corpus.problem(text, settings) for text, settings in corpus.HAND}
    for seed in range(DRAWN):
        problem = networks.Draw(5_000 + seed, odd=seed % 2 == 1).problem()
        found[f"{seed}: {problem.network.text}"] = problem
    return found


def prints(problem):
    """The text at matrix depth, and a digest of it and of LaTeX and the structural equations."""
    flow = fl.derive(problem, verify=False)
    all_ = [
        flow.latex(depth, steps=steps) if tex else flow.text(depth, steps=steps)
        for depth, steps in (("matrix", False), ("structural", True))
        for tex in (False, True)
    ]
    return {"text": all_[0].split("\n"), "all": hashlib.sha256("\0".join(all_).encode()).hexdigest()}


def written():
    """The prints on file."""
    return json.loads(FILE.read_text())


if __name__ == "__main__":
    FILE.write_text(json.dumps({name: prints(p) for name, p in problems().items()}, indent=0) + "\n")
