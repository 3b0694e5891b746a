"""One word of every kind in a user's own file: read, printed, derived, integrated and checked with no other file."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import flowlab as fl
from flowlab.app import words
from flowlab.claims import claims
from flowlab.core.errors import MissingRule
from flowlab.dynamics.clocks import CLOCKS
from flowlab.dynamics.conditions import conditions
from flowlab.figures import figures
from flowlab.figures import load_library as load_figures
from flowlab.language.activations import activations
from flowlab.language.datasets import generators
from flowlab.language.expr import Expr
from flowlab.language.losses import losses
from flowlab.language.operations import operations
from flowlab.language.rules import rules
from flowlab.language.schemes import schemes

ROOT = Path(__file__).resolve().parents[2]
REGISTRIES = (activations, claims, conditions, figures, generators, losses, operations, rules, schemes)
FILE = '''
import jax
import numpy as np
import sympy as sp

import flowlab as fl
from flowlab.language.rules import Rule, rules
from flowlab.dynamics.clocks import CLOCKS, LossTime
from flowlab.dynamics.conditions import Event, conditions
from flowlab.figures.figure import Curve, Picture, figures, started
from flowlab.language.activations import Activation, activations
from flowlab.language.datasets import generators
from flowlab.language.losses import Exponential, losses
from flowlab.language.operations.base import Channel, Linear, Operation, Piece, operations
from flowlab.language.schemes import Lagrange, schemes


@activations.register("swish")
class Swish(Activation):
    """z / (1 + e^-z)."""

    degree = None
    symbol = r"\\operatorname{swish}"

    def symbolic(self, z):
        return z / (1 + sp.exp(-z))

    def numeric(self, xp, z):
        return z / (1 + xp.exp(-z))

    def slope(self, xp, z):
        s = 1 / (1 + xp.exp(-z))
        return s + z * s * (1 - s)


@activations.register("bent")
class Bent(Activation):
    """2 z where z > 0 and e^z - 1 elsewhere, with slope 1 at z = 0: a kink, and not linear on its left."""

    degree = None
    kinks = (0.0,)
    symbol = r"\\operatorname{bent}"
    sides = ((1.0, 2.0),)

    def symbolic(self, z):
        return sp.Piecewise((2 * z, z > 0), (sp.exp(z) - 1, True))

    def numeric(self, xp, z):
        return xp.where(z > 0, 2 * z, xp.expm1(xp.where(z > 0, 0.0, z)))

    def slope(self, xp, z):
        return xp.where(z > 0, 2.0, xp.exp(xp.where(z > 0, 0.0, z)))


@operations.register("doubled")
class Doubled(Linear):
    """2 z, written as a function."""

    called = True

    def shape(self, shapes, args, told, operands, params):
        return args[0]

    def channels(self, args, params):
        return (Channel(0),)

    def numeric(self, xp, args, types, out, params):
        return 2 * args[0]

    def pullback(self, tape, args, out, cot, params):
        return [tape("doubled", cot)]

    def render(self, tex, parts, types, params):
        return Piece((r"\\operatorname{doubled}(%s)" if tex else "doubled(%s)") % parts[0].text)


@operations.register("ruleless")
class Ruleless(Doubled):
    """The same without a rule for balances of layers."""

    channels = Operation.channels


@losses.register("steep")
class Steep(Exponential):
    """e^{-2 y f}."""

    def log_terms(self, xp, f, y):
        return -2.0 * self.margins(xp, f, y)

    def level(self, xp, log_loss):
        return -log_loss / 2.0

    def dual(self, shares):
        return None

    def pull(self, xp, f, y, log_scale=0.0):
        return 2.0 * (y * xp.exp(-2.0 * self.margins(xp, f, y) - log_scale))[:, None]

    def symbolic(self, f, y):
        return sp.exp(-2 * y * f[0])

    def latex(self):
        return "e^{-2 y f}"


@schemes.register("quick_turn")
class QuickTurn(Lagrange):
    """Directions three times as fast as by Lagrange."""

    norms_descend = False
    conserved_norm = None
    abbreviation = "QT"

    def balance_log_factor(self, xp, rho):
        return None

    def symbolic(self, book):
        rho_rate, V_rate = super().symbolic(book)
        return rho_rate, 3 * V_rate

    def numeric(self, xp, rho, V, g, per):
        rho_rate, V_rate = super().numeric(xp, rho, V, g, per)
        return rho_rate, {k: 3.0 * v for k, v in V_rate.items()}


@rules.register("signed")
class Signed(Rule):
    """Descent by signs."""

    on_weights = True

    def update(self, u, g, step):
        return u + step * np.sign(1.0) * g


@generators.register("pair")
def pair(rng, n=4, d=2):
    """Two clouds."""
    y = np.where(np.arange(int(n)) % 2 == 0, 1.0, -1.0)
    return rng.normal(size=(int(n), int(d))) + 3.0 * y[:, None], y


class Slow(LossTime):
    """The clock of the loss at half its pace."""

    name = "slow"

    def rate(self, field, s, z, data, shift=None):
        y, q = super().rate(field, s, z, data, shift)
        return jax.tree.map(lambda r: 0.5 * r, (y, q))


CLOCKS["slow"] = Slow()


@conditions.register("fallen")
class Fallen(Event):
    """log L falls to a level."""

    def value(self, seen):
        return self.level - seen["log_loss"]


@figures.register("fall")
class Fall(Picture):
    """log L, upside down."""

    title = "how far the loss has fallen"
    y_label = "fall"

    def curves(self, path):
        log_t, keep = started(path)
        return [Curve("fall", log_t, -path.dataset["log_loss"].values[keep])]


@fl.claim("new.falls", statement="The loss falls.", source="this file", mutants=("rises",))
def falls(case, mutant):
    log_loss = case.flow.dataset["log_loss"].values
    change = float(log_loss[-1] - log_loss[len(log_loss) // 2])
    sign = change / abs(change) * (-1 if mutant else 1)
    return fl.Quantity("sign of the change of log L", sign, -1.0, tolerance=1e-3)
'''
X, Y = np.array([[1.0, 0.5], [-0.8, 0.3], [0.4, -1.0], [-0.3, -0.9]]), np.array([1.0, -1.0, 1.0, -1.0])


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "my_words.py"
    path.write_text(FILE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def registered(file):
    """The words, for this module alone."""
    load_figures()
    kept = [(registry, set(registry)) for registry in (*(r._words for r in REGISTRIES), CLOCKS, words._LOADED)]
    words.load_words(file)
    # What others register later stays: only what the file brought is taken away again.
    brought = [(registry, set(registry) - before) for registry, before in kept]
    assert all(names for _, names in brought)
    yield
    for registry, names in brought:
        for name in names:
            del registry[name]


def flow_of(text, *, until=None, clock="auto", **settings):
    """A certified derivation and a short flow of it."""
    problem, data = fl.Problem(text, **settings), fl.Data(X, Y)
    flow = fl.derive(problem)
    start = fl.initial_state(problem.network, data, widths={"W1": 3}, seed=0)
    until = until or fl.time(0.2)
    return flow, fl.integrate(fl.lower(flow), start, data, until=until, clock=clock, rtol=1e-6, atol=1e-8)


@pytest.mark.long
@pytest.mark.parametrize(
    ("text", "settings", "told", "tex"),
    [
        ("W2 @ swish(W1 @ x)", {"coordinates": "weights"}, "swish(Z_1)", r"\operatorname{swish}(Z_{1})"),
        ("W2 @ bent(W1 @ x)", {}, "bent'(Z_1)", r"\operatorname{bent}'(Z_{1})"),
        ("W2 @ doubled(relu(W1 @ x))", {}, "doubled(A_1)", r"\operatorname{doubled}(A_{1})"),
        ("W2 @ relu(W1 @ x)", {"loss": "steep"}, "grad_f steep", r"e^{-2 y f}"),
        ("W2 @ relu(W1 @ x)", {"scheme": "quick_turn"}, "scheme: quick_turn", r"3 R\, G_{2}"),
    ],
)
def test_a_new_word_is_derived_printed_and_integrated(registered, text, settings, told, tex):
    flow, path = flow_of(text, **settings)
    assert flow.residual is not None
    assert flow.residual < 1e-11
    assert fl.certify(flow, seed=1).residual < 1e-11
    assert flow.problem.network.text == text
    assert told in flow.text("matrix")
    assert tex in flow.latex("matrix")
    assert flow.text("component")
    assert path.outcome.kind == "done", str(path.outcome)
    assert path.dataset.log_loss[-1] < path.dataset.log_loss[0]


def test_words_are_functions_as_soon_as_their_class_exists(registered):
    W = fl.weight("W")
    for name in ("swish", "bent", "doubled"):
        made = getattr(fl, name)(W @ fl.x)
        assert isinstance(made, Expr)
        assert fl.Network(made).text == fl.Network(f"{name}(W @ x)").text == f"{name}(W @ x)"
        assert name in dir(fl)
        with pytest.raises(fl.LanguageError, match="is a function"):
            fl.weight(name)


def test_a_kink_with_a_curved_side_is_no_piece_of_a_line(registered):
    (slot,) = fl.Network("W2 @ bent(W1 @ x)").slots
    assert (slot.left, slot.right, slot.tracked) == (1.0, 2.0, False)
    (above,) = (s for s in fl.Network("a @ relu(W2 @ bent(W1 @ x))").slots if s.right == 1.0)
    assert above.degree is None


def test_a_law_passes_a_new_operation_and_a_missing_rule_is_named(registered):
    laws = [law.text for law in fl.derive(fl.Problem("W2 @ doubled(W1 @ x)")).conserved]
    assert "W1 W1^T - W2^T W2" in laws
    with pytest.raises(MissingRule, match="`ruleless` has no rule `channels`"):
        fl.derive(fl.Problem("W2 @ ruleless(W1 @ x)"))


@pytest.mark.long
def test_a_scheme_that_declares_no_law_is_granted_none(registered):
    flow, _ = flow_of("W2 @ relu(W1 @ x)", scheme="quick_turn")
    assert not [law for law in flow.conserved if law.kind.startswith("norm")]


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_made_of_runs_knows_new_words(registered, tmp_path):
    problem = fl.Problem("W2 @ relu(W1 @ x)")
    data = fl.load("pair?n=4&d=2", seed=1)
    start = fl.initial_state(problem.network, data, widths={"W1": 3}, seed=0)
    until = conditions["fallen"](-1.0)
    path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=until, rtol=1e-6, atol=1e-8)
    assert path.outcome.kind == "event"
    assert path.dataset.log_loss[-1] == pytest.approx(-1.0, abs=1e-5)
    (verdict,) = fl.check(["new.falls"], path)
    assert verdict.answer == "holds", str(verdict)
    fl.draw("fall", path).save(tmp_path / "fall.svg")
    assert (tmp_path / "fall.csv").is_file()
    walk = fl.descend(problem, start, data, step=1e-2, count=20, rule="signed")
    assert walk.dataset.log_loss[-1] < walk.dataset.log_loss[0]


@pytest.mark.long
def test_a_new_clock_carries_a_run_to_late_times(registered):
    _, path = flow_of("W2 @ relu(W1 @ x)", until=fl.log_time(30.0), clock="slow")
    _, same = flow_of("W2 @ relu(W1 @ x)", until=fl.log_time(30.0), clock="loss")
    assert str(path.dataset.clock.values[-1]) == "slow"
    assert float(path.dataset.log_t[-1]) == pytest.approx(30.0)
    assert float(path.dataset.log_loss[-1]) == pytest.approx(float(same.dataset.log_loss[-1]), rel=1e-5)


def flowlab(*args):
    command = [sys.executable, "-m", "flowlab.cli", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.long
def test_the_command_line_reads_words(file):
    chosen = ("--coordinates", "weights", "--depth", "matrix", "--format", "latex")
    done = flowlab("--words", file, "derive", "W2 @ swish(W1 @ x)", *chosen)
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\operatorname{swish}(Z_{1})" in done.stdout
    listed = flowlab("--words", file, "list", "figures")
    assert "how far the loss has fallen" in listed.stdout


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "there is none"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit", "SystemExit"),
        ("def (", "SyntaxError"),
        ("from flowlab.language.losses import Square, losses\nlosses.register('square')(Square)", "registered twice"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_one_sentence(tmp_path, text, told):
    path = tmp_path / "my_words.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(fl.LanguageError, match=told):
        words.load_words(path)
