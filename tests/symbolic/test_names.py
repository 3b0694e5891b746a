"""Names of blocks in print: whatever a block is called, no two things are printed alike."""

import re
import shutil
import subprocess
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowlab as fl
from flowlab.symbolic.names import index, labels, symbol
from flowlab.symbolic.printing import named, program_lines

ODD = [
    "a",
    "a_",
    "a__",
    "A",
    "W",
    "W_",
    "W1",
    "W_1",
    "W1_",
    "W01",
    "W1_1",
    "W11",
    "V",
    "V1",
    "V_1",
    "V_W1",
    "G",
    "G1",
    "G_a",
    "rho",
    "rho_",
    "rho_a",
    "a_k",
    "k",
    "W_k",
    "nu",
    "nu_a",
    "s",
    "R",
    "y",
    "y_",
    "X",
    "Psi",
    "T_1",
    "Z_1",
    "A_1",
    "p_a",
    "network",
    "ab1",
    "ab_1",
    "a_b1",
    "dW",
    "v1",
    "omega_a",
]
NAMES = st.one_of(st.sampled_from(ODD), st.from_regex(r"[aVWGk][aVW1k_]{0,4}", fullmatch=True)).filter(
    lambda n: n != "x"
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(names=st.lists(NAMES, min_size=2, max_size=6, unique=True))
def test_different_names_are_printed_differently(names):
    assert len({symbol(n) for n in names}) == len(names)
    assert len({index(n) for n in names}) == len(names)
    # A block and the direction or pull of another one may stand in one formula.
    quantities = [symbol(n) for n in names] + [f"{letter}_{{{index(n)}}}" for n in names for letter in "VG"]
    assert len(set(quantities)) == len(quantities)


def test_papers_names_stay():
    assert [symbol("W1"), index("W1"), index("a"), named("V_W1"), named("rho_W2'")] == [
        "W_{1}",
        "1",
        "a",
        "V_{1}",
        r"\dot {\rho}_{2}",
    ]
    assert symbol("a_") == r"\mathrm{a\_}"


def left_sides(tex: str) -> list[str]:
    return re.findall(r"^  (.*?) &=", tex, flags=re.M)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    names=st.lists(NAMES, min_size=2, max_size=3, unique=True),
    form=st.sampled_from(["tanh", "relu"]),
    polar=st.booleans(),
)
def test_equations_of_different_blocks_have_left_sides_of_their_own(names, form, polar):
    body = f"({names[0]} * {form}({names[1]} * x))"
    body = f"sum({body}" + (f" * {names[2]})" if len(names) > 2 else ")")
    network = fl.Network(body, shapes=dict.fromkeys(names, ("d",)))
    flow = fl.derive(fl.Problem(network, coordinates="polar" if polar else "weights"), verify=False)
    count = (2 if polar else 1) * len(names)
    for tex in (False, True):
        told = flow.latex("structural", steps=False) if tex else flow.text("structural", steps=False)
        sides = left_sides(told) if tex else re.findall(r"^(d .*?)/dt =", told, flags=re.M)
        sides = [side for side in sides if r"\dot" in side] if tex else sides
        assert len(set(sides)) == len(sides) == count
        lines = [name for name, _ in program_lines(flow.program, tex)]
        assert len(set(lines)) == len(lines)


@pytest.mark.parametrize(
    ("text", "names"),
    [("a_ * (a @ x)", ["a_", "a"]), ("V_ @ relu(V @ x)", ["V_", "V"]), ("a_k * (k @ x)", ["a_k", "k"])],
)
def test_underscores_and_the_generic_index_in_names(text, names):
    flow = fl.derive(fl.Problem(text), verify=False)
    told, tex = flow.text(steps=False), flow.latex()
    for name in names:
        assert f"d rho_{name}/dt = R*s/rho_{name}\n" in told
        assert rf"\dot\rho_{{{index(name)}}} &= \frac{{R s}}{{\rho_{{{index(name)}}}}}" in tex
        assert rf"\kappa({symbol(name)}) = 1" in tex


def test_a_block_called_like_a_quantity_of_the_program():
    """The labels are `y`, and the pull on W1 is `G_W1`; a block of that name is another thing."""
    for text, coordinates in (
        ("y @ relu(W @ x)", "weights"),
        ("G_W1 @ relu(W1 @ x)", "weights"),
        ("rho_a @ tanh(a * x)", "polar"),
    ):
        flow = fl.derive(
            fl.Problem(
                fl.Network(text, shapes={"a": ("d",)} if "a" in text.split("(")[1] else None), coordinates=coordinates
            ),
            verify=False,
        )
        for tex in (False, True):
            sides = [name for name, _ in program_lines(flow.program, tex)]
            assert len(set(sides)) == len(sides)
    told = fl.derive(fl.Problem("y @ relu(W @ x)", coordinates="weights"), verify=False).text("matrix", steps=False)
    assert "D_1 = W_y @ Psi * relu'(Z_1)" in told
    assert "W_y is the block y" in told


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
@pytest.mark.parametrize("depth", ["structural", "matrix", "component"])
def test_odd_names_compile(tmp_path, depth):
    cases = (("a_ * (a_k @ x)", "polar"), ("V1_1 @ tanh(W1 @ x)", "polar"), ("y @ (W_1 @ x)", "weights"))
    for i, (text, coordinates) in enumerate(cases):
        flow = fl.derive(fl.Problem(text, coordinates=coordinates, decay=0.1), verify=False)
        (tmp_path / f"{i}.tex").write_text(flow.latex(depth, standalone=True))
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"{i}.tex"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:]


