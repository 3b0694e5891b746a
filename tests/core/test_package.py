"""What the package says of itself in its files agrees."""

import re
import tomllib
from contextlib import suppress

import pytest

import flowlab as fl
from tests.app.commands import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
HEADINGS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def cited(key: str) -> str:
    return re.search(rf'^{key}: "?(.*?)"?$', CITATION, re.MULTILINE)[1]


def test_the_citation_is_of_this_version():
    assert cited("version") == fl.__version__
    assert cited("license") == PROJECT["license"]
    assert cited("cff-version") == "1.2.0"
    assert cited("title") in fl.cite()
    assert PROJECT["description"].rstrip(".") in CITATION
    assert all(f"  - {word}\n" in CITATION for word in PROJECT["keywords"])
    assert re.findall(r'- name: "(.*)"', CITATION) == [author["name"] for author in PROJECT["authors"]]
    assert PROJECT["authors"][0]["name"] in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_classifiers_say_what_is_there():
    told = PROJECT["classifiers"]
    assert len(set(told)) == len(told)
    assert ("Typing :: Typed" in told) == (ROOT / "flowlab" / "py.typed").is_file()
    lowest = PROJECT["requires-python"].removeprefix(">=")
    assert f"Programming Language :: Python :: {lowest}" in told
    # A licence is told by its SPDX name, beside which no classifier is allowed.
    assert not any(line.startswith("License") for line in told)


def strange(text: str) -> list[str]:
    """Headings of a changelog that are none."""
    sections = re.findall(r"^### (.*)$", text, re.MULTILINE)
    releases = re.findall(r"^## (.*)$", text, re.MULTILINE)
    wrong = [
        line for line in releases if not re.fullmatch(r"\[(Unreleased|\d+\.\d+\.\d+)\](?: - \d{4}-\d\d-\d\d)?", line)
    ]
    return wrong + [line for line in sections if line not in HEADINGS]


def test_the_release_is_told_in_the_changelog():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", text, re.MULTILINE)
    assert released[0] == fl.__version__
    assert released == sorted(released, key=lambda name: [*map(int, name.split("."))], reverse=True)


def test_what_is_deprecated_says_what_to_use():
    """Every former name, by the table that makes them, and in the changelog."""
    from flowlab.claims.case import Case

    made = (ROOT / "flowlab" / "claims" / "case.py").read_text(encoding="utf-8")
    pairs = re.findall(r'\("(\w+)", "(\w+)"\)', made[made.index("= (_renamed(") :].splitlines()[0])
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert len(pairs) == 3
    for old, new in pairs:
        case = Case.__new__(Case)
        with (
            pytest.warns(DeprecationWarning, match=f"`case.{old}` is deprecated; use `case.{new}`"),
            suppress(Exception),
        ):
            getattr(case, old)
        assert f"`case.{old}`" in text
        assert f"`case.{new}`" in text


def test_the_changelog_has_the_usual_headings():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert strange(text) == []
    assert "### Added" in text
    assert strange("## 0.1.0 (unreleased)\n### New\n") == ["0.1.0 (unreleased)", "New"]
