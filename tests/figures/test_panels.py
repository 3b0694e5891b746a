"""Figures in axes of a user, at widths of journals, with names and letters."""

import matplotlib
import pytest
from matplotlib.figure import Figure

import flowlab as fl
from flowlab.core.errors import LanguageError, UnknownName
from flowlab.figures.widths import WIDTHS
from tests.figures.instances import MADE, architecture, convergence, trajectory


def test_a_figure_of_one_panel_is_drawn_into_axes():
    canvas = Figure(figsize=(7.0, 2.4), layout="constrained")
    left, right = canvas.subplots(1, 2)
    left.set_title("mine")
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 6, "axes.facecolor": "yellow"}):
        drawn = fl.draw("loss", trajectory(), ax=left, label="first", letter="a")
        fl.draw("loss", trajectory(8), ax=left, label="second")
        fl.draw("norms", trajectory(), ax=right, letter="b")
    assert drawn.canvas is canvas
    assert tuple(canvas.get_size_inches()) == (7.0, 2.4)
    first, second = left.get_lines()
    assert (first.get_linewidth(), left.xaxis.label.get_size()) == (1.2, 8.0)
    assert first.get_color() != second.get_color()
    assert [t.get_text() for t in left.get_legend().get_texts()] == ["first", "second"]
    assert left.get_title() == "mine"
    assert not left.spines["top"].get_visible()
    assert [t.get_text() for t in (*left.texts, *right.texts)] == [r"$\mathbf{a}$", r"$\mathbf{b}$"]


def test_a_figure_of_several_panels_takes_as_many_axes(tmp_path):
    canvas = Figure(layout="constrained")
    axes = canvas.subplots(2, 1)
    fl.draw("loss_constant", convergence(), ax=axes, letter="c").save(tmp_path / "both.png")
    assert [ax.get_ylabel()[:8] for ax in axes] == [r"$\Vert\n", "$L\\,t\\,("]
    assert axes[1].texts[0].get_text() == r"$\mathbf{d}$"


@pytest.mark.parametrize("figure", ["loss", "loss_constant"])
def test_axes_that_do_not_fit(figure):
    given = trajectory() if figure == "loss" else convergence()
    canvas = Figure()
    cases = [
        (matplotlib, "must be axes of matplotlib"),
        (canvas, "must be axes of matplotlib"),
        (canvas.add_subplot(projection="polar"), "got polar axes"),
        ([], "must be plain axes"),
        ([canvas.add_subplot()] * 3, f"must be {1 if figure == 'loss' else 2} axes"),
    ]
    for ax, told in cases:
        with pytest.raises(LanguageError, match=told) as error:
            fl.draw(figure, given, ax=ax)
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 250


def test_calls_that_are_wrong():
    ax = Figure().add_subplot()
    with pytest.raises(LanguageError, match="lays out a page of its own"):
        fl.draw("architecture", architecture(), ax=ax)
    with pytest.raises(LanguageError, match="left out where `ax` is given"):
        fl.draw("loss", trajectory(), ax=ax, width="pnas")
    with pytest.raises(UnknownName, match="did you mean `pnas`"):
        fl.draw("loss", trajectory(), width="pnass")
    for width in (0.1, 1e3, True, -1):
        with pytest.raises(LanguageError, match="width"):
            fl.draw("loss", trajectory(), width=width)
    for label in ([], ["a", "b"], [""], [3]):
        with pytest.raises(LanguageError, match="label"):
            fl.draw("loss", trajectory(), label=label)
    for letter in ("ab", "1", "é"):
        with pytest.raises(LanguageError, match="one letter"):
            fl.draw("loss", trajectory(), letter=letter)
    with pytest.raises(LanguageError, match="one letter"):
        fl.draw("loss_constant", convergence(), letter="z")


@pytest.mark.parametrize("width", [*WIDTHS, 2.5])
def test_widths(width):
    inches = WIDTHS[width].inches if isinstance(width, str) else width
    drawn = fl.draw("loss_constant", convergence(), convergence(2.0), width=width)
    wide, high = drawn.canvas.get_size_inches()
    assert wide == pytest.approx(inches, rel=1e-3)
    assert 0.2 < high / wide < 2.5
    # Two panels stand side by side where they fit, and above each other in a column.
    above, below = (ax.get_position() for ax in drawn.canvas.axes)
    assert (above.y0 > below.y1) == (inches < 5.1)
    assert drawn.canvas.axes[0].xaxis.label.get_size() == 8.0


def test_every_width_has_a_source():
    assert all(w.source and w.what and 3.0 < w.inches < 7.5 for w in WIDTHS.values())
    assert WIDTHS["nature"].inches == pytest.approx(89 / 25.4)
    assert WIDTHS["neurips"].inches == pytest.approx(5.5, abs=1e-3)


def test_panels_of_different_things_keep_their_labels():
    runs = [trajectory(), trajectory(9)]
    narrow = fl.draw("schemes", *runs, width="pnas").canvas.axes
    assert all(ax.get_xlabel() for ax in narrow)
    wide = fl.draw("schemes", *runs, width="page").canvas.axes
    assert [bool(ax.get_xlabel()) for ax in wide] == [False, False, True, True]


def test_a_diagram_is_laid_out_at_its_width():
    assert fl.draw("architecture", *MADE["architecture"], width=5.5).canvas.get_size_inches()[0] == 5.5


def test_names_of_results():
    drawn = fl.draw("norms", trajectory(), trajectory(9), label=["first", "second"])
    assert [c.label for c in drawn.curves] == ["W1, first", "W2, first", "W1, second", "W2, second"]
    assert drawn.curves[0].told == "$W_{1}$, first"
    assert [c.label for c in fl.draw("loss", trajectory(), label="mine").curves] == ["mine"]
