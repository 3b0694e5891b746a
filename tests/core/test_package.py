"""What the package says of itself in its files agrees."""

import re
import tomllib

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


def test_the_changelog_has_the_usual_headings():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert strange(text) == []
    assert "### Added" in text
    assert strange("## 0.1.0 (unreleased)\n### New\n") == ["0.1.0 (unreleased)", "New"]
