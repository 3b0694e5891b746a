"""`path_and_flow`: a flow next to the curve of constrained critical points that it follows as its norm
grows (P13, N3).
"""

import numpy as np

from flowlab.core.arguments import guarded
from flowlab.discrete.continuation.branch_diagram import Continuation
from flowlab.language.result import Result
from flowlab.language.trajectory import Trajectory


@guarded
def path_and_flow(tree: Continuation, path: Trajectory, *, branch: int = 0, rows: int = 200) -> Result:
    """Margins of both at equal R, and R times their distance, as a result that the figure `path_and_flow` draws.

    Args:
        tree: from `norm_path`.
        path: a flow or a descent of the same network and data.
        branch: the curve.
        rows: at most so many rows of the path, evenly spread.

    Returns:
        Of kind `"path and flow"`: over `row`, `log_t`, `log_norm`, `distance`, `scaled`; `flow_log_norm` and
        `flow_margin` over `step`; `path_log_norm` and `path_margin` over `point`.

    Raises:
        FlowlabError: as `tree.distance` does.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(3.0))
        >>> tree = fl.norm_path(problem, data, norms=(0.5, 5.0))
        >>> fl.path_and_flow(tree, path, rows=5).kind
        'path and flow'
    """
    apart, ds = tree.distance(path, branch=branch, rows=rows), tree.dataset
    of = ds["branch"].values == branch
    low, high = float(ds["parameter"].values[of].min()), float(ds["parameter"].values[of].max())
    log_R = path.dataset["log_R"].values
    inside = np.flatnonzero((log_R >= low) & (log_R <= high))
    dataset = apart.assign(
        flow_log_norm=("step", log_R[inside]),
        flow_margin=("step", path.dataset["min_margin"].values[inside]),
        path_log_norm=("point", ds["parameter"].values[of]),
        path_margin=("point", ds["margin"].values[of]),
    )
    own = {k: path.provenance[k] for k in ("seed", "settings") if k in path.provenance}
    return Result.of(
        "path and flow",
        dataset,
        path.problem,
        path.data,
        branch=branch,
        continuation=tree.provenance.get("settings"),
        path=own,
    )
