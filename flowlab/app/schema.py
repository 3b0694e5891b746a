"""The JSON schema of run specifications: `python -m flowlab.app.schema` writes it, with the words of all registries.

What is written lies beside this file, so that reading and checking a specification loads no arrays; words that the
user's own files have registered are added where it is read.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from flowlab.core.registry import Registry, described
from flowlab.core.typing import Json, Record

FILE = Path(__file__).with_name("spec.schema.json")
COMMAND = "python -m flowlab.app.schema"
IDENTITY = "urn:flowlab:specification:1"
"""Names the schema, and the version of its keys; it is no address, and nothing is fetched."""

REGISTRIES = {
    "loss": ("flowlab.language.losses", "losses"),
    "scheme": ("flowlab.language.schemes", "schemes"),
    "geometry": ("flowlab.language.geometries", "geometries"),
    "parametrisation": ("flowlab.language.parametrisations", "parametrisations"),
    "rule": ("flowlab.language.rules", "rules"),
    "claim": ("flowlab.claims.claim", "claims"),
    "figure": ("flowlab.figures.figure", "figures"),
}
"""Families of words that a specification names: module and registry."""
_CONDITIONS = ("flowlab.dynamics.conditions", "conditions")


def schema() -> Record:
    """The JSON schema of run specifications, with the words that are registered in this process."""
    told = {"$schema": _dialect(), **json.loads(FILE.read_text(encoding="utf-8"))}
    for kind, home in REGISTRIES.items():
        family = told["$defs"][kind]
        for name in _loaded(home):
            if name not in family["enum"]:
                family["enum"].append(name)
                family["x-taplo"]["docs"]["enumValues"].append(described(_loaded(home)[name]))
    until = told["properties"]["integrate"]["properties"]["until"]["properties"]
    until |= {name: made for name, made in _horizons(_loaded(_CONDITIONS)).items() if name not in until}
    return told


def _loaded(home: tuple[str, str]) -> Mapping[str, Any] | Registry[Any]:
    """A registry where its module has been imported; nothing else."""
    module, name = home
    return getattr(sys.modules[module], name) if module in sys.modules else {}


def _horizons(conditions: Mapping[str, Any] | Registry[Any]) -> Record:
    """The conditions that end a run, each with the number that it takes."""
    words = {name: conditions[name] for name in conditions}
    return {name: word.takes | {"description": described(word)} for name, word in words.items() if word.takes}


def words(kind: str) -> dict[str, str]:
    """The names of a family that a specification may give, each with what it is, from the stored schema."""
    family = schema()["$defs"][kind]
    return dict(zip(family["enum"], family["x-taplo"]["docs"]["enumValues"], strict=True))


def build() -> Record:
    """The schema as the registries of the package make it, with its words and their descriptions."""
    from flowlab.claims.manifest import entries
    from flowlab.dynamics.clocks import CLOCKS
    from flowlab.dynamics.conditions import conditions
    from flowlab.dynamics.integrate import KINKS
    from flowlab.dynamics.steppers.solvers import SOLVERS
    from flowlab.figures import load_library
    from flowlab.language.norm_groups import PER
    from flowlab.language.problem import COORDINATES, REDUCTIONS

    load_library()
    titles = {name: entry.title for name, entry in entries().items()}
    families = {
        kind: {name: titles.get(name) or described(registry[name]) for name in registry}
        for kind, registry in ((k, getattr(import_module(m), r)) for k, (m, r) in REGISTRIES.items())
    }
    families |= {
        "per": dict.fromkeys(PER, ""),
        "coordinates": dict.fromkeys(COORDINATES, ""),
        "reduction": dict.fromkeys(REDUCTIONS, ""),
        "solver": {"auto": "explicit until the flow turns stiff, then implicit", **dict.fromkeys(SOLVERS, "")},
        "clock": {"auto": "switches as the run goes", **{k: described(type(v)) for k, v in CLOCKS.items()}},
        "kinks": {"auto": "followed where there are few enough", **dict.fromkeys(KINKS, "")},
    }
    return {
        "$id": IDENTITY,
        "$comment": f"Written by `{COMMAND}`.",
        "title": "flowlab run specification",
        **_table("a run, from its network to its figures", _sections(conditions), required=("network", "data")),
        "$defs": {kind: _enum(told) for kind, told in families.items()},
    }


def _dialect() -> str:
    """The name of the dialect, as the validator that is used has it."""
    from jsonschema import Draft202012Validator

    return str(Draft202012Validator.META_SCHEMA["$id"])


def _enum(told: Mapping[str, str]) -> Record:
    # The second keyword is for editors of TOML, which show it beside what they complete.
    return {"type": "string", "enum": list(told), "x-taplo": {"docs": {"enumValues": list(told.values())}}}


def _table(about: str, keys: Mapping[str, Record], *, required: Iterable[str] = (), **more: Json) -> Record:
    told: Record = {"type": "object", "description": about, "additionalProperties": False}
    return told | ({"required": list(required)} if required else {}) | more | {"properties": dict(keys)}


def _key(kind: str, about: str, **more: Any) -> Record:
    return {"type": kind, "description": about, **more}


def _word(kind: str, about: str, default: str | None = None, **more: Any) -> Record:
    return {"$ref": f"#/$defs/{kind}", "description": about} | ({"default": default} if default else {}) | more


def _each(about: str, value: Record, **more: Any) -> Record:
    """A table of the user's own keys."""
    return {"type": "object", "description": about, "additionalProperties": value, **more}


def _list(about: str, items: Record, **more: Any) -> Record:
    return {"type": "array", "description": about, "items": items, **more}


