"""What errors of arguments tell: how to get what the house makes, and which function does what was asked."""

PASS: dict[str, str] = {
    "Network": '`fl.Network("W2 @ relu(W1 @ x)")`',
    "Problem": '`fl.Problem("W2 @ relu(W1 @ x)")`',
    "Data": "`fl.Data(x, y)`",
    "State": "`fl.initial_state(network, data, seed=0)`",
    "Condition": "`fl.log_time(5.0)`",
    "Event": "`fl.separated()`",
    "FlowEquations": "`fl.derive(problem)`",
    "VectorField": "`fl.lower(fl.derive(problem))`",
    "Trajectory": "what `fl.integrate` returns",
    "Trajectories": "what `fl.integrate` returns of several starts",
    "CriticalPoints": "what `fl.critical_points` returns",
    "Constrained": "`fl.critical_points(…).constrained`",
    "Continuation": "what `fl.norm_path` returns",
    "MaxMargin": "what `fl.max_margin` returns",
    "Verdict": "what `fl.check` returns",
    "ResultLike": "what `fl.integrate`, `fl.risk` or another study returns",
    "Expr": '`fl.x` or `fl.weight("W")`',
    "AxesLike": "for example `fig.subplots()`",
}
"""How to get what the house makes itself."""
CALLED: dict[str, str] = {
    "AxesLike": "axes of matplotlib",
    "ResultLike": "a result of flowlab",
    "Derived": "equations",
    "Json": "a value",
    "GradientTransformation": "a gradient transformation",
}
"""Words for classes whose name says little to a user."""

ELSEWHERE: dict[tuple[str, str], str] = {
    ("induced", "where"): "`fl.end_to_end(problem, P @ P.T)` for the flow from balanced layers",
    ("descend", "chart"): '`geometry={"w": "binary"}` to `fl.Problem`',
    ("linearise", "rule"): "an equilibrium to `fl.stability(nash, rule, step=0.1)`",
    ("linearise", "step"): "an equilibrium to `fl.stability(nash, rule, step=0.1)`",
    ("critical_points", "rank"): "the problem to `fl.covariance_points(problem, data, rank=2)`",
    ("draw", "vary"): '`fl.risk(beta, data, truth, vary="lam", values=[0.1, 1.0])` to it',
    ("draw", "against"): '`fl.risk(beta, data, truth, vary="lam", values=[0.1, 1.0])` to it',
}
"""What is asked of one function and done by another: function and argument, and what to pass instead."""
