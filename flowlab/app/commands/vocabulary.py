"""`flowlab list`: the words of specifications and of the language."""

import json
from importlib import import_module
from typing import Annotated

import typer

from flowlab.app.terminal import AsJson, to_stdout, to_stdout_json, write_table
from flowlab.core.errors import LanguageError
from flowlab.core.registry import described


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
    if kind == "widths":
        from flowlab.figures.widths import WIDTHS

        return {name: f"{wide.inches:.2f} inches: {wide.what} ({wide.source})" for name, wide in WIDTHS.items()}
    home = import_module(_HOMES.get(kind, f"flowlab.language.{kind}"))
    getattr(home, "load_library", lambda: None)()
    registry, told = getattr(home, kind), {}
    if kind == "claims":
        from flowlab.claims.manifest import entries

        told = {name: entry.title for name, entry in entries().items()}
    return {name: told.get(name) or described(registry[name]) for name in registry}


_HOMES = {"claims": "flowlab.claims", "figures": "flowlab.figures", "languages": "flowlab.symbolic.source"}
"""Where words are that do not belong to the language of networks."""
KINDS = (
    "networks",
    "activations",
    "losses",
    "schemes",
    "geometries",
    "parametrisations",
    "packs",
    "claims",
    "figures",
    "widths",
    "languages",
)


def list_words(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="[KIND]",
            help=f"One of {', '.join(KINDS)}, or schema.",
            autocompletion=lambda incomplete: [k for k in (*KINDS, "schema") if k.startswith(incomplete)],
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """List the words that can be used; `schema` prints the JSON schema of specifications."""
    if kind == "schema":
        from flowlab.app.schema import schema

        to_stdout(json.dumps(schema(), indent=1))
        return
    if kind and kind not in KINDS:
        from flowlab.core.registry import nearest

        guess = nearest(kind, KINDS)
        raise LanguageError(
            f"`flowlab list {kind}` is not known;{f' did you mean `{guess}`?' if guess else ''} Known:"
            f" {', '.join(KINDS)}, schema."
        )
    told = {each: _words(each) for each in ([kind] if kind else KINDS)}
    if as_json:
        to_stdout_json(told)
        return
    for each, words in told.items():
        write_table([each, "what it is"], [[name, about] for name, about in words.items()])