GREEK = ("alpha", "beta", "lambda", "mu", "theta", "omega", "Gamma", "Omega")


@pytest.mark.parametrize("name", GREEK)
def test_greek_names_are_greek_letters(name):
    assert symbol(name) == index(name) == f"\\{name}"
    assert symbol(f"{name}2") == f"\\{name}_{{2}}"
    assert symbol(f"{name}_") == f"{{\\{name}\\_}}"
    flow = fl.derive(fl.Problem(f"{name} @ x", coordinates="weights"), verify=False)
    for depth in ("structural", "matrix"):
        assert f"\\{name}" in flow.latex(depth)
        assert "mathrm" not in flow.latex(depth)
        assert f"{name}" in flow.text(depth)


TAKEN = ("R", "s", "psi", "rho", "Psi", "X", "N", "D_1", "A_1", "T_1", "G_W1", "F", "Q", "y", "f", "q", "L")
TAKEN += ("V_W1", "p_W1", "Z_1", "rho_W1", "psi_n")


def count(word: str, text: str) -> int:
    """How often a symbol stands in what is below the header."""
    return len(re.findall(rf"(?<!\w){word}(?!\w)", text.partition("\n\n")[2]))


def called(name: str, coordinates: str) -> fl.FlowEquations:
    """Equations of a network with a block of that name beside W1."""
    network = fl.Network(f"sum(relu({name} * x) * (W1 * relu(x)))", shapes=dict.fromkeys((name, "W1"), ("d",)))
    return fl.derive(
        fl.Problem(network, "logistic", coordinates=coordinates, reduction="mean", decay=0.1), verify=False
    )


@cache
def usual(coordinates: str, depth: str) -> str:
    """What is printed where no block has a symbol's name."""
    return called("W7", coordinates).text(depth)


@pytest.mark.parametrize("coordinates", ["polar", "weights"])
@pytest.mark.parametrize("name", TAKEN)
def test_a_block_is_never_printed_like_a_symbol_of_the_equations(name, coordinates):
    """The symbol stands where it stands for a block of any name; the block has a label, and the header says which."""
    flow = called(name, coordinates)
    label = labels(flow.problem).text[name]
    assert label == f"W_{name}" or (coordinates == "weights" and count(name, usual("weights", "matrix")) == 0)
    for depth in ("structural", "matrix"):
        told = flow.text(depth)
        if label == name:
            assert count(name, usual(coordinates, depth)) == 0
            continue
        assert count(name, told) == count(name, usual(coordinates, depth))
        assert f"{label} is the block {name}" in told
    if label != name:
        assert rf"is the block $\mathrm{{{name.replace('_', chr(92) + '_')}}}" in flow.latex()


def test_scalars_of_a_block_called_like_the_labels_are_its_own():
    told = called("y", "weights").component(2, 2).text()
    assert "d W_y[1]/dt" in told
    assert "y[1]" in told.replace("W_y[1]", "")


def test_a_label_is_no_other_block():
    network = fl.Network("W_R @ relu(R @ x)")
    told = labels(fl.Problem(network)).text
    assert told == {"R": "W_R_", "W_R": "W_R"}
    assert labels(fl.Problem("W2 @ relu(W1 @ x + b)")).changed == {}


def test_two_functions_of_one_pre_activation_have_one_name_each():
    problem = fl.Problem("W2 @ relu(W1 @ x) + W3 @ abs(W1 @ x)", coordinates="weights")
    told = fl.derive(problem, verify=False).text("matrix", steps=False)
    assert "A_1 = relu(Z_1)" in told
    assert "_ =" not in told
    assert "T_1 = abs(Z_1)" in told


def test_transposes_are_taken_where_they_are():
    flow = fl.derive(fl.Problem("W.T @ relu(W @ x)", "square", coordinates="weights"), verify=False)
    assert "D_1 = W @ Psi * relu'(Z_1)" in flow.text("matrix", steps=False)
    assert "G_W = A_1 @ Psi.T + D_1 @ X.T" in flow.text("matrix", steps=False)
    assert r"\Delta_{1} &= W \Psi \odot \operatorname{relu}'(Z_{1})" in flow.latex("matrix", steps=False)


@pytest.mark.parametrize("per", ["layer", "neuron", "network"])
@pytest.mark.parametrize("coordinates", ["polar", "weights"])
def test_one_norm_of_all_blocks_has_a_name(per, coordinates):
    flow = fl.derive(fl.Problem("W2 @ tanh(W1 @ x)", per=per, coordinates=coordinates), verify=False)
    whose = ("network",) if per == "network" else ("W1", "W2")
    for block in whose:
        kind = "rho_" if coordinates == "polar" else ""
        assert f"d {kind}{block}/dt = " in flow.text(steps=False)
        assert f"dq_n/d{block}" in flow.text(steps=False)
        assert "{}" not in flow.latex(steps=False)
