"""Hypotheses that claims of several papers share, told in one sentence where they are not met."""

from typing import TYPE_CHECKING

import numpy as np

from flowlab.claims.case import Case
from flowlab.core.errors import DataError

if TYPE_CHECKING:
    from flowlab.language.problem import Problem


def about(case: Case, network: str, loss: str = "square", *, takes_data: bool = False) -> str | None:
    """Why a claim about one network and loss does not apply to a case, or None if it does.

    Args:
        case: what the claim is to be checked on.
        network: text of the network that the statement is about.
        loss: its loss.
        takes_data: whether the statement is about any targets; if not, its instances are made for it and given data are refused.
    """
    problem = case.problem
    if problem is not None:
        if problem.network.text != network:
            return f"it is about {network}, and the network is {problem.network.text[:120]}"
        if problem.loss.name != loss:
            return f"it is about the {loss} loss, and the loss is {problem.loss.name}"
        if any(problem.decay.values()):
            return "it is about flows without weight decay"
    if case.data is None:
        return None
    if not takes_data:
        return "its instances are of a special form that it makes itself, and data were given"
    return "labels are classes, and it is about targets" if case.data.kind == "classes" else None


def own_instances(case: Case) -> str | None:
    """The hypothesis of claims that no flow, network or data of a user can be held against."""
    if case.problem is not None or case.data is not None:
        return "it is about instances of its own, and a problem or data were given"
    return None


def subject(case: Case) -> "Problem | None":
    """The problem that a statement about flows is about: that of the flow given, else the one given besides."""
    return case.path.problem if case.path is not None else case.problem


def exponential_tail(problem: "Problem") -> str | None:
    """Why a problem has no loss with an exponential tail, or None."""
    return None if problem.loss.level(np, np.zeros(())) is not None else f"it is about losses with an exponential tail, and the loss is {problem.loss.name}"


def homogeneous(problem: "Problem") -> str | None:
    """Why the outputs are not homogeneous in all weights together, or None."""
    symmetry = problem.network.symmetry
    return None if symmetry.joint_degree is not None else f"the network is {symmetry.kind}, broken at {symmetry.breaks[0] if symmetry.breaks else 'no node'}"


def plain_flow(problem: "Problem") -> str | None:
    """Why a flow is not gradient flow without weight decay, or None."""
    if any(problem.decay.values()):
        return "it is about flows without weight decay"
    if problem.scheme.is_gradient_flow:
        return None
    return f"it is about gradient flow, and the scheme is {problem.scheme.name}"


def labels_fit(case: Case, problem: "Problem | None" = None) -> str | None:
    """Why the samples given have labels that the loss does not take, or None."""
    if case.data is None:
        return None
    if problem is None:
        return None if case.data.kind == "binary" else "labels are not ±1"
    try:
        problem.loss.check_labels(case.data)
    except DataError as error:
        return str(error)
    return None
