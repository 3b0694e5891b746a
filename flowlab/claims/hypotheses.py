"""Hypotheses that claims of several papers share, told in one sentence where they are not met."""

from flowlab.claims.case import Case


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
