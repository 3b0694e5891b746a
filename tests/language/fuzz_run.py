"""Run architecture strings under an audit hook; writes what happened as JSON. Started by `test_fuzz.py` in its own process."""

import contextlib
import json
import random
import sys
import time
import warnings

WATCHED = ("os.", "subprocess.", "socket.", "shutil.", "ctypes.", "pty.", "exec", "import", "open", "urllib.", "webbrowser.", "tempfile.", "signal.", "sys.")
HOSTILE = [
    "__import__('os').system('touch pwned')",
    "eval('1')",
    "exec('x=1')",
    "open('pwned', 'w')",
    "(lambda: 0)()",
    "[W for W in x]",
    "{W: x}",
    "{W, x}",
    "W.__class__",
    "W.__class__.__mro__[1].__subclasses__()",
    "x.__init__.__globals__",
    "W2 @ relu.__self__",
    "f'{W}'",
    "W if x else V",
    "W and x",
    "W == x",
    "W < x",
    "not W",
    "~W",
    "W[0]",
    "W[0:1]",
    "W[...]",
    "*W",
    "relu(*W)",
    "relu(**W)",
    "relu(x, inplace=True)",
    "W2 @ x; import os",
    "import os",
    "W = x",
    "(W := x)",
    "yield W",
    "await W",
    "W @ 'x'",
    "W @ b'x'",
    "W @ None",
    "W @ True",
    "W @ ...",
    "W @ 1j",
    "W**W",
    "W**10**9",
    "W**(10**10)",
    "9**9**9**9 * x",
    "1e999 * x",
    "-1e999 * x",
    "W @ x" + " + W @ x" * 5000,
    "(" * 5000 + "x" + ")" * 5000,
    "relu(" * 400 + "x" + ")" * 400,
    "W @ " * 6000 + "x",
    "-" * 15000 + "x",
    "W @ x # \x00",
    "\x00",
    "W\u0435 @ x",
    "𝐖 @ x",
    "W @ x" * 100_000,
    "a" * 1_000_000,
    "1" * 5000 + " * x",
    "x @ x @ x",
    "print(x)",
    "getattr(x, 'T')",
    "globals()",
    "compile('1', '', 'eval')",
    "breakpoint()",
    "W @ x\n\n\nimport os",
    "W.T.T.T.T.real",
    "x.shape",
    "type(x)",
    "type('', (), {})()",
    "relu(relu)",
    "sum(range(10**9))",
    "().__class__.__bases__[0]",
    "x << 10**9",
    "W // x",
    "W % 'a'",
]
PIECES = [
    "W1",
    "W2",
    "W3",
    "x",
    "b",
    "a",
    "@",
    "+",
    "-",
    "*",
    "**",
    "/",
    "(",
    ")",
    "relu(",
    "tanh(",
    "leaky_relu(",
    "sum(",
    "mean(",
    ".T",
    " ",
    "2",
    "0.5",
    "1.5",
    ",",
    "abs(",
    "gelu(",
    "relu",
    "**2",
    "[",
    "]",
    "'",
    "lambda",
    ":",
    "=",
    "é",
    "_",
    "__",
    "1e9",
    "not",
    "if",
    "\n",
    "\t",
    "#",
    "0",
    "-1",
]


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


def main() -> None:
    """Warm up, hook, run, report."""
    warnings.simplefilter("ignore")
    import flowlab as fl
    from flowlab.core.errors import FlowlabError

    for text in ("W2 @ relu(W1 @ x)", "W.T @ tanh(W @ x + b)", "sum(mean(x))", "nonsense("):
        with contextlib.suppress(FlowlabError):
            str(fl.Problem(text))
    events: list[str] = []
    answering = False

    def hook(event: str, args: tuple) -> None:
        # Reading source lines is what Python does for a traceback; everything else that these events stand for is forbidden.
        if answering and event.startswith(WATCHED):
            events.append(f"{event} {args!r:.80}")

    sys.addaudithook(hook)
    hostile, told = "--hostile" in sys.argv, []
    for text in HOSTILE if hostile else fuzzed(500, seed=7):
        began, kind, message = time.perf_counter(), "network", ""
        answering = True
        try:
            problem = fl.Problem(text, loss="square")
            _ = problem.network.symmetry.kind, problem.network.text, problem.degrees
        except FlowlabError as error:
            kind, message = type(error).__name__, str(error)
        except BaseException as error:
            kind, message = f"UNCAUGHT {type(error).__name__}", str(error)
        answering = False
        told.append({"text": text[:60], "kind": kind, "message": message, "seconds": time.perf_counter() - began})
    sys.stdout.write(json.dumps({"answers": told, "events": events}))


if __name__ == "__main__":
    main()
