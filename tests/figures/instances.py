"""Made-up results of every kind: what a figure needs, without computing it."""

import json

import numpy as np
import xarray as xr

import flowlab as fl
from flowlab.language.observables import Observers
from flowlab.language.trajectory import Outcome

PROBLEM = "W2 @ W1 @ x"


def made(kind, problem=PROBLEM, attrs=None, **variables):
    return fl.Result.of(kind, xr.Dataset(variables, attrs=attrs or {}), fl.Problem(problem), None, seed=7)


def trajectory(rows=12):
    """A ReLU net whose first unit slides for a while."""
    data = fl.Data(np.array([[1.0, 0.5], [-0.2, -1.5], [2.0, 2.5]]), np.array([1.0, -1.0, 1.0]))
    grow, turn = np.linspace(1.0, 6.0, rows), np.linspace(0.0, 1.0, rows)
    W = grow[:, None, None] * np.stack(
        [np.cos(np.arange(3) + turn[:, None]), np.sin(np.arange(3) + turn[:, None])], axis=2
    )
    a = grow[:, None, None] * np.array([[[1.0, -1.0, 0.5]]])
    norms = {k: np.sqrt((v**2).sum(axis=(1, 2))) for k, v in (("W1", W), ("W2", a))}
    states = fl.State(rho=norms, V={"W1": W / norms["W1"][:, None, None], "W2": a / norms["W2"][:, None, None]})
    pairs = {
        "slot": np.zeros(4, dtype=int),
        "unit": np.array([0, 0, 1, 2]),
        "sample": np.array([0, 1, 2, 0]),
        "start": np.array([-1, 1, 1, -1]),
    }
    met = {"log_t": np.array([-0.5, 0.5, 2.0]), "slot": np.zeros(3, dtype=int)}
    met |= {"unit": np.array([0, 0, 1]), "sample": np.array([0, 0, 2]), "after": np.array([0, 1, -1])}
    more = {f"pair_{k}": (("pair",), v, k) for k, v in pairs.items()} | {
        f"kink_{k}": (("kink",), v, k) for k, v in met.items()
    }
    log_t = np.r_[-np.inf, np.linspace(-1.0, 4.0, rows - 1)]
    problem = fl.Problem("W2 @ relu(W1 @ x)")
    return fl.Trajectory.from_states(
        problem,
        data,
        log_t,
        states,
        Outcome("done", "made."),
        {"steps": rows},
        kind="flow",
        variables=more,
        observe=Observers.of(fl.held_out(problem, data), {"W1": W[0], "W2": a[0]}),
    )


def points(folder):
    """A file of critical points: a minimum, a saddle with zero modes."""
    listed = [
        {
            "eigenvalues": values,
            "multipliers": [0.1],
            "kind": kind,
            "index": index,
            "nullity": nullity,
            "explained": explained,
            "log_loss": loss,
        }
        for values, kind, index, nullity, explained, loss in (
            ([0.5, 2.0], "minimum", 0, 0, 0, -1.0),
            ([-3.0, 1e-12, -1e-13], "Morse-Bott", 1, 2, 1, 2.0),
        )
    ]
    path = folder / "critical.json"
    path.write_text(json.dumps({"points": listed, "problem": fl.Problem(PROBLEM).describe(), "seed": 3}))
    return path


def convergence(limit=1.5, spans=True):
    log_t = np.r_[-np.inf, np.linspace(-2.0, 5e3, 40)]
    near = limit + np.exp(-np.abs(np.where(np.isfinite(log_t), log_t, 0.0)) / 50.0)
    numbers = {
        "constant": limit,
        "spans": spans,
        "rate_limit": limit,
        "loss_limit": limit,
        "margin": 0.4,
        "degree": 2.0,
        "decided": True,
    }
    columns = dict.fromkeys(("distance", "scaled", "scaled_span", "rate", "loss_constant"), ("step", near))
    return made(
        "convergence",
        log_t=("step", log_t),
        log_R=("step", near),
        **columns,
        **{k: ((), np.asarray(v)) for k, v in numbers.items()},
    )


