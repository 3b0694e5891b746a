"""Hand fuzzed inputs to flowlab in one process under an audit hook, and write what happened as JSON.

`python -m tests.fuzz.run 5000` runs 5,000 inputs over the five surfaces and prints the figures; it exits with 1 if a
promise is broken.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.fuzz.cases import Case

SEED = 20
SURFACES = ("architecture", "spec", "data", "stored", "call")
LONG = 60
"""Seconds after which an answer counts as hung."""
FORBIDDEN = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "os.startfile",
    "os.kill",
    "os.putenv",
    "subprocess.",
    "socket.",
    "pty.",
    "webbrowser.",
    "urllib.",
    "ftplib.",
    "smtplib.",
    "pickle.find_class",
)
STRICT = (
    "os.",
    "subprocess.",
    "socket.",
    "shutil.",
    "ctypes.",
    "pty.",
    "exec",
    "import",
    "open",
    "urllib.",
    "webbrowser.",
    "tempfile.",
    "signal.",
    "sys.",
)
"""Events that a string must not cause at all."""
CHANGES = (
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "os.chown",
    "os.utime",
    "shutil.",
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Hang(BaseException):
    """No answer in time."""


class Watch:
    """The audit hook: what an answer must not do."""

    def __init__(self, folder: Path) -> None:
        self.folder = os.path.realpath(folder)
        self.case: Case | None = None
        self.events: list[str] = []
        self.code = tuple({os.path.realpath(p) for p in (*sys.path, sys.prefix, sys.base_prefix) if p} - {self.folder})

    def __call__(self, event: str, args: tuple) -> None:
        if self.case is None or event in ("sys._getframe", "sys.unraisablehook"):
            return
        case, self.case = self.case, None
        try:
            if (
                event.startswith(FORBIDDEN)
                or (case.strict and event.startswith(STRICT))
                or self._runs(event, args)
                or self._writes(event, args, case)
            ):
                self.events.append(f"{event} {args!r:.120}")
        finally:
            self.case = case

    def _runs(self, event: str, args: tuple) -> bool:
        """Whether code runs that is in no file of an installed package, nor made by one while it is imported, as
        dataclasses are.
        """
        # Text that is only parsed, as by `ast.parse`, makes the event "compile" alone.
        name = getattr(args[0], "co_filename", "") if event == "exec" else "<frozen"
        if name.startswith("<frozen") or (os.path.isabs(name) and self._ours(name)):
            return False
        frame = sys._getframe()
        while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
            frame = frame.f_back
        return frame is None

    def _ours(self, name: str) -> bool:
        real = os.path.realpath(name)
        return not real.startswith(self.folder) and real.startswith(self.code)

    def _writes(self, event: str, args: tuple, case: Case) -> bool:
        """Whether something is written where it must not be."""
        if event == "open":
            path, mode, flags = args
            if isinstance(path, int) or not (set(mode or "") & set("wax+") or (flags or 0) & _WRITING):
                return False
            paths = [path]
        elif event.startswith(CHANGES):
            paths = [a for a in args if isinstance(a, str | bytes | os.PathLike)]
        else:
            return False
        inside = all(os.path.realpath(os.fsdecode(p)).startswith(self.folder + os.sep) for p in paths)
        return os.devnull not in paths and not (inside and case.writes)


def answered(case: Case, watch: Watch) -> dict[str, Any]:
    """What flowlab did with one input."""
    from flowlab.core.errors import FlowlabError

    def ring(*_: Any) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(case.work or LONG)
    began, kind, message, watch.events = time.process_time(), "accepted", "", []
    watch.case = case
    try:
        message = case.answer()
        kind = "CHANGED" if message else "accepted"
    except FlowlabError as error:
        kind, message = "refused", str(error)
    except Hang:
        kind = "at work" if case.work else "HANG"
    except BaseException as error:
        watch.case = None
        place = traceback.extract_tb(error.__traceback__)[-1]
        kind, message = (
            "UNTYPED",
            f"{type(error).__name__}: {error!s:.200} ({Path(place.filename).name}:{place.lineno})",
        )
    finally:
        watch.case = None
        signal.alarm(0)
    # Of the processor: other work of the machine does not count against an answer.
    seconds = time.process_time() - began
    if kind == "refused" and seconds > case.limit:
        kind = "SLOW"
    return {
        "surface": case.surface,
        "told": case.told,
        "kind": kind,
        "message": message,
        "seconds": seconds,
        "events": watch.events,
    }


def broken(answers: list[dict[str, Any]]) -> list[str]:
    """Promises that were not kept, one line each; a surface of which nothing was tried, or that always answers alike,
    keeps none.
    """
    found = [f"{a['surface']}: {a['kind']} {a['told']!r}: {a['message']}" for a in answers if a["kind"].isupper()]
    found += [f"{a['surface']}: {a['told']!r} did {event}" for a in answers for event in a["events"]]
    for a in answers:
        if a["kind"] == "refused" and not (
            a["message"].isprintable() and 10 < len(a["message"]) <= 300 and a["message"].endswith((".", "?"))
        ):
            found.append(f"{a['surface']}: {a['told']!r} is refused by {a['message']!r}, which is no sentence")
    for surface in SURFACES:
        kinds = Counter(a["kind"] for a in answers if a["surface"] == surface)
        found += [f"{surface}: no input was {kind}" for kind in ("accepted", "refused") if not kinds[kind]]
    return found


def cases(count: int, seed: int, deep: bool, folder: Path, only: str = "") -> Iterator[Case]:
    """The corpus: a fifth of the inputs on each surface."""
    from tests.fuzz import architectures, calls, files, specifications

    each = count // len(SURFACES)
    for i, surface in enumerate(SURFACES):
        # Files of one surface lie beside no others.
        rng, own = random.Random(f"{seed}:{surface}"), folder / surface
        own.mkdir()
        os.chdir(own)
        if only in ("", surface):
            wanted = each + (count - each * len(SURFACES) if i == 0 else 0) if not only else count
            make = {
                "architecture": architectures.architectures,
                "spec": specifications.specs,
                "data": files.data,
                "stored": files.stored,
                "call": calls.calls,
            }[surface]
            yield from make(rng, wanted, deep, own)


def planted(folder: Path) -> Iterator[Case]:
    """Answers that break one promise each: the control."""
    from flowlab.core.errors import FlowlabError

    def fails() -> str:
        raise TypeError("planted")

    def late() -> str:
        sum(range(1_000_000))
        raise FlowlabError("a planted refusal that comes late.")

    def loud() -> str:
        raise FlowlabError("no sentence\n")

    def writes(name: str) -> str:
        Path(name).write_text("a", encoding="utf-8")
        return ""

    def runs(text: str) -> str:
        exec(text)
        return ""

    outside = str(folder.parent / "planted.txt")
    yield Case("call", "an exception", fails)
    yield Case("data", "a silent change", lambda: "other numbers")
    yield Case("spec", "a late refusal", late, limit=0.001)
    yield Case("spec", "no sentence", loud)
    yield Case("architecture", "an opened file", lambda: str(Path(__file__).read_bytes()[:0], "ascii"), strict=True)
    yield Case("stored", "a written file", lambda: writes("planted.txt"))
    yield Case("call", "a file outside", lambda: writes(outside), writes=True)
    yield Case("call", "code that runs", lambda: runs("a = 1"))
    yield Case("call", "a program that starts", lambda: str(os.system("")) * 0)
    yield Case("call", "an endless answer", lambda: time.sleep(99) or "")


def main(argv: list[str] | None = None) -> int:
    """Warm up, hook, run, report."""
    ask = argparse.ArgumentParser(prog="python -m tests.fuzz.run")
    ask.add_argument("count", type=int)
    ask.add_argument("--seed", type=int, default=SEED)
    ask.add_argument("--only", default="", choices=("", *SURFACES))
    ask.add_argument("--quick", action="store_true", help="nothing that compiles more than a few programs")
    ask.add_argument("--json", type=Path, help="where to write every answer, and those to planted faults")
    told = ask.parse_args(argv)
    os.environ["FLOWLAB_CACHE"] = "off"
    warnings.simplefilter("ignore")
    import jax

    jax.config.update("jax_enable_x64", True)
    with tempfile.TemporaryDirectory() as name:
        folder, home = Path(name).resolve() / "fuzz", Path.cwd()
        folder.mkdir()
        os.environ["MPLCONFIGDIR"] = name
        watch = Watch(folder)
        sys.addaudithook(watch)
        answers = [answered(case, watch) for case in cases(told.count, told.seed, not told.quick, folder, told.only)]
        global LONG
        LONG = 1
        control = [answered(case, watch) for case in planted(folder)] if told.json else []
        os.chdir(home)
    promises = broken(answers)
    for surface in SURFACES:
        mine = [a for a in answers if a["surface"] == surface]
        refused = [a["seconds"] for a in mine if a["kind"] in ("refused", "SLOW")]
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(Counter(a["kind"] for a in mine).items()))
        sys.stdout.write(f"{surface}: {len(mine)} inputs: {kinds}; slowest refusal {max(refused, default=0.0):.2f} s\n")
    for line in promises:
        sys.stdout.write(f"BROKEN {line}\n")
    if told.json:
        told.json.write_text(json.dumps({"answers": answers, "control": control}), encoding="utf-8")
    return 1 if promises else 0


if __name__ == "__main__":
    sys.exit(main())
