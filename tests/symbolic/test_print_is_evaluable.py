"""Whoever evaluates the printed lines with matrices gets the gradient that autodiff takes."""

import re

import corpus
import networks
import numpy as np
import pytest
import reader
from print_check import column, coordinates, labels_of, largest_gap

import flowlab as fl
from flowlab.language.losses import losses
from flowlab.language.schemes import schemes
from flowlab.symbolic.certificate import random_state, reference

BOUND = 1e-12
"""Largest relative difference, about 5,000 roundings."""


def gap(problem, state, truth, print_, tex):
    """The largest relative difference of a rate between the printed lines and autodiff."""
    called = reader.labels(print_, problem.network.weights, tex)
    given = {"X": state.samples.x.T, "y": labels_of(state.samples.y), "N": column(len(state.samples.x))}
    return largest_gap(problem, truth, print_, given | coordinates(problem, state, called, tex), called, tex)


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


@pytest.mark.parametrize(("text", "settings"), CASES + corpus.COARSE)
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
    words = {word for p in problems for word in (p.loss.name, p.scheme.name, p.per, p.coordinates, p.reduction)}
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