def portrait(sphere=False, n=8):
    charts, half = (2, np.sqrt(2.0)) if sphere else (1, np.pi)
    u = (np.arange(n) + 0.5) * 2 * half / n - half
    U, V = np.meshgrid(u, u, indexing="ij")
    basin = np.repeat(np.where(U + 0.1 * V > 0, 1, 0)[None], charts, axis=0)
    basin[0, 0, 0] = -1
    if sphere:
        basin = np.where(np.hypot(U, V) <= half * (1 + 1 / n), basin, -2)
    cells = {
        name: (("chart", "i", "j"), np.where(basin > -2, a, np.nan))
        for name, a in (("field_u", np.cos(U)), ("field_v", np.sin(U + V)))
    }
    points = {
        "chart": np.array([0, charts - 1, 0]),
        "u": np.array([0.5, -0.5, 0.1]),
        "v": np.array([0.2, 0.4, -0.6]),
        "index": np.array([0, 0, 1]),
        "kind": np.array(["minimum", "minimum", "saddle"]),
        "basin": np.array([1, 0, -1]),
    }
    columns = {f"point_{name}": ("point", values) for name, values in points.items()}
    attrs = {"geometry": "sphere" if sphere else "torus"}
    return made(
        "portrait",
        "(W1 @ x) * (W2 @ x)",
        attrs,
        u=("i", u),
        v=("j", u),
        basin=(("chart", "i", "j"), basin),
        **cells,
        **columns,
    )


def neurons():
    log_t = np.r_[-np.inf, np.linspace(-2.0, 300.0, 9)]
    units = np.stack(
        [np.stack([np.cos(k + log_t.clip(0) / 300), np.sin(k + log_t.clip(0) / 300)], axis=1) / 3 for k in range(3)],
        axis=1,
    )
    columns = {
        "sign": ("unit", np.array([1.0, -1.0, 1.0])),
        "log_t": ("step", log_t),
        "margin": ("step", log_t.clip(0) / 600),
    }
    samples = {"x": (("sample", "axis"), np.array([[1.0, 0.2], [-1.0, 0.3]])), "y": ("sample", np.array([1.0, -1.0]))}
    best = {
        "best_neuron": (("best_unit", "axis"), np.array([[0.4, 0.1], [-0.4, 0.1]])),
        "best_margin": ((), np.asarray(0.6)),
    }
    return made(
        "neurons", "a @ relu(W @ x)", None, neuron=(("step", "unit", "axis"), units), **columns, **samples, **best
    )


def field_angle():
    t = np.r_[-np.inf, np.linspace(-2.0, 3.0, 9)]
    angles = {"angle": 1.0 - 0.1 * np.arange(10), "angle_v": np.zeros(10)}
    angles |= {"angle_w": np.linspace(1.2, 0.1, 10), "share": np.full(10, 0.4)}
    return made("field angle", log_t=("row", t), **{k: ("row", v) for k, v in angles.items()})


def path_and_flow():
    r = np.linspace(0.0, 4.0, 12)
    rows = {"log_norm": r, "log_t": 2 * r, "distance": np.exp(-r), "scaled": np.ones(12)}
    others = {
        "flow_log_norm": ("step", r),
        "flow_margin": ("step", 0.4 - np.exp(-r)),
        "path_log_norm": ("point", r),
        "path_margin": ("point", 0.4 + 0 * r),
    }
    return made("path and flow", **{k: ("row", v) for k, v in rows.items()}, **others)


def continuation():
    p = np.linspace(-1.0, 1.0, 9)
    columns = {
        "branch": np.zeros(9, dtype=int),
        "parameter": p,
        "norm": p**2,
        "log_loss": -p,
        "margin": p,
        "index": (p < 0).astype(int),
    }
    event = {
        "event_kind": ("event", np.array(["fold"])),
        "event_branch": ("event", np.array([0])),
        "event_parameter": ("event", np.array([0.0])),
    }
    return made("continuation", **{k: ("point", v) for k, v in columns.items()}, **event)


def models():
    time, names = np.linspace(0.0, 10.0, 6), ["flow", "modified", "central", "discrete"]
    told = np.array([[np.exp(-time / k)] for k in (1, 2, 3, 4)])[:, 0]
    columns = dict.fromkeys(("log_loss", "sharpness", "distance_averaged"), (("model", "time"), told))
    return made(
        "models",
        "W2 @ tanh(W1 @ x)",
        model=("model", np.array(names)),
        time=("time", time),
        edge=((), np.asarray(0.5)),
        **columns,
    )


def approach():
    log_t = np.r_[-np.inf, np.linspace(-1.0, 5.0, 9)]
    far = np.exp(-np.where(np.isfinite(log_t), log_t, -1.0))
    return made("approach", log_t=("step", log_t), distance=(("step", "point"), np.stack([far, far + 1.0], axis=1)))


def kernel():
    log_t = np.r_[-np.inf, np.linspace(-1.0, 5.0, 9)]
    far = np.r_[0.0, np.exp(np.linspace(-3.0, 0.0, 9))]
    columns = {"change": far, "turn": far**2, "alignment": 0.2 + 0.3 * far, "trace": 1.0 + far}
    values = (("row", "rank"), np.stack([1.0 + far, 0.1 + far], axis=1))
    return made("kernel", log_t=("row", log_t), eigenvalue=values, **{k: ("row", v) for k, v in columns.items()})


