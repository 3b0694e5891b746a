"""Descent by autodiff alone, and what one step does."""

from flowlab.discrete.descent.descend import descend as descend
from flowlab.language.rules import rules as rules
