"""From a vector field to a trajectory: stepping, events, progress."""

from flowlab.dynamics.conditions import conditions as conditions
from flowlab.dynamics.conditions import log_loss as log_loss
from flowlab.dynamics.conditions import log_loss_below as log_loss_below
from flowlab.dynamics.conditions import log_norm as log_norm
from flowlab.dynamics.conditions import log_time as log_time
from flowlab.dynamics.conditions import margin_gap as margin_gap
from flowlab.dynamics.conditions import norm_above as norm_above
from flowlab.dynamics.conditions import separated as separated
from flowlab.dynamics.conditions import time as time
from flowlab.dynamics.conditions import value_below as value_below
from flowlab.dynamics.conditions import wall as wall
from flowlab.dynamics.integrate import integrate as integrate
