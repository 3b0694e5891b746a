"""What a run watches holds on right equations, and is seen to be off on wrong ones."""

import subprocess
import sys
import tracemalloc
from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl
from flowlab.dynamics.run import monitors, observations
from flowlab.language.losses import losses
from flowlab.language.schemes import schemes


def samples(n=10, d=3, seed=31):
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(n, d)), rng.normal(size=d)
    y = np.sign(x @ w)
    return fl.Data(x + 0.2 * np.outer(y, w) / np.linalg.norm(w), y)


def made(text="W2 @ W1 @ x", data=None, widths=None, seed=8, **settings):
    problem = fl.Problem(text, **settings)
    data = samples() if data is None else data
    return (
        fl.lower(fl.derive(problem)),
        fl.initial_state(text, data, widths=widths or {"W1": 3}, seed=seed, per=problem.per),
        data,
    )


class Wrong(eqx.Module):
    """A field whose rates are off by a factor in one block."""

    field: eqx.Module
    factor: float
    block: str = eqx.field(static=True)

    def __getattr__(self, name):
        return getattr(self.field, name)

    def rate(self, t, y, data):
        rate = self.field.rate(t, y, data)
        return {k: r * (self.factor if k == self.block else 1.0) for k, r in rate.items()}


CASES = [
    ("W2 @ W1 @ x", {"coordinates": "weights"}, {"loss", "smoothed_margin", "balance W1 W2"}),
    ("W2 @ W1 @ x", {}, {"loss", "smoothed_margin", "balance W1 W2", "equal_growth W1 W2"}),
    ("W2 @ relu(W1 @ x)**2", {}, {"loss", "smoothed_margin", "balance W1 W2", "equal_growth W1 W2"}),
    ("W2 @ W1 @ x", {"scheme": "lagrange"}, {"loss", "smoothed_margin", "balance W1 W2", "equal_growth W1 W2"}),
    (
        "W2 @ W1 @ x",
        {"scheme": "exponential_weight_normalization", "loss": "logistic"},
        {"loss", "smoothed_margin", "balance W1 W2", "equal_growth W1 W2"},
    ),
    (
        "W2 @ W1 @ x",
        {"loss": "logistic", "reduction": "mean", "coordinates": "weights"},
        {"loss", "smoothed_margin", "balance W1 W2"},
    ),
    ("W2 @ W1 @ x", {"decay": 0.1}, {"law (W1 W1^T - W2^T W2) exp(0.4 t)"}),
    ("W2 @ W1 @ x", {"decay": {"W1": 0.1}}, set()),
    (
        "W2 @ relu(W1 @ x + b)",
        {"coordinates": "weights"},
        {"loss", "smoothed_margin", "law diag(W1 W1^T + b b^T - W2^T W2)"},
    ),
    (
        "W2 @ W1 @ x",
        {"rates": {"W1": 0.1}},
        {"loss", "smoothed_margin", "balance W1 W2", "equal_growth W1 W2"},
    ),
    ("W2 @ tanh(W1 @ x + b)", {"coordinates": "weights"}, {"loss"}),
]


@pytest.mark.long
@pytest.mark.parametrize(("text", "settings", "names"), CASES, ids=[f"{text} {told}" for text, told, _ in CASES])
def test_all_hold_along_a_right_flow(text, settings, names):
    field, start, data = made(text, **settings)
    path = fl.integrate(field, start, data, until=fl.log_time(3.0))
    assert set(path.monitors) == names
    for name, seen in path.monitors.items():
        assert seen["holds"], (name, seen)
        assert seen["bound"] == pytest.approx(100 * 1e-8)


@pytest.mark.long
def test_a_wrong_rate_of_one_block_breaks_the_balance_and_nothing_else():
    field, start, data = made(coordinates="weights")
    worst = []
    for factor in (1.0, 1.0 + 1e-4, 1.5):
        path = fl.integrate(Wrong(field, factor, "W1"), start, data, until=fl.time(2.0))
        worst.append(path.monitors["balance W1 W2"]["worst"])
        assert path.monitors["balance W1 W2"]["holds"] is (factor == 1.0)
        assert path.monitors["loss"]["holds"]
    assert worst[0] < 1e-8 < worst[1] < worst[2]


