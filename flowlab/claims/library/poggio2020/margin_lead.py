"""Margins at equal R of two flows from one start."""

from typing import Any

import numpy as np

from flowlab.claims.case import Case
from flowlab.discrete import descend
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State, initial_state

NET = "W2 @ relu(W1 @ x)"


RULES = {"gradient_flow": "gradient", "lagrange": "coefficient"}
"""Descent on the weights, and on norms and unit directions: the constrained problem's flow as the step falls."""


NORMS = (10.0, 20.0, 40.0)


STEP, CLOCK = 2e-4, 20.0


COUNT, TRIES = 5, 24


def instance_of(seed: int, k: int) -> tuple[Data, State]:
    """Six samples in two dimensions labelled by a ReLU teacher of three units, and a start of six units."""
    rng = np.random.default_rng((seed, k))
    x = rng.normal(size=(6, 2))
    f = np.maximum(x @ rng.normal(size=(2, 3)), 0.0) @ rng.normal(size=3)
    data = Data(x, np.where(f > 0, 1.0, -1.0), name=f"teacher {seed}/{k}", kind="binary")
    return data, initial_state(NET, data, widths={"W1": 6}, seed=1000 * seed + k)


def margins_at_norms(rule: str, data: Data, start: State, step: float) -> np.ndarray | None:
    """Normalised margins where R first reaches the norms, or None where it does not, or samples are not separated
    there.
    """
    walk = descend(Problem(NET), start, data, step=step, count=round(CLOCK / step), rule=rule, loss_scaled=True)
    log_R, margins = walk.dataset["log_R"].values, walk.dataset["min_margin"].values
    if not walk.outcome.ok or not log_R.max() > np.log(NORMS[-1]):
        return None
    first = [int(np.argmax(log_R >= np.log(R))) for R in NORMS]
    if min(first) == 0 or margins[first[0] :].min() <= 0:
        return None
    return np.array(
        [np.interp(np.log(R), log_R[i - 1 : i + 1], margins[i - 1 : i + 1]) for i, R in zip(first, NORMS, strict=True)]
    )


def runs_of_both(case: Case) -> dict[str, Any]:
    """Margins (instances, norms) by flow and step, on the first instances on which both flows separate the samples and
    get there.
    """
    margins: dict[str, Any] = (
        {name: [] for name in RULES} | {f"{name} at half the step": [] for name in RULES} | {"instances": []}
    )
    for k in range(TRIES):
        data, start = instance_of(case.seed, k)
        rows: dict[str, list[float]] = {}
        for step, suffix, name in (
            (step, suffix, name) for step, suffix in ((STEP, ""), (STEP / 2, " at half the step")) for name in RULES
        ):
            row = margins_at_norms(RULES[name], data, start, step)
            if row is None:
                break
            rows[name + suffix] = row.tolist()
        if len(rows) < 2 * len(RULES):
            continue
        for name, row in rows.items():
            margins[name].append(row)
        margins["instances"].append(k)
        if len(margins["instances"]) == COUNT:
            break
    return margins
