"""What a trajectory is between its rows, as a data set on other times, and as a table."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import flowlab as fl
from flowlab.language.trajectory import Outcome
from tests.figures import instances

DATA = fl.Data(np.array([[1.0, 0.5], [-0.2, -1.5]]), np.array([1.0, -1.0]))


def exact(t):
    """Norm and direction of a made-up path, at times (S,)."""
    angle = 0.3 + np.arctan(t)
    return 1.0 + np.log1p(t), np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def path_of(rows: int, per: str = "layer", last: float = 6.0) -> fl.Trajectory:
    log_t = np.r_[-np.inf, np.linspace(-4.0, last, rows - 1)]
    rho, V = exact(np.exp(log_t))
    if per == "neuron":
        states = fl.State(rho={"W": rho[:, None]}, V={"W": V[:, None, :]}, per=per)
        problem = fl.Problem("W @ x", per=per)
    else:
        states, problem = fl.State(rho={"w": rho}, V={"w": V}), fl.Problem("w @ x")
    done = Outcome("done", "made.")
    return fl.Trajectory.from_states(problem, DATA, log_t, states, done, {"steps": rows}, kind="flow")


def error(rows: int) -> float:
    path, worst = path_of(rows), 0.0
    for log_t in np.linspace(-3.9, 5.9, 53):
        rho, V = exact(np.exp(log_t))
        state = path.at(log_t=float(log_t))
        worst = max(worst, abs(float(state.rho["w"]) / rho - 1), np.abs(np.asarray(state.V["w"]) - V).max())
    return float(worst)


def test_between_rows_a_smooth_path_is_met_the_better_the_more_rows_there_are():
    coarse, fine = error(30), error(120)
    assert fine < 1e-4
    assert coarse > 8 * fine


def test_at_a_row_it_is_the_row_and_directions_have_unit_length():
    path = path_of(30)
    for i in (0, 7, 29):
        found, row = path.at(log_t=float(path.dataset["log_t"][i])), path.state(i)
        assert np.allclose(found.V["w"], row.V["w"], atol=1e-12)
        assert float(found.rho["w"]) == pytest.approx(float(row.rho["w"]), abs=1e-12)
    between = path.at(log_t=0.123)
    assert np.linalg.norm(between.V["w"]) == pytest.approx(1.0, abs=1e-14)
    assert between.per == "layer"


def test_norms_of_neurons_stay_arrays():
    path = path_of(30, per="neuron")
    found = path.at(log_t=1.0)
    assert found.rho["W"].shape == (1,)
    assert found.V["W"].shape == (1, 2)


def test_early_times_are_met_too():
    """Between the start and the first row the path is that of ordinary time."""
    path = path_of(60)
    found = path.at(log_t=-5.0)
    assert float(found.rho["w"]) == pytest.approx(exact(np.exp(-5.0))[0], abs=1e-4)
    assert float(path.at(log_t=-np.inf).rho["w"]) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("grid", "told"),
    [([7.0], "within the run"), ([0.0, 9.0], "within the run"), ([1.0, 0.0], "growing"), ([], "growing")],
)
def test_other_times_are_refused(grid, told):
    with pytest.raises(fl.LanguageError, match=told):
        path_of(12).resampled(grid)


def test_times_that_are_none_are_refused():
    with pytest.raises(fl.LanguageError, match="log_t"):
        path_of(12).at(log_t="late")


def test_runs_with_other_steps_go_into_one_data_set():
    grid = np.linspace(-1.0, 5.0, 16)
    both = xr.concat([path_of(rows).resampled(grid) for rows in (20, 33)], dim="seed")
    assert dict(both.sizes) | {"w_0": 2} == {"seed": 2, "log_t": 16, "block": 1, "w_0": 2}
    assert np.allclose(both["rho"][0], both["rho"][1], atol=1e-2)
    assert float(both["log_loss"].sel(log_t=1.0, method="nearest")[0]) < 0.0
    rows = path_of(20).dataset
    assert np.allclose(path_of(20).resampled(rows["log_t"].values[3:6])["log_loss"], rows["log_loss"][3:6])


def test_no_column_leaves_its_rows():
    """At a corner, as of a kink, a cubic through four rows would."""
    path = path_of(20)
    corner = np.abs(np.arange(20) - 9.0)
    bent = path.dataset.assign(log_loss=("step", corner))
    found = replace(path, dataset=bent).resampled(np.linspace(-3.9, 5.9, 400))["log_loss"].values
    assert found.min() >= 0.0
    assert found.max() <= 10.0


def test_what_is_not_finite_stays_with_its_rows():
    path = path_of(20)
    lost = path.dataset["log_loss"].values.copy()
    lost[5] = np.nan
    rows = replace(path, dataset=path.dataset.assign(log_loss=("step", lost)))
    times = path.dataset["log_t"].values
    grid = np.sort(np.r_[times[2:9], (times[2:8] + times[3:9]) / 2])
    found = rows.resampled(grid)
    there = np.isnan(found["log_loss"].values)
    assert grid[there].tolist() == [(times[4] + times[5]) / 2, times[5], (times[5] + times[6]) / 2]
    assert np.isfinite(found["rho"].values).all()


def test_rows_at_one_time_and_runs_of_one_row():
    path = instances.trajectory()
    again = path.dataset.isel(step=[0, 1, 1, 2, 3])
    assert np.isfinite(replace(path, dataset=again).resampled([-0.9])["log_loss"].values).all()
    alone = replace(path, dataset=path.dataset.isel(step=[0]))
    assert np.allclose(alone.at(log_t=-np.inf).V["W1"], path.state(0).V["W1"])


def test_the_time_is_a_coordinate(tmp_path):
    path = instances.trajectory()
    assert "log_t" in path.dataset["log_loss"].coords
    assert path.dataset.swap_dims(step="log_t").log_loss.sel(log_t=0.0, method="nearest").size == 1
    again = fl.Trajectory.load(path.save(tmp_path / "a.nc"))
    assert "log_t" in again.dataset.coords
    # Before it was one, it was stored among the variables.
    old = path.dataset.reset_coords("log_t")
    assert "log_t" in fl.Trajectory.restored(old).dataset.coords


def test_rows_are_a_table():
    path = instances.trajectory()
    table = path.to_dataframe()
    assert len(table) == len(path)
    assert {"log_t", "log_loss", "rho_W1", "rho_W2", "test_loss", "test_error"} <= set(table.columns)
    assert not any(name.startswith("V_") for name in table.columns)
    assert (table["rho_W1"] == path.dataset["rho"].values[:, 0]).all()
    whole = path.to_dataframe(directions=True)
    assert (whole["V_W1[0,1]"] == path.dataset["V_W1"].values[:, 0, 1]).all()
    assert whole.shape[0] == len(path)


def test_between_rows_of_a_run_is_where_a_shorter_run_ends():
    problem = fl.Problem("w @ x")
    field = fl.lower(fl.derive(problem, verify=False))
    start = fl.initial_state(problem.network, DATA, seed=0)
    path = fl.integrate(field, start, DATA, until=fl.log_time(1.0))
    shorter = fl.integrate(field, start, DATA, until=fl.log_time(0.4)).last
    found = path.at(log_t=0.4)
    assert float(found.rho["w"]) == pytest.approx(float(shorter.rho["w"]), rel=1e-3)
    assert np.allclose(found.V["w"], shorter.V["w"], atol=1e-3)
    assert not np.allclose(path.at(log_t=0.0).V["w"], shorter.V["w"], atol=1e-3)
