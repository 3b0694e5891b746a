"""Files, paths, terminals and settings that are legal and odd: the same result, or one sentence and nothing written."""

import io

import matplotlib
import pytest

import flowlab as fl
from flowlab.app import html
from flowlab.app.spec import read_spec
from flowlab.cli import main
from flowlab.core.errors import LONGEST, FlowlabError, sentence
from flowlab.core.files import open_folder
from tests.app.commands import inside, refused, spec
from tests.figures.instances import trajectory

DEEP = "[" * 3000 + "]" * 3000
ODD_SPECS = [
    (f"x = {DEEP}\n", ("deeply",)),
    (f"x = {'1' * 5000}\n", ("shorter number",)),
    (f"[integrate]\nuntil = {{ log_time = 1{'0' * 400} }}\n", ("until.log_time", "smaller number")),
    ("[integrate]\nuntil = { log_time = nan }\n", ("until.log_time", "finite")),
    ('[network]\nexpression = "W1 @ x"\n[data]\nsource = "iris"\n[integrate]\nrtol = inf\n', ("rtol", "line 6")),
    ('[data]\nsource = "C:\\Users\\me.csv"\n', ("line 2", "single quotes")),
    (f'"{"k" * 10_000}" = 1\n', ("kkk", "not a key")),
    ('"a\\nb\\u0007" = 1\n', ("a\\nb",)),
    ("x = 1979-05-27\n", ("not a key",)),
    ("\x00", ("not TOML",)),
    ("x = 1\nx = 2\n", ("line 2",)),
]


@pytest.mark.parametrize(("text", "words"), ODD_SPECS, ids=range(len(ODD_SPECS)))
def test_odd_specifications_are_one_sentence(tmp_path, text, words):
    path = tmp_path / "odd.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(fl.SpecError) as refusal:
        read_spec(path)
    message = str(refusal.value)
    assert message.isprintable()
    assert len(message) <= LONGEST
    for word in words:
        assert word in message


def test_files_that_are_no_specification(tmp_path):
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00x")
    for path, word in (
        (tmp_path / "binary.toml", "UTF-8"),
        (tmp_path, "directory"),
        (tmp_path / "none.toml", "none.toml"),
    ):
        with pytest.raises(fl.SpecError, match=word):
            read_spec(path)


def test_a_byte_order_mark_is_read_over(tmp_path):
    path = spec(tmp_path)
    plain = read_spec(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_spec(path) == plain


def test_output_names_that_no_disk_takes(tmp_path):
    path = spec(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for out, word in (
        ("", "empty"),
        (tmp_path / ("n" * 300), "cannot be written"),
        (tmp_path / "link", "link to nothing"),
    ):
        refused(inside("run", path, "--out", out, "--quiet"), word)
        refused(inside("verify", "P1", "--out", out, "--quiet"), word)
    with pytest.raises(fl.OutputError, match="null byte"):
        open_folder(tmp_path / "a\0b")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "spec.toml"]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437"])
def test_terminals_without_our_letters(encoding, monkeypatch):
    screen = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stdout", screen)
    with pytest.raises(SystemExit) as ended:
        main(["list", "losses"])
    screen.flush()
    shown = screen.buffer.getvalue().decode(encoding)
    assert not ended.value.code
    assert "exponential" in shown
    # The control: such a terminal does lack letters.
    with pytest.raises(UnicodeEncodeError):
        "ρ ⊙".encode(encoding)


def test_a_flow_of_one_row_with_a_witness(tmp_path):
    """An event that holds at the start leaves a flow of one row, which no walk overlaps."""
    more = (
        'log_loss_below = 1000.0 }\n[witness]\nstep = 1e-3\ncount = 5\n[figures]\nnames = ["loss"]\n[verify]\nclaims ='
        " []\n#"
    )
    path = spec(tmp_path)
    path.write_text(path.read_text().replace("log_time = 0.0 }", more))
    done = inside("run", path, "--out", tmp_path / "out", "--quiet")
    assert done.returncode == 0, done.stderr
    assert "holds at the start" in done.stdout
    assert fl.Trajectory.load(tmp_path / "out" / "trajectory.nc").dataset.sizes["step"] == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "spec.toml"]


def test_messages_are_one_printable_line():
    for text in ("a\nb\tc", "x" * 5000, "`" + "y\r" * 4000 + "` must be z; use w.", "\u202egnp.exe", "\ud800"):
        made = sentence(text)
        assert made.isprintable()
        assert len(made) <= LONGEST
    assert sentence("`" + "y" * 4000 + "` must be z; use w.").endswith("` must be z; use w.")
    assert sentence("`ρ_k = 1` is kept.") == "`ρ_k = 1` is kept."
    assert str(FlowlabError("a\nb")) == "a\\nb"


ATTACKS = [
    r"\text{<script>alert(9)</script>}",
    r"\href{javascript:alert(9)}{x}",
    r"\style{x:expression(1)}{y}",
    r"<img src=x onerror=alert(9)>",
    r"\frac<script>alert(9)</script>",
    r"\mathrm{</math><script>alert(9)</script>}",
    r"\class{a}{b}",
    r"x'\" onmouseover=\"alert(9)",
]


@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
def test_text_of_users_stays_text(attack):
    shown = html.page(
        attack,
        html.Markup().join(
            [
                html.math(attack),
                html.prose(f"a ${attack}$ `{attack}` {attack}"),
                html.tex(rf"\[{attack}\]"),
                html.table([attack], [[attack]], attack),
                html.unfolding(attack, attack, attack),
                html.answer(attack, attack),
            ]
        ),
    )
    outside = shown.split("</style>")[1]
    for tag in ("<script", "<img", 'href="java', " style=", ' onmouseover="', ' onerror="'):
        assert tag not in outside, tag
    # The same page, with one piece wrongly taken for markup, is caught.
    assert "<script" in html.page("", html.Markup("<script>alert(9)</script>"))


def test_a_page_allows_nothing_to_run(tmp_path):
    assert "default-src 'none'" in html.page("t", "b").replace("&#39;", "'")
    assert "script-src" not in html.page("t", "b")


def test_settings_of_matplotlib_do_not_change_a_figure(tmp_path):
    path = trajectory()
    fl.draw("norms", path).save(tmp_path / "plain.png")
    odd = {
        "axes.grid": True,
        "lines.linewidth": 5.0,
        "axes.facecolor": "red",
        "savefig.transparent": True,
        "font.size": 20,
    }
    with matplotlib.rc_context(odd):
        fl.draw("norms", path).save(tmp_path / "odd.png")
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "odd.png").read_bytes()
