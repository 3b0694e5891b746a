"""The benchmarks run and their sides agree; how long they take is not tested."""

import importlib.util
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
# As for a script: its neighbours can be imported.
sys.path.append(str(FOLDER))


def script(name):
    spec = importlib.util.spec_from_file_location(f"bench_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the optional peers
def test_derive():
    rows = script("derive").main(small=True)["rows"]
    assert {row["weights"] for row in rows if row["tool"] == "flowlab"} == {6, 44}
    assert all(row["disagreement"] < 1e-10 for row in rows)


@pytest.mark.slow
def test_bures():
    found = script("bures").main(small=True)
    assert all(row["loss"] < 1.001e-4 and row["residual"] < 1e-12 for row in found["rows"])
    assert all(0.5 < walk["ratio"] < 1.5 for walk in found["descents"])


@pytest.mark.long
def test_laws():
    rows = script("laws").main(small=True)
    assert [(row["status"], row["total"]) for row in rows] == [("complete", 2), ("complete", 9), ("complete", 20)]


def test_lengths():
    rows = script("derive").lengths(small=True)
    assert [row["parts"] for row in rows] == [2, 4] * 3


@pytest.mark.long
def test_field():
    found = script("field").main(small=True)
    assert all(row["agreement"] < 1e-12 for row in found["rows"])
    assert len(set(found["program_lines"].values())) == 1


@pytest.mark.slow
def test_architectures():
    found = script("architectures").compare(budget=0.0)
    pairs = [pair for case in found.values() for pair in case.values()]
    assert len(pairs) == 6
    assert all(pair["disagreement"] < 1e-12 for pair in pairs)


def test_depth():
    rows = script("depth").main(small=True)["depth"]
    lines = {row["layers"]: row["lines"] for row in rows}
    assert lines[20] - lines[10] == pytest.approx((lines[10] - lines[2]) * 10 / 8)


def test_startup():
    assert script("startup").main(small=True)["seconds"].keys() == {"--help", "list"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_precision():
    found = script("precision").main(small=True)
    errors = {(row["side"], row["tolerance"]): row["error"] for row in found["rows"]}
    assert all(errors[side, 1e-10] < 1e-8 for side, _ in errors)
    assert all(errors[side, 1e-10] < errors[side, 1e-6] for side, _ in errors)
    assert max(told["error"] for told in found["overhead"].values()) < 1e-3


@pytest.mark.slow
def test_stiff():
    found = script("stiff").main(small=True)
    assert all(row["error"] < 1e-3 for row in found["rows"])
    assert {row["side"] for row in found["rows"]} >= {"flowlab kvaerno5", "scipy LSODA", "diffrax Kvaerno5"}


@pytest.mark.slow
def test_race():
    race = script("race")
    found = race.main(small=True)
    gaps = {row["side"]: race.gap_within(row["points"], 1e3) for row in found["rows"]}
    assert all(gaps["flowlab"] < 1e-3 * gap for side, gap in gaps.items() if side != "flowlab")


@pytest.mark.slow
def test_late():
    script("late").main()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_continuation():
    rows = [row for row in script("continuation").main(small=True)["rows"] if row["tool"] == "flowlab"]
    assert [(row["events"], row["types"], row["spurious"], row["wrong"], row["wrong_index"]) for row in rows] == [
        (3, 3, 0, 0, 0),
        (6, 6, 0, 0, 0),
    ]
    assert all(row["error"] < 1e-10 and row["away"] < 1e-9 for row in rows)


def test_games():
    found = script("games").main(small=True)
    assert found["unique"]
    assert all(row["apart"] < 1e-9 for row in found["rows"])


@pytest.mark.slow
def test_batch():
    rows = script("batch").main(small=True)["rows"]
    assert [row["seeds"] for row in rows] == [3, 2]
    assert rows[0]["apart"] < 1e-4


@pytest.mark.slow
def test_kills():
    pytest.importorskip("distributed")
    found = script("kills").main(small=True)
    assert found["done"] == found["points"]
    assert found["written_twice"] == 0
    assert found["same_bytes"]


@pytest.mark.slow
def test_large():
    rows = script("large").main(small=True)["rows"]
    assert [row["kind"] for row in rows] == ["early", "late"]
    assert rows[1]["outcome"] == "done"


@pytest.mark.slow
def test_kink_costs():
    found = script("kink_costs").main(small=True)
    assert all(row["disagreement"] < 1e-12 for row in found["rates"])
    assert found["flow"]["kinks"] > 0
