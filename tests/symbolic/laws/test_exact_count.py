"""The count of polynomial nets in integers modulo a prime: its arithmetic, and that it says what floats say."""

import law_nets
import pytest

import flowlab as fl
from flowlab.symbolic.laws import count, directions
from flowlab.symbolic.laws.exact_count import PRIME, ExactSpace, Jet, is_polynomial
from flowlab.symbolic.laws.find import search


def problem_of(text, settings=None, **more):
    return fl.Problem(fl.Network(text, **(settings or {})), "square", coordinates="weights", **more)


def found_of(text, settings=None):
    return search(problem_of(text, settings), ())


POLYNOMIAL = [(text, settings) for text, settings, _ in law_nets.NETS if is_polynomial(problem_of(text, settings))]


def test_jets_differentiate():
    x, y = Jet({0: 5, 1: 1}), Jet({0: 7, 2: 1})
    z = (2 - x**3 * y) / 2
    assert z.parts[0] == (2 - 5**3 * 7) * pow(2, -1, PRIME) % PRIME
    assert z.along(0).parts[0] == -3 * 25 * 7 * pow(2, -1, PRIME) % PRIME
    assert z.along(0).along(1).parts[0] == -3 * 25 * pow(2, -1, PRIME) % PRIME
    # The square of an infinitesimal is nothing.
    assert x.along(0).along(0).parts == {}


def test_what_is_polynomial():
    texts = {text for text, _ in POLYNOMIAL}
    assert len(texts) >= 8
    assert not any(word in text for text in texts for word in ("relu", "tanh", "softmax", "norm"))
    assert not is_polynomial(problem_of("W2 @ relu(W1 @ x)"))
    assert not is_polynomial(problem_of("W2 @ W1 @ x", decay=0.1))
    assert is_polynomial(problem_of("W2 @ W1 @ x", rates={"W1": 0.1}))


@pytest.mark.parametrize(("text", "settings"), POLYNOMIAL)
def test_exact_and_rounded_counts_agree(text, settings, monkeypatch):
    found = found_of(text, settings)
    exact = count.law_count(found)
    monkeypatch.setattr(directions, "is_polynomial", lambda _: False)
    assert count.law_count(found) == exact


def test_a_wrong_bracket_is_found(monkeypatch):
    """Control: with something else added, brackets leave the space where laws are kept."""
    found = found_of("W2 @ W1 @ x")
    assert count.law_count(found).status == "complete"
    plain = ExactSpace._nested

    def more(self, fields, at, level):
        made = plain(self, fields, at, level)
        return made if len(fields) == 1 else {w: made[w] + at[w] for w in at}

    monkeypatch.setattr(ExactSpace, "_nested", more)
    assert count.law_count(found).status == "not decided"


def test_a_law_that_is_left_out_is_counted():
    from dataclasses import replace

    found = found_of("W2 @ W1 @ x")
    fewer = count.law_count(replace(found, laws=(), rank=0))
    assert (fewer.status, fewer.total) == ("further", found.rank)
