"""How figures look: settings of the user's session have no part in it, text can be read, blocks are told by formulas
and colours, captions say what is seen.
"""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import flowlab as fl
from flowlab.core.errors import LanguageError
from flowlab.figures import figures, load_library
from flowlab.figures.curve import Panel
from flowlab.figures.painting import dress, looks
from flowlab.figures.style import COLOURS, formula, shown
from tests.figures.instances import MADE, convergence, portrait, trajectory

load_library()
ROOT = Path(__file__).resolve().parents[2]
LEAST_POINTS = 7.0
USERS = (
    {"font.size": 20, "axes.labelsize": "large"},
    {"axes.grid": True, "grid.color": "red"},
    {"lines.linewidth": 6.0, "lines.markersize": 20.0},
    {"axes.facecolor": "yellow", "figure.facecolor": "green", "savefig.facecolor": "green"},
    {"axes.prop_cycle": "cycler('color', ['red', 'green'])"},
    {"font.family": ["monospace"], "mathtext.fontset": "stix"},
    {"xtick.direction": "in", "ytick.right": True, "xtick.minor.visible": True},
    {"legend.frameon": True, "legend.loc": "lower left"},
    {"savefig.bbox": "tight", "figure.dpi": 50, "savefig.dpi": 70, "figure.constrained_layout.use": False},
    {"path.simplify": False, "text.hinting": "none", "svg.fonttype": "none", "pdf.compression": 0, "axes.xmargin": 0.3},
)


def of(name):
    return [trajectory()] if figures[name].of == "trajectory" else MADE[figures[name].of]


def saved(folder, name, names=("loss_constant", "norms")):
    folder.mkdir(exist_ok=True)
    made = b""
    for figure in names:
        drawn = fl.draw(figure, *of(figure))
        made += b"".join(drawn.save(folder / f"{name}_{figure}.{kind}").read_bytes() for kind in ("pdf", "svg", "png"))
    return made


@pytest.mark.long
def test_settings_of_the_users_session_change_no_byte(tmp_path):
    import matplotlib

    plain = saved(tmp_path, "same")
    for settings in USERS:
        with matplotlib.rc_context(settings):
            assert saved(tmp_path, "same") == plain, settings


@pytest.mark.long
def test_a_leak_would_be_seen(tmp_path, monkeypatch):
    import matplotlib

    from flowlab.figures import drawing, record

    plain = saved(tmp_path, "same", ("norms",))
    for module in (drawing, record):
        # The house on top of what is there, in place of on top of matplotlib's defaults.
        monkeypatch.setattr(module, "house", lambda style=None: matplotlib.style.context(dict(style or {})))
    assert saved(tmp_path, "same", ("norms",)) != plain
    bare = saved(tmp_path, "same", ("norms",))
    for settings in USERS:
        if "legend.frameon" not in settings and "axes.prop_cycle" not in settings:
            with matplotlib.rc_context(settings):
                assert saved(tmp_path, "same", ("norms",)) != bare, settings


@pytest.mark.long
def test_a_matplotlibrc_changes_no_byte(tmp_path):
    plain = saved(tmp_path, "same", ("norms",))
    (tmp_path / "matplotlibrc").write_text("font.size: 20\naxes.grid: True\n")
    code = (
        "import sys, pathlib; from tests.figures.test_looks import saved;"
        " sys.stdout.buffer.write(saved(pathlib.Path(sys.argv[1]), 'same', ('norms',)))"
    )
    env = {**os.environ, "MATPLOTLIBRC": str(tmp_path), "PYTHONPATH": str(ROOT), "JAX_ENABLE_X64": "1"}
    told = subprocess.run([sys.executable, "-c", code, tmp_path / "there"], env=env, check=True, capture_output=True)
    assert told.stdout == plain


def test_a_style_of_the_users_is_on_top(tmp_path):
    import matplotlib

    drawn = fl.draw("norms", trajectory(), style={"axes.prop_cycle": "cycler('color', ['#123456', '#654321'])"})
    assert [line.get_color() for line in drawn.canvas.axes[0].get_lines()] == ["#123456", "#654321"]
    big = fl.draw("norms", trajectory(), style=["ggplot", {"axes.labelsize": 11}])
    assert big.canvas.axes[0].xaxis.label.get_size() == 11
    assert (
        json.loads((big.save(tmp_path / "a.png").with_suffix(".json")).read_text())["style"]["axes.labelsize"] == "11"
    )
    (tmp_path / "mine.mplstyle").write_text("axes.labelsize: 12\n")
    mine = fl.draw("norms", trajectory(), style=tmp_path / "mine.mplstyle")
    assert mine.canvas.axes[0].xaxis.label.get_size() == 12
    assert matplotlib.rcParams["axes.labelsize"] != 12


