"""The discrete witness: descent by autodiff alone; it shares the vocabulary with the derived road and nothing else."""

from flowlab.discrete.descent.descend import descend as descend
from flowlab.language.rules import rules as rules
