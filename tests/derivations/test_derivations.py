"""Every derivation runs, every wrong step is refused, and what is rendered is up to date and compiles."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from derivations.__main__ import FOLDER, ORDER, main, modules
from derivations.notebook import Derivation, appendix, render
from flowlab.core.errors import DerivationMismatch, LanguageError

MODULES = {m.__name__.rpartition(".")[2]: m for m in modules()}
CONTROLS = [(name, wrong) for name, module in MODULES.items() for wrong in module.controls()]


@cache
def derived(name):
    return MODULES[name].derivation()


def test_every_file_is_found():
    assert list(MODULES) == list(ORDER)


@pytest.mark.long
@pytest.mark.parametrize("name", MODULES)
def test_steps_hold(name):
    derivation = derived(name)
    assert len(derivation.sizes) >= 4
    assert all(size == size for size in derivation.sizes.values())
    # Definitions are the exception.
    assert derivation.markdown().count(r"\tag{") <= 1.5 * len(derivation.sizes)


@pytest.mark.long
@pytest.mark.parametrize(("name", "wrong"), CONTROLS)
def test_wrong_steps_are_refused(name, wrong):
    with pytest.raises(DerivationMismatch) as caught:
        MODULES[name].controls()[wrong]()
    assert caught.value.equation in derived(name).sizes
    # Refused for what was done to it and not for a rounding.
    assert caught.value.residual > 1e-3


def test_every_derivation_has_a_control():
    assert {name for name, _ in CONTROLS} == set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_rendered_markdown_is_up_to_date(name):
    kept = (FOLDER / "rendered" / f"{name}.md").read_text(encoding="utf-8")
    assert kept == derived(name).markdown(), "renew it with `python -m derivations`"


def test_nothing_else_is_rendered():
    assert {p.name for p in (FOLDER / "rendered").iterdir()} == {f"{name}.md" for name in MODULES}
    told = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"(rendered/{name}.md)" in told for name in MODULES)


def balanced(tex):
    """Environments, braces and sized delimiters that close in the order in which they were opened."""
    stack = []
    for token in re.findall(r"\\begin\{\w+\*?\}|\\end\{\w+\*?\}|\\left(?![a-z])|\\right(?![a-z])|\\[{}\\]|[{}]", tex):
        if token.startswith(r"\begin") or token in ("{", r"\left"):
            stack.append(token)
        elif token.startswith(r"\end"):
            assert stack.pop() == token.replace("end", "begin"), token
        elif token in ("}", r"\right"):
            assert stack.pop() == {"}": "{", r"\right": r"\left"}[token], token
    assert not stack


@pytest.mark.parametrize("name", MODULES)
def test_latex_is_balanced_and_needs_amsmath_alone(name):
    tex = derived(name).latex()
    balanced(tex)
    assert re.findall(r"\\usepackage(?:\[.*?\])?\{(.*?)\}", tex) == ["amsmath"]
    assert tex.isascii()
    # Every formula of the text is inside math, and no reference is left unresolved.
    assert tex.count("$") % 2 == 0
    assert not re.search(r"\[[a-z]+(-[a-z]+)*\](?!\{)", re.sub(r"\$[^$]*\$", "", tex))


@pytest.mark.parametrize(
    "broken", [r"\begin{aligned} a", r"\left( a", "{ a", r"\begin{cases} \end{aligned}", r"{ \end{equation} }"]
)
def test_unbalanced_latex_is_noticed(broken):
    with pytest.raises((AssertionError, IndexError)):
        balanced(broken)


def every():
    return [(name, derived(name)) for name in MODULES]


def test_appendix_is_one_document_with_unique_numbers_and_known_references():
    tex = appendix(every())
    balanced(tex)
    assert tex.isascii()
    assert re.findall(r"\\usepackage(?:\[.*?\])?\{(.*?)\}", tex) == ["amsmath"]
    assert tex.count(r"\begin{document}") == tex.count(r"\end{document}") == 1
    marks, references = re.findall(r"\\label\{(.*?)\}", tex), re.findall(r"\\eqref\{(.*?)\}", tex)
    assert len(marks) == len(set(marks)) == sum(len(d.labels) for _, d in every()) == tex.count(r"\begin{equation}")
    assert set(references) <= set(marks)
    # Numbers are LaTeX's own, none is written by hand.
    assert r"\tag" not in tex
    # What the derivations share: references from one to another, not only within.
    sections = re.split(r"\\section\{", tex)[1:]
    assert len(sections) == len(MODULES)
    across = {
        r
        for name, text in zip(MODULES, sections, strict=True)
        for r in re.findall(r"\\eqref\{(.*?)\}", text)
        if not r.startswith(f"{name}:")
    }
    assert len(across) >= 10


def test_appendix_refuses_references_that_lead_nowhere_or_forward():
    first, second = Derivation("first", "nobody"), Derivation("second", "nobody")
    first.define("start", "a", "A")
    second.say("By [first:start].")
    assert r"\eqref{first:start}" in appendix([("first", first), ("second", second)])
    assert "(`start` of [first](first.md))" in second.markdown()
    with pytest.raises(LanguageError, match=r"first:start"):
        appendix([("second", second), ("first", first)])
    second.say("By [first:end].")
    with pytest.raises(LanguageError, match=r"first:end"):
        appendix([("first", first), ("second", second)])


def typeset(path, runs):
    for _ in range(runs):
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", path.name],
            cwd=path.parent,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(tmp_path):
    for path in render(every(), tmp_path, (".tex",)):
        assert "Overfull" not in typeset(path, 1)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_appendix_compiles_with_all_references_resolved(tmp_path):
    path = tmp_path / "appendix.tex"
    path.write_text(appendix(every()), encoding="utf-8")
    # Contents and references are written by one run and read by the next; the contents may move them once more.
    told = typeset(path, 3)
    assert not re.search(r"Overfull|undefined|multiply defined|Rerun", told), told[-2000:]


def test_a_derivation_refuses_what_it_cannot_show():
    d = Derivation("one", "nobody")
    with pytest.raises(DerivationMismatch, match=r"`off` .* by 2\.00e\+00, its bound is 1"):
        d.equation("off", "a = b", "why", check=2.0, bound=1.0, how="by hand")
    with pytest.raises(DerivationMismatch):
        d.equation("off", "a = b", "why", check=lambda: float("nan"), bound=1.0, how="by hand")
    with pytest.raises(LanguageError, match="no earlier equation"):
        d.equation("first", "a = b", "by [second]", check=0.0, bound=0.0, how="by hand")
    assert d.sizes == {}
    d.equation("first", "a = b", "an index $x[first]$ stays", check=0.0, bound=0.0, how="by hand")
    with pytest.raises(LanguageError, match="taken"):
        d.define("first", "c = d", "again")
    d.say("100% of [first] & `a_b`")
    assert "100% of (1) & `a_b`" in d.markdown()
    assert r"100\% of (1) \& \texttt{a\_b}" in d.latex()
    assert "$`x[first]`$" in d.markdown()


def test_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("derivations.__main__.modules", lambda: [MODULES["clocks"]])
    assert main(["--out", str(tmp_path / "out")]) == 0
    assert {p.name for p in Path(tmp_path / "out").iterdir()} == {"appendix.tex", "clocks.md", "clocks.tex"}
    assert "4 steps hold" in capsys.readouterr().out
    monkeypatch.setattr(MODULES["clocks"], "controls", lambda: {"nothing": lambda: None})
    assert main(["--out", str(tmp_path / "other")]) == 1
    assert "nothing" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
