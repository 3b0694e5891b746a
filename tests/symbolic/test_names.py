"""Names of blocks in print: whatever a block is called, no two things are printed alike."""

import re
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowlab as fl
from flowlab.symbolic.names import index, symbol
from flowlab.symbolic.printing import named, program_lines

ODD = [
    "a", "a_", "a__", "A", "W", "W_", "W1", "W_1", "W1_", "W01", "W1_1", "W11", "V", "V1", "V_1", "V_W1", "G", "G1", "G_a", "rho", "rho_", "rho_a",
    "a_k", "k", "W_k", "nu",
    "nu_a", "s", "R", "y", "y_", "X", "Psi", "T_1", "Z_1", "A_1", "p_a", "network", "ab1", "ab_1", "a_b1", "dW", "v1", "omega_a",
]  # fmt: skip
NAMES = st.one_of(st.sampled_from(ODD), st.from_regex(r"[aVWGk][aVW1k_]{0,4}", fullmatch=True)).filter(lambda n: n != "x")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(names=st.lists(NAMES, min_size=2, max_size=6, unique=True))
def test_different_names_are_printed_differently(names):
    assert len({symbol(n) for n in names}) == len(names)
    assert len({index(n) for n in names}) == len(names)
    # A block and the direction or pull of another one may stand in one formula.
    quantities = [symbol(n) for n in names] + [f"{letter}_{{{index(n)}}}" for n in names for letter in "VG"]
    assert len(set(quantities)) == len(quantities)


def test_papers_names_stay():
    assert [symbol("W1"), index("W1"), index("a"), named("V_W1"), named("rho_W2'")] == ["W_{1}", "1", "a", "V_{1}", r"\dot {\rho}_{2}"]
    assert symbol("a_") == r"\mathrm{a\_}"


def left_sides(tex: str) -> list[str]:
    return re.findall(r"^  (.*?) &=", tex, flags=re.M)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(names=st.lists(NAMES, min_size=2, max_size=3, unique=True), form=st.sampled_from(["tanh", "relu"]), polar=st.booleans())
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


@pytest.mark.parametrize(("text", "names"), [("a_ * (a @ x)", ["a_", "a"]), ("V_ @ relu(V @ x)", ["V_", "V"]), ("a_k * (k @ x)", ["a_k", "k"])])
def test_underscores_and_the_generic_index_in_names(text, names):
    flow = fl.derive(fl.Problem(text), verify=False)
    told, tex = flow.text(steps=False), flow.latex()
    for name in names:
        assert f"d rho_{name}/dt = R*s/rho_{name}\n" in told
        assert rf"\dot\rho_{{{index(name)}}} &= \frac{{R s}}{{\rho_{{{index(name)}}}}}" in tex
        assert rf"\kappa({symbol(name)}) = 1" in tex


def test_a_block_called_like_a_quantity_of_the_program():
    """The labels are `y`, and the pull on W1 is `G_W1`; a block of that name is another thing."""
    for text, coordinates in (("y @ relu(W @ x)", "weights"), ("G_W1 @ relu(W1 @ x)", "weights"), ("rho_a @ tanh(a * x)", "polar")):
        flow = fl.derive(fl.Problem(fl.Network(text, shapes={"a": ("d",)} if "a" in text.split("(")[1] else None), coordinates=coordinates), verify=False)
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
        done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"{i}.tex"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
