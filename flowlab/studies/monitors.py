"""Monitors of any trajectory: what a flow of its problem keeps, or moves one way only, looked at on its rows."""

from collections.abc import Iterable

import numpy as np

from flowlab.core.arguments import guarded, must_be
from flowlab.core.typing import Record
from flowlab.dynamics.run.monitors import conserved, drifts, log_smoothed_margin, looked_at, monotone, moved
from flowlab.language.trajectory import Trajectory
from flowlab.symbolic.conserved import Conserved
from flowlab.symbolic.derive import derive
from flowlab.symbolic.laws.law import Law


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
    rho, V = _states(path, looked_at(len(path)).tolist())
    return found | conserved(problem, derive(problem).conserved, rho, V, rtol, data=path.data)


def law_drifts(path: Trajectory) -> tuple[np.ndarray, list[tuple[Law | Conserved, np.ndarray]]]:
    """Log t at some rows, (S,), and the laws of the path's flow with their drifts from the first row on, (S,).

    Laws that weight decay shrinks and laws of games are held against what they must have become; a drift is relative
    to the size of what a law is a difference of.
    """
    at = looked_at(len(path))
    rho, V = _states(path, at.tolist())
    log_t = path.dataset["log_t"].values[at]
    found = drifts(path.problem, derive(path.problem).laws, rho, V, log_t, path.data)
    return log_t, [(law, drift) for _, law, drift in found]


def _states(path: Trajectory, rows: Iterable[int]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Norms and directions at rows of a path, with a leading axis over rows."""
    states = [path.state(i) for i in rows]
    rho = {k: np.stack([np.asarray(s.rho[k]) for s in states]) for k in states[0].rho}
    return rho, {k: np.stack([np.asarray(s.V[k]) for s in states]) for k in states[0].V}