def test_a_flow_uphill_breaks_the_monitor_of_the_loss():
    field, start, data = made(coordinates="weights")
    uphill = Wrong(Wrong(field, -1.0, "W1"), -1.0, "W2")
    assert not fl.integrate(uphill, start, data, until=fl.time(0.5)).monitors["loss"]["holds"]


def test_a_fall_of_the_smoothed_margin_is_seen_in_one_step_among_many():
    """Control inside the compiled loop: from one step to the next the same loss at a norm 1 % larger."""
    field, start, data = made(coordinates="weights")
    y = field.pack(fl.integrate(field, start, data, until=fl.log_time(3.0)).last)

    seen = {k: jnp.asarray(v) for k, v in field.observe(y, data).items()}
    before = observations.Watch(seen["log_loss"], jnp.asarray(-jnp.inf), jnp.zeros(()), jnp.zeros(()), jnp.zeros(()))
    first = observations.watched(field, data, before, seen)
    assert float(first.fall) == 0.0
    later = observations.watched(field, data, first, seen | {"log_R": seen["log_R"] + 0.01})
    assert float(later.fall) == pytest.approx(0.01)
    assert not monitors.monotone(field.problem, 0.0, float(later.fall), 1e-8)["smoothed_margin"]["holds"]


@pytest.mark.parametrize(
    "name",
    [name for name in losses if losses[name].labels == "binary" and losses[name]().level(np, np.zeros(())) is not None],
)
def test_level_inverts_the_loss_of_one_sample(name):
    loss = losses[name]()
    data = fl.Data(np.array([[1.0], [-1.0]]), np.array([1.0, -1.0]))
    for margin in (-40.0, -2.0, -1e-3, 0.0, 1e-6, 0.7, 5.0, 40.0, 700.0):
        one = float(loss.log_loss(np, np.array([[margin]]), np.asarray(data.y)[:1], "sum"))
        assert float(loss.level(np, np.asarray(one))) == pytest.approx(margin, rel=1e-12, abs=1e-12)


def test_balance_factors_are_those_the_derivation_prints():
    """The factor of eq. (1.12), held against the balance law that the derivation finds, at norms that differ."""
    for name in schemes:
        problem = fl.Problem("W2 @ W1 @ x", scheme=name)
        laws = [law for law in fl.derive(problem).conserved if law.kind == "balance"]
        factor = problem.scheme.balance_log_factor(np, np.asarray(1.7))
        if not laws:
            assert factor is None, name
            continue
        text = laws[0].text
        told = {"rho_W1^2": 2 * np.log(1.7), "exp(rho_W1^2)": 1.7**2, "rho_W1": np.log(1.7)}
        if name == "gradient_flow":
            continue
        matching = [v for k, v in sorted(told.items(), key=lambda kv: -len(kv[0])) if k in text]
        assert float(factor) == pytest.approx(matching[0]), (name, text)


@pytest.mark.long
def test_a_wrong_rate_breaks_a_law_that_has_a_name():
    field, start, data = made("W2 @ relu(W1 @ x + b)", coordinates="weights")
    name = "law diag(W1 W1^T + b b^T - W2^T W2)"
    for factor in (1.0, 1.0 + 1e-4):
        path = fl.integrate(Wrong(field, factor, "b"), start, data, until=fl.time(2.0))
        assert path.monitors[name]["holds"] is (factor == 1.0)


def test_what_was_watched_travels_with_the_result(tmp_path):
    field, start, data = made()
    path = fl.integrate(field, start, data, until=fl.time(1.0))
    assert fl.Trajectory.load(path.save(tmp_path / "a.nc")).monitors == path.monitors
    assert jax.tree.leaves(path.monitors)


def stack(width, rows, rng, move=0.0):
    """Norms and unit directions of two layers over rows, one entry of which moves."""
    V = {
        "W1": np.repeat(rng.normal(size=(1, width, 3)), rows, axis=0),
        "W2": np.repeat(rng.normal(size=(1, 2, width)), rows, axis=0),
    }
    V["W1"][:, 0, 0] += move * np.arange(rows)
    return {k: np.ones(rows) for k in V}, {k: v / np.sqrt((v**2).sum(axis=(1, 2), keepdims=True)) for k, v in V.items()}


