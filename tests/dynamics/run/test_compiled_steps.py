"""Order, determinism and compilation of the stepping loop."""

from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl
from flowlab.dynamics import integrate, log_loss_below, log_time, norm_above, time
from flowlab.dynamics.clocks import CLOCKS, OrdinaryTime, Setting
from flowlab.dynamics.run import compiled_steps, terms
from flowlab.dynamics.run.validation import unit
from flowlab.dynamics.steppers.solvers import SOLVERS
from flowlab.language.state import State

TOLERANCES = (jnp.asarray(1e-8), jnp.asarray(1e-10))


def _error(field, data, start, solver, steps, exact):
    y = field.pack(start)
    for i in range(steps):
        y, _ = compiled_steps.restep(
            SOLVERS[solver],
            OrdinaryTime(),
            field,
            data,
            jnp.asarray(i / steps),
            jnp.asarray(1.0 / steps),
            y,
            *TOLERANCES,
            (),
        )
    return float(np.abs(np.asarray(field.unpack(y).weights()["w"]) - [exact(-1.0, 1.0), 0.5]).max())


# Steps small enough for the leading term of the error and large enough to stay above round-off.
@pytest.mark.parametrize(
    ("solver", "order", "coordinates", "steps"),
    [
        ("tsit5", 5, "weights", (8, 16)),
        ("tsit5", 5, "polar", (8, 16)),
        ("dopri8", 8, "weights", (3, 6)),
        ("dopri8", 8, "polar", (12, 24)),
    ],
)
def test_order_is_kept_under_projection(field_of, data, start_at, exact, solver, order, coordinates, steps):
    errors = [_error(field_of(coordinates), data, start_at(-1.0), solver, n, exact) for n in steps]
    assert np.log2(errors[0] / errors[1]) > order - 0.6


@pytest.mark.parametrize("coordinates", ["weights", "polar"])
@pytest.mark.parametrize("solver", ["tsit5", "dopri8"])
def test_follows_the_exact_solution_to_late_times(field_of, data, start_at, exact, coordinates, solver):
    path = integrate(field_of(coordinates), start_at(-1.0), data, until=log_time(20.0), solver=solver)
    assert path.outcome.kind == "done"
    assert float(path.dataset.log_t[-1]) == pytest.approx(20.0, abs=1e-14)
    t = np.exp(path.dataset.log_t.values)
    w = np.stack([np.asarray(path.state(i).weights()["w"]) for i in range(len(path))])
    assert np.abs(w[:, 0] - [exact(-1.0, s) for s in t]).max() < 1e-6
    assert np.abs(np.sqrt((path.dataset["V_w"].values ** 2).sum(axis=1)) - 1).max() < 1e-15


def test_one_compilation_serves_all_tolerances_horizons_levels_starts_and_data(field_of, data, start_at, traces):
    # A signature of its own, so that no other test has compiled this field before.
    field = field_of("polar", signature="traced here")
    first = integrate(field, start_at(-1.0), data, until=[time(1.0), log_loss_below(-30.0)])
    seen = len(traces)
    assert seen > 0
    for rtol, horizon, level in ((1e-6, 2.0, -20.0), (1e-4, 7.0, -1e3)):
        integrate(field, start_at(0.3, 0.1), data, until=[time(horizon), log_loss_below(level)], rtol=rtol)
    integrate(field, first.last, data, until=[log_time(0.1), log_loss_below(-9.0)], max_steps=40)
    integrate(
        field,
        State(rho={"w": jnp.asarray(1.0)}, V={"w": jnp.array([0.6, 0.8])}),
        data,
        until=[time(1.0), log_loss_below(-9.0)],
    )
    assert len(traces) == seen


def test_no_array_is_captured(field_of, data, start_at):
    field = field_of("polar")
    rate = jax.make_jaxpr(lambda y, d: terms.rate(0.0, y, Setting(OrdinaryTime(), field, d, *TOLERANCES)))(
        field.pack(start_at(1.0)), data
    )
    assert not rate.consts


def test_repeats_bit_for_bit_however_it_is_chunked(field_of, data, start_at, monkeypatch):
    field = field_of("polar")
    paths = [integrate(field, start_at(-1.0), data, until=norm_above(9.0), rtol=1e-9)]
    paths.append(integrate(field, start_at(-1.0), data, until=norm_above(9.0), rtol=1e-9))
    monkeypatch.setattr(import_module("flowlab.dynamics.run.segment"), "PATIENCE", 0.0)
    paths.append(integrate(field, start_at(-1.0), data, until=norm_above(9.0), rtol=1e-9))
    for path in paths[1:]:
        assert path.stats["steps"] == paths[0].stats["steps"]
        for name in ("log_t", "rho", "V_w"):
            assert (path.dataset[name].values == paths[0].dataset[name].values).all()


def test_counts_every_evaluation(field_of, data, start_at):
    for coordinates, stages in (("weights", 6), ("polar", 7)):
        path = integrate(field_of(coordinates), start_at(-1.0), data, until=time(1.0))
        assert path.stats["evaluations"] == (path.stats["steps"] + path.stats["rejected"]) * stages + 3


def test_directions_given_too_long_are_brought_to_unit_length(field_of, data):
    long = State(rho={"w": jnp.asarray(2.0)}, V={"w": jnp.array([3.0, 4.0])})
    assert np.allclose(unit(field_of("polar"), long).V["w"], [0.6, 0.8], atol=1e-15)
    path = integrate(field_of("polar"), long, data, until=time(1.0))
    assert np.allclose(path.dataset["V_w"].values[0], [0.6, 0.8], atol=1e-15)


def test_agrees_with_the_derived_field(field_of, data, start_at):
    from flowlab.lowering.lower import lower
    from flowlab.symbolic.derive import derive

    for coordinates in ("polar", "weights"):
        field = field_of(coordinates)
        ours = integrate(field, start_at(-1.0), data, until=time(5.0))
        derived = integrate(lower(derive(field.problem)), start_at(-1.0), data, until=time(5.0))
        assert np.allclose(ours.last.weights()["w"], derived.last.weights()["w"], rtol=1e-7)


@pytest.mark.parametrize("solver", ["tsit5", "dopri8", "kvaerno5", "rodas5p"])
@pytest.mark.parametrize("clock", ["time", "norm"])
def test_a_chunk_hands_on_what_it_was_given(solver, clock):
    """Equal shapes, dtypes and strength of types: else the second chunk of a run would be compiled again."""
    data = fl.Data(np.array([[1.0, 0.2], [-0.5, 1.0], [0.3, -1.0]]), np.array([1.0, 1.0, -1.0]))
    field = fl.lower(fl.derive(fl.Problem("W1 @ x", coordinates="weights")))
    start = fl.initial_state("W1 @ x", data, seed=0)
    args = (SOLVERS[solver], CLOCKS[clock], field, data)
    far, tight = np.asarray(1e300), (np.asarray(1e-8), np.asarray(1e-10))

    def both():
        entry = compiled_steps.enter(args[1], field, data, start, np.asarray(0.0), ())
        carry, _ = compiled_steps.begin(*args, entry.z, entry.s, far, *tight)
        return carry, compiled_steps.advance(*args, carry, far, *tight, np.asarray(0), (), 8, np.asarray(5)).carry

    before, after = (
        jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.weak_type), tree) for tree in jax.eval_shape(both)
    )
    assert before == after