@pytest.mark.parametrize(
    ("style", "told"),
    [
        ({"axes.labelsiz": 9}, "did you mean `axes.labelsize`"),
        ({"axes.labelsize": "enormous"}, "must be a setting of looks with a value"),
        ({"backend": "agg"}, "must be a setting of looks"),
        ({"figure.figsize": (3.0, 2.0)}, "pass `width=`"),
        ("ggplt", "ggplot"),
        ("http" + "s://example.org/a.mplstyle", "a style file"),
        (3, "`style=3` must be"),
    ],
)
def test_styles_that_are_none(style, told):
    with pytest.raises(LanguageError, match=told) as error:
        fl.draw("norms", trajectory(), style=style)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", figures.names())
def test_text_can_be_read(name):
    from matplotlib.text import Text

    if figures[name].of == "critical points":
        pytest.skip("drawn from files; see test_library")
    drawn = fl.draw(name, *of(name)[:1])
    texts = [t for t in drawn.canvas.findobj(Text) if t.get_visible() and t.get_text().strip()]
    assert texts
    assert min(t.get_size() for t in texts) >= LEAST_POINTS
    assert drawn.caption.endswith(".")
    assert len(drawn.caption) > len(drawn.title) + 10


def test_small_text_is_noticed():
    from matplotlib.text import Text

    drawn = fl.draw("norms", trajectory(), style={"xtick.labelsize": 5})
    assert min(t.get_size() for t in drawn.canvas.findobj(Text) if t.get_text()) < LEAST_POINTS


def test_blocks_are_formulas_and_have_one_colour_in_all_figures():
    assert (formula("W1"), formula("W1[2]"), formula("theta")) == ("$W_{1}$", "$W_{1}[2]$", r"$\theta$")
    assert shown("a_b $x_1$") == r"a$\_$b $x_1$"
    assert shown("ij->j > i") == r"ij$\rightarrow$j ${>}$ i"
    path = trajectory()
    found = {}
    for name in ("norms", "direction", "alignment", "sphere", "spectrum_in_time"):
        for line in fl.draw(name, path).canvas.axes[0].get_lines():
            if line.get_label() in ("$W_{1}$", "$W_{2}$"):
                found.setdefault(line.get_label(), set()).add(line.get_color())
    assert found == {"$W_{1}$": {COLOURS[0]}, "$W_{2}$": {COLOURS[1]}}


def test_curves_keep_plain_names_in_the_table(tmp_path):
    text = fl.draw("norms", trajectory()).table()
    assert {row.split(",")[0] for row in text.splitlines()[1:]} == {"W1", "W2"}


def test_powers_are_lines():
    drawn = fl.draw("direction_constant", convergence())
    assert drawn.canvas.axes[0].get_xscale() == "asinh"
    ax = Figure().add_subplot()
    ax.plot([1.0, 1e4], [1.0, -1e4])
    dress(ax, Panel(r"$\log L$"))
    assert (ax.get_xscale(), ax.get_yscale()) == ("asinh", "asinh")
    assert [t.get_text() for t in ax.get_yticklabels()][:2] == ["$-10^{4}$", "$-10^{3}$"]
    # An early run stands on plain axes.
    ax = fl.draw("loss", trajectory()).canvas.axes[0]
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "linear")


def test_panels_above_each_other_have_equal_ends():
    above, below = fl.draw("loss_constant", convergence()).canvas.axes
    assert above.get_xlim() == below.get_xlim()
    assert (above.get_xlabel(), below.get_xlabel()) == ("", r"$\log t$")
    top, *_ = fl.draw("field_angle", *MADE["field angle"]).canvas.axes
    assert top.get_xlabel() == ""


def test_files_of_cells_are_small(tmp_path):
    assert fl.draw("portrait", portrait(n=64)).save(tmp_path / "portrait.svg").stat().st_size < 400_000


def test_looks_of_several_limits_differ():
    from flowlab.figures.figure import Curve

    x = np.array([0.0, 1.0])
    curves = [Curve("a", x, x), Curve("first", x, x, look="limit"), Curve("second", x, x, look="limit")]
    found = looks(curves)
    assert found[1]["linestyle"] != found[2]["linestyle"]


def test_captions_say_what_is_seen():
    told = fl.draw("margin", trajectory()).caption
    y = trajectory().dataset["min_margin"].values[1:]
    assert told.startswith("Smallest margin over log t. margin ")
    assert f"{y[-1]:.3g}".replace("-", "\u2212") in told
    assert "8 of kind" not in fl.draw("portrait", portrait()).caption
    assert "2 of kind minimum" in fl.draw("portrait", portrait()).caption


@pytest.mark.parametrize("top", [1e10, 1e307])
def test_huge_numbers_have_an_axis(top):
    ax = Figure().add_subplot()
    ax.plot([0.0, 1.0], [1.0, top])
    dress(ax, Panel("loss", log_y=True))
    low, high = ax.get_ylim()
    assert low <= 1.0 < 1e9 < top <= high * (1.0 + 1e-9)
    assert np.isfinite(high)
    ax.figure.savefig(io.BytesIO(), format="png")
