"""Elementwise functions by name; importing this package registers them all."""

from flowlab.language.activations import elementary as _elementary
from flowlab.language.activations import piecewise as _piecewise
from flowlab.language.activations import smooth as _smooth
from flowlab.language.activations import steps as _steps
from flowlab.language.activations.base import Activation as Activation
from flowlab.language.activations.base import activations as activations

__all__ = ["Activation", "activations"]
_REGISTERS = (_elementary, _piecewise, _smooth, _steps)