def linearised():
    log_t = np.r_[-np.inf, np.linspace(-1.0, 5.0, 9)]
    far = np.r_[0.0, np.exp(np.linspace(-3.0, 0.0, 9))]
    loss = (("row", "model"), np.stack([-far, -1.2 * far], axis=1))
    names = ("model", np.array(["network", "linearised"]))
    return made(
        "linearised", log_t=("row", log_t), distance=("row", far**2), moved=("row", far), log_loss=loss, model=names
    )


def hessian():
    log_t = np.r_[-np.inf, np.linspace(-1.0, 5.0, 9)]
    values = np.stack([10.0 + np.arange(10), np.linspace(1.0, 0.0, 10), np.linspace(0.1, -2.0, 10)], axis=1)
    return made("hessian", log_t=("row", log_t), eigenvalue=(("row", "rank"), values))


def risk():
    value = np.array([0.01, 0.1, 1.0])
    norms = {"risk_min_l1": ((), np.asarray(0.3)), "risk_min_l2": ((), np.asarray(2.0))}
    return made("risk", attrs={"vary": "lam"}, value=("value", value), risk=("value", value + 0.1), **norms)


def architecture():
    """A net of two strips, with a path beside it and laws."""
    deep = "W6 @ relu(W5 @ relu(W4 @ relu(W3 @ relu(W2 @ relu(W1 @ x))))) + W0 @ x"
    found = fl.architecture(fl.Network(f"W9 @ relu(W8 @ relu(W7 @ ({deep})))"))
    texts = found.dataset["blocks"].values.tolist()
    laws = {
        "law_latex": ("law", np.array([r"\rho_1^2 - \rho_2^2", r"\unknown{a}"], dtype=object)),
        "law_text": ("law", np.array(["rho_W1^2 - rho_W2^2", "rho_W1 - rho_W9 where |v| = 1"], dtype=object)),
        "tie_law": ("tie", np.array([0, 0, 1, 1])),
        "tie_box": ("tie", np.array([texts.index(name) for name in ("W1", "W2", "W1", "W9")])),
    }
    return made("architecture", "W2 @ W1 @ x", None, **{**found.dataset.data_vars, **laws})


def orbit(rule=None):
    """Three strategies of each of two players that turn round the middle."""
    turn = np.linspace(0.0, 12.0, 40)
    around = np.stack([np.cos(turn + 2 * np.pi * k / 3) for k in range(3)], axis=1) * np.exp(-0.1 * turn)[:, None]
    game = fl.Problem(
        fl.Network("p @ (A @ q)", constants=("A",)), "value", ascend=["p"], geometry={"p": "simplex", "q": "simplex"}
    )
    variables = {"time": ("step", turn), "divergence": ("step", np.exp(-0.2 * turn))}
    for w, sign in (("p", 1.0), ("q", -1.0)):
        variables |= {f"strategy_{w}": (("step", f"{w}_i"), (1 + 0.5 * sign * around) / 3)}
        variables |= {f"rest_{w}": ((f"{w}_i",), np.full(3, 1 / 3))}
    settings = {"rule": rule, "step": 0.1} if rule else {}
    return fl.Result.of("orbit", xr.Dataset(variables), game, None, run="descent" if rule else "flow", **settings)


def sweep(seeds=5):
    """Two widths and several seeds, one of which broke, and one of which ended early."""
    log_t = np.linspace(-2.0, 6.0, 16)
    far = np.exp(-0.2 * (log_t + 2.0)) * (1.0 + 0.1 * np.arange(2 * seeds).reshape(2, seeds, 1))
    far[0, 1], far[1, 2, 9:] = np.nan, np.nan
    ends = np.full((2, seeds), "done", dtype="<U9")
    ends[0, 1], ends[1, 2] = "failed", "event"
    dims = ("W1", "seed")
    columns = {"log_loss": far, "min_margin": 0.4 - 0.1 * far, "objective": far}
    return made(
        "sweep",
        **{name: ((*dims, "log_t"), values) for name, values in columns.items()},
        outcome=(dims, ends),
        W1=("W1", np.array([8, 16])),
        seed=("seed", np.arange(seeds)),
        log_t=("log_t", log_t),
    )


MADE = {
    "sweep": [sweep()],
    "orbit": [orbit(), orbit("optimistic")],
    "architecture": [architecture()],
    "kernel": [kernel()],
    "linearised": [linearised()],
    "hessian": [hessian()],
    "convergence": [convergence(), convergence(2.0, spans=False)],
    "portrait": [portrait()],
    "neurons": [neurons()],
    "path and flow": [path_and_flow()],
    "field angle": [field_angle()],
    "continuation": [continuation()],
    "models": [models()],
    "approach": [approach()],
    "risk": [risk()],
}
