"""`animate`: a figure as a film, its curves growing in time."""

import base64
import io
import shutil
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowlab.core.arguments import count, guarded, positive
from flowlab.core.display import displayed
from flowlab.core.errors import LanguageError, MissingExtra, OutputError
from flowlab.core.files import writing
from flowlab.core.typing import Record
from flowlab.figures.curve import clock
from flowlab.figures.drawing import Composed, composed
from flowlab.figures.page import own_page, settle
from flowlab.figures.style import Style, house, read_style
from flowlab.figures.widths import inches
from flowlab.language.drawable import Drawable, ResultLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".gif", ".mp4")
_DPI = 150
_LATE = 100.0
"""Beyond this log t frames are spaced as the axis is, so that the beginning is not over in one of them."""


@guarded
def animate(
    name: str,
    *paths: ResultLike | Drawable,
    seconds: float = 6.0,
    frames: int = 90,
    width: str | float | None = None,
    label: str | Sequence[str] | None = None,
    style: Style | None = None,
) -> "Animated":
    """A figure as a film: what runs in time grows, axes and limits stay.

    Any figure over log t, and of paths: "sphere" (directions), "simplex" (players of a game), "activations" (which
    units are on), "neurons" and "events".

    Args:
        name: of the figure, as `flowlab list figures` shows it.
        paths: as `draw` takes them.
        seconds: how long the film is.
        frames: how many pictures it has, evenly spaced on the axis of time.
        width: as `draw` takes it.
        label: as `draw` takes it.
        style: as `draw` takes it.

    Raises:
        UnknownName: for an unknown figure or width; LanguageError: for a figure in which nothing runs in time, and as
            `draw` does.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(3.0))
        >>> film = fl.animate("sphere", path, frames=5)
        >>> film.save("sphere.gif").name
        'sphere.gif'
    """
    seconds, frames = positive("seconds", seconds, "for example 6.0"), count("frames", frames, 2, 90)
    settings, wide = read_style(style), inches(width)
    found = composed(name, paths, label, wide)
    times = _times(found, frames)
    if len(times) < 2:
        raise LanguageError(
            f'the figure "{name}" must have curves that run in time, got none; animate for example "sphere",'
            ' "simplex", "activations" or "loss".'
        )
    return Animated(name, found, times, seconds, wide, settings)


def _times(found: Composed, frames: int) -> np.ndarray:
    """The times of the pictures, by the clock of the figure."""
    panels = found.picture.frames(found.curves)
    clocks = [times for c in found.curves if (times := clock(c, panels[c.panel])) is not None]
    every = np.concatenate([times[np.isfinite(times)] for times in clocks] or [np.zeros(0)])
    if not len(every):
        return every
    begin, end = float(every.min()), float(every.max())
    # Times of games are t itself; log t goes up to millions, and is then spaced as its axis is.
    late = end > _LATE and found.picture.clock_is_log
    to, back = (np.arcsinh, np.sinh) if late else (np.asarray, np.asarray)
    inner = back(np.linspace(float(to(begin)), float(to(end)), frames))
    return np.unique(np.r_[begin, inner[1:-1], end])


