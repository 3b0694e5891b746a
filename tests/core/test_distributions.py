"""The wheel and the source distribution: built, looked into, and installed in an environment of their own, offline."""

import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import flowlab as fl
from tests.app.commands import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ALLOWED = (
    *(
        "MIT",
        "MIT License",
        "MIT-0",
        "MIT-CMU",
        "BSD License",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "0BSD",
        "Zlib",
        "CC0-1.0",
    ),
    *("Apache-2.0", "Apache Software License", "ISC License (ISCL)", "PSF-2.0", "Python Software Foundation License"),
    # FLINT is linked by its wheels, whole and as it is.
    "LGPL-3.0-or-later",
    "Mozilla Public License 2.0 (MPL 2.0)",
)
"""Licences under which what flowlab needs may be passed on beside it."""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with both distributions, made from a copy of what belongs to the repository."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed: `pip install flowlab[test]`")
    folder = tmp_path_factory.mktemp("built")
    # Without the network: the build backend runs in this environment.
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder], cwd=ROOT, check=True, capture_output=True
    )
    return folder


def missing(names: set[str]) -> set[str]:
    """Files of the package that a wheel lacks, and files that it should not have."""
    home = ROOT / "flowlab"
    own = {f"flowlab/{file.relative_to(home).as_posix()}" for file in home.rglob("*") if file.is_file()}
    own = {name for name in own if "__pycache__" not in name}
    return own ^ {name for name in names if ".dist-info/" not in name}


@pytest.mark.long
def test_a_wheel_has_the_package_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    assert wheel.name == f"flowlab-{fl.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        told = archive.read(next(n for n in names if n.endswith("/METADATA"))).decode()
    assert missing(names) == set()
    assert {"flowlab/py.typed", "flowlab/__init__.pyi", "flowlab/app/spec.schema.json"} <= names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert "License-Expression: MIT" in told
    assert "Provides-Extra: optax" in told
    # Control: a file too few or too many is noticed.
    assert missing(names - {"flowlab/py.typed"}) == {"flowlab/py.typed"}
    assert missing(names | {"tests/conftest.py"}) == {"tests/conftest.py"}


@pytest.mark.long
def test_a_source_distribution_can_be_tested(built):
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "constraints.txt"}
    assert wanted | {"tests/conftest.py", "flowlab/py.typed", "examples/iris.toml"} <= names
    assert not any("__pycache__" in name for name in names)


@pytest.mark.long
def test_a_wheel_runs_where_it_is_installed(built, tmp_path):
    (wheel,) = built.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "own"], check=True)
    own = tmp_path / "own"
    python = own / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel]
    subprocess.run(pip, check=True, capture_output=True)
    # What it needs is taken from here; what stands in a path file is no place whose own path files are read.
    (place,) = own.glob("lib/python*/site-packages")
    (place / "beside.pth").write_text(sysconfig.get_path("purelib"))
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}

    def run(*words):
        return subprocess.run(words, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True).stdout

    told = run(python, "-c", "import flowlab as fl; print(fl.__file__, fl.__version__, len(dir(fl)))").split()
    assert Path(told[0]).is_relative_to(own)
    assert told[1:] == [fl.__version__, str(len(dir(fl)))]
    assert run(own / "bin" / "flowlab", "--version") == f"flowlab {fl.__version__}\n"
    assert "logistic" in run(own / "bin" / "flowlab", "list", "losses")
    # An installed package is no checkout, whose files would be hashed.
    ask = "from flowlab.core.provenance import HOME, is_checkout; print(is_checkout(HOME))"
    assert run(python, "-c", ask) == "False\n"


def licences(name: str) -> list[str]:
    """What a distribution says of its licence: SPDX names, or classifiers."""
    told = metadata.metadata(name)
    expression = told.get("License-Expression")
    if expression:
        return re.split(r" (?:AND|OR) ", expression)
    found = [line.split(" :: ")[-1] for line in told.get_all("Classifier") or [] if line.startswith("License ::")]
    return found or [(told.get("License") or "none").splitlines()[0]]


def needed() -> list[str]:
    """What is installed when flowlab is: its dependencies, theirs, and so on."""
    left, found = list(PROJECT["dependencies"]), []
    while left:
        requirement = left.pop()
        name = re.match(r"[\w.-]+", requirement)[0]
        if "extra ==" in requirement or name.lower() in found:
            continue
        try:
            more = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            # Of another system or version of Python.
            continue
        found.append(name.lower())
        left += more
    return found


def forbidden(told: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: names for name, names in told.items() if not set(names) <= set(ALLOWED)}


def test_licences_of_what_it_needs_go_with_its_own():
    names = needed()
    assert {"jax", "sympy", "numpy", "xarray", "typer"} <= set(names)
    assert len(names) > 30
    told = {name: licences(name) for name in names}
    assert forbidden(told) == {}
    assert forbidden(told | {"other": ["AGPL-3.0-only"], "silent": ["none"]}).keys() == {"other", "silent"}
