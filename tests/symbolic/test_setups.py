"""Every set-up of the table is derived, sized by its data and integrated, or named as missing with a reason."""

from collections import Counter
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from setups import CUT_SHORT, ELSEWHERE, MISSING, ROWS, SETUPS

import flowlab as fl

CASES = {f"{name} [{i}]": setup for name, row in SETUPS.items() for i, setup in enumerate(row)}
ROOT = Path(__file__).parents[2]
BOUND = 1e-12
SLOW = ("transformer block, multi-head", "2-D conv", "RNN, linear RNN, SSM over a sequence")
"""Rows whose derivation takes seconds."""


def cases():
    """The first set-up of every row; the others are slow, as are some rows."""
    quick = [case for case in CASES if case.endswith("[0]") and case[:-4] not in SLOW]
    return [pytest.param(case, marks=() if case in quick else pytest.mark.slow) for case in CASES]


def problem_of(setup):
    settings = {"loss": "square", **setup.problem}
    return fl.Problem(fl.Network(setup.text, **setup.network), **settings)


def data_of(problem, setup, seed=0):
    """Samples and constants of the shapes that are given, with labels that the loss takes."""
    rng = np.random.default_rng(seed)
    fixed = problem.network.constants
    constants = {k: rng.normal(size=shape) for k, shape in setup.given.items() if k in fixed}
    inputs = {k: rng.normal(size=(setup.samples, *shape)) for k, shape in setup.given.items() if k not in fixed}
    if problem.loss.is_value:
        return fl.Data(kind="none", constants=constants, **inputs)
    if problem.loss.compares_outputs:
        y = np.arange(setup.samples) % setup.outputs
    elif problem.loss.has_one_output:
        y = np.where(np.arange(setup.samples) % 2, 1.0, -1.0)
    else:
        y = rng.normal(size=(setup.samples, setup.outputs) if setup.outputs > 1 else (setup.samples,))
    return fl.Data(y=y, constants=constants, **inputs)


def start_of(problem, setup, data):
    return fl.initial_state(problem.network, data, widths=setup.widths, seed=0, per=problem.per, default_width=3)


def test_the_rows_are_all_there():
    tables = (SETUPS, ELSEWHERE, MISSING)
    names = [name for table in tables for name in table]
    assert len(names) == len(set(names)) == ROWS
    assert (len(SETUPS) + len(ELSEWHERE), len(MISSING)) == (82, 2)
    assert all((ROOT / file).is_file() for file in ELSEWHERE.values())
    assert all(reason and not reason.endswith(".") for reason in MISSING.values())


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("case", cases())
def test_a_setup_is_derived_and_sized(case):
    setup = CASES[case]
    problem = problem_of(setup)
    flow = fl.derive(problem)
    assert flow.residual <= BOUND
    data = data_of(problem, setup)
    state = start_of(problem, setup, data)
    shapes = problem.network.resolve(data.shapes, data.outputs, setup.widths, default_width=3)
    assert {w: v.shape for w, v in state.weights().items()} == shapes
    made = problem.network.outputs(state.weights(), data.inputs, np)
    assert made.shape == ((1, 1) if problem.loss.is_value else (setup.samples, setup.outputs))
    assert np.isfinite(made).all()


def asked_end(case):
    """How the run of a set-up is to end, and the reason it is to give."""
    return CUT_SHORT.get(case, ("done", "reached") if hasattr(CASES[case].until, "t") else ("event", "separated"))


def ran(case, **settings):
    """The run of a set-up to the end that it is asked for."""
    setup = CASES[case]
    problem = problem_of(setup)
    data = data_of(problem, setup)
    field, start = fl.lower(fl.derive(problem, verify=False)), start_of(problem, setup, data)
    return fl.integrate(field, start, data, until=setup.until, rtol=1e-5, atol=1e-7, **settings)


