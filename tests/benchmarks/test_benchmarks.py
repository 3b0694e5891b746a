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


def test_lengths():
    rows = script("derive").lengths(small=True)
    assert [row["parts"] for row in rows] == [2, 4] * 3


def test_field():
    found = script("field").main(small=True)
    assert all(row["agreement"] < 1e-12 for row in found["rows"])
    assert len(set(found["program_lines"].values())) == 1


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
