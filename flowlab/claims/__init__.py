"""Statements of the theory as executable checks."""

from flowlab.claims.case import Case as Case
from flowlab.claims.claim import USUAL as USUAL
from flowlab.claims.claim import Claim as Claim
from flowlab.claims.claim import check as check
from flowlab.claims.claim import claim as claim
from flowlab.claims.claim import claims as claims
from flowlab.claims.quantity import Quantity as Quantity
from flowlab.claims.replay import replay as replay
from flowlab.claims.variant import Variant as Variant
from flowlab.claims.verdict import Measurement as Measurement
from flowlab.claims.verdict import Verdict as Verdict
