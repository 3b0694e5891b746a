"""Surfaces one and two: architecture strings, and specifications."""

import random
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import flowlab as fl
from flowlab import claims, figures
from tests.fuzz.cases import Case

HOSTILE = [
    "__import__('os').system('touch pwned')", "eval('1')", "exec('x=1')", "open('pwned', 'w')", "(lambda: 0)()",
    "[W for W in x]", "{W: x}", "{W, x}", "W.__class__", "W.__class__.__mro__[1].__subclasses__()",
    "x.__init__.__globals__", "W2 @ relu.__self__", "f'{W}'", "W if x else V", "W and x", "W == x", "W < x", "not W",
    "~W", "W[0]", "W[0:1]", "W[...]", "*W", "relu(*W)", "relu(**W)", "relu(x, inplace=True)", "W2 @ x; import os",
    "import os", "W = x", "(W := x)", "yield W", "await W", "W @ 'x'", "W @ b'x'", "W @ None", "W @ True", "W @ ...",
    "W @ 1j", "W**W", "W**10**9", "W**(10**10)", "9**9**9**9 * x", "1e999 * x", "-1e999 * x",
    "W @ x" + " + W @ x" * 5000, "(" * 5000 + "x" + ")" * 5000, "relu(" * 400 + "x" + ")" * 400, "W @ " * 6000 + "x",
    "-" * 15000 + "x", "W @ x # \x00", "\x00", "W\u0435 @ x", "𝐖 @ x", "W @ x" * 100_000, "a" * 1_000_000,
    "1" * 5000 + " * x", "x @ x @ x", "print(x)", "getattr(x, 'T')", "globals()", "compile('1', '', 'eval')",
    "breakpoint()", "W @ x\n\n\nimport os", "W.T.T.T.T.real", "x.shape", "type(x)", "type('', (), {})()",
    "relu(relu)", "sum(range(10**9))", "().__class__.__bases__[0]", "x << 10**9", "W // x", "W % 'a'",
]  # fmt: skip
PIECES = [
    "W1", "W2", "W3", "x", "b", "a", "@", "+", "-", "*", "**", "/", "(", ")", "relu(", "tanh(", "leaky_relu(", "sum(",
    "mean(", ".T", " ", "2", "0.5", "1.5", ",", "abs(", "gelu(", "relu", "**2", "[", "]", "'", "lambda", ":", "=",
    "é", "_", "__", "1e9", "not", "if", "\n", "\t", "#", "0", "-1",
]  # fmt: skip


def valid(rng: random.Random, depth: int) -> str:
    """A string that is mostly within the language."""
    if depth == 0:
        return "x"
    below = valid(rng, depth - 1)
    z = f"W{rng.randrange(6)} @ {below}"
    return rng.choice(
        [
            z,
            f"relu({z})",
            f"tanh({z} + b{rng.randrange(3)})",
            f"({z})**{rng.choice(['2', '3', '1.5', '-1', '0'])}",
            f"({z}) * (V{rng.randrange(3)} @ x)",
            f"{rng.random():.2f} * ({z})",
            f"({z} - {z})",
            f"leaky_relu({z}, {rng.random():.2f})",
            f"mean({z})",
        ]
    )


def fuzzed(count: int, seed: int) -> list[str]:
    """Strings from the grammar, from its pieces, and the former with characters changed."""
    rng = random.Random(seed)
    out = []
    for i in range(count):
        if i % 4 < 2:
            text = valid(rng, rng.randrange(1, 6))
        elif i % 4 == 2:
            text = " ".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 25)))
        else:
            letters = list(valid(rng, rng.randrange(1, 5)))
            for _ in range(rng.randrange(1, 4)):
                letters[rng.randrange(len(letters))] = chr(rng.choice([rng.randrange(32, 127), rng.randrange(0, 0x2FFF)]))
            text = "".join(letters)
        out.append(text)
    return out


def architectures(rng: random.Random, count: int, deep: bool, folder: Path) -> Iterator[Case]:
    """Strings, as they become a problem; where `deep`, some are derived and take a first step."""
    # A short run takes some of the hostile ones.
    texts = [*(HOSTILE if deep else HOSTILE[rng.randrange(3) :: 3]), *fuzzed(count, rng.randrange(2**32))][:count]
    if deep:
        # What is imported and compiled on the way to a first step is no doing of a wrong one.
        _network("W @ x", True)()
    for i, text in enumerate(texts):
        long = sum(text.count(sign) for sign in "@+-*(.") > 200
        yield Case("architecture", text[:60], _network(text, deep and i % 20 == 0), 10.0 if long else 2.0, strict=not (deep and i % 20 == 0))


