"""Descents over one time at steps of several lengths."""

from flowlab.claims.claim import Case
from flowlab.claims.sample_problems import samples_for, small_data, visited
from flowlab.core.errors import ClaimError
from flowlab.discrete import descend
from flowlab.language.problem import Problem
from flowlab.language.trajectory import Trajectory


def usable(case: Case) -> bool:
    """Whether a descent with steps of one size was given, with what the identity needs."""
    return (
        case.descent is not None
        and "step_sq" in case.descent.dataset
        and not case.descent.provenance["settings"]["loss_scaled"]
    )


def walks_at_steps(case: Case) -> list[tuple[float, Trajectory]]:
    """Gradient descent over one time at a step size and at a quarter of it, halved three times more, in as many rows
    each.

    The identity is exact at every step size and, summed, between rows; the small ones show the order.
    """
    if usable(case):
        problem, data = case.descent.problem, case.data
        settings, start = case.descent.provenance["settings"], case.descent.state(0)
        step, count = float(settings["step"]), 50
    else:
        problem, data = case.problem or Problem("W2 @ relu(W1 @ x)"), samples_for(case, small_data(case.seed))
        start, step, count = next(iter(visited(case, problem, data, 1))), 1e-3, 100
    walks = [
        (step / k, descend(problem, start, data, step=step / k, count=count * k, record_every=k))
        for k in (1, 4, 8, 16, 32)
    ]
    for size, walk in walks:
        if not walk.outcome.ok:
            raise ClaimError(
                f"a descent with steps of {size:g} ended early ({walk.outcome}); give a descent with shorter ones, or "
                "take another seed."
            )
    return walks
