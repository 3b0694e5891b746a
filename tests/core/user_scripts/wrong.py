"""Twelve typical mistakes, one a line; a type checker reports one error on each."""

import flowlab as fl

data = fl.Data([[1.0, 0.5], [-1.0, 0.2]], [1.0, -1.0])
problem = fl.Problem("W2 @ relu(W1 @ x)", "logistic")
start = fl.initial_state(problem.network, data, seed=0)
equations = fl.derive(problem)
field = fl.lower(equations)
path = fl.integrate(field, start, data, until=fl.log_time(5.0))

fl.rellu(fl.x)  # a misspelt word
fl.derive("W @ x")  # text for a problem
fl.derive(equations)  # equations for a problem
fl.lower(problem)  # a problem for equations
fl.lower(equations, 3)  # an argument too many
fl.integrate(field, data, data, until=fl.log_time(5.0))  # data for a start
fl.integrate(field, start, data.x, until=fl.log_time(5.0))  # inputs for data
fl.integrate(field, start, data)  # no end
fl.limit(problem)  # a problem for a trajectory
path.lst  # noqa: B018  a misspelt attribute
fl.max_margin(problem)  # no data
fl.Problem(fl)  # a module for a network
