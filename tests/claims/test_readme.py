"""READMEs of packs say what the registry says."""

import re
import subprocess
import sys

import pytest

from flowlab.claims import claims
from flowlab.claims.manifest import FILE, LIBRARY, entries, packs
from flowlab.claims.readme import COMMAND, manifest, readme

PAPERS = packs()


def test_every_folder_of_the_library_has_claims():
    assert set(PAPERS) == {p.name for p in LIBRARY.iterdir() if p.is_dir() and p.name != "__pycache__"}


def test_the_manifest_is_current(monkeypatch):
    """It names every claim with module and title; a title that has changed since is noticed."""
    assert FILE.read_text(encoding="utf-8") == manifest(), f"run `{COMMAND}`"
    assert {claims[name].__module__ for name in entries()} == {entry.home for entry in entries().values()}
    monkeypatch.setattr(claims["N2"], "title", "another one")
    assert FILE.read_text(encoding="utf-8") != manifest()


def test_what_the_library_has_is_listed_without_it():
    """Names, titles and packs are told before any claim, jax or sympy is imported; asking for a claim imports it."""
    code = (
        "import sys\nfrom flowlab.cli import main\n"
        "for kind in ('claims', 'packs'):\n"
        "    try:\n        main(['list', kind])\n    except SystemExit as end:\n        assert not end.code\n"
        "heavy = {'jax', 'sympy', 'scipy', 'diffrax', 'flowlab.claims.library.ji2020.j02_excess'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "from flowlab.claims import claims\nclaims['J2']\nprint(sorted(heavy - {'sympy'} - set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["[]", "[]"]
    assert all(word in done.stdout for word in ("P24", "soudry2018"))


@pytest.mark.parametrize("paper", PAPERS)
def test_readmes_are_current(paper):
    assert (LIBRARY / paper / "README.md").read_text(encoding="utf-8") == readme(paper, PAPERS[paper]), (
        f"run `{COMMAND}`"
    )


LONG = {"d1_balance", "p17_zero_modes", "p18_not_minimum_norm", "q10_outcomes"}
"""Claims whose class alone is about as long as that; no other joins them."""


def test_a_claim_fits_on_two_screens():
    """At most 120 lines, imports at the top; what they compute with stands in modules of its own."""
    files = {LIBRARY / entry.pack / f"{entry.module}.py" for entry in entries().values()}
    assert {file.stem for file in files if len(file.read_text(encoding="utf-8").splitlines()) > 120} == LONG
    inner = re.compile(r"^ +(?:from [\w.]+ )?import \w", re.MULTILINE)
    assert not [file.name for file in LIBRARY.rglob("*.py") if inner.search(file.read_text(encoding="utf-8"))]
    assert inner.search("def f():\n    from flowlab import x")


def test_a_stale_readme_is_noticed(monkeypatch):
    monkeypatch.setattr(claims["N2"], "statement", "Another one.")
    text = (LIBRARY / "complexity2020" / "README.md").read_text(encoding="utf-8")
    assert text != readme("complexity2020", PAPERS["complexity2020"])


def test_rows_have_as_many_cells_as_the_head():
    for paper, ids in PAPERS.items():
        rows = [line for line in readme(paper, ids).splitlines() if line.startswith("|")]
        assert {row.replace("\\|", "").count("|") for row in rows} == {6}
