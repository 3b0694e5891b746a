"""Figures: every registered one draws flows and descents, saves the formats with its numbers, and
integrates nothing.
"""

import dataclasses

import pytest

import flowlab as fl
from flowlab.core.errors import LanguageError, OutputError
from flowlab.figures import figures, load_library

load_library()


@pytest.fixture(scope="module")
def runs():
    data = fl.load("gaussian?n=12&d=3&margin=0.2", seed=1)
    problem = fl.Problem("W2 @ relu(W1 @ x)")
    start = fl.initial_state(problem.network, data, widths={"W1": 4}, seed=0)
    field, observe = fl.lower(fl.derive(problem)), fl.held_out(problem, data)
    path = fl.integrate(field, start, data, until=fl.log_time(1.0), rtol=1e-6, atol=1e-8, observe=observe)
    return path, fl.descend(problem, start, data, step=1e-3, count=100, observe=observe)


OF_RUNS = [name for name in figures.names() if figures[name].of == "trajectory"]


@pytest.fixture(scope="module")
def points():
    data = fl.load("gaussian?n=8&d=2&margin=0.2", seed=1)
    return fl.critical_points(fl.Problem("W1 @ x"), data, norm=5.0, starts=6)


def test_critical_points_are_drawn_by_kind(points, tmp_path):
    drawn = fl.draw("critical", points)
    assert sorted(c.label for c in drawn.curves) == sorted({p.kind for p in points})
    assert sorted(y for c in drawn.curves for y in c.y.tolist()) == [p.log_loss for p in points]
    assert drawn.save(tmp_path / "critical.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_distances_from_critical_points_are_drawn_over_time(points):
    problem = fl.Problem("W1 @ x", scheme="fixed_norm")
    start = fl.State(rho=points[0].state.rho, V=fl.initial_state(problem.network, points.data, seed=3).V)
    path = fl.integrate(fl.lower(fl.derive(problem)), start, points.data, until=fl.log_time(6.0))
    near = fl.draw("approach", fl.approach(path, points)).curves[0]
    assert near.label == "point 0"
    assert near.y[-1] < 1e-2 * near.y[0]
    assert near.x[-1] == pytest.approx(6.0)


def test_a_figure_of_something_else_is_refused(runs, points):
    with pytest.raises(LanguageError, match="must be drawn from a critical points, got a flow"):
        fl.draw("critical", runs[0])
    with pytest.raises(LanguageError, match="must be drawn from a trajectory"):
        fl.draw("margin", points)
    with pytest.raises(LanguageError, match="must have a result"):
        fl.draw("critical")


@pytest.mark.parametrize("name", OF_RUNS)
def test_flows_and_descents_are_told_apart(name, runs):
    labels = {c.label for c in fl.draw(name, *runs).curves}
    if figures[name].told_apart and not figures[name].flows_only:
        assert {label.rpartition(", ")[2] for label in labels} == {"flow", "descent"}
    assert labels


def test_numbers_are_those_of_the_run(runs):
    path, _ = runs
    (curve,) = fl.draw("margin", path).curves
    assert curve.y[-1] == float(path.dataset["min_margin"][-1])
    assert curve.x[-1] == pytest.approx(1.0)


def test_a_margin_that_nothing_is_divided_by_is_not_called_normalised(runs):
    """Where a network has no degrees log R is 0, and margins are those of the outputs."""
    path, _ = runs
    bare = dataclasses.replace(path, dataset=path.dataset.assign(log_R=0.0 * path.dataset["log_R"]))
    picture = figures["margin"]()
    found = {}
    for name, given in (("normalised", [path]), ("bare", [bare]), ("both", [path, bare])):
        (label,) = {frame.y_label for curves in picture.compared(given) for frame in picture.frames(curves)}
        found[name] = label
    assert found == {"normalised": r"$\min_n y_n \bar f_n$", "bare": r"$\min_n y_n f_n$", "both": "smallest margin"}
    assert fl.draw("margin", bare).caption.startswith("Smallest margin over log t.")


def test_equal_runs_give_equal_files(runs, tmp_path):
    for i in (1, 2):
        fl.draw("norms", *runs).save(tmp_path / f"{i}.pdf")
        fl.draw("norms", *runs).save(tmp_path / f"{i}.svg")
    assert (tmp_path / "1.pdf").read_bytes() == (tmp_path / "2.pdf").read_bytes()
    assert (tmp_path / "1.svg").read_bytes() == (tmp_path / "2.svg").read_bytes()


def test_every_curve_has_its_own_colour(runs):
    lines = fl.draw("norms", *runs).canvas.axes[0].get_lines()
    assert len({line.get_color() for line in lines}) == len(lines) == 4


def test_two_flows_are_told_apart(runs):
    labels = [c.label for c in fl.draw("loss", runs[0], runs[0]).curves]
    assert labels == ["flow 1", "flow 2"]


def test_the_users_backend_is_left_alone(runs):
    import matplotlib

    before = matplotlib.get_backend(), dict(matplotlib.rcParams)
    fl.draw("margin", *runs)
    assert (matplotlib.get_backend(), dict(matplotlib.rcParams)) == before


def test_bad_input(runs, tmp_path):
    with pytest.raises(fl.UnknownName, match="margin"):
        fl.draw("margine", *runs)
    with pytest.raises(LanguageError, match="trajectory"):
        fl.draw("margin")
    with pytest.raises(OutputError, match=r"\.pdf"):
        fl.draw("margin", *runs).save(tmp_path / "margin.gif")
    with pytest.raises(OutputError, match="cannot be written"):
        fl.draw("margin", *runs).save(tmp_path / "nowhere" / "margin.pdf")
