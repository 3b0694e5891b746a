"""`flowlab list`: the words of specifications and of the language."""

import json
from importlib import import_module
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from flowlab.app.terminal import to_stdout
from flowlab.core.errors import LanguageError


def _networks() -> dict[str, str]:
    return {
        "W1 @ x": "linear",
        "W2 @ relu(W1 @ x)": "two-layer ReLU",
        "W3 @ W2 @ W1 @ x": "deep linear",
        "W3 @ relu(W2 @ relu(W1 @ x))": "three-layer ReLU",
        "a @ relu(W @ x)**2": "squared ReLU, degrees 2 and 1",
        "(w * w - u * u) @ x": "diagonal",
        "(W1 @ x) * (W2 @ x)": "gated, one output per row",
        "W2 @ relu(W1 @ x) + W3 @ x": "with a skip, quasi-homogeneous",
        "W2 @ tanh(W1 @ x)": "not homogeneous in W1",
    }


def _words(kind: str) -> dict[str, str]:
    """Names and one-line descriptions, without importing jax."""
    if kind == "networks":
        return _networks()
    if kind == "packs":
        from flowlab.app.verify import packs, paper

        return {name: f"{paper(name)} ({', '.join(ids)})" for name, ids in packs().items()}
    home = import_module(f"flowlab.{'' if kind in ('claims', 'figures') else 'language.'}{kind}")
    getattr(home, "load_library", lambda: None)()
    registry = getattr(home, kind)
    words = {name: registry[name] for name in registry}
    titles = {name: getattr(word, "title", None) or (word.__doc__ or "").strip() for name, word in words.items()}
    return {name: text.split("\n")[0] for name, text in titles.items()}


KINDS = ("networks", "activations", "losses", "schemes", "packs", "claims", "figures")


def list_words(kind: Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}, or schema.")] = "") -> None:
    """List the words that can be used; `schema` prints the JSON schema of specifications."""
    if kind == "schema":
        from flowlab.app.spec import schema

        to_stdout(json.dumps(schema(), indent=1))
        return
    if kind and kind not in KINDS:
        from flowlab.core.registry import nearest

        guess = nearest(kind, KINDS)
        raise LanguageError(
            f"`flowlab list {kind}` is not known;{f' did you mean `{guess}`?' if guess else ''} Known:"
            f" {', '.join(KINDS)}, schema."
        )
    for each in [kind] if kind else KINDS:
        table = Table(each, "what it is", title_justify="left")
        for name, told in _words(each).items():
            table.add_row(name, told)
        Console().print(table)
