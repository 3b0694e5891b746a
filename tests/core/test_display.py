"""Whatever the package returns prints shortly and shows itself in a notebook."""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

import flowlab as fl
from flowlab.claims.verdict import Verdicts
from flowlab.core import display
from flowlab.core.display import LINES, LONGEST, brief, clipped, displayed
from flowlab.core.public import HOME
from flowlab.dynamics.conditions import Condition
from flowlab.language.expr import Expr
from flowlab.language.functions import Word
from flowlab.studies.storage import StoredPoints
from tests.app.test_report import whole
from tests.core import every_result
from tests.figures import instances

WORDS = (Condition, Expr, Word, fl.Claim, fl.Case, Exception)
"""What is written, not what is returned: their classes print them by name."""
BY_HAND = {"Network", "Problem", "Data", "Trajectory", "Equilibrium", "Stability", "Drawn", "FlowEquations", "Verdicts"}
"""Classes with a `__repr__` of their own, which the instances below hold to its limits."""


def classes(kind: Any) -> Iterator[type]:
    """The classes of this package in an annotation."""
    for inner in get_args(kind):
        yield from classes(inner)
    if isinstance(kind, type) and kind.__module__.startswith("flowlab."):
        yield kind


def returned() -> dict[str, type]:
    """All public classes, and those of what public functions return."""
    found = {}
    for name in HOME:
        value = getattr(fl, name)
        if isinstance(value, type):
            told = [value]
        else:
            told = list(classes(get_type_hints(value).get("return"))) if inspect.isfunction(value) else []
        found |= {f"{c.__module__}.{c.__name__}": c for c in told if not issubclass(c, WORDS)}
    return found


def unshown(kind: type) -> str | None:
    """Why a class does not show itself, or None."""
    if getattr(kind, "_is_protocol", False):
        return None
    if not (hasattr(kind, "_repr_html_") or hasattr(kind, "_repr_png_")):
        return "it has nothing for notebooks"
    if kind.__repr__ is not display._repr and not BY_HAND & {c.__name__ for c in kind.__mro__}:
        return "its print has no limit"
    return None


def test_every_result_shows_itself():
    found = returned()
    assert len(found) > 30
    missing = {name: why for name, kind in found.items() if (why := unshown(kind))}
    assert missing == {}


def test_a_class_that_does_not_is_noticed():
    @dataclasses.dataclass
    class Bare:
        values: str

    @dataclasses.dataclass
    @displayed
    class Told:
        values: str

    assert unshown(Bare) == "it has nothing for notebooks"
    assert unshown(Told) is None
    assert len(repr(Bare("y" * 10_000))) > LONGEST
    assert len(repr(Told("y" * 10_000))) <= LONGEST
    Bare._repr_html_ = Told._repr_html_
    assert unshown(Bare) == "its print has no limit"


def verdict(answer: str = "holds") -> fl.Verdict:
    evidence = {
        "mutants": {"a <wrong> one": {"measured": 1.0, "bound": 0.1, "error": 0.0, "refuted": True}},
        "inputs": {"flow": "y" * 1_000_000},
        "table": {"<script>": 1},
    }
    code = "no power" if answer == "undecided" else ""
    return fl.Verdict("P1", answer, 1e-15, 1e-12, "because of <this>", evidence, code)


@pytest.fixture(scope="module")
def flow():
    return fl.derive(fl.Problem("W2 @ relu(W1 @ x)"), verify=False)


def made(flow, folder) -> dict[str, Any]:
    path = instances.trajectory()
    long = fl.Network(" + ".join(f"W{i} @ x" for i in range(300)))
    return {
        "network": long,
        "problem": fl.Problem(long, "logistic", decay=0.1),
        "data": path.data,
        "state": path.last,
        "trajectory": path,
        "outcome": path.outcome,
        "result": instances.portrait(),
        "points": StoredPoints_of(folder),
        "flow": flow,
        "field": fl.lower(flow),
        "equation": flow.equations[0],
        "component": flow.component(2, 2),
        "law": flow.matched[0],
        "verdict": verdict(),
        "verdicts": Verdicts([verdict(), verdict("undecided")] * 20),
        "none": Verdicts(),
        "drawn": fl.draw("norms", path),
    }