def _network(text: str, stepped: bool) -> Callable[[], str]:
    def answer() -> str:
        problem = fl.Problem(text, loss="square", coordinates="weights")
        _ = problem.network.symmetry.kind, problem.network.text, problem.degrees
        if stepped:
            x, shape = np.array([[0.5, -1.0], [1.5, 0.25]]), problem.network.output_shape
            data = fl.Data(x, np.zeros((2, *([2] * len(shape)))), kind="targets")
            _one_step(problem, data, fl.initial_state(problem.network, data, seed=0, default_width=2, scale=0.5), [fl.time(1e-3)])
        return ""

    return answer


def _one_step(problem: fl.Problem, data: fl.Data, start: fl.State, ends: list) -> None:
    path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=ends, max_steps=1)
    assert path.outcome.message


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
    "nan", "inf", "-inf", "1e400", "-1", "0", "0.5", "1e-320", "true", "false", "9223372036854775807", "9223372036854775808", "1" + "0" * 400, "1" * 5000,
    '""', '"a"', '"\\\\"', '"\\u0000"', "'C:\\a.csv'", '"../../x.csv"', '"file:///x.npz"', '"iris"', '"digits:3v8"', '"gaussian?n=1e99"', "[]",
    "[[[]]]", "[1, 'a']", "{}", "{ a = 1 }", "{ log_time = 1e9 }", "{ separated = false }", "{ time = -1 }", "{ margin_gap = 1e-9 }", "1979-05-27",
    "07:32:00", "0x7f", "1_000", "['P1', 'nosuch']", "['loss', 'portrait']", '"' + "k" * 10_000 + '"', "'square'", "'weights'", "'cross_entropy'",
    "[" * 3000 + "]" * 3000, "'W @ x'", "'import os'", "'x'", "'W3 @ tanh(W2 @ W1 @ x)'",
]  # fmt: skip
KEYS = ["expression", "widths", "loss", "scheme", "per", "source", "seed", "scale", "solver", "rtol", "atol", "until", "clock", "kinks", "claims", "names"]
TABLES = ["[nosuch]", "[[network]]", "[integrate.until]", "[", "[network.shapes]\nW1 = [3, 2]", "[witness]\nstep = -1.0\ncount = 5", "[start]\nseed = 1"]


def _damaged(rng: random.Random, text: str) -> tuple[str, bytes, bool]:
    """How a specification was changed, its bytes, and whether they mean what they meant."""
    lines, way = text.splitlines(), rng.choice(["value", "value", "value", "key", "drop", "twice", "add", "bytes", "cut", "same", "same", "table"])
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
        raw = rng.choice([b"\xef\xbb\xbf" + raw, raw.replace(b"\n", b"\r\n"), raw + "\n# ρ".encode(), b" \n\n" + raw + b"\n\t\n"])
    return way, raw, way == "same"


def specs(rng: random.Random, count: int, deep: bool, folder: Path) -> Iterator[Case]:
    """Specifications, as far as a run of them looks before it derives; where `deep` to a first step, and some are whole runs."""
    claims.load_library()
    figures.load_library()
    root = Path(__file__).resolve().parents[2]
    texts = [SPEC, *(path.read_text(encoding="utf-8") for path in sorted((root / "examples").glob("*.toml")))]
    (folder / "plain.toml").write_text(SPEC, encoding="utf-8")
    # Once as it is meant: what is imported on the way is no doing of a wrong one.
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
            yield Case("spec", f"{way} {path.name}", _ready(path, tomllib.loads(text) if same else None, deep and i % 2 == 0))
        path.unlink()


def _ready(path: Path, meant: dict | None, stepped: bool) -> Callable[[], str]:
    from flowlab.app.run import horizons, ready, wanted_words
    from flowlab.app.spec import read_spec

    def answer() -> str:
        spec = read_spec(path)
        if meant is not None and spec != meant:
            return "the specification reads otherwise"
        problem, data, start, _ = ready(spec, path)
        ends = horizons(spec)
        wanted_words(spec, problem)
        if stepped and data.n * data.d < 1000:
            _one_step(problem, data, start, ends)
        return ""

    return answer


def _run(path: Path, out: Path) -> Callable[[], str]:
    from flowlab.app.run import run

    def answer() -> str:
        run(path, out, progress=False, say=lambda _: None)
        return "" if (out / "summary.json").is_file() else "no summary was written"

    return answer
