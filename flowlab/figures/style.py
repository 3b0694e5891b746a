"""How figures look: size of a column, fonts, and colours, dashes and marks that differ without colour too."""

from typing import Any

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
}


_SIGNS = str.maketrans({"_": r"$\_$", "<": "${<}$", ">": "${>}$", "·": r"$\cdot$", "…": r"$\ldots$"})
"""Computer Modern's text font has other glyphs in the place of these, or none beside a formula."""


def shown(label: str) -> str:
    """A label with the signs that the text font does not have set as formulas."""
    return label.translate(_SIGNS)
