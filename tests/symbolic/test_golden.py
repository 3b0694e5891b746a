"""What was printed of networks of one input vector stays as it was, letter for letter."""

import golden
import pytest

from flowlab.symbolic import printing


@pytest.fixture(scope="module")
def problems():
    return golden.problems()


@pytest.mark.usefixtures("eager")
def test_old_prints_stay(problems):
    kept = golden.written()
    assert list(kept) == list(problems)
    for name, problem in problems.items():
        made = golden.prints(problem)
        assert made["text"] == kept[name]["text"], name
        assert made == kept[name], f"LaTeX or structural equations of {name}"


def test_another_letter_is_found(problems, monkeypatch):
    name, problem = next(iter(problems.items()))
    plain = printing.named
    monkeypatch.setattr(printing, "named", lambda text: plain(text).replace("Delta", "delta").replace("Psi", "psi"))
    made, kept = golden.prints(problem), golden.written()[name]
    assert made["text"] == kept["text"]
    assert made != kept
