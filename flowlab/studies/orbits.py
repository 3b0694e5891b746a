"""`orbit`: where the players of a game are over time, and how far from its equilibrium."""

import numpy as np
import xarray as xr

from flowlab.core.arguments import guarded
from flowlab.core.errors import LanguageError
from flowlab.language.result import Result
from flowlab.language.trajectory import Trajectory
from flowlab.studies.equilibrium import Equilibrium, equilibrium

KIND = "orbit"


@guarded
def orbit(run: Trajectory, rest: Equilibrium | None = None) -> Result:
    """The strategies of a flow or a descent of a game, and their divergence from the equilibrium.

    Args:
        run: of a game whose players are on simplices.
        rest: the equilibrium; without it that of the run's game, which must be a matrix game.

    Returns:
        Of kind `"orbit"`: over `step`, `time` and `divergence`, the sum over players of KL(p*|p) (dimensionless); by
        player, `strategy_p` over `(step, p_i)` and `rest_p` over `p_i`.

    Raises:
        LanguageError: for a run without its constants, one that is not of the equilibrium's game, or a game of
            another kind.

    Examples:
        >>> net = fl.Network("p @ (A @ q)", constants=("A",))
        >>> game = fl.Problem(net, "value", ascend=["p"], geometry={"p": "simplex", "q": "simplex"})
        >>> data = fl.Data(A=[[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-1.0, 3.0, 0.0]])
        >>> start = fl.State.from_weights({"p": [0.5, 0.3, 0.2], "q": [0.2, 0.2, 0.6]})
        >>> walk = fl.descend(game, start, data, rule="optimistic", step=0.1, count=50)
        >>> found = fl.orbit(walk)
        >>> bool(found.dataset.divergence[-1] < found.dataset.divergence[0])
        True
    """
    problem, told = run.problem, run.provenance
    if rest is None:
        if run.data is None:
            raise LanguageError(
                "`run` must hold the constants of its game, got none; load it with `data=`, or pass `rest`."
            )
        rest = equilibrium(problem, run.data)
    if rest.problem != problem or not rest.support:
        raise LanguageError(
            f"`rest` must be the equilibrium of the run's game, on simplices, got {rest!r}; solve it by"
            " `fl.equilibrium(run.problem, run.data)`."
        )
    total, columns = np.zeros(len(run)), {}
    for w, mixed in rest.support.items():
        now, star = _rows(run, w), rest.weights[w]
        with np.errstate(divide="ignore"):
            total += (star[list(mixed)] * np.log(star[list(mixed)] / now[:, mixed])).sum(axis=1)
        columns |= {f"strategy_{w}": (("step", f"{w}_i"), now), f"rest_{w}": ((f"{w}_i",), star)}
    settings = {k: told["settings"][k] for k in ("rule", "step") if k in told.get("settings", {})}
    dataset = xr.Dataset(
        columns | {"time": ("step", np.exp(run.dataset["log_t"].values)), "divergence": ("step", total)}
    )
    return Result.of(KIND, dataset, problem, run.data, run=run.kind, **settings)


def _rows(run: Trajectory, block: str) -> np.ndarray:
    """The block at all rows, (rows, n)."""
    return run.dataset["rho"].sel(block=block).values[:, None] * run.dataset[f"V_{block}"].values
