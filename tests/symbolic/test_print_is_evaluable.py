"""Whoever evaluates the printed lines with matrices gets the gradient that autodiff takes."""

import re

import networks
import numpy as np
import pytest
import reader

import flowlab as fl
from flowlab.language.losses import losses
from flowlab.language.operations import operations
from flowlab.language.schemes import schemes
from flowlab.symbolic.certificate import random_state, reference

BOUND = 1e-12
"""Largest relative difference, about 5,000 roundings."""


def column(value):
    """A weight block as the print has it: numbers 1 × 1, vectors as columns."""
    value = np.asarray(value, dtype=float)
    return value if value.ndim == 2 else value.reshape(-1, 1)


def inputs(problem, state, called, tex):
    """Inputs, labels, norms and directions, or weights, by what they are called; `called` has the names of blocks."""
    y = np.asarray(state.samples.y)
    given = {"X": state.samples.x.T, "y": y.T if y.ndim == 2 else y[None, :], "N": column(len(state.samples.x))}
    below = reader.latex_index if tex else str
    if problem.coordinates == "weights":
        return given | {called[w]: column(v) for w, v in state.weights.items()}
    letter, index = ("v" if problem.scheme.normalises else "V"), ("_{{{}}}" if tex else "_{}")
    given |= {letter + index.format(below(w)): column(v) for w, v in state.V.items()}
    return given | {("\\" if tex else "") + "rho" + index.format(below(g)): column(r) for g, r in state.rho.items()}


def rate_name(problem, kind, block, called, tex):
    """What the rate of a block is called."""
    letter = ("\\rho" if tex else "rho") if kind == "rho" else "v" if problem.scheme.normalises else "V"
    own = called[block] if kind == "W" else f"{letter}_{{{reader.latex_index(block)}}}" if tex else f"{letter}_{block}"
    return rf"\dot {own}" if tex else f"{own}'"


def gap(problem, state, truth, print_, tex):
    """The largest relative difference of a rate between the printed lines and autodiff."""
    called = reader.labels(print_, problem.network.weights, tex)
    known = (reader.read_latex if tex else reader.read_text)(print_, inputs(problem, state, called, tex))
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


def alive(problem, seed=0):
    """A state at which something moves, and autodiff's rates there."""
    for attempt in range(20):
        state = random_state(problem, seed + attempt, d=3, width=4, n=5, lengths=attempt % 2 == 1)
        truth = reference(problem, state)
        if any(np.abs(v).max() > 1e-6 for v in truth.values()):
            return state, truth
    raise AssertionError(f"{problem} does not move")


def differs(problem):
    """By how much text and LaTeX differ from autodiff, with the text for a report."""
    flow = fl.derive(problem, verify=False)
    state, truth = alive(problem)
    prints = {
        tex: flow.latex("matrix", steps=False) if tex else flow.text("matrix", steps=False) for tex in (False, True)
    }
    return {tex: gap(problem, state, truth, prints[tex], tex) for tex in prints}


def distinct(count, start=0, odd=False):
    """Problems whose networks differ."""
    made, seed = {}, start
    while len(made) < count:
        problem = networks.Draw(seed, odd).problem()
        made.setdefault(problem.network.text, problem)
        seed += 1
    return list(made.values())


CASES = (
    ("W1 @ x", {"loss": "logistic", "reduction": "mean", "coordinates": "weights"}),
    ("x @ W @ x", {"loss": "square", "coordinates": "weights"}),
    ("(x @ Q.T @ K @ x) * (V @ x)", {"loss": "cross_entropy", "coordinates": "weights", "decay": 0.1}),
    (
        "a @ relu(W @ x + b) + c",
        {
            "per": "neuron",
            "scheme": "weight_normalization",
            "reduction": "mean",
            "decay": {"W": 0.1, "a": 0.1, "b": 0.1, "c": 0.1},
        },
    ),
    ("2 * (W2 @ relu(W1 @ x)) - 0.5 * (W3 @ abs(W1 @ x))", {"loss": "square"}),
    ("R @ relu(s * (Psi.T @ relu(A_1 @ x)))**1.5", {"loss": "logistic", "scheme": "lagrange"}),
)
"""Row vectors, samples on both sides, columns beside rows, shared pre-activations, names of the equations' own symbols.
"""


@pytest.mark.parametrize(("text", "settings"), CASES, ids=[text for text, _ in CASES])
def test_printed_lines_are_the_gradient(text, settings):
    for size in differs(fl.Problem(text, **settings)).values():
        assert size <= BOUND


