"""Captions: what a figure is of, and what is seen in it."""

from collections.abc import Sequence

from flowlab.figures.curve import Curve
from flowlab.figures.figure import Picture


def caption(picture: Picture, curves: Sequence[Curve]) -> str:
    """One sentence on what the figure is of, then what is seen; formulas stand between dollar signs."""
    told = picture.title[:1].upper() + picture.title[1:]
    return " ".join(f"{text.rstrip('.')}." for text in (told, *picture.seen(curves)))
