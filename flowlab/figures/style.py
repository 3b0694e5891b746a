"""How figures look: fonts, sizes, and colours, dashes and marks that differ without colour too.

Settings are matplotlib's defaults, then those of the house, then those of `style=`; what a user has set for other
figures has no part in it.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from flowlab.core.arguments import must_be, short
from flowlab.core.errors import LanguageError
from flowlab.core.registry import nearest
from flowlab.core.typing import Record
from flowlab.language.block_symbols import symbol

Style: TypeAlias = str | Path | Mapping[str, Any] | Sequence[str | Path | Mapping[str, Any]]
"""The name of a style of matplotlib, a file of one, settings by name, or several of these, the last ones prevailing."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, told apart by colour-blind readers."""

DASHES: tuple[Any, ...] = (
    "-",
    (0, (4, 1.2)),
    (0, (1, 1)),
    (0, (5, 1, 1, 1)),
    (0, (7, 1.5)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (2, 2)),
)
"""Solid first; a second line under the first one is still seen in print without colour."""

MARKS = ("o", "s", "^", "D", "v", "P", "X")

GUIDE = "#555555"
"""Of predicted limits and other lines that were not measured."""

COLUMN, PAGE = 3.4, 7.0
"""Widths in inches: one column, and two."""

STYLE: Any = {
    "figure.figsize": (COLUMN, 2.4),
    "figure.dpi": 150,
    "font.size": 8,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,
    "svg.hashsalt": "flowlab",
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "font.family": ["cmr10", "DejaVu Sans"],
    "mathtext.fontset": "cm",
    "axes.formatter.use_mathtext": True,
    "axes.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "hatch.linewidth": 0.5,
    "hatch.color": "#555555",
    "pgf.rcfonts": False,
    "axes.axisbelow": True,
    "legend.handlelength": 2.4,
    "axes.prop_cycle": f"cycler('color', {list(COLOURS)})",
}


@contextmanager
def house(style: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Settings of the house, and of a user on top, for a while."""
    from matplotlib import style as styles

    with styles.context([STYLE, dict(style or {})], after_reset=True):
        yield


def read_style(style: Style | None) -> Record:
    """The settings of a `style=`, each known and of a value that it can have.

    Raises:
        LanguageError: for an unknown style or setting, a value that a setting cannot have, or one that is not of looks.
    """
    parts = [style] if isinstance(style, str | Path | Mapping) else list(style or ())
    found: Record = {}
    for part in parts:
        # What comes with matplotlib, or was read by it, is right; its size of a page is not of this page.
        found |= _settings(part) if isinstance(part, Mapping) else _named(part)
    return found


def _named(name: str | Path) -> Record:
    """The settings of a style by its name, or of a file on this machine, never of an address."""
    from matplotlib import rc_params_from_file, style

    if str(name) in style.library:
        return {str(key): value for key, value in style.library[str(name)].items()}
    if Path(name).is_file():
        try:
            read = rc_params_from_file(Path(name), use_default_template=False)
            return {str(key): value for key, value in read.items()}
        except Exception as error:
            raise LanguageError(
                f"`style={short(str(name), 40)}` must be a style file of matplotlib, got one that cannot be read"
                f" ({type(error).__name__}); write one `key: value` a line."
            ) from None
    guess = nearest(str(name), list(style.library))
    raise must_be(
        "style",
        str(name),
        "the name of a style of matplotlib, a style file, or settings by name",
        f'`"{guess}"`' if guess else 'for example {"font.size": 9}',
    )


def _settings(told: Mapping[str, Any]) -> Record:
    """Settings, tried one by one."""
    import matplotlib
    from matplotlib import style

    if "figure.figsize" in told:
        raise LanguageError('`style` must leave the size of the page out, got "figure.figsize"; pass `width=`.')
    for key, value in told.items():
        if key not in matplotlib.rcParamsDefault:
            guess = nearest(str(key), list(matplotlib.rcParamsDefault))
            hint = f"did you mean `{guess}`?" if guess else "see `matplotlib.rcParams`."
            raise LanguageError(f"`style` must have settings of matplotlib, got the key {short(key, 40)}; {hint}")
        try:
            with warnings.catch_warnings():
                # Settings that are not of looks, such as the backend, are told by a warning.
                warnings.simplefilter("error")
                with style.context({key: value}):
                    pass
        except Exception as error:
            why = " ".join(str(error).split())[:120]
            raise LanguageError(
                f"`style[{key!r}]` must be a setting of looks with a value that it can have, got {short(value, 40)}"
                f" ({why}); leave it out, or pass another value."
            ) from None
    return dict(told)


def palette() -> tuple[str, ...]:
    """The colours of curves: those of the house, or of `axes.prop_cycle` in the user's `style=`."""
    import matplotlib

    return tuple(matplotlib.rcParams["axes.prop_cycle"].by_key().get("color", COLOURS))


_SIGNS = str.maketrans({"_": r"$\_$", "<": "${<}$", ">": "${>}$", "·": r"$\cdot$", "…": r"$\ldots$"})
"""Computer Modern's text font has other glyphs in the place of these, or none beside a formula."""
_ARROW = r"$\rightarrow$"
"""Of `einsum`; sign by sign it would be a dash beside a relation."""


def shown(label: str) -> str:
    """A label with the signs that the text font does not have set as formulas; its own formulas stay as they are."""
    parts = label.split("$")
    # Every second part stands between dollar signs, unless one of them is alone.
    inside = 1 if len(parts) % 2 else len(parts)
    return "$".join(
        part if i % 2 == inside else part.replace("->", _ARROW).translate(_SIGNS) for i, part in enumerate(parts)
    )


def formula(block: str) -> str:
    """A block, or a group of one such as `W1[2]`, as a formula of mathtext."""
    name, bracket, rest = block.partition("[")
    return f"${symbol(name)}{bracket}{rest}$" if name.isidentifier() else shown(block)


def law_formula(latex: str, text: str) -> str:
    """A law as mathtext sets it; as plain text where it has commands that mathtext does not know."""
    from matplotlib.mathtext import MathTextParser

    # Mathtext knows no sizes of brackets.
    for word in (r"\bigl", r"\bigr", r"\Bigl", r"\Bigr", r"\left", r"\right"):
        latex = latex.replace(word, "")
    # It asks for the brackets of an argument.
    latex = latex.replace(r"\mathbf 1", r"\mathbf{1}")
    latex = latex.replace(r"\lVert", r"\Vert").replace(r"\rVert", r"\Vert")
    try:
        MathTextParser("path").parse(f"${latex}$")
    except ValueError:
        return text
    return f"${latex}$"
