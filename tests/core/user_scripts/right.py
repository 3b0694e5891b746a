"""A script that a type checker accepts; `reveal_type` says what it knows of every result."""

from typing import reveal_type

import flowlab as fl

data = fl.Data([[1.0, 0.5], [-1.0, 0.2]], [1.0, -1.0])
problem = fl.Problem(fl.Network(fl.weight("W2") @ fl.relu(fl.weight("W1") @ fl.x)), "logistic")
start = fl.initial_state(problem.network, data, widths={"W1": 4}, seed=0)
equations = fl.derive(problem)
field = fl.lower(equations)
path = fl.integrate(field, start, data, until=fl.log_time(5.0), events=[fl.separated()])
reveal_type(fl.relu(fl.weight("W1") @ fl.x))  # Expr
reveal_type(equations)  # FlowEquations
reveal_type(field)  # VectorField
reveal_type(path)  # Trajectory
reveal_type(path.last)  # State
reveal_type(path.outcome)  # Outcome
reveal_type(fl.descend(problem, start, data, step=0.1, count=10))  # Trajectory
reveal_type(fl.check(["P4"], path))  # Verdicts
reveal_type(fl.draw("norms", path))  # Drawn
reveal_type(fl.limit(path))  # Limit
reveal_type(fl.asymptotics(path))  # Asymptotics
reveal_type(fl.max_margin(problem, data))  # MaxMargin
reveal_type(fl.critical_points(problem, data))  # CriticalPoints