@pytest.mark.parametrize(
    ("text", "repeats"), [("W2 @ relu(W1 @ x + b)", True), ("w @ x - c", True), ("W2 @ relu(W1 @ x) + W3 @ x", False)]
)
def test_the_header_says_where_sums_repeat_a_column(text, repeats, monkeypatch):
    """Where it does not, terms of a sum have one size."""
    seen = []
    add = reader.Text.add
    monkeypatch.setattr(
        reader.Text, "add", lambda self, a, b, sign: seen.append(a.shape != b.shape) or add(self, a, b, sign)
    )
    problem = fl.Problem(text, coordinates="weights")
    assert max(differs(problem).values()) <= BOUND
    assert any(seen) == repeats
    flow = fl.derive(problem, verify=False)
    assert ("+ and - repeat a single column for every sample" in flow.text("matrix")) == repeats
    assert (r"a column times $\mathbf 1^{\top}$ is repeated for every sample" in flow.latex("matrix")) == repeats


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("odd", [False, True])
def test_sixty_random_networks(odd):
    problems = distinct(60, 1000 * odd, odd)
    words = {node.op for p in problems for node in p.network.nodes}
    words |= {word for p in problems for word in (p.loss.name, p.scheme.name, p.per, p.coordinates, p.reduction)}
    assert {name for name in operations.names() if operations[name].in_language} <= words
    assert {*losses.names(), *schemes.names(), "neuron", "network", "weights", "mean"} <= words
    sizes = [differs(p) for p in problems]
    wrong = [(p.network.text, size) for p, size in zip(problems, sizes, strict=True) if max(size.values()) > BOUND]
    assert wrong == []


MISPRINTS = (
    ("a sign", r"= -(?=grad_f|1/N)", "= ", r"= -(?=\\nabla|\\tfrac)", "= "),
    ("the mean", " / N", "", r"\\tfrac\{1\}\{N\} ", ""),
    ("a transpose", r"X\.T", "X", r"X\^\{\\top\}", "X"),
    ("two factors exchanged", r"(D_1) @ (X\.T)", r"\2 @ \1", r"(\\Delta_\{1\}) (X\^\{\\top\})", r"\2 \1"),
    ("a function for its slope", r"relu'\(", "relu(", r"\{relu\}'", "{relu}"),
    ("a factor", r"\b2 \* omega_W1", "omega_W1", r"2 \\omega_\{1\}", r"\\omega_{1}"),
    ("a power", r"A_1\*\*2", "A_1**3", r"A_\{1\}\^\{\\odot 2\}", r"A_{1}^{\\odot 3}"),
    ("another symbol", "Z_1 = W1 @", "Z_1 = W1.T @", r"Z_\{1\} &= W_\{1\} X", r"Z_{1} &= W_{1}^{\\top} X"),
    ("a sum over samples", r"sum_n\((D_1)\)", r"\1", r"(\\Delta_\{1\}) \\mathbf 1", r"\1"),
    ("a missing line", r"\n *b1' = [^\n]*", "", r" \\\\\n  \\dot \{b\}_\{1\} &= [^\n]*", ""),
    ("a sum for a difference", r" - 2 \* omega_W2", " + 2 * omega_W2", r" - 2 \\omega_\{2\}", r" + 2 \\omega_{2}"),
    ("entries for matrices", r"Psi @ T_1\.T", "Psi * T_1", r"\\Psi T_\{1\}\^\{\\top\}", r"\\Psi \\odot T_{1}"),
)
"""What goes wrong in print: what it is, and the pattern and its replacement in text and in LaTeX."""


@pytest.fixture(scope="module")
def printed():
    """A print with everything that the misprints alter, which is right as it stands."""
    problem = fl.Problem("W2 @ relu(W1 @ x + b1)**2", "logistic", coordinates="weights", reduction="mean", decay=0.1)
    flow = fl.derive(problem, verify=False)
    state, truth = alive(problem)
    prints = {False: flow.text("matrix", steps=False), True: flow.latex("matrix", steps=False)}
    for tex, print_ in prints.items():
        assert gap(problem, state, truth, print_, tex) <= BOUND
    return problem, state, truth, prints


@pytest.mark.parametrize("tex", [False, True], ids=["text", "latex"])
@pytest.mark.parametrize("misprint", MISPRINTS, ids=[m[0] for m in MISPRINTS])
def test_a_misprint_is_found(printed, misprint, tex):
    problem, state, truth, prints = printed
    pattern, becomes = misprint[3:] if tex else misprint[1:3]
    wrong, count = re.subn(pattern, becomes, prints[tex], count=1)
    assert count == 1, prints[tex]
    try:
        size = gap(problem, state, truth, wrong, tex)
    except reader.Unreadable:
        return
    assert size > 1e-3


MEANINGLESS = ("", "W1 @", "(W1", "W1 X", "W1 @ X.T", "W1 @ Q", "open(X)", "X ++ X", "W1 @ X; X", "__import__(X)")


@pytest.mark.parametrize("line", MEANINGLESS)
def test_what_has_no_meaning_is_not_read(line):
    given = {"X": np.ones((3, 5)), "W1": np.ones((2, 3))}
    with pytest.raises(reader.Unreadable):
        reader.read_text(f"head\n\nF = {line}", given)
    assert reader.read_text("head\n\nF = W1 @ X", given)["F"].shape == (2, 5)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "W_{1}",
        r"\left(X",
        "X X",
        r"\mathbf 1 X",
        r"X + \mathbf 1",
        "Q",
        r"\input{X}",
        r"X \odot W_{1}",
        r"\frac{X}{",
    ],
)
def test_latex_without_meaning_is_not_read(line):
    given = {"X": np.ones((3, 5)), "W_{1}": np.ones((2, 3))}
    if line == "W_{1}":
        assert reader.read_latex("\\begin{align}\n  F &= W_{1} X\n\\end{align}", given)["F"].shape == (2, 5)
        return
    with pytest.raises(reader.Unreadable):
        reader.read_latex(f"\\begin{{align}}\n  F &= {line}\n\\end{{align}}", given)
