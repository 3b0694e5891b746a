"""Printed rates against true ones: what a reader evaluates, held against what autodiff gives."""

import numpy as np
import reader

from flowlab.symbolic.names import called_x, labels


def column(value):
    """An array as the print has it: numbers 1 × 1, vectors as columns."""
    value = np.asarray(value, dtype=float)
    return value if value.ndim > 1 else value.reshape(-1, 1)


def labels_of(y):
    """Labels as the print has them, a row for each output."""
    y = np.asarray(y)
    return y.T if y.ndim == 2 else y[None, :]


def coordinates(problem, state, called, tex):
    """Norms and directions, or weights, by what they are called; `called` has the names of blocks."""
    if problem.coordinates == "weights":
        return {called[w]: column(v) for w, v in state.weights.items()}
    below = reader.latex_index if tex else str
    letter, index = ("v" if problem.scheme.normalises else "V"), ("_{{{}}}" if tex else "_{}")
    made = {letter + index.format(below(w)): column(v) for w, v in state.V.items()}
    return made | {("\\" if tex else "") + "rho" + index.format(below(g)): column(r) for g, r in state.rho.items()}


def given(problem, state, tex):
    """Everything that the equations are evaluated with, by what it is called in print."""
    network, known = problem.network, labels(problem).tex if tex else labels(problem).text
    made = {"N": column(len(state.samples.y))}
    if not problem.loss.is_value:
        made["y"] = labels_of(state.samples.y)
    for name, value in state.samples.by_name.items():
        called = called_x(network) if name == "x" else known[name]
        if name in network.constants:
            made[called] = column(value)
        else:
            made[called] = value[None, :] if value.ndim == 1 else np.moveaxis(value, 0, -1)
    return made | coordinates(problem, state, known, tex)


def rate_name(problem, kind, block, called, tex):
    """What the rate of a block is called."""
    letter = ("\\rho" if tex else "rho") if kind == "rho" else "v" if problem.scheme.normalises else "V"
    own = called[block] if kind == "W" else f"{letter}_{{{reader.latex_index(block)}}}" if tex else f"{letter}_{block}"
    return rf"\dot {own}" if tex else f"{own}'"


def largest_gap(problem, truth, print_, given, called, tex):
    """The largest relative difference of a rate between the printed lines, evaluated at `given`, and the truth."""
    known = (reader.read_latex if tex else reader.read_text)(print_, given)
    worst = 0.0
    scale = max(float(np.abs(v).max()) for v in truth.values())
    for (kind, block), want in truth.items():
        name = rate_name(problem, kind, block, called, tex)
        if name not in known:
            raise reader.Unreadable(f"no line for {name}")
        made = known[name]
        if made.shape != column(want).shape:
            raise reader.Unreadable(f"{name} has the shape {made.shape} for {column(want).shape}")
        worst = max(worst, float(np.abs(made - column(want)).max() / max(np.abs(want).max(), 1e-3 * scale)))
    return worst
