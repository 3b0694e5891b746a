"""Equations with tensors, read back from their print, are the gradient that autodiff takes."""

import re
from pathlib import Path

import networks
import numpy as np
import pytest
import reader
from print_check import given, largest_gap
from tensor_networks import SAMPLES, TENSOR_NETWORKS

import flowlab as fl
from flowlab.language.activations import activations
from flowlab.language.operations import operations
from flowlab.symbolic.certificate import inputs_of, random_state, reference
from flowlab.symbolic.names import labels

BOUND = 1e-12
"""Largest relative difference, about 5,000 roundings."""
MODES = {
    "weights": {"coordinates": "weights", "loss": "square"},
    "polar": {"loss": "exponential", "reduction": "mean"},
    "neuron": {"per": "neuron", "loss": "square", "scheme": "weight_normalization"},
}


def problem_of(name, **settings):
    told = dict(TENSOR_NETWORKS[name])
    return fl.Problem(fl.Network(told.pop("text"), **told), **settings)


def gap(problem, state, truth, print_, tex):
    """The largest relative difference of a rate between the printed lines and autodiff."""
    known = labels(problem).tex if tex else labels(problem).text
    return largest_gap(problem, truth, print_, given(problem, state, tex), known, tex)


def drawn(problem, seed=0):
    """A random state at which no axis but that of the samples is as long as it."""
    state = random_state(problem, seed, d=3, width=4, n=SAMPLES, lengths=seed % 2 == 1)
    sizes = {n for v in state.samples.by_name.values() for n in v.shape[1:]}
    assert SAMPLES not in sizes | {n for v in state.V.values() for n in v.shape}
    return state


def derived(problem, flow):
    """A state at which something moves, and the rates of the derived equations there, which `derive` certifies."""
    for seed in range(20):
        state = drawn(problem, seed)
        rates = flow.program.evaluate(np, inputs_of(problem, state))
        if any(np.abs(v).max() > 1e-6 for v in rates.values()):
            return state, rates
    raise AssertionError(f"{problem} does not move")


def prints(flow):
    return {False: flow.text("matrix", steps=False), True: flow.latex("matrix", steps=False)}


def differences(problem, truth=None):
    flow = fl.derive(problem, verify=False)
    state, rates = derived(problem, flow)
    rates = rates if truth is None else truth(problem, state)
    return max(gap(problem, state, rates, print_, tex) for tex, print_ in prints(flow).items())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", TENSOR_NETWORKS)
def test_what_is_printed_is_what_is_derived(name, mode):
    assert differences(problem_of(name, **MODES[mode])) <= BOUND


@pytest.mark.parametrize("name", ["softmax attention", "layer norm", "shared filter"])
def test_the_print_is_the_gradient(name):
    assert differences(problem_of(name, **MODES["weights"]), reference) <= BOUND


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("mode", MODES)
def test_every_print_is_the_gradient(mode):
    sizes = {name: differences(problem_of(name, **MODES[mode]), reference) for name in TENSOR_NETWORKS}
    assert {name: size for name, size in sizes.items() if size > BOUND} == {}


ELSEWHERE = {
    "coarse": ("language/test_coarse.py", "coarse("),
    "stop": ("language/test_coarse.py", "stop("),
    "angle": ("symbolic/test_gaussian.py", "population("),
    "magnitude": ("symbolic/test_gaussian.py", "population("),
}
"""Words whose flows are held against autodiff in a file of their own, and what writes them there."""


def test_every_word_is_printed_somewhere():
    """In these networks or in those of one input vector."""
    networks_ = [problem_of(name, **MODES["weights"]).network for name in TENSOR_NETWORKS]
    networks_ += [networks.Draw(seed).problem().network for seed in range(60)]
    words = {node.op for network in networks_ for node in network.nodes}
    assert {name for name in operations.names() if operations[name].in_language} <= words | set(ELSEWHERE)
    for file, mark in ELSEWHERE.values():
        assert mark in (Path(__file__).parents[1] / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TENSOR_NETWORKS)
def test_every_function_is_explained(name):
    """In front of the equations, in text and in LaTeX."""
    for mode in MODES.values():
        for tex, print_ in prints(fl.derive(problem_of(name, **mode), verify=False)).items():
            head, lines = print_.split("\n\n", 1) if not tex else print_.rsplit("\n\n", 1)
            assert unexplained(head, lines, tex) == set()


def unexplained(head, lines, tex):
    """Functions that stand in lines and not in the words in front of them, but for activations and diag."""
    called = r"\\operatorname\{([a-z\\_]+)\}'?[(_]" if tex else r"\b([a-z]\w*)'?(?:\(|_\{)"
    found = {name.replace("\\_", "_") for name in re.findall(called, lines)} - set(activations.names())
    told = {name.replace("\\_", "_") for name in re.findall(called.replace("'?", ""), head)}
    if any(name.startswith("put_back_") for name in found) and "put_back_f" in told:
        found = {name for name in found if not name.startswith("put_back_")}
    return found - told - {"lrelu", "id", "diag"}


