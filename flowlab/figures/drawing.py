"""`draw`: from results to a figure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from flowlab.core.arguments import guarded, must_be, short
from flowlab.core.errors import LanguageError
from flowlab.core.public import HOME
from flowlab.figures.caption import caption
from flowlab.figures.curve import UNTOLD, AxesLike, Curve
from flowlab.figures.figure import Picture, figures, load_library
from flowlab.figures.page import earlier, into, of_user, own_page, settle
from flowlab.figures.record import Drawn, source
from flowlab.figures.style import Style, house, read_style
from flowlab.figures.widths import inches
from flowlab.language.drawable import RUNS, Drawable, ResultLike
from flowlab.language.problem import Problem


@guarded
def draw(
    name: str,
    *paths: ResultLike | Drawable,
    ax: AxesLike | Sequence[AxesLike | Sequence[AxesLike]] | None = None,
    width: str | float | None = None,
    label: str | Sequence[str] | None = None,
    letter: str | None = None,
    style: Style | None = None,
) -> Drawn:
    """Draw a registered figure of one or more trajectories, or of what else it is a figure of.

    Looks are matplotlib's defaults, then those of the house, then `style=`; settings of the user's own session have no
    part in them, so that equal results give equal bytes.

    Args:
        name: as `flowlab list figures` shows it.
        paths: trajectories, or results of the kind that the figure is of. Where there are descents, flows are solid and
            descents dashed. The figure "architecture" takes a network, a problem or its equations as well.
        ax: axes of matplotlib to draw into, for figures of several panels one for each; without it the figure has a
            page of its own. Drawn into axes twice, the second result has the next colours.
        width: of the page in inches, or by the name of a journal, such as `"pnas"`, `"nature-2"` or `"neurips"`; text
            keeps its size, of 7 points and more, and panels go side by side where they fit.
        label: what the legend calls the result, one for each where there are several.
        letter: of the first panel, such as `"a"`; further panels have the next letters.
        style: settings of matplotlib on top of the house's, the name of a style, or a style file; `axes.prop_cycle` has
            the colours of curves.

    Raises:
        UnknownName: for an unknown figure or width; LanguageError: without trajectories, for results of another kind,
            for axes that do not fit, or for a setting that does not exist.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(3.0))
        >>> fl.draw("norms", path, width="neurips").save("norms.png").name
        'norms.png'
        >>> from matplotlib.figure import Figure
        >>> left, right = Figure(figsize=(7.0, 2.4), layout="constrained").subplots(1, 2)
        >>> fl.draw("loss", path, ax=left, letter="a").name
        'loss'
        >>> fl.draw("margin", path, ax=right, letter="b").save("both.png").name
        'both.png'
    """
    settings, wide = read_style(style), inches(width)
    if ax is not None and wide is not None:
        raise must_be("width", width, "left out where `ax` is given, whose page has a width", "one of the two")
    found = composed(name, paths, label, wide)
    with house(settings):
        frames = found.picture.frames(found.curves)
        if ax is None:
            canvas, axes = own_page(found.picture, found.curves, wide)
        else:
            axes = of_user(name, ax, found.picture, frames)
            results, labels = earlier(axes)
            curves = [replace(c, path=c.path + results, before=labels) for c in found.curves]
            canvas = into(found.picture, axes, curves)
        for i, each in enumerate(axes if letter else ()):
            # Left of the axes, where no legend is.
            told: Any = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "right", "va": "bottom"}
            each.annotate(_letter(str(letter), i), (0.0, 1.0), (-_LETTER, 2.0), fontsize=_LETTER, **told)
        if ax is None:
            settle(canvas)
    return Drawn(
        name,
        canvas,
        found.curves,
        found.subject,
        found.picture.title,
        [source(p) for p in found.results],
        caption(found.picture, found.curves),
        settings,
    )


_LETTER = 9
"""Points of the letter of a panel."""


def _letter(first: str, i: int) -> str:
    """The letter of the panel `i`, bold; the text font has no bold face, formulas have."""
    told = chr(ord(first) + i) if len(first) == 1 else ""
    if not told.isascii() or not told.isalpha():
        raise must_be("letter", first, "one letter, with as many after it as there are panels", 'for example "a"')
    return rf"$\mathbf{{{told}}}$"


@dataclass(frozen=True)
class Composed:
    """A figure before it is drawn: its picture, results and curves, and one line on what they are of."""

    picture: Picture
    results: tuple[Any, ...]
    curves: list[Curve]
    subject: str


def composed(
    name: str, paths: Sequence[Any], label: str | Sequence[str] | None = None, width: float | None = None
) -> Composed:
    """Look up a figure, hold what is given against what it is of, and turn results into curves.

    Raises:
        UnknownName: for an unknown figure; LanguageError: as `draw`.
    """
    load_library()
    picture = figures[name]()
    picture.width = width
    names = _names(label, len(paths))
    pairs = _of_its_kind(name, picture, [picture.taken(path) for path in paths], names)
    results = tuple(path for path, _ in pairs)
    given = [told for _, told in pairs]
    suffixes = [str(told) for told in given] if label is not None else _suffixes(results)
    curves: list[Curve] = []

    def kind(curve: Curve) -> str:
        return curve.key if picture.panel_each else curve.label

    for i, (suffix, path, found) in enumerate(zip(suffixes, results, picture.compared(results), strict=True)):
        drawn = [c.y for c in found if c.y.size and c.y.dtype.kind == "f"]
        if drawn and not any(np.isfinite(y).any() for y in drawn):
            raise LanguageError(
                f'the figure "{name}" must be drawn from results with numbers to show, got none in'
                f" {short(path)}; choose another by `flowlab list figures`."
            )
        rows = list(dict.fromkeys(map(kind, found)))
        # What is one thing throughout is called by its result alone.
        single = len({c.label for c in found if c.look != "limit"}) == 1
        for c in found:
            curve = _called(c, suffix, single, picture.panel_each) if picture.told_apart or label is not None else c
            curves.append(replace(curve, path=i, row=rows.index(kind(c)), dashed=path.kind == "descent"))
    told = (
        f"{p.kind} of {p.problem.network.text}, {p.problem.loss.name} loss, {p.problem.scheme.name}" for p in results
    )
    return Composed(picture, results, curves, "; ".join(told))


def _called(curve: Curve, suffix: str, single: bool, panel_each: bool) -> Curve:
    """A curve with what its result is called."""
    if panel_each:
        told = ", ".join(part for part in (curve.key, suffix) if part)
        return replace(
            curve, label=", ".join(p for p in (curve.label, suffix) if p), key=told or "all", told=told or UNTOLD
        )
    if not suffix:
        return curve
    if single and curve.look != "limit":
        return replace(curve, label=suffix, told="")
    told = f"{curve.told}, {suffix}" if curve.told else ""
    return replace(curve, label=f"{curve.label}, {suffix}", told=told)


def _names(label: str | Sequence[str] | None, count: int) -> list[str | None]:
    """What the user calls every result."""
    if label is None:
        return [None] * count
    names = [label] if isinstance(label, str) else list(label)
    if len(names) != count or not all(names):
        such = 'for example `label=["width 8", "width 16"]`'
        raise must_be("label", label, f"{count} texts, one for every result", such)
    return list(names)


def _of_its_kind(
    name: str, picture: Picture, results: Sequence[Any], names: Sequence[str | None]
) -> list[tuple[Any, str | None]]:
    """The results that a figure shows, with their names.

    Raises:
        LanguageError: for those of another kind, for none, or for too many.
    """
    maker = picture.of.replace(" ", "_")
    if picture.of == "trajectory":
        remedy = "pass what `integrate` or `descend` returns"
    else:
        remedy = f"pass what `fl.{maker}` returns" if maker in HOME else "pass a result of flowlab"
    if strange := [path for path in results if not _drawable(path)]:
        raise LanguageError(
            f'the figure "{name}" must be drawn from a {picture.of}, got {short(strange[0])}; {remedy}.'
        )
    if wrong := [path for path in results if sort(path) != picture.of]:
        raise LanguageError(
            f'the figure "{name}" must be drawn from a {picture.of}, got a {wrong[0].kind}; choose another by'
            " `flowlab list figures`."
        )
    pairs = [
        (path, told) for path, told in zip(results, names, strict=True) if path.kind == "flow" or not picture.flows_only
    ]
    if not pairs and picture.of != "trajectory":
        raise LanguageError(f'the figure "{name}" must have a result of the kind "{picture.of}", got none; pass one.')
    if not pairs:
        raise LanguageError(
            f'the figure "{name}" must have a {"flow" if picture.flows_only else "trajectory"}, got none; pass one.'
        )
    if picture.alone and len(pairs) > 1:
        raise LanguageError(f'the figure "{name}" must have one {picture.of}, got {len(pairs)}; draw them one by one.')
    return pairs


def sort(path: Any) -> str:
    """What a figure is `of` for a result: `"trajectory"`, or its own kind."""
    return "trajectory" if path.kind in RUNS else path.kind


def _drawable(path: Any) -> bool:
    try:
        return isinstance(path.kind, str) and isinstance(path.problem, Problem)
    except Exception:
        # Attributes of a foreign class may raise anything.
        return False


def _suffixes(paths: Sequence[Any]) -> list[str]:
    """What tells the curves of several results apart: kind, scheme or network, and a number where none of them does."""
    if len(paths) == 1:
        return [""]
    if len({p.kind for p in paths}) == len(paths):
        return [p.kind for p in paths]
    schemes = [p.problem.scheme.short_name for p in paths]
    for told in (schemes, [p.problem.network.text for p in paths]):
        if len(set(told)) == len(paths):
            return told
    return [f"{p.kind} {i}" for i, p in enumerate(paths, 1)]