@dataclass(frozen=True, repr=False)
@displayed
class Animated:
    """A film of a figure.

    Attributes:
        name: of the figure.
        found: what is drawn.
        times: of its pictures, by the clock of the figure.
        seconds: how long it is.
        width: of the page in inches; None for the figure's own.
        style: the user's settings on top of those of the house.
    """

    name: str
    found: Composed
    times: np.ndarray
    seconds: float
    width: float | None
    style: Record

    def __str__(self) -> str:
        return f"Animated({self.name!r}, {len(self.times)} frames, {self.found.subject!r})"

    @cached_property
    def gif(self) -> bytes:
        """The film as a GIF; equal results give equal bytes."""
        pictures = [_reduced(picture) for picture in self.pictures()]
        file = io.BytesIO()
        # Browsers show no picture for less than 20 milliseconds.
        each = max(20, round(1000 * self.seconds / len(pictures)))
        pictures[0].save(
            file, "GIF", save_all=True, append_images=pictures[1:], duration=[each] * len(pictures), loop=0
        )
        return file.getvalue()

    def pictures(self) -> list[Any]:
        """The pictures, of Pillow, in their order."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from PIL import Image

        made = []
        picture, curves = copy(self.found.picture), self.found.curves
        # Scales and labels are those of the whole figure, whatever a part of it reaches.
        frames = picture.frames(curves)
        vars(picture)["frames"] = lambda _: frames
        with house(self.style):
            canvas, axes = own_page(picture, curves, self.width)
            settle(canvas)
            canvas.set_dpi(_DPI)
            kept = [(ax.get_xlim(), ax.get_ylim(), ax.get_xlabel(), ax.get_ylabel()) for ax in axes]
            size, agg = canvas.get_size_inches().copy(), FigureCanvasAgg(canvas)
            for now in self.times:
                # Of the axes their data limits stay, by which scales are chosen.
                for part in [*canvas.legends, *(p for ax in axes for p in _painted(ax))]:
                    part.remove()
                picture.paint(canvas, axes, picture.at(curves, float(now)))
                canvas.set_size_inches(*size)
                for ax, (x, y, across, up) in zip(axes, kept, strict=True):
                    ax.set(xlim=x, ylim=y, xlabel=across, ylabel=up)
                agg.draw()
                made.append(Image.fromarray(np.asarray(agg.buffer_rgba())).convert("RGB"))
        return made

    def save(self, path: str | Path) -> Path:
        """Write the film as GIF, or as MP4 where the program ffmpeg is on the PATH.

        Raises:
            OutputError: for another format, or if it cannot be written; MissingExtra: for MP4 without ffmpeg.
        """
        path = Path(path)
        if path.suffix not in FORMATS:
            raise OutputError(f"`{path.name}` has no known format of films; use .gif or .mp4.")
        if path.suffix == ".mp4" and not shutil.which("ffmpeg"):
            raise MissingExtra(
                f"`{path.name}` needs the program ffmpeg, got none on the PATH; install it (on Debian `ffmpeg`), or use"
                " .gif."
            )
        made = self.gif if path.suffix == ".gif" else _film(self.pictures(), self.seconds)
        with writing(path):
            path.write_bytes(made)
        return path

    def _repr_html_(self) -> str:
        """The film, for notebooks."""
        code = base64.b64encode(self.gif).decode("ascii")
        return f'<img alt="film of the figure" src="data:image/gif;base64,{code}">'


def _painted(ax: "Axes") -> list[Any]:
    """What a picture has put on axes."""
    return [*ax.lines, *ax.collections, *ax.patches, *ax.texts, *ax.images]


def _reduced(picture: Any) -> Any:
    """A picture of 128 colours, without the noise that dithering would lay on plain ones."""
    from PIL import Image

    return picture.quantize(128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def _film(pictures: Sequence[Any], seconds: float) -> bytes:
    """The pictures as MP4, by ffmpeg."""
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory(prefix="flowlab-film-") as folder:
        for i, picture in enumerate(pictures):
            picture.save(Path(folder) / f"{i:06d}.png")
        out = Path(folder) / "film.mp4"
        # H.264 with sides of even length is what every player shows.
        told = subprocess.run(
            [
                *("ffmpeg", "-loglevel", "error", "-framerate", f"{len(pictures) / seconds:.6f}"),
                *("-i", f"{folder}/%06d.png", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white"),
                *("-pix_fmt", "yuv420p", "-map_metadata", "-1", "-fflags", "+bitexact", str(out)),
            ],
            capture_output=True,
            text=True,
        )
        if told.returncode:
            raise OutputError(f"ffmpeg must make a film of the pictures, got: {told.stderr.strip()[:160]}; use .gif.")
        return out.read_bytes()
