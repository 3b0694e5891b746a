"""The house rules, read off the source: imports point down, files stay small, no string becomes code."""

import ast
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from tokenize import COMMENT, generate_tokens
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "flowlab"
SOURCES = sorted(PACKAGE.rglob("*.py"))

MAY_IMPORT = {
    "core": set(),
    "language": {"core"},
    "symbolic": {"core", "language"},
    "lowering": {"core", "language", "symbolic"},
    "dynamics": {"core", "language", "lowering"},
    "late": {"core", "language"},
    "discrete": {"core", "language"},
    "studies": {"core", "language", "symbolic", "lowering", "dynamics", "late", "discrete"},
    "claims": {"core", "language", "symbolic", "lowering", "dynamics", "late", "discrete", "studies"},
    "figures": {"core", "language", "studies", "claims"},
    "app": {"core", "language", "symbolic", "lowering", "dynamics", "late", "discrete", "studies", "claims", "figures"},
}
NEVER = {
    "language": {"diffrax"},
    "dynamics": {"sympy"},
    "figures": {"diffrax", "optimistix"},
    "discrete": {"diffrax", "sympy"},
}
"""Libraries a room must not use."""


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Every module a file imports, for type checkers alone and inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    return names


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parent != PACKAGE], ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    home = room(path)
    rooms = {name.split(".")[1] for name in imported(path) if name.startswith("flowlab.") and name.count(".")}
    assert rooms & MAY_IMPORT.keys() <= MAY_IMPORT[home] | {home}
    libraries = {name.split(".")[0] for name in imported(path)}
    assert not libraries & NEVER.get(home, set())


