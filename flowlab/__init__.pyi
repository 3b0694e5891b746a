# Made by `python -m flowlab.core.stub`; a test holds it against the table of names and the words.
from flowlab.app.compile_cache import keep_compiled as keep_compiled
from flowlab.app.sweep.drive import sweep as sweep
from flowlab.claims import Case as Case
from flowlab.claims import Claim as Claim
from flowlab.claims import Measurement as Measurement
from flowlab.claims import Quantity as Quantity
from flowlab.claims import Verdict as Verdict
from flowlab.claims import check as check
from flowlab.claims import claim as claim
from flowlab.claims import replay as replay
from flowlab.claims.opening import open as open
from flowlab.claims.references import cite as cite
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
from flowlab.discrete.descent.hessian_spectrum import hessian_spectrum as hessian_spectrum
from flowlab.discrete.descent.one_step import OneStep as OneStep
from flowlab.discrete.descent.one_step import one_step as one_step
from flowlab.discrete.descent.sharpness import sharpness as sharpness
from flowlab.discrete.kernel.tangent_kernel import kernel_along as kernel_along
from flowlab.discrete.kernel.tangent_kernel import tangent_kernel as tangent_kernel
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
from flowlab.dynamics import value_below as value_below
from flowlab.dynamics import wall as wall
from flowlab.dynamics.kinks.smoothing_limit import Rounded as Rounded
from flowlab.dynamics.kinks.smoothing_limit import rounded as rounded
from flowlab.figures import animate as animate
from flowlab.figures import draw as draw
from flowlab.language.data import Data as Data
from flowlab.language.datasets import load as load
from flowlab.language.diagram import architecture as architecture
from flowlab.language.expr import Expr as Expr
from flowlab.language.expr import constant as constant
from flowlab.language.expr import eye as eye
from flowlab.language.expr import input as input
from flowlab.language.expr import weight as weight
from flowlab.language.expr import x as x
from flowlab.language.functions import Word as _Word
from flowlab.language.general_sum import general_sum as general_sum
from flowlab.language.network import Network as Network
from flowlab.language.observables import held_out as held_out
from flowlab.language.opaque import opaque as opaque
from flowlab.language.problem import Problem as Problem
from flowlab.language.result import Result as Result
from flowlab.language.state import State as State
from flowlab.language.state import initial_state as initial_state
from flowlab.language.trajectories import Trajectories as Trajectories
from flowlab.language.trajectory import Outcome as Outcome
from flowlab.language.trajectory import Trajectory as Trajectory
from flowlab.late.asymptotics import Asymptotics as Asymptotics
from flowlab.late.asymptotics import asymptotics as asymptotics
from flowlab.lowering.induced_field import InducedField as InducedField
from flowlab.lowering.lower import lower as lower
from flowlab.lowering.smoothed_field import smoothed as smoothed
from flowlab.lowering.vector_field import VectorField as VectorField
from flowlab.studies.convergence import convergence as convergence
from flowlab.studies.covariance_points import CovariancePoint as CovariancePoint
from flowlab.studies.covariance_points import CovariancePoints as CovariancePoints
from flowlab.studies.covariance_points import covariance_points as covariance_points
from flowlab.studies.descent_models import Models as Models
from flowlab.studies.descent_models import models as models
from flowlab.studies.equilibrium import Equilibrium as Equilibrium
from flowlab.studies.equilibrium import equilibrium as equilibrium
from flowlab.studies.field_angle import field_angle as field_angle
from flowlab.studies.linearised import Linearised as Linearised
from flowlab.studies.linearised import linearise as linearise
from flowlab.studies.monitors import monitors as monitors
from flowlab.studies.neuron_portrait import neurons as neurons
from flowlab.studies.orbits import orbit as orbit
from flowlab.studies.path_and_flow import path_and_flow as path_and_flow
from flowlab.studies.phase_portrait import portrait as portrait
from flowlab.studies.rest_points import RestPoint as RestPoint
from flowlab.studies.rest_points import RestPoints as RestPoints
from flowlab.studies.rest_points import rest_points as rest_points
from flowlab.studies.risk import risk as risk
from flowlab.studies.stability import Stability as Stability
from flowlab.studies.stability import stability as stability
from flowlab.studies.step_order import StepOrder as StepOrder
from flowlab.studies.step_order import step_order as step_order
from flowlab.studies.storage import results as results
from flowlab.studies.storage import save as save
from flowlab.symbolic.balanced_start import balanced_state as balanced_state
from flowlab.symbolic.certificate import certify as certify
from flowlab.symbolic.curl import Curl as Curl
from flowlab.symbolic.derive import derive as derive
from flowlab.symbolic.end_to_end import end_to_end as end_to_end
from flowlab.symbolic.equations import FlowEquations as FlowEquations
from flowlab.symbolic.gaussian import Population as Population
from flowlab.symbolic.gaussian import population as population
from flowlab.symbolic.induced.flow import InducedFlow as InducedFlow
from flowlab.symbolic.induced.minimiser import Minimiser as Minimiser
from flowlab.symbolic.modified import ModifiedFlow as ModifiedFlow
from flowlab.symbolic.mutants import mutants as mutants

__version__: str
abs: _Word
angle: _Word
avg_pool: _Word
batch_norm: _Word
bures: _Word
causal: _Word
center: _Word
clipped_relu: _Word
coarse: _Word
concat: _Word
conv: _Word
cos: _Word
depthwise_conv: _Word
einsum: _Word
elu: _Word
erf: _Word
exp: _Word
flatten: _Word
frobenius: _Word
gelu: _Word
group_norm: _Word
group_penalty: _Word
identity: _Word
inverse: _Word
kullback_leibler: _Word
l1_penalty: _Word
layer_norm: _Word
leaky_relu: _Word
logdet: _Word
lp_penalty: _Word
magnitude: _Word
max_pool: _Word
maximum: _Word
mean: _Word
mish: _Word
nuclear: _Word
outer: _Word
path_penalty: _Word
per_size: _Word
quantised_relu: _Word
reciprocal: _Word
relu: _Word
rms_norm: _Word
root: _Word
selu: _Word
sigmoid: _Word
sign: _Word
silu: _Word
sin: _Word
softmax: _Word
softplus: _Word
split: _Word
sqrt: _Word
step: _Word
stop: _Word
sum: _Word
tanh: _Word
trace: _Word
transpose: _Word
tril: _Word
window: _Word
