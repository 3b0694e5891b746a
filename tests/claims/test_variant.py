"""Wrong variants are values: they replace parts of the statement, and no measurement asks for their name."""

import ast
from pathlib import Path

import pytest

import flowlab as fl
from flowlab.claims import claims
from flowlab.claims.hypotheses import Hypothesis
from flowlab.claims.variant import Variant

LIBRARY = Path(fl.__file__).parent / "claims" / "library"
NAMES = sorted(name for name in claims if claims[name].__module__.startswith("flowlab.claims.library"))


def test_a_variant_replaces_parts_and_keeps_the_others():
    stated = Variant(power=2, factor=1.0)
    wrong = stated.but("cubes", power=3)
    assert (wrong.power, wrong.factor, str(wrong)) == (3, 1.0, "cubes")
    assert (stated.power, str(stated)) == (2, "")


def test_a_variant_that_changes_nothing_known_is_refused():
    for changes in ({}, {"pwoer": 3}):
        with pytest.raises(fl.ClaimError, match="must replace parts"):
            Variant(power=2).but("cubes", **changes)


def test_a_variant_is_frozen_and_says_what_it_lacks():
    stated = Variant(power=2)
    with pytest.raises(AttributeError, match="frozen"):
        stated.power = 3
    with pytest.raises(AttributeError, match="no part `factor`"):
        stated.factor  # noqa: B018


@pytest.mark.parametrize("name", NAMES)
def test_hypotheses_and_mutants_of_the_library_are_values(name):
    word = claims[name]
    assert all(isinstance(each, Hypothesis) for each in word.hypotheses)
    assert all(isinstance(each, Variant) for each in (word.stated, *word.mutants))
    assert len({str(each) for each in word.mutants}) == len(word.mutants)


def asked(source: str) -> list[str]:
    """Comparisons and look-ups by which a measurement would tell variants apart by name."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "variant"
            and node.attr == "name"
        ):
            found.append(ast.unparse(node))
        if isinstance(node, ast.Call) and ast.unparse(node) == "str(variant)":
            found.append(ast.unparse(node))
        if isinstance(node, ast.Compare) and any(
            isinstance(n, ast.Name) and n.id in ("variant", "mutant") for n in (node.left, *node.comparators)
        ):
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.py")), ids=lambda p: p.stem)
def test_no_measurement_asks_for_a_name(path):
    assert asked(path.read_text(encoding="utf-8")) == []


def test_such_a_question_is_noticed():
    for source in ("x = mutant == 'a'", "f(variant.name)", "variant in names", "str(variant)"):
        assert asked(source)
