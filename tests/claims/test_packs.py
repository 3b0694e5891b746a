"""Every claim of every pack: what it says of itself, and that it holds and refutes its wrong variants;
all of them on more seeds by name.
"""

import pytest

import flowlab as fl
from flowlab.app.verify import packs
from flowlab.claims import USUAL, claims
from flowlab.claims.quantity import RUNGS

IDS = {
    "poggio2020": ["E1.8", "E1.12", "E1.13", *(f"P{i}" for i in range(1, 25))],
    "complexity2020": [f"N{i}" for i in range(1, 5)],
    "soudry2018": [f"S{i}" for i in range(1, 6)],
    "lyu2020": [f"L{i}" for i in range(1, 11)],
    "ji2020": [f"J{i}" for i in range(1, 6)],
    "arora2018": [f"A{i}" for i in range(1, 7)],
    "saxe2014": [f"X{i}" for i in range(1, 6)],
    "du2018": ["D1", "D2", "D3"],
    "woodworth2020": [f"W{i}" for i in range(1, 6)],
    "square_loss": [f"R{i}" for i in range(1, 8)],
    "neural_mechanics": [f"K{i}" for i in range(1, 8)],
    "zhou_ge2023": [f"Z{i}" for i in range(1, 9)],
    "brechet2023": [f"B{i}" for i in range(1, 14)],
    "yin2019": [f"Q{i}" for i in range(1, 14)],
    "daskalakis2019": [f"O{i}" for i in range(1, 14)],
    "kinks": ["T3"],
}
BRIEF = [
    "E1.13",
    "P13",
    "P23",
    "P24",
    "A3",
    "X4",
    "D2",
    "D3",
    "R7",
    "K2",
    "K3",
    "K6",
    "K7",
    "Z1",
    "Z6",
    "Z8",
    "B9",
    "Q3",
    "Q5",
    "Q8",
    "Q11",
    "O4",
    "O6",
    "O9",
    "O13",
]
"""Of the packs without a file that tests all of them by default: claims that take about a second."""


def sound(verdict: fl.Verdict) -> None:
    """It holds, every wrong variant was tried and refuted, and printed numbers are met or explained."""
    assert verdict.answer == "holds", str(verdict)
    trials = verdict.evidence["mutants"]
    assert set(trials) >= set(map(str, claims[verdict.id].mutants))
    assert all(trial["refuted"] and not trial["measured"] <= trial["bound"] for trial in trials.values())
    assert all(q["as_printed"] is not False or verdict.evidence.get("differs") for q in verdict.quantities), (
        verdict.quantities
    )


def test_the_packs_are_complete():
    """What the papers state is there; a claim that is added is found by the tests below."""
    found = packs()
    assert all(set(ids) <= set(found[name]) for name, ids in IDS.items())


@pytest.mark.parametrize("name", [name for ids in packs().values() for name in ids])
def test_contract(name):
    word = claims[name]
    assert word.title
    assert word.statement.endswith(".")
    assert word.latex
    assert word.source
    assert word.counter_example
    assert word.rung in RUNGS
    # What corrects the literature says what decides, and measures the statement as it is usually made.
    assert bool(word.usual) == bool(word.decisive) == (USUAL in map(str, word.mutants))
    assert not word.usual or word.usual.endswith(".")


@pytest.mark.long
@pytest.mark.parametrize("name", BRIEF)
def test_brief_ones_hold(name):
    sound(fl.check([name])[0])


@pytest.mark.parametrize(
    "pack",
    [
        "arora2018",
        "saxe2014",
        "du2018",
        "woodworth2020",
        "square_loss",
        "neural_mechanics",
        "zhou_ge2023",
        "brechet2023",
        "yin2019",
        "daskalakis2019",
    ],
)
def test_other_networks_are_told(pack):
    for verdict in fl.check(IDS[pack], fl.Problem("W2 @ relu(W1 @ x)", "square")):
        # D1 is about every homogeneous network, and holds of this one.
        assert (verdict.answer == "holds") if verdict.id == "D1" else (verdict.code == "does not apply"), verdict.reason


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
@pytest.mark.parametrize("pack", list(packs()))
def test_all_hold(pack, seed):
    """In one call, so that claims about one flow share it."""
    for verdict in fl.check(packs()[pack], seed=seed):
        sound(verdict)