def StoredPoints_of(folder) -> StoredPoints:
    from flowlab.studies.storage import load

    return load(instances.points(folder))


def test_prints_are_short_and_pages_are_whole(flow, tmp_path):
    for name, value in made(flow, tmp_path).items():
        told = repr(value)
        assert len(told) <= LONGEST, name
        assert len(told.splitlines()) <= LINES, name
        if hasattr(value, "_repr_png_"):
            assert value._repr_png_().startswith(b"\x89PNG"), name
        else:
            page = value._repr_html_()
            whole(page)
            assert len(page) < 60_000, name
            assert "<script" not in page, name


@pytest.mark.long
def test_prints_of_every_result_are_short():
    """Sweeps, batches, equilibria, laws and all others; that there is one of each class, the pickles' test asks."""
    seen = [(name, part) for name, value in every_result.every().items() for part in every_result.parts(value)]
    own = [(name, part) for name, part in seen if type(part).__module__.startswith("flowlab.")]
    assert len(own) > 60
    assert {"Trajectories", "Equilibrium", "Stability", "Law", "LawCount"} <= {type(part).__name__ for _, part in own}
    for name, part in own:
        told = repr(part)
        assert len(told) <= LONGEST, name
        assert len(told.splitlines()) <= LINES, name


def test_equations_are_typeset_and_their_steps_unfold(flow):
    page = flow._repr_html_()
    assert page.count("<math") > 10
    before, after = page.split("<details>", 1)
    assert "<math" in before
    assert f"derivation, {len(flow.steps)} steps" in after
    assert repr(flow) != str(flow)
    assert r"\dot" in flow._repr_latex_()
    assert flow.matched[0]._repr_latex_() == f"${flow.matched[0].latex}$"
    assert str(flow.matched[0]).endswith("= const")


def test_a_network_is_drawn_where_a_page_can_hold_it():
    net = fl.Network("W3 @ relu(W2 @ relu(W1 @ x)) + V @ x")
    page = net._repr_html_()
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", page)
    assert {"x", "W1", "W2", "W3", "V", "relu", "+"} <= set(texts)
    boxes = [
        tuple(map(float, found)) for found in re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"', page)
    ]
    assert len(set(boxes)) == len(boxes) == page.count("<rect")
    wide = float(re.search(r'<svg[^>]* width="(\d+)"', page)[1])
    assert all(left + width <= wide for left, _, width in boxes)
    assert page.count("<polyline") >= len(boxes) - 1
    assert "<svg" not in fl.Network(" + ".join(f"W{i} @ x" for i in range(60)))._repr_html_()
    rows = dict(re.findall(r"<tr><td[^>]*>(\w+)</td><td[^>]*>(\w+)</td>", page))
    assert rows == {"x": "input", "W1": "weight", "W2": "weight", "W3": "weight", "V": "weight"}


def test_a_verdict_is_one_line_whose_evidence_unfolds():
    page = verdict()._repr_html_()
    head = page.split("<summary>")[1].split("</summary>")[0]
    assert "because of &lt;this&gt;" in head
    assert "a &lt;wrong&gt; one" not in head
    assert "a &lt;wrong&gt; one" in page
    assert Verdicts([verdict()] * 3)._repr_html_().count('class="answer holds"') == 3
    assert repr(Verdicts([verdict()])) == f"{verdict()}"
    assert isinstance(Verdicts([verdict()]), list)


def test_what_values_are_called():
    assert brief(np.arange(4.0)) == "[0., 1., 2., 3.]"
    assert brief(np.zeros((3, 40))) == "float64[3, 40]"
    assert brief({"a": 0.1, "b": [1, 2]}) == "{'a': 0.1, 'b': [1, 2]}"
    assert brief(list(range(100))) == "[0, 1, 2, 3, 4, 5, … 94 more]"
    assert brief("y" * 1000, 20) == "'" + "y" * 18 + "…"
    assert brief(10**500) == "an integer"
    assert brief(flow_like := verdict()) == "Verdict(…)"
    assert flow_like.id == "P1"
    assert clipped("a\n" * 50).splitlines()[-1] == "… 31 more lines"
    assert clipped("a\nb") == "a\nb"
