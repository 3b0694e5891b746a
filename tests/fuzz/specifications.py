"""Surface two: specifications with values, keys, tables and bytes that nobody meant."""

import random
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from flowlab import figures
from tests.fuzz.architectures import first_step
from tests.fuzz.cases import Case

SPEC = """
[network]
expression = "W2 @ relu(W1 @ x)"
widths = { W1 = 3 }

[problem]
loss = "exponential"
scheme = "gradient_flow"
reduction = "sum"

[data]
source = "gaussian?n=8&d=2&margin=0.5"
standardize = false
seed = 1

[start]
seed = 0
scale = 0.5

[integrate]
solver = "tsit5"
rtol = 1e-6
max_steps = 1
until = { log_time = 1.0 }

[verify]
claims = ["P2"]

[figures]
names = ["loss"]
"""
VALUES = [
    "nan",
    "inf",
    "-inf",
    "1e400",
    "-1",
    "0",
    "0.5",
    "1e-320",
    "true",
    "false",
    "9223372036854775807",
    "9223372036854775808",
    "1" + "0" * 400,
    "1" * 5000,
    '""',
    '"a"',
    '"\\\\"',
    '"\\u0000"',
    "'C:\\a.csv'",
    '"../../x.csv"',
    '"file:///x.npz"',
    '"iris"',
    '"digits:3v8"',
    '"gaussian?n=1e99"',
    "[]",
    "[[[]]]",
    "[1, 'a']",
    "{}",
    "{ a = 1 }",
    "{ log_time = 1e9 }",
    "{ separated = false }",
    "{ time = -1 }",
    "{ margin_gap = 1e-9 }",
    "1979-05-27",
    "07:32:00",
    "0x7f",
    "1_000",
    "['P1', 'nosuch']",
    "['loss', 'portrait']",
    '"' + "k" * 10_000 + '"',
    "'square'",
    "'weights'",
    "'cross_entropy'",
    "[" * 3000 + "]" * 3000,
    "'W @ x'",
    "'import os'",
    "'x'",
    "'W3 @ tanh(W2 @ W1 @ x)'",
]
KEYS = [
    "expression",
    "widths",
    "loss",
    "scheme",
    "per",
    "source",
    "seed",
    "scale",
    "solver",
    "rtol",
    "atol",
    "until",
    "clock",
    "kinks",
    "claims",
    "names",
]
TABLES = [
    "[nosuch]",
    "[[network]]",
    "[integrate.until]",
    "[",
    "[network.shapes]\nW1 = [3, 2]",
    "[witness]\nstep = -1.0\ncount = 5",
    "[start]\nseed = 1",
]


def _damaged(rng: random.Random, text: str) -> tuple[str, bytes, bool]:
    """How a specification was changed, its bytes, and whether they mean what they meant."""
    lines, way = (
        text.splitlines(),
        rng.choice(["value", "value", "value", "key", "drop", "twice", "add", "bytes", "cut", "same", "same", "table"]),
    )
    at = rng.choice([i for i, line in enumerate(lines) if "=" in line])
    if way == "value":
        lines[at] = re.sub(r"=.*", lambda _: f"= {rng.choice(VALUES)}", lines[at], count=1)
    elif way == "key":
        key, rest = lines[at].split("=", 1)
        lines[at] = rng.choice([key.strip()[::-1], rng.choice(KEYS), "", '"a\\nb"', "a.b.c"]) + " =" + rest
    elif way == "drop":
        del lines[rng.randrange(len(lines))]
    elif way == "twice":
        lines.insert(rng.randrange(len(lines)), lines[rng.randrange(len(lines))])
    elif way == "add":
        lines.insert(at, f"{rng.choice(KEYS)} = {rng.choice(VALUES)}")
    elif way == "table":
        lines.insert(at, rng.choice(TABLES))
    raw = "\n".join(lines).encode()
    if way == "bytes":
        noisy = bytearray(raw)
        for _ in range(rng.randrange(1, 4)):
            noisy[rng.randrange(len(noisy))] = rng.randrange(256)
        raw = bytes(noisy)
    elif way == "cut":
        raw = raw[: rng.randrange(len(raw))]
    elif way == "same":
        raw = rng.choice(
            [b"\xef\xbb\xbf" + raw, raw.replace(b"\n", b"\r\n"), raw + "\n# ρ".encode(), b" \n\n" + raw + b"\n\t\n"]
        )
    return way, raw, way == "same"


def specs(rng: random.Random, count: int, deep: bool, folder: Path) -> Iterator[Case]:
    """Specifications, as far as a run of them looks before it derives; where `deep` to a first step, and some are whole
    runs.
    """
    figures.load_library()
    root = Path(__file__).resolve().parents[2]
    texts = [SPEC, *(path.read_text(encoding="utf-8") for path in sorted((root / "examples").glob("*.toml")))]
    (folder / "plain.toml").write_text(SPEC, encoding="utf-8")
    # Once as it is meant: what is imported on the way does not count against a wrong one.
    assert _ready(folder / "plain.toml", tomllib.loads(SPEC), deep)() == ""
    if deep:
        assert _run(folder / "plain.toml", folder / "plain")() == ""
    for i in range(count):
        # The small one more often: it takes its step at once.
        text = texts[rng.choice([0, 0, 0, 0, 1, 2])]
        way, raw, same = _damaged(rng, text)
        path = folder / f"spec{i}.toml"
        path.write_bytes(raw)
        if deep and text == SPEC and i % 20 == 0:
            yield Case("spec", f"run {way} {path.name}", _run(path, folder / f"out{i}"), writes=True, work=60)
        else:
            yield Case(
                "spec", f"{way} {path.name}", _ready(path, tomllib.loads(text) if same else None, deep and i % 2 == 0)
            )
        path.unlink()


def _ready(path: Path, meant: dict | None, stepped: bool) -> Callable[[], str]:
    from flowlab.app.asked import horizons, ready, wanted_words
    from flowlab.app.spec import read_spec

    def answer() -> str:
        spec = read_spec(path)
        if meant is not None and spec != meant:
            return "the specification reads otherwise"
        problem, data, start, _ = ready(spec, path)
        ends = horizons(spec)
        wanted_words(spec, problem)
        if stepped and data.n * data.d < 1000:
            first_step(problem, data, start, ends)
        return ""

    return answer


def _run(path: Path, out: Path) -> Callable[[], str]:
    from flowlab.app.run import run

    def answer() -> str:
        run(path, out)
        return "" if (out / "summary.json").is_file() else "no summary was written"

    return answer
