"""Monitors of any trajectory: what a flow of its problem keeps, or moves one way only, looked at on its rows."""

import numpy as np

from flowlab.core.arguments import guarded, must_be
from flowlab.core.typing import Record
from flowlab.dynamics.run.monitors import conserved, log_smoothed_margin, monotone, moved
from flowlab.language.trajectory import Trajectory
from flowlab.symbolic.derive import derive


@guarded
def monitors(path: Trajectory, *, rtol: float = 1e-6) -> dict[str, Record]:
    """Loss, smoothed margin and conserved quantities of a trajectory, against the theory of its flow.

    A flow has its own, of every step, in `path.monitors`; these are of the rows alone, so a descent or a training of
    the user's own has them too.

    Args:
        path: a flow, a descent or a training.
        rtol: a hundred times this is what each may be off by, relative.

    Returns:
        By name the `worst`, the `bound`, whether it `holds` and `what` is looked at.

    Raises:
        LanguageError: for an `rtol` that is not between 0 and 1.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(3.0))
        >>> {name: told["holds"] for name, told in fl.monitors(path).items()}
        {'loss': True, 'smoothed_margin': True}
    """
    if not 0 < rtol < 1:
        raise must_be("rtol", rtol, "between 0 and 1", "for example 1e-4")
    problem, ds = path.problem, path.dataset
    log_loss, log_R = ds["log_loss"].values, ds["log_R"].values
    samples = int(path.provenance["data"]["n"])
    margin = log_smoothed_margin(np, problem, log_loss, log_R, samples)
    margin = margin[(ds["min_margin"].values > 0) & np.isfinite(margin)]
    rise = float(np.diff(log_loss).max(initial=0.0))
    fall = float(-np.diff(margin).min(initial=0.0))
    found = moved(monotone(problem, rise, fall, rtol), problem, log_loss, log_R, samples)
    rows = [path.state(i) for i in range(len(path))]
    rho = {k: np.stack([np.asarray(s.rho[k]) for s in rows]) for k in rows[0].rho}
    V = {k: np.stack([np.asarray(s.V[k]) for s in rows]) for k in rows[0].V}
    return found | conserved(problem, derive(problem).conserved, rho, V, rtol, data=path.data)
