"""A descent of a user in entries w² - u² + …: what is no such, its steps, and where it ends beside shorter ones."""

import numpy as np

from flowlab.claims.case import Case
from flowlab.claims.hypotheses import plain_flow
from flowlab.claims.library.zhou_ge2023.z1_laws import node_of
from flowlab.claims.sample_problems import ROWS, samples_of
from flowlab.core.errors import FlowlabError
from flowlab.core.typing import Blocks
from flowlab.discrete.descent.descend import descend
from flowlab.language.data import Data
from flowlab.symbolic.induced.flow import InducedFlow

FITTED = 1e-8
"""Residual over targets below which a descent has ended."""


def pair_of(flow: InducedFlow, first: Blocks) -> tuple[str, str] | None:
    """The blocks that beta has the square of, and minus the square of; None where there is no such pair."""
    blank = {name: np.zeros_like(block) for name, block in first.items()}

    def grows(name: str, sign: float) -> bool:
        seen = [flow.node.value(np, blank | {name: np.full_like(first[name], k)}, flow.constants) for k in (1.0, 3.0)]
        return np.allclose(seen[0], sign) and np.allclose(seen[1], 9.0 * sign)

    found = [next((name for name in first if grows(name, sign)), None) for sign in (1.0, -1.0)]
    return None if None in found else (str(found[0]), str(found[1]))


def unmet(case: Case) -> str | None:
    """Why a case has no descent to look at, or None."""
    problem, walk = case.problem, case.unread("descent")
    if problem is None:
        return None if case.data is None else "it makes its own samples where no descent is given"
    if walk is None:
        return "it looks at rows of a descent, and none was given"
    settings = walk.provenance["settings"]
    if settings["rule"] != "gradient" or settings["loss_scaled"] or settings["batch"] or settings["momentum"]:
        return "it is about steps of one size along the whole gradient, and those of the given descent are others"
    if problem.loss.name != "square":
        return f"it is about the square loss, and the loss is {problem.loss.name}"
    if (reason := plain_flow(problem)) is not None:
        return reason
    data = samples_of(walk)
    try:
        flow = node_of(problem, walk.state(0), data)
        if flow.mirror is None or pair_of(flow, walk.weights(0)) is None:
            return "it is about entries w^2 - u^2 + ..., and those of the given network are others"
    except FlowlabError as error:
        return str(error)
    off = residual(flow, walk.weights(-1), data)
    if np.linalg.norm(off) > FITTED * np.linalg.norm(data.y):
        return "it is about descents that end where the samples are fitted, and the given one ends before"
    return None


def residual(flow: InducedFlow, weights: Blocks, data: Data) -> np.ndarray:
    """X beta - y, (n,)."""
    return np.asarray(data.x) @ np.asarray(flow.node.value(np, weights, flow.constants)) - np.asarray(data.y)


def given_steps(case: Case) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Products before and after single steps from rows of the given descent, and η g."""
    walk, found = case.descent, []
    data, problem, step = samples_of(walk), walk.problem, float(walk.provenance["settings"]["step"])
    flow = node_of(problem, walk.state(0), data)
    first, second = pair_of(flow, walk.weights(0)) or ("", "")
    x, share = np.asarray(data.x), data.n if problem.reduction == "mean" else 1
    for i in walk.places(ROWS):
        after = descend(problem, walk.state(int(i)), data, step=step, count=1).weights(-1)
        before = walk.weights(int(i))
        step_g = step * x.T @ residual(flow, before, data) / share
        products = [np.asarray(W[first]) * np.asarray(W[second]) for W in (before, after)]
        found.append((*products, step_g))
    return found


def given_ends(case: Case) -> list[float]:
    """Distances from the limit where the given descent ends, and where those of half and a quarter of its step
    do.
    """
    walk = case.descent
    data, settings = samples_of(walk), walk.provenance["settings"]
    flow, step, count = node_of(walk.problem, walk.state(0), data), float(settings["step"]), int(settings["count"])
    best, runs = flow.minimiser(data).beta, [walk]
    for k in (2, 4):
        more = {"step": step / k, "count": count * k, "record_every": count * k}
        runs.append(descend(walk.problem, walk.state(0), data, **more))
    ends = [np.asarray(flow.node.value(np, run.weights(-1), flow.constants)) for run in runs]
    return [float(np.linalg.norm(end - best)) for end in ends]