@pytest.mark.parametrize("kind", ["balance", "balance-diagonal"])
@pytest.mark.parametrize("width", [5, 90])
def test_a_balance_is_seen_as_the_whole_matrix_would_show_it(kind, width):
    rng, law = (
        np.random.default_rng(2),
        SimpleNamespace(kind=kind, blocks=("W1", "W2"), degree=1, shares=(1, 1), text="", has_parts=False),
    )
    problem = fl.Problem("W2 @ W1 @ x", coordinates="weights")
    rho, V = stack(width, 4, rng, move=1e-3)
    found = monitors.conserved(problem, [law], rho, V, 1e-8)["balance W1 W2"]
    whole = [a @ a.T - b.T @ b for a, b in zip(V["W1"], V["W2"], strict=True)]
    off = max(float(np.abs(np.diag(m - whole[0]) if kind == "balance-diagonal" else m - whole[0]).max()) for m in whole)
    exact = kind == "balance-diagonal" or width <= 32
    # Through random signs an entry is seen with the others of its row.
    assert (
        found["worst"] == pytest.approx(off, rel=1e-9) if exact else off / 4 < found["worst"] < np.sqrt(width) * 4 * off
    )
    assert not found["holds"]
    assert monitors.conserved(problem, [law], *stack(width, 4, rng), 1e-8)["balance W1 W2"]["worst"] == 0.0


def test_monitors_need_no_more_than_rows_times_weights():
    rng, law = (
        np.random.default_rng(2),
        SimpleNamespace(
            kind="balance-diagonal", blocks=("W1", "W2"), degree=1, shares=(1, 1), text="", has_parts=False
        ),
    )
    problem = fl.Problem("W2 @ W1 @ x", coordinates="weights")
    rho, V = stack(1000, 200, rng)
    for kind in ("balance-diagonal", "balance"):
        law.kind = kind
        tracemalloc.start()
        monitors.conserved(problem, [law], rho, V, 1e-8)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # 200 matrices of 1000 x 1000 are 1.6 GB.
        assert peak < 2.5e8


WIDE = """
from pathlib import Path
import jax; jax.config.update("jax_enable_x64", True)
import numpy as np
import flowlab as fl
rng = np.random.default_rng(0); x = rng.normal(size=(50, 30)); data = fl.Data(x, np.sign(x[:, 0]))
made = fl.lower(fl.derive(fl.Problem("W2 @ relu(W1 @ x)", coordinates="weights")))
start = fl.initial_state("W2 @ relu(W1 @ x)", data, widths={"W1": 1000}, seed=0)
path = fl.integrate(made, start, data, until=fl.time(1.0), max_steps=240)
assert len(path.dataset.step) >= 200 and path.monitors
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.slow
def test_a_wide_run_stays_within_its_memory():
    """Width 1000, 200 stored rows, by the peak of a whole process in kilobytes; `ru_maxrss` would count what its parent
    held when it started.
    """
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells the peak of a process in /proc")
    peak = int(subprocess.run([sys.executable, "-c", WIDE], check=True, capture_output=True, text=True).stdout)
    assert peak < 1.2e6


def test_nothing_is_said_of_what_no_row_showed():
    """A run of one row has neither steps nor drift; one that does not separate has no smoothed margin."""
    field, start, data = made("W2 @ W1 @ x", coordinates="weights")
    still = fl.integrate(field, start, data, until=[fl.log_loss_below(1e3), fl.time(1.0)])
    assert len(still) == 1
    assert still.monitors == {}
    mixed = fl.Data(
        np.array([[1.0, 0.3], [-1.0, 0.2], [0.5, -1.0], [0.4, 1.0]]),
        np.array([1.0, 1.0, -1.0, 1.0]) * np.array([1.0, 1.0, 1.0, -1.0]),
    )
    start = fl.initial_state("W2 @ W1 @ x", mixed, widths={"W1": 3}, seed=0)
    path = fl.integrate(field, start, mixed, until=fl.time(1.0))
    assert path.dataset["min_margin"].values[-1] < 0
    assert "smoothed_margin" not in path.monitors
    assert path.monitors["loss"]["holds"]
