"""The late flow of one layer on few samples in many dimensions."""

from flowlab.claims.case import Case
from flowlab.claims.library.poggio2020.flows import machine
from flowlab.claims.sample_problems import integrated, separable
from flowlab.dynamics import log_time
from flowlab.language.data import Data
from flowlab.language.problem import Problem
from flowlab.language.state import State, initial_state
from flowlab.language.trajectory import Trajectory

N, D = 4, 9


def instance(case: Case) -> tuple[Data, State]:
    """Samples that are all support vectors, and a start of one layer."""
    # Samples that support nothing leave a part of their own in the weights, which no formula tells.
    data = next(d for d in (separable(N, D, case.seed + 1000 * k) for k in range(1000)) if len(machine(d)[1]) == N)
    return data, initial_state("W1 @ x", data, seed=case.seed)


def late(case: Case) -> Trajectory:
    """Gradient flow of one layer on them to log t = 1e6."""
    data, start = instance(case)
    return integrated(case, "N3 gradient flow", Problem("W1 @ x", coordinates="weights"), start, data, log_time(1e6))
