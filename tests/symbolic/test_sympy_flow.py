"""The flow as expressions of SymPy: the rates of the program, under names that are identifiers."""

import keyword

import numpy as np
import pytest
import sympy as sp

import flowlab as fl
from flowlab.symbolic.identifiers import Identifiers
from flowlab.symbolic.names import called
from flowlab.symbolic.source.lines import listing
from tests.symbolic.source.running import drawn


@pytest.fixture(scope="module")
def flow():
    problem = fl.Problem("W2 @ tanh(W1 @ x)", "square", coordinates="weights", decay={"W1": 0.5})
    return fl.derive(problem, verify=False)


def off(flow, rates) -> float:
    """The largest difference of expressions from the program, at drawn numbers."""
    given = drawn(listing(flow, 2, 3, None, 1))
    numbers = {}
    for name, value in given.items():
        for place in np.ndindex(value.shape):
            numbers["_".join([name, *(str(i + 1) for i in place)])] = value[place]
    keys = {called(flow.problem, v.op, v.params[0]): (v.op, v.params[0]) for v in flow.program.values if v.given}
    wanted = flow.program.evaluate(np, {key: given[name] for name, key in keys.items()})
    symbols = sorted({s for e in rates.values() for s in e.free_symbols}, key=str)
    found = sp.lambdify(symbols, list(rates.values()))(*(numbers[str(s)] for s in symbols))
    flat = np.concatenate([np.ravel(wanted[key]) for key, _ in flow.program.rates])
    return float(np.abs(np.array(found) - flat).max())


def test_expressions_have_the_values_of_the_program(flow):
    rates = flow.to_sympy(d=2, samples=3)
    assert off(flow, rates) < 1e-12
    symbol = next(iter(rates))
    # Control: another expression has other values.
    assert off(flow, rates | {symbol: rates[symbol] + sp.Rational(1, 100)}) > 1e-3


def test_symbols_are_identifiers_and_can_be_differentiated_by(flow):
    rates = flow.to_sympy()
    named = {s for e in rates.values() for s in e.free_symbols} | set(rates)
    assert all(str(s).isidentifier() and not keyword.iskeyword(str(s)) for s in named)
    assert {"W1_1_1", "W2_1_2", "x_2_1", "y_2", "omega_W1"} <= set(map(str, named))
    slope = sp.Matrix(list(rates.values())).jacobian(list(rates))
    # The negative Hessian of the objective is symmetric.
    assert sp.simplify(slope - slope.T) == sp.zeros(*slope.shape)


def test_different_symbols_have_different_names():
    """Entry (1, 1) of `w` and entry 1 of `w_1` are one text without brackets."""
    net = fl.Network("sum(w @ x) + w_1 @ x", shapes={"w": ("h", "d"), "w_1": ("d",)})
    rates = fl.derive(fl.Problem(net, "square", coordinates="weights"), verify=False).to_sympy(d=1, samples=1)
    assert len({str(s) for s in rates}) == len(rates) == 3


@pytest.mark.parametrize(
    ("name", "safe"), [("W1[1,2]", "W1_1_2"), ("lambda", "lambda_"), ("β", "u3b2"), ("1a", "_1a"), ("np", "np_")]
)
def test_names_become_identifiers(name, safe):
    names = Identifiers()
    assert names.of(name) == safe
    assert names.of(name) == safe + "_"


def test_what_is_too_large_or_opaque_is_refused(flow):
    with pytest.raises(fl.LanguageError, match="at most 24"):
        flow.to_sympy(d=40)
    with pytest.raises(fl.LanguageError, match="`samples='x'` must be an integer"):
        flow.to_sympy(samples="x")