def edges(sources: list[Path], package: Path = PACKAGE) -> dict[str, set[str]]:
    """Module to the modules that it imports, for type checkers alone and inside functions too."""
    modules = {
        ".".join(p.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__"): p for p in sources
    }
    found: dict[str, set[str]] = {name: set() for name in modules}
    for name, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            wanted = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                full = [f"{node.module}.{alias.name}" for alias in node.names]
                wanted = [each if each in modules else node.module for each in full]
            found[name] |= (set(wanted) & modules.keys()) - {name}
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other, or []."""
    graph = {name: set(others) for name, others in graph.items()}
    while ends := [name for name, others in graph.items() if not others & graph.keys()]:
        for name in ends:
            del graph[name]
    return sorted(graph)


def test_no_imports_run_in_circles():
    assert circle(edges(SOURCES)) == []


def test_a_circle_is_noticed(tmp_path):
    package = tmp_path / "made"
    package.mkdir()
    bodies = {
        "a": "from made.b import x",
        "b": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from made.c import y",
        "c": "def f():\n    import made.a",
        "d": "from made import a",
    }
    for name, body in bodies.items():
        (package / f"{name}.py").write_text(body)
    # `d` only leads into the circle, but it cannot be taken away before it.
    assert circle(edges(sorted(package.glob("*.py")), package)) == ["made.a", "made.b", "made.c", "made.d"]
    (package / "c.py").write_text("")
    assert circle(edges(sorted(package.glob("*.py")), package)) == []


def test_every_room_has_a_rule():
    assert {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__"} == MAY_IMPORT.keys()


FILES = sorted(
    p
    for folder in ("flowlab", "tests", "examples", "benchmarks", "derivations", "docs")
    for p in (ROOT / folder).rglob("*.py")
)


COLUMNS, FUNCTION, FILE, SKIPS = 120, 80, 400, 20
"""The most columns of a line, lines of a function, lines of a file, and lines that the formatter is to leave alone."""


def too_long(source: str) -> list[str]:
    """Lines, functions and files beyond the limits."""
    lines = source.splitlines()
    found = [f"line {i} has {len(line)} columns" for i, line in enumerate(lines, 1) if len(line) > COLUMNS]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            found += [f"`{node.name}` has {size} lines"] if size > FUNCTION else []
    return found + ([f"the file has {len(lines)} lines"] if len(lines) > FILE else [])


def skips(source: str) -> int:
    """How many comments ask the formatter to leave something alone."""
    comments = (part.string for part in generate_tokens(StringIO(source).readline) if part.type == COMMENT)
    return sum(re.search(r"fmt: *(?:skip|off)", comment) is not None for comment in comments)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_lines_functions_and_files_are_short(path):
    assert too_long(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("x = 1" + " " * (COLUMNS - 4), f"line 1 has {COLUMNS + 1} columns"),
        ("class A:\n    async def f(self):\n" + "        x = 1\n" * FUNCTION, f"`f` has {FUNCTION + 1} lines"),
        ("x = 1\n" * (FILE + 1), f"the file has {FILE + 1} lines"),
    ],
    ids=["line", "function", "file"],
)
def test_what_is_too_long_is_noticed(source, told):
    assert too_long(source) == [told]
    shorter = source[:-1] if "column" in told else source[: source[:-1].rindex("\n") + 1]
    assert too_long(shorter) == []


def test_the_formatter_formats_nearly_everything():
    assert sum(skips(path.read_text(encoding="utf-8")) for path in FILES) <= SKIPS


def test_skips_are_counted():
    assert skips("x = 1  # fmt: skip\n# fmt: off\ny = '# fmt: skip'\n") == 2


BANNED_CALLS = {"eval", "exec", "compile", "sympify", "parse_expr", "S", "lambdify", "__import__", "loads_pickle"}
BANNED_MODULES = {"pickle", "dill", "cloudpickle", "marshal", "shelve"}


def unsafe(source: str) -> list[str]:
    """Calls that turn text into code or objects, and modules that do so."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = (
                node.func.attr
                if isinstance(node.func, ast.Attribute)
                else node.func.id
                if isinstance(node.func, ast.Name)
                else ""
            )
            owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
            if name in BANNED_CALLS and not (name == "compile" and owner == "re"):
                found.append(ast.unparse(node.func))
            if any(k.arg == "allow_pickle" and getattr(k.value, "value", None) is not False for k in node.keywords):
                found.append("allow_pickle")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [n for n in names if n.split(".")[0] in BANNED_MODULES]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_text_becomes_code(path):
    assert unsafe(path.read_text(encoding="utf-8")) == []


def test_unsafe_code_is_noticed():
    for source in ("eval('1')", "sp.sympify(x)", "import pickle", "np.load(f, allow_pickle=True)", "sp.lambdify(a, b)"):
        assert unsafe(source)


def test_nothing_points_outside():
    """No path of a machine, no address of a host, nothing about how the project is made."""
    told = re.compile(r"(?<![\w.])/(?:work|tmp|home|root)/|https?:\/\/|\bissue \d|\bhelper-\d")
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    paths = [ROOT / n for n in names] or FILES
    for path in paths:
        if path.suffix in (".py", ".md", ".toml", ".txt", ".json", "") and path.is_file() and path != Path(__file__):
            match = told.search(path.read_text(encoding="utf-8"))
            assert match is None, f"{path.name}: {match and match.group()}"


@pytest.mark.parametrize("code", ["import flowlab", "import flowlab; dir(flowlab)", "import flowlab.cli"])
def test_import_is_light(code):
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{code}; import sys; print(sorted({{'jax', 'sympy', 'diffrax', 'matplotlib'}} & set(sys.modules)))",
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_loads_no_jax():
    code = "import flowlab; assert not hasattr(flowlab, 'errors'); import sys; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


def test_every_public_name_is_there():
    import flowlab

    for name in flowlab.__all__:
        assert getattr(flowlab, name) is not None
    with pytest.raises(AttributeError, match="did you mean `derive`"):
        flowlab.derivee  # noqa: B018


WORDS = {"scheme", "clock", "late", "loss", "activation", "operation", "rule", "picture", "word", "how"}
"""What a word is called where it is used."""


