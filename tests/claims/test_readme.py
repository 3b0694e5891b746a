"""READMEs of packs say what the registry says."""

import pytest

from flowlab.claims import claims
from flowlab.claims.readme import COMMAND, LIBRARY, packs, readme

PAPERS = packs()


def test_every_folder_of_the_library_has_claims():
    assert set(PAPERS) == {p.name for p in LIBRARY.iterdir() if p.is_dir() and p.name != "__pycache__"}


@pytest.mark.parametrize("paper", PAPERS)
def test_readmes_are_current(paper):
    assert (LIBRARY / paper / "README.md").read_text(encoding="utf-8") == readme(paper, PAPERS[paper]), (
        f"run `{COMMAND}`"
    )


def test_a_stale_readme_is_noticed(monkeypatch):
    monkeypatch.setattr(claims["N2"], "statement", "Another one.")
    text = (LIBRARY / "complexity2020" / "README.md").read_text(encoding="utf-8")
    assert text != readme("complexity2020", PAPERS["complexity2020"])


def test_rows_have_as_many_cells_as_the_head():
    for paper, ids in PAPERS.items():
        rows = [line for line in readme(paper, ids).splitlines() if line.startswith("|")]
        assert {row.replace("\\|", "").count("|") for row in rows} == {6}
