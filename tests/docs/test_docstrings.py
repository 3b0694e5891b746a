"""Every public name has an example in its docstring, and every example gives what it says."""

import ast
import doctest
import inspect
from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowlab as fl
from flowlab.core.public import HOME, listed

NAMES = [name for name in listed() if not name.startswith("_")]
GIVEN = {"__name__": "examples", "fl": fl, "np": np, "jax": jax, "jnp": jnp}
"""What the page of the reference imports before its examples."""


def beside(module, name):
    """The text under an assignment, which is how a value that is no class and no function is documented."""
    body = ast.parse(inspect.getsource(import_module(module))).body
    for at, node in enumerate(body[:-1]):
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(target, ast.Name) and target.id == name and isinstance(body[at + 1], ast.Expr):
            return inspect.cleandoc(ast.literal_eval(body[at + 1].value))
    return ""


def documented(name):
    value = getattr(fl, name)
    is_value = name in HOME and not isinstance(value, type) and not inspect.isroutine(value)
    return beside(HOME[name], name) if is_value else inspect.getdoc(value) or ""


def examples(name, text):
    return doctest.DocTestParser().get_doctest(text, dict(GIVEN), name, None, None)


def broken(name, text):
    """What an example gives where that is not what it says."""
    told = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(examples(name, text), out=told.append)
    return "".join(told)


def without_example(names, text_of=documented):
    return [name for name in names if not examples(name, text_of(name)).examples]


def test_every_public_name_has_an_example():
    assert without_example(NAMES) == []
    assert examples("__version__", beside("flowlab", "__version__")).examples


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_examples_give_what_they_say(name):
    assert broken(name, documented(name)) == ""


@pytest.mark.parametrize(
    ("right", "wrong"), [("relu(W @ x)", "relo(W @ x)"), ("    [[0.0", "    [[1.0"), (">>> np.", ">>> nb.")]
)
def test_a_wrong_example_is_noticed(right, wrong):
    text = documented("relu")
    assert right in text
    assert broken("relu", text) == ""
    assert broken("relu", text.replace(right, wrong)) != ""


def test_a_name_without_an_example_is_noticed():
    assert without_example(["relu", "x"], lambda name: documented(name).replace(">>>", "")) == ["relu", "x"]
