"""How wide figures are: the columns of journals and conferences, in inches."""

from numbers import Real
from typing import NamedTuple

from flowlab.core.arguments import must_be, short
from flowlab.core.errors import UnknownName
from flowlab.core.registry import nearest

_CM, _PT = 1 / 2.54, 1 / 72.27
"""A centimetre, and a point of TeX, in inches."""
_LEAST, _MOST = 1.5, 20.0
"""Inches: below the first no axis has room for its labels, above the second nothing is printed."""


class Width(NamedTuple):
    """A width in inches, what it is, and who says so."""

    inches: float
    what: str
    source: str


_APS, _IEEE = "APS, style basics: figures", "IEEE Author Center, size requirements for graphics"
_NATURE, _PNAS = "Nature, guide to preparing final artwork", "PNAS, digital figure preparation"
WIDTHS: dict[str, Width] = {
    "column": Width(3.4, "one column, as figures are without `width=`", "flowlab"),
    "page": Width(7.0, "two columns, as wide figures are without `width=`", "flowlab"),
    "pnas": Width(8.7 * _CM, "one column", _PNAS),
    "pnas-1.5": Width(11.4 * _CM, "one column and a half", _PNAS),
    "pnas-2": Width(17.8 * _CM, "two columns", _PNAS),
    "nature": Width(8.9 * _CM, "one column", _NATURE),
    "nature-2": Width(18.3 * _CM, "two columns", _NATURE),
    "aps": Width(8.6 * _CM, "one column", _APS),
    "aps-2": Width(17.8 * _CM, "two columns", _APS),
    "ieee": Width(3.5, "one column", _IEEE),
    "ieee-2": Width(7.16, "two columns", _IEEE),
    "icml": Width(234.88 * _PT, "one column", "icml2022.sty, \\columnwidth"),
    "icml-2": Width(487.82 * _PT, "two columns", "icml2022.sty, \\textwidth"),
    "aistats": Width(234.88 * _PT, "one column", "aistats2022.sty, \\columnwidth"),
    "aistats-2": Width(487.82 * _PT, "two columns", "aistats2022.sty, \\textwidth"),
    "neurips": Width(397.48 * _PT, "the text", "neurips_2022.sty, \\textwidth"),
    "iclr": Width(397.48 * _PT, "the text", "iclr2022_conference.sty, \\textwidth"),
    "jmlr": Width(6.0, "the text", "jmlr2e.sty, \\textwidth"),
}


def inches(width: str | float | None) -> float | None:
    """A width by name or in inches.

    Raises:
        UnknownName: for an unknown name; LanguageError: for a number that no page has.
    """
    if width is None:
        return None
    if isinstance(width, str):
        if width not in WIDTHS:
            guess = nearest(width, list(WIDTHS))
            hint = f" did you mean `{guess}`?" if guess else ""
            raise UnknownName(
                f"`width={short(width, 40)}` is not a known width;{hint} Known: {', '.join(WIDTHS)}, or a number of"
                " inches."
            )
        return WIDTHS[width].inches
    if isinstance(width, bool) or not isinstance(width, Real) or not _LEAST <= float(width) <= _MOST:
        raise must_be(
            "width",
            width,
            f"a number of inches from {_LEAST:g} to {_MOST:g}, or the name of a journal",
            'for example 5.5 or "pnas"',
        )
    return float(width)