def _sections(conditions: Registry[Any]) -> Record:
    """The tables of a specification."""
    return {
        "network": _network(),
        "problem": _problem(),
        "data": _data(),
        "observe": _each(
            "samples held out of training, by a name: loss and error on them are recorded along the run",
            {"$ref": "#/properties/data"},
            propertyNames={"pattern": "^[A-Za-z][A-Za-z0-9_]*$"},
            examples=[{"held_out": {"source": "gaussian?n=40&d=3&margin=0.2", "seed": 1}}],
        ),
        "start": _table(
            "the weights at t = 0",
            {
                "seed": _key("integer", "of the random start", minimum=0, default=0),
                "scale": _key("number", "what random weights are multiplied with", exclusiveMinimum=0, default=1.0),
                "weights": _each(
                    "the start itself, by block", {"type": ["number", "array"]}, examples=[{"W2": [[0.5, -0.5]]}]
                ),
            },
        ),
        "integrate": _integrate(conditions),
        "witness": _table(
            "descent in steps from the same start, which the flow is held against",
            {
                "rule": _word("rule", "how a step is made of forces", "gradient"),
                "step": _key("number", "step size", exclusiveMinimum=0, examples=[1e-3]),
                "count": _key("integer", "number of steps", minimum=1, examples=[1000]),
                "loss_scaled": _key("boolean", "steps over the loss, which reach late times", default=False),
            },
            required=("step", "count"),
        ),
        "verify": _table(
            "statements of the theory that the run is held against",
            {"claims": _list("ids of claims", {"$ref": "#/$defs/claim"}, examples=[["P1", "P2", "P4"]])},
        ),
        "figures": _table(
            "what is drawn",
            {"names": _list("names of figures", {"$ref": "#/$defs/figure"}, examples=[["margin", "loss", "norms"]])},
        ),
    }


def _network() -> Record:
    axes = {"type": "array", "items": {"type": ["integer", "string"]}}
    rows = {"type": "array", "items": {"type": "integer", "minimum": 1}}
    return _table(
        "the network, written as a formula",
        {
            "expression": _key("string", "the formula of its outputs", examples=["W2 @ relu(W1 @ x)"]),
            "widths": _each("rows of hidden blocks", {"type": "integer", "minimum": 1}, examples=[{"W1": 8}]),
            "shapes": _each("axes of blocks, as numbers or names", axes, examples=[{"W1": [8, 3]}]),
            "inputs": _each(
                "the rows of the data, arranged as an input of this name and shape",
                rows,
                maxProperties=1,
                examples=[{"X": [1, 28, 28]}],
            ),
            "constants": _list("blocks that no flow moves", {"type": "string"}, examples=[["W0"]]),
            "parametrisation": _word("parametrisation", "powers of widths in the network", examples=["ntk"]),
        },
        required=("expression",),
    )


def _problem() -> Record:
    decay = {"type": "number", "minimum": 0}
    return _table(
        "what is minimised, and how",
        {
            "loss": _word("loss", "the loss of a sample", "exponential"),
            "scheme": _word("scheme", "how weights move", "gradient_flow"),
            "per": _word("per", "what one norm belongs to", "layer"),
            "coordinates": _word("coordinates", "norms and directions, or the weights themselves", "polar"),
            "reduction": _word("reduction", "how the losses of samples are put together", "sum"),
            "decay": {
                "description": "coefficient of |W|^2 for all blocks, or one per block",
                "anyOf": [decay, {"type": "object", "additionalProperties": decay}],
                "default": 0.0,
            },
            "ascend": _list("blocks that ascend the objective", {"type": "string"}, examples=[["p"]]),
            "geometry": _each("geometries by block", {"$ref": "#/$defs/geometry"}, examples=[{"p": "simplex"}]),
            "rates": _each(
                "learning rates by block", {"type": "number", "exclusiveMinimum": 0}, examples=[{"W1": 0.5}]
            ),
        },
    )


def _data() -> Record:
    return _table(
        "the samples, or the constants of an objective without samples",
        {
            "constants": _each(
                "values of constants, for objectives without samples",
                {"type": ["number", "array"]},
                examples=[{"A": [[0.0, 1.0], [-1.0, 0.0]]}],
            ),
            "source": _key(
                "string",
                "a data set, a generator, or a path relative to the specification",
                examples=["gaussian?n=12&d=3&margin=0.2", "iris:setosa", "own.csv"],
            ),
            "label": _key("string", "the column of a table that holds the labels, by default the last", examples=["y"]),
            "standardize": _key("boolean", "features with mean 0 and variance 1", default=False),
            "seed": _key("integer", "of a generator", minimum=0, default=0),
        },
        **{"if": {"not": {"required": ["constants"]}}, "then": {"required": ["source"]}},
    )


def _integrate(conditions: Registry[Any]) -> Record:
    tolerance = {"exclusiveMinimum": 0, "exclusiveMaximum": 1}
    until = _table("where the run ends; the first of several that is met", _horizons(conditions), minProperties=1)
    return _table(
        "how the flow is followed, and how far",
        {
            "until": until | {"examples": [{"log_time": 5.0}]},
            "solver": _word("solver", "the method of a step", "auto"),
            "clock": _word("clock", "what a run steps in", "auto"),
            "kinks": _word("kinks", "whether kinks of activations are followed exactly", "auto"),
            "rtol": _key("number", "relative tolerance of a step", **tolerance, default=1e-6),
            "atol": _key("number", "absolute tolerance of a step", **tolerance, default=1e-8),
            "max_steps": _key("integer", "limit on attempted steps", minimum=1, default=100_000),
            "wall_seconds": _key("number", "limit on seconds of the run", exclusiveMinimum=0, examples=[600.0]),
        },
    )


def text() -> str:
    """What the file must say."""
    return json.dumps(build(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
