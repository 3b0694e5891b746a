"""Figures drawn from stored results only."""

from flowlab.figures.figure import Drawn as Drawn
from flowlab.figures.figure import draw as draw
from flowlab.figures.figure import figures as figures
from flowlab.figures.figure import load_library as load_library
