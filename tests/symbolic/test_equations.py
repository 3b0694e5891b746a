"""What `derive` returns: steps, printed equations, stored equations."""

import json
import re
import shutil
import subprocess

import corpus
import numpy as np
import pytest

import flowlab as fl
from flowlab.core.errors import LanguageError

SCHEMES = (
    "gradient_flow",
    "lagrange",
    "weight_normalization",
    "exponential_weight_normalization",
    "tangent",
    "fixed_norm",
)
SAMPLE = corpus.HAND[::4]


@pytest.fixture(scope="module")
def relu():
    return fl.derive(fl.Problem("W3 @ relu(W2 @ relu(W1 @ x))"))


def test_steps_are_a_derivation(relu):
    rules = [step.rule for step in relu.steps]
    for rule in (
        "objective",
        "chain rule",
        "scaling degrees",
        "Euler identity",
        "polar split",
        "projection",
        "equal growth",
    ):
        assert rule in rules
    assert (
        rules.index("scaling degrees")
        < rules.index("Euler identity")
        < rules.index("projection")
        < rules.index("equal growth")
    )
    assert all(step.reason and step.text and step.latex for step in relu.steps)


QUANTITIES = ("q_n", "f_n", "fb_n", "psi_n", "s", "G_k", "R")


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("loss", ["exponential", "square", "cross_entropy"])
@pytest.mark.parametrize("text", ["W2 @ relu(W1 @ x)", "W2 @ tanh(W1 @ x)"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_symbol_is_defined_before_it_is_used_and_keeps_its_meaning(scheme, text, loss, reduction):
    """q_n and f_n are taken at W and differentiated in W, fb_n at V and in V."""
    flow = fl.derive(fl.Problem(text, loss=loss, scheme=scheme, reduction=reduction, decay=0.1), verify=False)
    told = [step.text for step in flow.steps] + flow.text(steps=False).split("\n\n")[1].splitlines()
    tex = [step.latex for step in flow.steps]
    defined: set[str] = set()
    for line in told:
        for name in QUANTITIES:
            # As its own symbol or behind the d of a derivative; G_W1 stands for G_k.
            used = re.search(rf"(?<![\w])d?{name}(?!\w)", line)
            if re.search(rf"(?:^|  ){name} = ", line):
                assert name not in defined, line
                defined.add(name)
            assert not used or name in defined, (name, line)
    binary, homogeneous = loss == "exponential", "relu" in text
    assert ("q_n" in defined) == binary
    assert ("f_n" in defined) != binary
    assert ("fb_n" in defined) == homogeneous
    for line in told:
        assert not re.search(r"d(?:q|f)_n/dV|dfb_n/dW", line)
    for line in tex:
        assert not re.search(
            r"\\partial (?:q_n|f_n)\}?\}?/?\{?\\partial V|\\partial \\bar f_n\}?\}?/?\{?\\partial W", line
        )
        assert not binary or not re.search(r"(?<![\\\w{])(?<!\\bar )f_n", line)


def test_the_gradient_is_told_at_the_directions():
    """-dL/dW_k = R/rho_k sum_n psi_n dfb_n/dV_k, with the symbols as the steps define them."""
    from flowlab.language.autodiff import velocity
    from flowlab.symbolic.certificate import random_state

    problem = fl.Problem("A @ relu(W @ x)**2", loss="logistic", reduction="mean")
    steps = {step.rule: step.text for step in fl.derive(problem, verify=False).steps}
    assert steps["gradient at the polar point"] == "-dL/dW_k = R/rho_k sum_n psi_n dfb_n/dV_k"
    state = random_state(problem, 3)
    g = velocity(problem, state.weights, state.samples)
    y, x = state.samples.y, state.samples.x
    R = np.prod([float(state.rho[k]) ** float(kappa) for k, kappa in problem.degrees.items()])
    q = y * problem.network.outputs(state.weights, x, np).ravel()
    assert np.allclose(q, R * y * problem.network.outputs(state.V, x, np).ravel(), rtol=1e-12)
    psi = 1 / (1 + np.exp(q)) / len(y)
    step = 1e-6
    for name, V in state.V.items():

        def summed(h, name=name, V=V):
            moved = state.V | {name: V + h * np.ones_like(V)}
            return (psi * y * problem.network.outputs(moved, x, np).ravel()).sum()

        slope = (summed(step) - summed(-step)) / (2 * step)
        assert np.isclose(np.asarray(g[name]).sum(), R / state.rho[name] * slope, rtol=1e-6)


def test_multiplier_is_solved_for():
    flow = fl.derive(fl.Problem("W2 @ relu(W1 @ x)", scheme="lagrange"))
    steps = {step.rule: step.text for step in flow.steps}
    assert steps["constraint"].replace(" ", "") == "lambda_k=R*kappa_k*s/2"


def test_no_euler_identity_without_a_degree():
    flow = fl.derive(fl.Problem("W2 @ tanh(W1 @ x)"))
    assert "Euler identity" not in [step.rule for step in flow.steps]
    assert any("tanh" in step.reason for step in flow.steps)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_printed_equations_differ_between_schemes(scheme):
    told = {s: fl.derive(fl.Problem("W2 @ relu(W1 @ x)", scheme=s), verify=False).text() for s in SCHEMES}
    assert len({told[s] for s in SCHEMES}) == len(SCHEMES)
    assert told[scheme].count("dt = ") >= 4


@pytest.mark.parametrize(("expression", "settings"), corpus.HAND, ids=lambda v: str(v))
def test_json_reads_back(expression, settings):
    flow = fl.derive(corpus.problem(expression, settings), verify=False)
    again = fl.FlowEquations.from_json(flow.to_json())
    assert again.signature == flow.signature
    assert again.to_json() == flow.to_json()
    assert again.text("matrix") == flow.text("matrix")


def test_altered_json_is_refused(relu):
    stored = json.loads(relu.to_json())
    stored["equations"][0]["kappa"] = "2"
    with pytest.raises(LanguageError, match="altered"):
        fl.FlowEquations.from_json(json.dumps(stored))
    for text in ("", "[]", "{}", '{"format": 99}', "null"):
        with pytest.raises(LanguageError):
            fl.FlowEquations.from_json(text)


def test_signature_names_the_flow():
    base = fl.derive(fl.Problem("W2 @ relu(W1 @ x)"), verify=False).signature
    assert fl.derive(fl.Problem("W2@relu( W1@x )"), verify=False).signature == base
    others = [
        fl.Problem("W2 @ relu(W1 @ x)", scheme="lagrange"),
        fl.Problem("W2 @ abs(W1 @ x)"),
        fl.Problem("W2 @ relu(W1 @ x)", decay=0.1),
    ]
    assert base not in {fl.derive(p, verify=False).signature for p in others}


def balanced(tex: str) -> bool:
    """Braces and environments close in order."""
    open_braces, stack = 0, []
    for token in re.findall(r"\\begin\{(\w+\*?)\}|\\end\{(\w+\*?)\}|(?<!\\)([{}])", tex):
        if token[0]:
            stack.append(token[0])
        elif token[1]:
            if not stack or stack.pop() != token[1]:
                return False
        else:
            open_braces += 1 if token[2] == "{" else -1
            if open_braces < 0:
                return False
    return not stack and open_braces == 0


@pytest.mark.parametrize("depth", ["structural", "matrix"])
@pytest.mark.parametrize(("expression", "settings"), SAMPLE, ids=lambda v: str(v))
def test_latex_is_well_formed(expression, settings, depth):
    tex = fl.derive(corpus.problem(expression, settings), verify=False).latex(depth, standalone=True)
    assert balanced(tex)
    assert re.findall(r"\\usepackage(?:\[[^]]*\])?\{([^}]*)\}", tex) == ["amsmath"]
    assert tex.isascii() or re.search(r"[^\x00-\x7f]", expression)
    for banned in ("None", "Symbol", "Integer(", "**", "nan"):
        assert banned not in tex


def test_unbalanced_latex_is_noticed():
    assert not balanced(r"\begin{align} x \end{equation}")
    assert not balanced(r"\frac{1}{2")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
@pytest.mark.parametrize("depth", ["structural", "matrix", "component"])
def test_latex_compiles(tmp_path, depth):
    for i, (expression, settings) in enumerate(SAMPLE):
        if depth == "component" and i > 2:
            break
        (tmp_path / f"{i}.tex").write_text(
            fl.derive(corpus.problem(expression, settings), verify=False).latex(depth, standalone=True)
        )
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"{i}.tex"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-2000:]


def test_seeds_that_are_none_are_refused(relu):
    for refused in (
        lambda: fl.derive(relu.problem, seed=-1),
        lambda: fl.derive(relu.problem, verify=False, seed=-1),
        lambda: fl.certify(relu, seed=-1),
    ):
        with pytest.raises(LanguageError, match="`seed` must be an integer from 0 on, got -1"):
            refused()


def test_unknown_depth(relu):
    with pytest.raises(LanguageError, match="structural"):
        relu.text("deep")


def test_length_is_linear_in_depth_and_free_of_width():
    def chain(depth: int, width: int | None = None) -> fl.FlowEquations:
        text = "W1 @ x"
        for i in range(2, depth + 1):
            text = f"W{i} @ relu({text})"
        shapes = {f"W{i}": (width, 3 if i == 1 else width) for i in range(1, depth)} if width else {}
        return fl.derive(fl.Problem(fl.Network(text, shapes=shapes)), verify=False)

    lines = {depth: len(chain(depth).program.values) for depth in (10, 20, 40, 80)}
    assert lines[80] - lines[40] == 2 * (lines[40] - lines[20]) == 4 * (lines[20] - lines[10])
    assert chain(4, 10).text("matrix", steps=False).count("\n") == chain(4, 10_000).text("matrix", steps=False).count(
        "\n"
    )


def test_what_is_written_twice_is_pulled_back_once():
    """A residual block that text repeats has the program of one that Python shares, however often it is repeated."""

    def residual(depth: int, shared: bool) -> int:
        text, node = "x", fl.x
        for i in range(1, depth + 1):
            text = f"({text}) + relu(W{i} @ ({text}))"
            node = node + fl.relu(fl.weight(f"W{i}") @ node)
        network = fl.weight("a") @ node if shared else f"a @ ({text})"
        return len(fl.derive(fl.Problem(network), verify=False).program.values)

    assert residual(3, shared=True) == residual(3, shared=False)
    lengths = [residual(depth, shared=False) for depth in (2, 3, 4, 5)]
    assert len(set(np.diff(lengths))) == 1


def test_conserved_quantities_are_kept_by_autodiff():
    """The rate of every printed norm law vanishes under the reference's own rates, and a wrong degree shows."""
    from flowlab.symbolic.certificate import random_state, reference

    for text in ("A @ relu(W @ x)**2", "W3 @ W2 @ W1 @ x", "V @ relu(W @ relu(W @ x))"):
        problem = fl.Problem(text, loss="square")
        flow = fl.derive(problem, verify=False)
        assert any(law.kind == "norm-square" for law in flow.conserved)
        state = random_state(problem, 1)
        rates = reference(problem, state)
        growth = [float(state.rho[k] * rates["rho", k]) / float(kappa) for k, kappa in problem.degrees.items()]
        assert np.ptp(growth) <= 1e-12 * max(map(abs, growth))
        if any(kappa != 1 for kappa in problem.degrees.values()):
            wrong = [float(state.rho[k] * rates["rho", k]) for k in problem.degrees]
            assert np.ptp(wrong) > 1e-2 * max(map(abs, wrong))


BALANCED = (
    ("W3 @ W2 @ W1 @ x", 2),
    ("W3 @ (W2 @ (W1 @ x))", 2),
    ("A @ relu(W @ x)**2", 1),
    ("a @ (W @ x)**3", 1),
    ("W3 @ relu(W2 @ W1 @ x)", 2),
    ("W2 @ leaky_relu(W1 @ x, 0.2) + W3 @ x", 1),
    ("W3 @ abs(W2 @ relu(W1 @ x)**1.5)", 2),
    ("V @ relu(W @ relu(W @ x))", 0),
    ("W2 @ tanh(W1 @ x)", 0),
    ("W2 @ relu(W1 @ x) + U @ relu(W1 @ x)", 0),
    ("(W2 @ W1) @ x + W3 @ x", 1),
    ("sum(relu(W1 @ x))", 0),
    ("W2 @ relu(W1 @ x + b)", 0),
    ("W2 @ (3 * W1 @ x)", 1),
    ("-W2 @ (W1 @ x / 2)", 1),
    ("2 * (W3 @ W2 @ -W1) @ x", 2),
    ("W2 @ relu(-2 * (W1 @ x))**2", 1),
    ("W2 @ (u * (W1 @ x))", 1),
    ("W2 @ ((w @ x) * (W1 @ x))", 1),
    ("W3 @ relu((W1 @ x) * (W2 @ x))", 2),
    ("W2 @ ((W1 @ x) * relu(W1 @ x))", 0),
    ("W2 @ (0.5 * (W1 @ x + b))", 0),
)


@pytest.mark.parametrize(("text", "count"), BALANCED, ids=[t for t, _ in BALANCED])
def test_balance_laws(text, count):
    """Which layers are found, and that W_a W_a^T/degree - W_b^T W_b (or its diagonal) stands still under autodiff's own
    gradient.
    """
    from flowlab.language.autodiff import velocity
    from flowlab.symbolic.certificate import random_state

    problem = fl.Problem(text, loss="square")
    laws = [law for law in fl.derive(problem, verify=False).matched if law.kind.startswith("balance")]
    assert len(laws) == count
    state = random_state(problem, 5, width=3)
    g = {w: np.atleast_2d(v) for w, v in velocity(problem, state.weights, state.samples).items()}
    blocks = {w: np.atleast_2d(v) for w, v in state.weights.items()}
    for law in laws:
        a, b = law.blocks
        inner, outer = g[a] @ blocks[a].T, blocks[b].T @ g[b]

        def rate(degree, inner=inner, outer=outer, kind=law.kind):
            total = (inner + inner.T) / float(degree) - outer - outer.T
            return np.abs(np.diag(total) if kind.endswith("diagonal") else total).max() / np.abs(inner).max()

        assert rate(law.degree) < 1e-12
        assert rate(2 * law.degree) > 1e-3


def test_balance_of_normalised_flows_says_where_it_holds():
    laws = {
        s: fl.derive(fl.Problem("W2 @ relu(W1 @ x)", scheme=s), verify=False).matched[-1]
        for s in SCHEMES
        if s != "fixed_norm"
    }
    assert {s: bool(law.where[0]) for s, law in laws.items()} == {s: "weight_normalization" in s for s in laws}
    assert not [
        law
        for law in fl.derive(fl.Problem("A @ relu(W @ x)**2", scheme="lagrange"), verify=False).matched
        if law.kind.startswith("balance")
    ]
