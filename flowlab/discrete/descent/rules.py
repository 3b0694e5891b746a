"""Descent rules under the name of their first home; they live in `flowlab.language.rules`."""

from flowlab.language.rules import Momentum as Momentum
from flowlab.language.rules import Rule as Rule
from flowlab.language.rules import rules as rules
