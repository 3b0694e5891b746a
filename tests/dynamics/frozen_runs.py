"""More than sixty runs and how they ended, written down so that a change of the code that drives runs can be held
against them.

    python -m tests.dynamics.frozen_runs        # writes frozen_runs.json from the code as it is

A run belongs here for what it passes through: schemes, clocks, losses, kinks, norms per unit, events, and halves that
are resumed.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import flowlab as fl

STORED = Path(__file__).with_name("frozen_runs.json")
SMOOTH = ("W1 @ x", "W2 @ W1 @ x", "W2 @ relu(W1 @ x)**2")
SCHEMES = (
    "gradient_flow",
    "lagrange",
    "weight_normalization",
    "exponential_weight_normalization",
    "tangent",
    "fixed_norm",
)
KINK = ("kink_slot", "kink_unit", "kink_sample", "kink_before", "kink_after")
KINKED = (
    "W2 @ relu(W1 @ x)",
    "W2 @ leaky_relu(W1 @ x)",
    "W2 @ abs(W1 @ x)",
    "W2 @ maximum(W1 @ x, U @ x)",
    "W2 @ relu(W1 @ x + b)",
)


@dataclass(frozen=True)
class Run:
    """What is run, on which samples, and how far."""

    text: str
    until: Callable[[], Any]
    samples: str = "separable"
    seed: int = 0
    problem: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    cut: int = 0
    """Attempted steps after which the run stops and is resumed from its folder; 0: one go."""


def runs() -> dict[str, Run]:
    """Every run by its name."""
    made = {}
    for scheme in SCHEMES:
        for text in SMOOTH:
            made[f"scheme {scheme} {text}"] = Run(
                text, lambda: fl.log_time(3.0), seed=len(made), problem={"scheme": scheme}
            )
    for loss in ("exponential", "logistic"):
        for clock in ("time", "loss", "norm", "auto"):
            end, text = 5.0 if clock == "time" else 1e3, "W1 @ x" if clock == "norm" else "W2 @ W1 @ x"
            made[f"clock {clock} {loss}"] = Run(
                text, lambda end=end: fl.log_time(end), problem={"loss": loss}, settings={"clock": clock}
            )
    made["clock auto cross_entropy"] = Run(
        "W2 @ W1 @ x", lambda: fl.log_time(200.0), "classes", problem={"loss": "cross_entropy"}
    )
    made["clock auto multiclass_exponential"] = Run(
        "W1 @ x", lambda: fl.log_time(200.0), "classes", problem={"loss": "multiclass_exponential"}
    )
    made["clock loss weights"] = Run("W2 @ W1 @ x", lambda: fl.log_time(1e6), problem={"coordinates": "weights"})
    for text in KINKED:
        for seed in (1, 2):
            made[f"kinks {text} {seed}"] = Run(text, lambda: fl.log_time(2.0), seed=seed, problem={"loss": "logistic"})
    made["kinks deep"] = Run(
        "W3 @ relu(W2 @ relu(W1 @ x))", lambda: fl.log_time(1.0), seed=3, problem={"loss": "logistic"}
    )
    made["kinks late"] = Run("W2 @ relu(W1 @ x)", lambda: fl.log_time(1e3), seed=4)
    made["kinks weights square"] = Run(
        "W2 @ relu(W1 @ x)", lambda: fl.time(5.0), "targets", 5, {"loss": "square", "coordinates": "weights"}
    )
    made["kinks of a weight"] = Run(
        "abs(w) @ x", lambda: fl.time(3.0), "targets", 6, {"loss": "square", "coordinates": "weights"}
    )
    for per in ("neuron", "network"):
        made[f"per {per}"] = Run("W2 @ relu(W1 @ x)**2", lambda: fl.log_time(3.0), seed=7, problem={"per": per})
    made["mean"] = Run(
        "W2 @ tanh(W1 @ x)", lambda: fl.time(20.0), seed=8, problem={"loss": "logistic", "reduction": "mean"}
    )
    made["decay"] = Run(
        "W2 @ tanh(W1 @ x)",
        lambda: fl.time(20.0),
        seed=9,
        problem={"loss": "logistic", "decay": 0.05, "coordinates": "weights"},
    )
    made["square"] = Run("W2 @ softplus(W1 @ x)", lambda: fl.time(10.0), "targets", 10, {"loss": "square"})
    for solver in ("dopri8", "kvaerno5", "rodas5p"):
        made[f"solver {solver}"] = Run("W2 @ W1 @ x", lambda: fl.log_time(4.0), seed=11, settings={"solver": solver})
    made["stiff"] = Run(
        "W2 @ tanh(W1 @ x)",
        lambda: fl.time(5e3),
        seed=12,
        problem={"coordinates": "weights", "decay": 0.01},
        settings={"rtol": 1e-9},
    )
    for name, event in {
        "separated": lambda: fl.separated(),
        "norm": lambda: fl.norm_above(4.0),
        "loss": lambda: fl.log_loss_below(-30.0),
        "gap": lambda: fl.margin_gap(1e-2),
    }.items():
        made[f"event {name}"] = Run("W2 @ W1 @ x", event, seed=13)
    made["budget"] = Run("W2 @ W1 @ x", lambda: fl.log_time(1e3), seed=14, settings={"max_steps": 60})
    made["resumed ordinary"] = Run("W2 @ W1 @ x", lambda: fl.log_time(4.0), seed=15, cut=20)
    made["resumed late"] = Run("W2 @ W1 @ x", lambda: fl.log_time(1e4), seed=16, cut=90)
    made["resumed polar"] = Run("W1 @ x", lambda: fl.log_time(1e4), seed=17, problem={"loss": "logistic"}, cut=60)
    made["resumed kinks"] = Run(
        "W2 @ relu(W1 @ x)", lambda: fl.log_time(2.0), seed=18, problem={"loss": "logistic"}, cut=30
    )
    made["resumed event"] = Run(
        "W2 @ W1 @ x", lambda: fl.log_loss(-200.0), seed=19, problem={"coordinates": "weights"}, cut=70
    )
    made["resumed lagrange"] = Run(
        "W2 @ relu(W1 @ x)**2", lambda: fl.log_time(3.0), seed=20, problem={"scheme": "lagrange"}, cut=25
    )
    return made


def samples(kind: str, seed: int) -> fl.Data:
    """Ten samples in three dimensions."""
    rng = np.random.default_rng(1000 + seed)
    x, w = rng.normal(size=(10, 3)), rng.normal(size=3)
    if kind == "targets":
        return fl.Data(x, rng.normal(size=10), kind="targets")
    if kind == "classes":
        centres = 2.0 * rng.normal(size=(3, 3))
        return fl.Data(0.3 * x + centres[np.arange(10) % 3], np.arange(10) % 3)
    y = np.sign(x @ w)
    return fl.Data(x + 0.4 * np.outer(y, w) / np.linalg.norm(w), y)


def ended(run: Run) -> dict[str, Any]:
    """How a run ended: its outcome, its kinks, its changes of clock and solver, and its last state."""
    data = samples(run.samples, run.seed)
    problem = fl.Problem(run.text, **run.problem)
    widths = {"W1": 4, "W2": 3} if "W3" in run.text else {"W1": 4} if "W2" in run.text else None
    start = fl.initial_state(problem.network, data, widths=widths, per=problem.per, seed=run.seed)
    if run.settings.get("clock") == "norm":
        # That clock begins where every sample is on its right side.
        start = fl.State.from_weights({"W1": (np.asarray(data.y) @ np.asarray(data.x))[None]})
    flow, until = fl.lower(fl.derive(problem)), run.until()
    if run.cut:
        with tempfile.TemporaryDirectory() as folder:
            fl.integrate(flow, start, data, until=until, store=folder, **{**run.settings, "max_steps": run.cut})
            path = fl.integrate(flow, start, data, until=until, store=folder, **run.settings)
    else:
        path = fl.integrate(flow, start, data, until=until, **run.settings)
    rows = path.dataset
    return {
        "outcome": path.outcome.kind,
        "log_t": float(rows.log_t[-1]),
        "log_loss": float(rows.log_loss[-1]),
        "switches": [[s[k] for k in sorted(s) if isinstance(s[k], str)] for s in path.provenance["switches"]],
        "kinks": [[int(rows[c].values[i]) for c in KINK] for i in range(rows.sizes.get("kink", 0))],
        "kink_log_t": rows.kink_log_t.values.tolist() if "kink_log_t" in rows else [],
        "rho": [float(v) for v in np.atleast_1d(rows.rho.values[-1])],
        "V": {name: np.asarray(v).ravel().tolist() for name, v in path.last.V.items()},
    }


if __name__ == "__main__":
    import jax

    jax.config.update("jax_enable_x64", True)
    found = {name: ended(run) for name, run in runs().items()}
    STORED.write_text(json.dumps(found, indent=1) + "\n")