def test_what_is_not_explained_is_found():
    assert unexplained("softmax(A, k) is …", "T_1 = softmax(Z_1, 0) + conv(w, X)", False) == {"conv"}
    assert unexplained("", r"T_{1} &= \operatorname{part\_of}(C, A, B, 0)", True) == {"part_of"}


MISPRINTS = (
    ("transformer block", "another index", r"(T_2\[i,k,n\] = .* K)\[k,j\]", r"\1[j,k]", r"(\[K\]_)\{k,j\}", r"\1{j,k}"),
    ("transformer block", "an index that is not summed", r"sum_\{i,n\}", "sum_{n}", r"\\sum_\{i,n\}", r"\\sum_{n}"),
    (
        "transformer block",
        "the number of terms",
        r" / size_\{i\}",
        "",
        r"\\frac\{([^}]*\}\]_\{j,n\})\}\{[^}]*\}_\{i\}\}",
        r"\1",
    ),
    ("transformer block", "the range of an index", r" for every \S+", "", r" \\quad \\text\{for every \} \S+", ""),
    (
        "transformer block",
        "another axis",
        r"softmax\(T_3, 1\)",
        "softmax(T_3, 0)",
        r"softmax\}\(T_\{3\}, 1",
        "softmax}(T_{3}, 0",
    ),
    (
        "transformer block",
        "operands exchanged",
        r"softmax_pull\((T_\d), (T_\d+)",
        r"softmax_pull(\2, \1",
        r"pull\}\((T_\{\d\}), (T_\{\d+\})",
        r"pull}(\2, \1",
    ),
    (
        "layer norm",
        "no centring",
        r"center\((rms.*), 0\)",
        r"\1",
        r"\\operatorname\{center\}\((\\op.*), 0\) X",
        r"\1 X",
    ),
    (
        "layer norm with eps",
        "another eps",
        r"pull\((.*), 0.1\)",
        r"pull(\1, 0.2)",
        r"pull\}\((.*), 0.1\)",
        r"pull}(\1, 0.2)",
    ),
    (
        "batch norm",
        "features for samples",
        r"norm\(T_1, 'samples'",
        "norm(T_1, 0",
        r"norm\}\(T_\{1\}, \\text\{samples\}",
        "norm}(T_{1}, 0",
    ),
    (
        "circular",
        "another padding",
        "T_1 = conv\\(v, X, 1, 'circular'",
        "T_1 = conv(v, X, 1, 'same'",
        r"(T_\{1\} &= .*)circular",
        r"\1same",
    ),
    ("stride", "another stride", r"conv\(K, X, 2\)", "conv(K, X, 1)", r"conv\}\(K, X, 2\)", "conv}(K, X, 1)"),
    ("images", "no slope", r"relu'\(", "relu(", r"\{relu\}'", "{relu}"),
    (
        "max-pooling",
        "another place",
        r"put_back_window\(D_1, T_1, 0",
        "put_back_window(D_1, T_1, 1",
        r"window\}\(\\Delta_\{1\}, T_\{1\}, 0",
        r"window}(\\Delta_{1}, T_{1}, 1",
    ),
    ("recurrent", "another step", r"T_1 = X\[0\]", "T_1 = X[1]", r"(T_\{1\} &= \{X\})_\{\[0\]\}", r"\1_{[1]}"),
    ("causal attention", "no mask", r"causal\((T_3)\)", r"\1", r"\\operatorname\{causal\}\((T_\{3\})\)", r"\1"),
    ("skip by joining", "the other part", r"(part_of\(.*), 0\)", r"\1, 1)", r"(part\\_of.*), 0\)", r"\1, 1)"),
    ("shared over positions", "a sign", r"\] \+ b", "] - b", r"\} \+ \[b", "} - [b"),
    ("centred by hand", "the number of samples", r"\[i\] / N", "[i]", r"\\frac\{(.*)\}\{N\}", r"\1"),
)
"""What goes wrong in print: the network, what it is, and the pattern and its replacement in text and in LaTeX."""


@pytest.mark.parametrize("tex", [False, True], ids=["text", "latex"])
@pytest.mark.parametrize("misprint", MISPRINTS, ids=[f"{m[0]}, {m[1]}" for m in MISPRINTS])
def test_a_misprint_is_found(misprint, tex):
    problem = problem_of(misprint[0], **MODES["weights"])
    flow = fl.derive(problem, verify=False)
    state, rates = derived(problem, flow)
    pattern, becomes = misprint[4:] if tex else misprint[2:4]
    head, lines = prints(flow)[tex].split("\n\n", 1)
    wrong, count = re.subn(pattern, becomes, lines, count=1)
    assert count == 1, lines
    assert wrong != lines
    try:
        size = gap(problem, state, rates, f"{head}\n\n{wrong}", tex)
    except reader.Unreadable:
        return
    assert size > 1e-3
