"""Every block of code of README and the pages runs, and prints what the page says; what is not run says why."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from flowlab.figures import figures, load_library

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
"""Its program is run by `tests/test_readme.py`, its commands by CI."""
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
MOST_MARKED = 0.03
"""The part of the blocks of code that may be marked as not run."""

_spec = importlib.util.spec_from_file_location("blocks", ROOT / "docs" / "tools" / "blocks.py")
assert _spec is not None
assert _spec.loader is not None
blocks = importlib.util.module_from_spec(_spec)
sys.modules["blocks"] = blocks
_spec.loader.exec_module(blocks)


def text_of(page):
    return page.read_text(encoding="utf-8")


def told(page):
    return str(page.relative_to(ROOT))


def has_code(page):
    return any(block.runs and not block.why for block in blocks.blocks(text_of(page)))


CODE = [page for page in PAGES if page != README and has_code(page)]


@pytest.mark.long
@pytest.mark.parametrize("page", CODE, ids=told)
def test_the_code_of_a_page_runs(page):
    assert blocks.run(text_of(page), told(page)) > 0


def marked(texts):
    """Blocks of code, and those of them that are marked as not run."""
    code = [block for text in texts for block in blocks.blocks(text) if block.runs]
    return code, [block for block in code if block.why]


def test_few_blocks_are_not_run():
    code, left = marked(map(text_of, PAGES))
    assert len(left) <= MOST_MARKED * len(code), [(block.why, block.code) for block in left]


def test_readme_has_one_program_and_two_commands():
    assert [block.kind for block in blocks.blocks(text_of(README))] == ["sh", "sh", "python"]


def test_every_figure_is_in_the_gallery():
    load_library()
    text = text_of(ROOT / "docs" / "gallery.md")
    drawn = re.findall(r'fl\.draw\("(\w+)"', text)
    assert set(figures.names()) - set(drawn) == set(), (
        "give it a block in docs/gallery.md, then run docs/tools/blocks.py"
    )
    assert sorted(drawn) == sorted(set(drawn))


def test_pictures_are_small_and_all_shown():
    texts = "".join(map(text_of, PAGES))
    for picture in (ROOT / "docs" / "pictures").iterdir():
        assert picture.stat().st_size < 150_000, picture.name
        assert f"pictures/{picture.name}" in texts


def test_every_block_is_seen():
    """No fence is written in a way that would leave its block out."""
    for page in PAGES:
        fences = sum(line.lstrip().startswith("```") for line in text_of(page).splitlines())
        assert fences == 2 * len(blocks.blocks(text_of(page))), told(page)


GOOD = '```python\nimport flowlab as fl\nprint(fl.Network("W @ x"))\n```\n\n```text title="prints"\nW @ x\n```\n'


@pytest.mark.parametrize(
    ("right", "wrong", "error"),
    [
        ("W @ x\n```\n", "W @ y\n```\n", AssertionError),
        ('Network("W', 'Netwrk("W', AttributeError),
        ("print(", "print((", SyntaxError),
        ("```python", "```sh\nflowlab list netwrks\n```\n\n```python", AssertionError),
        ("```python", "```sh\nrm -r out\n```\n\n```python", AssertionError),
    ],
)
def test_broken_code_in_a_page_is_noticed(right, wrong, error):
    assert blocks.run(GOOD) == 1
    assert right in GOOD
    with pytest.raises(error):
        blocks.run(GOOD.replace(right, wrong, 1))


def test_a_block_that_is_marked_is_counted():
    text = f"<!-- not run: needs a cluster -->\n{GOOD}"
    code, left = marked([text])
    assert (len(code), [block.why for block in left]) == (1, ["needs a cluster"])
    with pytest.raises(AssertionError):
        # What it would print is not there either.
        blocks.run(text)
