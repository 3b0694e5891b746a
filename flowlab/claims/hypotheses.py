"""Hypotheses of claims, and the conditions that claims of several papers share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flowlab.claims.case import Case
from flowlab.core.errors import DataError

if TYPE_CHECKING:
    from flowlab.language.problem import Problem


@dataclass(frozen=True)
class Hypothesis:
    """A condition of a statement: called with a case, it gives the reason why the case does not meet it, or None.

    Attributes:
        words: the condition, such as "one linear layer".
        unmet: why a case does not meet it, or None.
    """

    words: str
    unmet: Callable[[Case], str | None]

    def __call__(self, case: Case) -> str | None:
        return self.unmet(case)


def hypothesis(words: str) -> Callable[[Callable[[Case], str | None]], Hypothesis]:
    """Turn a function of a case into a `Hypothesis` of these words."""
    return lambda unmet: Hypothesis(words, unmet)


def about(network: str, loss: str = "square", *, takes_data: bool = False) -> Hypothesis:
    """One network and loss, without weight decay.

    Args:
        network: text of the network that the statement is about.
        loss: its loss.
        takes_data: whether the statement is about any targets; if not, the claim makes its samples and refuses others.
    """

    def unmet(case: Case) -> str | None:
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

    samples = "any targets" if takes_data else "samples of its own"
    return Hypothesis(f"`{network}` under the {loss} loss without weight decay, {samples}", unmet)


@hypothesis("an instance of its own")
def own_instances(case: Case) -> str | None:
    """No flow, network or data of a user can be held against the statement."""
    if case.problem is not None or case.data is not None:
        return "it builds its own problem and data, and cannot test the ones you passed"
    return None


@hypothesis("layers of one degree each, with norms by layer")
def layered(case: Case) -> str | None:
    """The hypothesis most claims share: every layer has its own norm and degree."""
    problem = case.problem
    if problem is None:
        return None
    if not problem.network.symmetry.is_multihomogeneous:
        return f"the network is {problem.network.symmetry.kind}, broken at {problem.network.symmetry.breaks[0]}"
    return None if problem.per == "layer" else f"norms are kept per {problem.per}, and the claim is about layers"


def subject(case: Case) -> "Problem | None":
    """The problem that a statement about flows is about: that of the flow passed, else the problem passed."""
    return case.flow.problem if case.flow is not None else case.problem


def exponential_tail(problem: "Problem") -> str | None:
    """Why a problem has no loss with an exponential tail, or None."""
    return (
        None
        if problem.loss.level(np, np.zeros(())) is not None
        else f"it is about losses with an exponential tail, and the loss is {problem.loss.name}"
    )


def homogeneous(problem: "Problem") -> str | None:
    """Why the outputs are not homogeneous in all weights together, or None."""
    symmetry = problem.network.symmetry
    return (
        None
        if symmetry.joint_degree is not None
        else f"the network is {symmetry.kind}, broken at {symmetry.breaks[0] if symmetry.breaks else 'no node'}"
    )


def plain_flow(problem: "Problem") -> str | None:
    """Why a flow is not gradient flow without weight decay, or None."""
    if any(problem.decay.values()):
        return "it is about flows without weight decay"
    if problem.is_rated:
        return "it is about flows with one learning rate"
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
