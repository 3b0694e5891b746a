"""Figures drawn from stored results only."""

from flowlab.figures.animation import Animated as Animated
from flowlab.figures.animation import animate as animate
from flowlab.figures.drawing import draw as draw
from flowlab.figures.figure import figures as figures
from flowlab.figures.figure import load_library as load_library
from flowlab.figures.record import Drawn as Drawn
