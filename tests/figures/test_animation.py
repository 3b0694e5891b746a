"""Films: what runs in time grows, axes stay, bytes repeat, and what has no time is refused."""

import io
import shutil

import numpy as np
import pytest

import flowlab as fl
from flowlab.core.errors import LanguageError, MissingExtra, OutputError
from flowlab.figures.curve import Curve, until
from flowlab.figures.library.sphere import seen_from_end
from tests.figures.instances import architecture, continuation, neurons, orbit, points, trajectory


def frames(film):
    from PIL import Image

    with Image.open(io.BytesIO(film.gif)) as picture:
        found = []
        for k in range(picture.n_frames):
            picture.seek(k)
            found.append(np.asarray(picture.convert("RGB")).astype(int))
        return found


def ink(picture):
    return int((picture.sum(axis=2) < 700).sum())


@pytest.mark.parametrize("name", ["sphere", "loss", "simplex", "neurons"])
def test_what_runs_in_time_grows(name):
    given = {"simplex": orbit(), "neurons": neurons()}.get(name, trajectory())
    first, *_, last = frames(fl.animate(name, given, frames=4))
    assert first.shape == last.shape
    assert ink(first) < ink(last)


def test_bands_grow_and_cells_change():
    for name in ("events", "activations"):
        first, *_, last = frames(fl.animate(name, trajectory(), frames=5))
        assert (first != last).any()


def test_the_last_picture_is_the_figure():
    film = fl.animate("norms", trajectory(), frames=3)
    assert float(film.times[-1]) == 4.0
    full = film.found.picture.at(film.found.curves, float(film.times[-1]))
    assert all((a.x == b.x).all() and (a.y == b.y).all() for a, b in zip(full, film.found.curves, strict=True))
    (curve, _) = film.found.picture.at(film.found.curves, 0.05)
    assert curve.x[-1] == pytest.approx(0.05)


def test_a_curve_ends_between_two_points():
    x = np.array([0.0, 1.0, 2.0])
    half = until(Curve("a", x, x**2), x, 1.5)
    assert half.x.tolist() == [0.0, 1.0, 1.5]
    assert half.y.tolist() == [0.0, 1.0, 2.5]
    assert len(until(Curve("a", x, x), x, -1.0).x) == 0


def test_equal_runs_give_equal_films(tmp_path):
    made = [fl.animate("sphere", trajectory(), frames=3).save(tmp_path / f"{i}.gif").read_bytes() for i in (1, 2)]
    assert made[0] == made[1]
    assert made[0].startswith(b"GIF89a")
    other = fl.animate("sphere", trajectory(), frames=3, style={"axes.prop_cycle": "cycler('color', ['r', 'g'])"}).gif
    assert other != made[0]
    html = fl.animate("loss", trajectory(), frames=2)._repr_html_()
    assert html.startswith("<img")
    assert "data:image/gif" in html


def test_what_has_no_time(tmp_path):
    for name, given in (
        ("critical", fl.results([points(tmp_path)])[0]),
        ("continuation", continuation()),
        ("architecture", architecture()),
    ):
        with pytest.raises(LanguageError, match="must have curves that run in time, got none"):
            fl.animate(name, given)


def test_wrong_calls(tmp_path, monkeypatch):
    with pytest.raises(fl.UnknownName, match="sphere"):
        fl.animate("spheer", trajectory())
    with pytest.raises(LanguageError, match="must have a trajectory"):
        fl.animate("loss")
    with pytest.raises(LanguageError, match="seconds"):
        fl.animate("loss", trajectory(), seconds=0.0)
    with pytest.raises(LanguageError, match="frames"):
        fl.animate("loss", trajectory(), frames=1)
    film = fl.animate("loss", trajectory(), frames=2)
    assert repr(film).startswith("Animated('loss', 2 frames")
    with pytest.raises(OutputError, match=r"use \.gif or \.mp4"):
        film.save(tmp_path / "film.avi")
    with pytest.raises(OutputError, match="cannot be written"):
        film.save(tmp_path / "nowhere" / "film.gif")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtra, match=r"ffmpeg.*use \.gif"):
        film.save(tmp_path / "film.mp4")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs the program ffmpeg")
def test_mp4(tmp_path):
    made = fl.animate("loss", trajectory(), frames=3).save(tmp_path / "film.mp4").read_bytes()
    assert made[4:8] == b"ftyp"


def test_the_sphere_keeps_distances_from_the_end():
    draw = np.random.default_rng(0)
    for size in (2, 3, 7):
        V = draw.normal(size=(6, size))
        V /= np.linalg.norm(V, axis=1, keepdims=True)
        x, y = seen_from_end(V)
        assert np.hypot(x, y) == pytest.approx(np.linalg.norm(V - V[-1], axis=1), abs=1e-12)
