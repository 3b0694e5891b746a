# Made by `python -m flowlab.core.stub`; a test holds it against the table of names and the words.
from flowlab.claims import Case as Case
from flowlab.claims import Claim as Claim
from flowlab.claims import Measurement as Measurement
from flowlab.claims import Quantity as Quantity
from flowlab.claims import Verdict as Verdict
from flowlab.claims import check as check
from flowlab.claims import claim as claim
from flowlab.claims import replay as replay
from flowlab.core.errors import ClaimError as ClaimError
from flowlab.core.errors import DataError as DataError
from flowlab.core.errors import DerivationError as DerivationError
from flowlab.core.errors import DerivationMismatch as DerivationMismatch
from flowlab.core.errors import DerivationUnchecked as DerivationUnchecked
from flowlab.core.errors import FlowlabError as FlowlabError
from flowlab.core.errors import LanguageError as LanguageError
from flowlab.core.errors import MissingExtra as MissingExtra
from flowlab.core.errors import NotHomogeneous as NotHomogeneous
from flowlab.core.errors import NotSeparable as NotSeparable
from flowlab.core.errors import OutputError as OutputError
from flowlab.core.errors import PrecisionTooLow as PrecisionTooLow
from flowlab.core.errors import RunFailed as RunFailed
from flowlab.core.errors import ShapeMismatch as ShapeMismatch
from flowlab.core.errors import SpecError as SpecError
from flowlab.core.errors import TooEarly as TooEarly
from flowlab.core.errors import TooLarge as TooLarge
from flowlab.core.errors import UnknownName as UnknownName
from flowlab.core.errors import UnloweredNode as UnloweredNode
from flowlab.discrete import descend as descend
from flowlab.discrete.continuation.paths import Continuation as Continuation
from flowlab.discrete.continuation.paths import norm_path as norm_path
from flowlab.discrete.continuation.paths import penalty_path as penalty_path
from flowlab.discrete.critical.critical_points import CriticalPoint as CriticalPoint
from flowlab.discrete.critical.critical_points import constrained_minimum as constrained_minimum
from flowlab.discrete.critical.critical_points import critical_points as critical_points
from flowlab.discrete.critical.flow_limits import FlowLimits as FlowLimits
from flowlab.discrete.critical.flow_limits import approach as approach
from flowlab.discrete.critical.flow_limits import flow_limits as flow_limits
from flowlab.discrete.critical.perturbed_starts import beside as beside
from flowlab.discrete.critical.perturbed_starts import branches as branches
from flowlab.discrete.descent.one_step import OneStep as OneStep
from flowlab.discrete.descent.one_step import one_step as one_step
from flowlab.discrete.descent.sharpness import sharpness as sharpness
from flowlab.discrete.margin.directional_limit import Limit as Limit
from flowlab.discrete.margin.directional_limit import limit as limit
from flowlab.discrete.margin.infinite_width import WideMargin as WideMargin
from flowlab.discrete.margin.infinite_width import wide_margin as wide_margin
from flowlab.discrete.margin.max_margin import MaxMargin as MaxMargin
from flowlab.discrete.margin.max_margin import lyu_li as lyu_li
from flowlab.discrete.margin.max_margin import max_margin as max_margin
from flowlab.dynamics import integrate as integrate
from flowlab.dynamics import log_loss as log_loss
from flowlab.dynamics import log_loss_below as log_loss_below
from flowlab.dynamics import log_norm as log_norm
from flowlab.dynamics import log_time as log_time
from flowlab.dynamics import margin_gap as margin_gap
from flowlab.dynamics import norm_above as norm_above
from flowlab.dynamics import separated as separated
from flowlab.dynamics import time as time
from flowlab.dynamics import wall as wall
from flowlab.dynamics.kinks.smoothing_limit import Rounded as Rounded
from flowlab.dynamics.kinks.smoothing_limit import rounded as rounded
from flowlab.figures import draw as draw
from flowlab.language.data import Data as Data
from flowlab.language.datasets import load as load
from flowlab.language.expr import Expr as Expr
from flowlab.language.expr import weight as weight
from flowlab.language.expr import x as x
from flowlab.language.functions import Word as _Word
from flowlab.language.functions import maximum as maximum
from flowlab.language.network import Network as Network
from flowlab.language.problem import Problem as Problem
from flowlab.language.result import Result as Result
from flowlab.language.state import State as State
from flowlab.language.state import initial_state as initial_state
from flowlab.language.trajectory import Outcome as Outcome
from flowlab.language.trajectory import Trajectory as Trajectory
from flowlab.late.asymptotics import Asymptotics as Asymptotics
from flowlab.late.asymptotics import asymptotics as asymptotics
from flowlab.lowering.smoothed_field import smoothed as smoothed
from flowlab.lowering.vector_field import VectorField as VectorField
from flowlab.lowering.vector_field import lower as lower
from flowlab.studies.convergence import convergence as convergence
from flowlab.studies.descent_models import Models as Models
from flowlab.studies.descent_models import models as models
from flowlab.studies.neuron_portrait import neurons as neurons
from flowlab.studies.path_and_flow import path_and_flow as path_and_flow
from flowlab.studies.phase_portrait import portrait as portrait
from flowlab.studies.step_order import StepOrder as StepOrder
from flowlab.studies.step_order import step_order as step_order
from flowlab.studies.storage import results as results
from flowlab.studies.storage import save as save
from flowlab.symbolic.certificate import certify as certify
from flowlab.symbolic.derive import derive as derive
from flowlab.symbolic.equations import FlowEquations as FlowEquations
from flowlab.symbolic.mutants import mutants as mutants

__version__: str
abs: _Word
gelu: _Word
identity: _Word
leaky_relu: _Word
mean: _Word
relu: _Word
sigmoid: _Word
softplus: _Word
sum: _Word
tanh: _Word
transpose: _Word
