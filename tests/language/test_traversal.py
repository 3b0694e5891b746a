"""The fold over an expression: every node once, and no answer for an operation without a rule."""

import pytest

import flowlab as fl
from flowlab.core.errors import MissingRule
from flowlab.language.expr import Expr
from flowlab.language.kink_slots import _degree
from flowlab.language.operations import operations
from flowlab.language.operations.algebra import Scale
from flowlab.language.operations.base import Operation
from flowlab.language.traversal import fold


def degree(expression):
    return fold(expression, lambda _: 0, lambda _: 1, _degree)[id(expression)]


def test_degrees_follow_the_operations():
    W, a = fl.weight("W"), fl.weight("a")
    assert degree(a @ fl.relu(W @ fl.x)) == 2
    assert degree((a @ (W @ fl.x)) ** 3) == 6
    assert degree(fl.tanh(W @ fl.x)) is None


def test_shared_and_long_expressions_are_folded_without_recursion():
    met = []
    node = fl.weight("a") @ fl.x
    for _ in range(2000):
        node = node + node
    fold(node, lambda _: 0, lambda _: 0, lambda word, _, __: met.append(word.name) or 0)
    assert met == ["matmul"] + ["add"] * 2000


def test_an_operation_without_a_rule_is_named(monkeypatch):
    class Doubled(Scale):
        name = "doubled"
        polynomial_degree = Operation.polynomial_degree

    monkeypatch.setitem(operations._words, "doubled", Doubled)
    with pytest.raises(MissingRule, match="`doubled` has no rule `polynomial_degree`"):
        degree(Expr("doubled", (fl.weight("a") @ fl.x,), (2,)))


def test_every_operation_of_the_language_has_a_degree():
    for name in operations.names():
        word = operations[name]
        assert not word.in_language or word.polynomial_degree is not Operation.polynomial_degree, name