def ends_as_asked(path, case):
    """Whether a run ended as its set-up says, for that reason, at numbers all of which are finite."""
    kind, reason = asked_end(case)
    told = path.dataset
    reached = {
        "done": lambda: told["log_t"].values[-1] == pytest.approx(CASES[case].until.log_t, abs=1e-12),
        "event": lambda: told["min_margin"].values[-1] >= 0.0,
    }
    objective = told["objective" if CASES[case].problem.get("loss") == "value" else "log_loss"]
    return bool(
        path.outcome.kind == kind
        and reason in str(path.outcome)
        and np.isfinite(objective).all()
        and reached.get(kind, lambda: True)()
    )


def test_ends_are_counted():
    assert set(CUT_SHORT) <= set(CASES)
    assert Counter(asked_end(case)[0] for case in CASES) == {"done": 100, "event": 6, "stalled": 1, "nonunique": 1}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_setup_is_integrated_to_the_end_it_is_asked_for(case):
    path = ran(case)
    assert ends_as_asked(path, case), str(path.outcome)


def test_a_run_that_is_cut_short_is_not_taken_for_one_that_is_done():
    assert ends_as_asked(ran("quadratic form [0]"), "quadratic form [0]")
    assert not ends_as_asked(ran("quadratic form [0]", max_steps=3), "quadratic form [0]")


@pytest.mark.parametrize("row", ["heavy ball, Nesterov flow", "Adam, sign, RMSProp flow", "SAM"])
def test_rules_other_than_gradient_flow_have_their_rates(row):
    """Against the rules in numpy, at the first set-up of the row."""
    problem, rng = problem_of(SETUPS[row][0]), np.random.default_rng(0)
    X, t = rng.normal(size=(5, 3)), rng.normal(size=5)
    w = {name: rng.normal(size=3) for name in problem.network.weights}
    field = fl.lower(fl.derive(problem))
    ours = field.rate(0.0, field.pack(fl.State.from_weights(w)), fl.Data(X=X, t=t))
    b, g = w["b"], (X @ w["b"] - t) @ X
    if row.startswith("heavy"):
        wanted = {"b": w["p"], "p": -g - 0.5 * w["p"]}
    elif row.startswith("Adam"):
        wanted = {"b": -w["m"] * np.exp(-w["u"] / 2), "m": g - w["m"], "u": g**2 * np.exp(-w["u"]) - 1}
    else:
        wanted = {"b": -(X @ (b + 0.1 * g / np.linalg.norm(g)) - t) @ X}
    assert ours.keys() == wanted.keys()
    assert all(np.allclose(ours[name], rate, rtol=1e-12, atol=1e-13) for name, rate in wanted.items())
    assert all(np.abs(rate).max() > 0.01 for rate in wanted.values())


@pytest.mark.parametrize("loss", ["square", "exponential"])
def test_sample_weights_are_an_input(loss):
    """The rate is that of the weighted objective by `jax.grad`; weights that are left out show."""
    first, last = SETUPS["sample weights"]
    problem = problem_of(first if loss == "square" else last)
    rng = np.random.default_rng(0)
    x, y, c = rng.normal(size=(6, 3)), np.where(np.arange(6) % 2, 1.0, -1.0), rng.uniform(0.5, 2.0, size=6)
    if loss == "square":
        data, each = fl.Data(x=x, c=np.sqrt(c), y=np.sqrt(c) * y, kind="targets"), lambda f: 0.5 * (f - y) ** 2
    else:
        data, each = fl.Data(x=x, s=-y * np.log(c), y=y), lambda f: jnp.exp(-y * f)
    weights = {"W": rng.normal(size=(4, 3)), "a": rng.normal(size=4)}
    state = fl.State.from_weights(weights)
    field = fl.lower(fl.derive(fl.Problem(problem.network, loss, coordinates="weights")))
    ours = field.rate(0.0, field.pack(state), data)

    def objective(w, share):
        return jnp.sum(share * each(jax.nn.relu(x @ w["W"].T) @ w["a"]))

    for share, same in ((c, True), (np.ones(6), False)):
        wanted = jax.grad(objective)(weights, share)
        assert all(np.allclose(ours[w], -wanted[w], rtol=1e-12, atol=1e-13) for w in weights) == same