def names_a_word(node: ast.AST) -> bool:
    """Whether an expression is a word's name: the operation of a node, the name of a word, a loss's kind of labels."""
    if not isinstance(node, ast.Attribute) or node.attr not in ("op", "name", "labels"):
        return False
    owner = node.value
    called = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
    # What a class says of itself is its own; the classes of nodes and words answer for others.
    return called != "self" and (node.attr == "op" or called in WORDS)


def name_tests(source: str, *, aliases: bool = True) -> list[Any]:
    """Where code decides by the name of a word, itself or given to a variable; what to do is for the word to say."""
    tree = ast.parse(source)
    given = {
        target.id
        for node in ast.walk(tree)
        if aliases and isinstance(node, ast.Assign) and names_a_word(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    def told(node: ast.AST) -> bool:
        return names_a_word(node) or (isinstance(node, ast.Name) and node.id in given)

    found = []
    for node in ast.walk(tree):
        compared = isinstance(node, ast.Compare) and any(map(told, (node.left, *node.comparators)))
        looked_up = isinstance(node, ast.Subscript) and isinstance(node.value, ast.Dict) and told(node.slice)
        if compared or looked_up or (isinstance(node, ast.Match) and told(node.subject)):
            found.append(node)
    return found


def refusals(source: str) -> set[int]:
    """Lines of conditions that only answer with a sentence: why a statement does not apply."""
    return {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.If) and not node.orelse and all(isinstance(part, ast.Assign) for part in node.body[:-1])
        if isinstance(node.body[-1], ast.Return)
        if all(isinstance(part.value, ast.Constant | ast.JoinedStr) for part in node.body if hasattr(part, "value"))
        for line in range(node.test.lineno, (node.test.end_lineno or node.test.lineno) + 1)
    }


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_words_are_asked_for_capabilities(path):
    source = path.read_text(encoding="utf-8")
    # Statements of claims are about schemes and losses by name: hypotheses refuse others, a law may be stated for each.
    stated = room(path) == "claims"
    allowed = refusals(source) if stated else set()
    found = [node for node in name_tests(source, aliases=not stated) if node.lineno not in allowed]
    assert not [f"line {node.lineno}: {ast.unparse(node)}" for node in found]


def test_a_test_of_a_name_is_noticed():
    for source in (
        'if problem.scheme.name == "gradient_flow": pass',
        'late.name != "norm"',
        'problem.loss.labels in ("binary",)',
        '"time" == segment.clock.name',
        'node.op == "matmul"',
        'value.op not in ("add", "sub")',
        'op = node.op\nif op == "scale": pass',
        'match arg.op:\n    case "power": pass',
        '{"gradient_flow": "GF"}[scheme.name]',
        'word.name == "relu"',
    ):
        assert name_tests(source), source
    assert not name_tests("scheme.moves_norms == True; data.name == 'a'; told = f'{loss.name}'")
    assert not name_tests("self.op == 'input'; made = rules[how.name]")
    assert refusals('if problem.loss.name != "square":\n    return "it is about the square loss"') == {1}
    assert not refusals('if problem.loss.name != "square":\n    bound = 1')
    assert not refusals('return 1 if problem.loss.name != "square" else "no"')


def unchecked_protocols(source: str) -> list[str]:
    """Protocols that annotations cannot be checked against when calls are."""
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef)
        and any("Protocol" in ast.unparse(base) for base in node.bases)
        and not any("runtime_checkable" in ast.unparse(each) for each in node.decorator_list)
    ]


def test_calls_can_be_checked_against_every_protocol():
    assert not {p.name: some for p in SOURCES if (some := unchecked_protocols(p.read_text(encoding="utf-8")))}


def test_a_protocol_that_cannot_be_checked_is_noticed():
    source = "class Field(Protocol): ...\n@runtime_checkable\nclass Other(Protocol[T]): ..."
    assert unchecked_protocols(source) == ["Field"]
