"""Fourteen ways in which a trajectory stops being that of its run,
and the same rows with columns and record made to fit them.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

import flowlab as fl
from flowlab.language.trajectory import Trajectory


def rows(run):
    """(log t, ρ, V) over rows: (S,), {block: (S,)}, {block: (S, ...)}."""
    states = [run.state(i) for i in range(len(run))]
    stacked = jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *states)
    return run.dataset["log_t"].values.copy(), dict(stacked.rho), dict(stacked.V)


def corrupted(run, kind, other):
    """The run with its rows replaced; `other` is a run of equal shapes from another start on other samples."""
    log_t, rho, V = rows(run)
    rng, names, half = np.random.default_rng(0), list(V), len(run) // 2
    if kind == "noise":
        V = {k: v + 0.01 * np.sqrt(np.mean(v**2)) * rng.normal(size=v.shape) for k, v in V.items()}
        V = {
            k: v / np.sqrt((v**2).reshape(len(v), -1).sum(axis=1)).reshape(-1, *[1] * (v.ndim - 1))
            for k, v in V.items()
        }
    elif kind == "rescaled norms":
        rho = {k: 1.3 * r for k, r in rho.items()}
    elif kind == "rows of another seed":
        log_t, rho, V = rows(other)
    elif kind == "shifted in time":
        log_t = log_t + 1.0
    elif kind == "truncated":
        log_t, rho, V = jax.tree.map(lambda leaf: leaf[:half], (log_t, rho, V))
    elif kind == "shuffled":
        order = np.r_[0, 1 + rng.permutation(len(run) - 1)]
        rho, V = jax.tree.map(lambda leaf: leaf[order], (rho, V))
    elif kind == "constant":
        rho, V = jax.tree.map(lambda leaf: np.repeat(leaf[half : half + 1], len(run), axis=0), (rho, V))
    elif kind == "sign flipped":
        V[names[0]] = -V[names[0]]
    elif kind == "a row that is no number":
        V[names[0]][half] = np.nan
    elif kind == "blocks swapped":
        rho = (
            dict(zip(rho, list(rho.values())[::-1], strict=True))
            if len(rho) > 1
            else {k: 1.0 / r for k, r in rho.items()}
        )
    elif kind == "later half reversed":
        V[names[0]][half:] = V[names[0]][half:][::-1]
    elif kind == "norms off by 2 %":
        rho = {k: 1.02 * r for k, r in rho.items()}
    elif kind == "other samples":
        return dataclasses.replace(run, data=fl.Data(np.asarray(run.data.x) + 0.1, run.data.y, kind=run.data.kind))
    elif kind == "another problem":
        return dataclasses.replace(run, problem=fl.Problem(run.problem.network, "logistic"))
    return with_rows(run, log_t, rho, V)


KINDS = (
    "noise",
    "rescaled norms",
    "rows of another seed",
    "shifted in time",
    "truncated",
    "shuffled",
    "constant",
    "sign flipped",
    "a row that is no number",
    "blocks swapped",
    "later half reversed",
    "norms off by 2 %",
    "other samples",
    "another problem",
)


def with_rows(run, log_t, rho, V):
    """The run's columns and record over other states."""
    ds = run.dataset.isel(step=slice(0, len(log_t))).copy(deep=True)
    if len(log_t) > len(ds["log_t"]):
        log_t, rho, V = jax.tree.map(lambda leaf: leaf[: len(ds["log_t"])], (log_t, rho, V))
    ds = ds.isel(step=slice(0, len(log_t)))
    ds["log_t"] = ("step", log_t)
    ds["rho"] = (ds["rho"].dims, np.stack([rho[b] for b in ds["block"].values.tolist()], axis=1))
    for name, v in V.items():
        ds[f"V_{name}"] = (ds[f"V_{name}"].dims, v)
    changed = dataclasses.replace(run, dataset=ds)
    return dataclasses.replace(changed, last=changed.state(-1))


def made_to_fit(run):
    """Loss, margin, norms and record computed from the rows as they are: only the flow can tell them from a run."""
    log_t, rho, V = rows(run)
    states = fl.State(
        rho={k: jnp.asarray(r) for k, r in rho.items()},
        V={k: jnp.asarray(v) for k, v in V.items()},
        per=run.problem.per,
    )
    extra = {k: run.provenance[k] for k in ("settings", "monitors") if k in run.provenance}
    return Trajectory.from_states(
        run.problem, run.data, log_t, states, run.outcome, run.stats, kind=run.kind, extra=extra
    )
