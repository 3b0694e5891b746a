"""Code of the pages: found, run in one namespace a page, and held against what the page says is printed.

`python docs/tools/blocks.py docs/gallery.md` runs a page and keeps the pictures that it draws beside it.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FENCE = re.compile(
    r"^(?:<!-- not run: (?P<why>.+?) -->\n)?```(?P<kind>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_RUN = ("python", "sh")
PRINTS = "prints"
"""The title of a block that shows what the one before it prints; `…` stands for anything, also for whole lines."""


@dataclass(frozen=True)
class Block:
    """A block of a page.

    Attributes:
        kind: `python`, `sh`, or another language.
        code: its text.
        line: where it begins.
        title: of a file that is written and not run, or `prints`.
        why: the reason that it is not run, or empty.
    """

    kind: str
    code: str
    line: int
    title: str = ""
    why: str = ""

    @property
    def runs(self) -> bool:
        """Whether it is code for Python or the shell, run or marked."""
        return self.kind in _RUN


def blocks(text: str) -> list[Block]:
    """All blocks of a page, in order."""
    return [
        Block(m["kind"], m["code"], text.count("\n", 0, m.start("kind")) + 1, m["title"] or "", m["why"] or "")
        for m in _FENCE.finditer(text)
    ]


def run(text: str, name: str = "page") -> int:
    """Run the blocks of a page in the current folder; how many were run.

    Raises:
        AssertionError: where something else is printed than the page says, or a command fails.
    """
    space: dict[str, Any] = {"__name__": "__main__"}
    printed, ran = "", 0
    with _imports_from_here():
        for block in blocks(text):
            place = f"{name}:{block.line}"
            if block.why:
                continue
            if block.title == PRINTS:
                assert _shown(block.code, printed), f"{place} prints something else:\n{printed}"
            elif block.title:
                Path(block.title).write_text(block.code, encoding="utf-8")
                ran += block.runs
            elif block.runs:
                with contextlib.redirect_stdout(io.StringIO()) as said:
                    _python(block.code, place, space) if block.kind == "python" else _commands(block.code, place)
                printed, ran = said.getvalue(), ran + 1
    return ran


def _python(code: str, place: str, space: dict[str, Any]) -> None:
    exec(compile("\n" * int(place.rpartition(":")[2]) + code, place, "exec"), space)


def _commands(code: str, place: str) -> None:
    """Commands of flowlab, in this process: its programs are compiled once."""
    from flowlab.cli import main

    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        assert words[0] == "flowlab", f"{place}: `{line}` is no command of flowlab; mark the block as not run"
        # Words of a user are entered once in a process, and a page may have imported them.
        code = _alone(words[1:]) if "--words" in words else _ended(main, words[1:])
        assert not code, f"{place}: `{line}` ended with {code}"


def _alone(words: list[str]) -> int:
    done = subprocess.run([sys.executable, "-m", "flowlab", *words], capture_output=True, text=True, check=False)
    sys.stdout.write(done.stdout)
    return done.returncode


def _ended(command: Callable[[list[str]], object], words: list[str]) -> object:
    """The exit code of a command, None or 0 where all is well."""
    try:
        command(words)
    except SystemExit as end:
        return end.code
    return None


def _shown(told: str, printed: str) -> bool:
    """Whether the lines that a page shows are printed, one after another."""
    lines = (re.escape(line.rstrip()).replace("…", ".*") for line in told.strip("\n").splitlines() if line != "…")
    found, at = [line.rstrip() for line in printed.splitlines()], 0
    for line in lines:
        at = next((i + 1 for i in range(at, len(found)) if re.fullmatch(line, found[i])), 0)
        if not at:
            return False
    return True


@contextlib.contextmanager
def _imports_from_here() -> Iterator[None]:
    """Files that a page writes can be imported, and are forgotten afterwards."""
    known, here = set(sys.modules), os.getcwd()
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)
        for module in set(sys.modules) - known:
            if str(getattr(sys.modules[module], "__file__", None) or "").startswith(here):
                del sys.modules[module]


def keep_pictures(page: Path) -> list[Path]:
    """Run a page in a folder of its own and copy the pictures it draws to `pictures` beside the pages."""
    home = Path(__file__).resolve().parents[1] / "pictures"
    home.mkdir(exist_ok=True)
    text, before = page.read_text(encoding="utf-8"), Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            run(text, page.name)
        finally:
            os.chdir(before)
        wanted = set(re.findall(r"pictures/([\w-]+\.png)", text))
        return [_small(Path(folder) / name, home / name) for name in sorted(wanted)]


def _small(drawn: Path, kept: Path) -> Path:
    """A copy of a picture for the page: 1,000 pixels wide at most, and of 64 colours, of which figures use fewer."""
    from PIL import Image

    with Image.open(drawn) as picture:
        small = picture.convert("RGB")
        small.thumbnail((1000, 4000), Image.Resampling.LANCZOS)
        small.quantize(64).save(kept, optimize=True)
    return kept


if __name__ == "__main__":
    import jax

    jax.config.update("jax_enable_x64", True)
    for argument in sys.argv[1:]:
        for kept in keep_pictures(Path(argument)):
            sys.stdout.write(f"{kept} {kept.stat().st_size}\n")
