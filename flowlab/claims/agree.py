"""Whether what is given to `check` belongs together: a flow of other data, or rows that are not the run's, support nothing."""

from collections.abc import Mapping
from typing import Any

import numpy as np

ROWS = 40
"""Rows of a trajectory that are computed again from its norms and directions."""


def contradiction(found: Mapping[str, Any]) -> str | None:
    """One sentence on what does not agree, or None.

    Args:
        found: `path`, `walk`, `flow`, `problem`, `data`, as far as they were given.
    """
    return _problems(found) or _samples(found)


def altered(run: Any, data: Any) -> str | None:
    """Why a trajectory is not as it came from its run, or None: against its own provenance, and its columns against one another.

    It is asked where a claim would hold. What was altered may well refute one.
    """
    record = run.provenance
    if record.get("problem_signature", run.problem.signature) != run.problem.signature:
        return f"it was run for another problem than {run.problem}"
    if data is None:
        return None
    if record.get("data", {}).get("sha256", data.sha256()) != data.sha256():
        return f"it was run on other samples than `{data.name}` ({data.n} of {data.d} features)"
    row = _stray_row(run, data)
    if row is not None:
        return f"row {row} has a loss, margin or product of norms that its norms and directions do not have"
    return None if bool((np.diff(run.dataset["log_t"].values) >= 0).all()) else "its times do not grow"


def _stray_row(run: Any, data: Any) -> int | None:
    """The first row, of some that are spread over all, whose log loss or margin is not that of its state."""
    rows = run.dataset
    for i in sorted({int(i) for i in np.linspace(0, len(run) - 1, min(len(run), ROWS))}):
        state = run.state(i)
        rho, V = ({k: np.asarray(v) for k, v in part.items()} for part in (state.rho, state.V))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            weights = run.problem.scheme.weights(np, rho, V, run.problem.per)
            outputs = run.problem.network.outputs(weights, np.asarray(data.x), np)
            log_loss = float(run.problem.loss.log_loss(np, outputs, np.asarray(data.y), run.problem.reduction))
            log_R = float(run.problem.log_product(weights, np))
            margin = float(run.problem.loss.margins(np, outputs, np.asarray(data.y)).min() * np.exp(-log_R))
        for seen, again in ((float(rows["log_loss"][i]), log_loss), (float(rows["log_R"][i]), log_R), (float(rows["min_margin"][i]), margin)):
            # Margins of norms like 1e9 are known to roundings of that size; losses near 0 to those of what is squared.
            if np.isfinite(again) and not abs(seen - again) <= 1e-6 * max(1.0, abs(again)):
                return i
    return None


def _problems(found: Mapping[str, Any]) -> str | None:
    """All problems are one, up to the scheme and coordinates in which a descent or a flow is written."""
    told = {_WORDS[name]: found[name].problem for name in ("path", "walk", "flow") if name in found}
    if "problem" in found:
        told[_WORDS["problem"]] = found["problem"]
    if not told:
        return None
    (first, one), *others = told.items()
    for name, other in others:
        for what, a, b in (
            ("network", one.network.text, other.network.text), ("loss", one.loss.name, other.loss.name), ("reduction", one.reduction, other.reduction),
            ("decay", dict(one.decay), dict(other.decay)),
        ):  # fmt: skip
            if a != b:
                return f"the {first} has the {what} `{str(a)[:80]}` and the {name} `{str(b)[:80]}`; give evidence of one problem."
    return None


def _samples(found: Mapping[str, Any]) -> str | None:
    """All data are one."""
    # A trajectory that was stored has the hash of its samples alone.
    told = {_WORDS[name]: _hash(found[name]) for name in ("path", "walk") if name in found and _hash(found[name])}
    if "data" in found:
        told[_WORDS["data"]] = found["data"].sha256()
    if not told:
        return None
    (first, one), *others = told.items()
    for name, other in others:
        if one != other:
            return f"the samples of the {first} are not those of the {name}; give evidence of one data set."
    return None


def _hash(run: Any) -> str:
    return run.data.sha256() if run.data is not None else run.provenance.get("data", {}).get("sha256", "")


_WORDS = {"path": "given flow", "walk": "given descent", "flow": "given equations", "problem": "given problem", "data": "given data"}
