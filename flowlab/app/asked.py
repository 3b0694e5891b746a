"""What a specification asks for: problem, data, start, horizons, and the words that it names."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from flowlab.claims import claims
from flowlab.core.arguments import short
from flowlab.core.errors import SpecError
from flowlab.core.typing import Blocks, Record
from flowlab.dynamics import conditions
from flowlab.dynamics.conditions import Condition
from flowlab.dynamics.integrate import named_clock, named_kinks, named_solver
from flowlab.figures import figures
from flowlab.figures import load_library as load_figures
from flowlab.language.data import Data
from flowlab.language.datasets import load
from flowlab.language.geometries import require_in_space
from flowlab.language.network import Network
from flowlab.language.observables import held_out
from flowlab.language.problem import Problem
from flowlab.language.rules import rules
from flowlab.language.state import State, initial_state, names_match, shapes_match
from flowlab.language.tables import SUFFIXES

CLAIMS, KINKED = ("P2", "P4", "E1.8"), "T3"
SETTINGS = ("solver", "clock", "kinks", "rtol", "atol", "max_steps", "wall_seconds")
FIGURES = ("margin", "loss", "norms", "balance")


def ready(spec: Record, spec_path: Path) -> tuple[Problem, Data, State, int]:
    """Problem, data, start and seed of a specification."""
    problem, data = posed(spec, spec_path)
    return problem, data, *begun(spec, problem, data)


def posed(spec: Record, spec_path: Path) -> tuple[Problem, Data]:
    """Problem and data of a specification."""
    net, told = spec["network"], spec.get("problem", {})
    network = Network(
        net["expression"],
        shapes={k: tuple(v) for k, v in net.get("shapes", {}).items()},
        inputs={name: tuple(shape) for name, shape in net.get("inputs", {}).items()},
        constants=net.get("constants", ()),
        parametrisation=net.get("parametrisation"),
    )
    problem = Problem(network, **told)
    data = samples(spec["data"], spec, spec_path)
    problem.loss.check_labels(data)
    return problem, data


def begun(spec: Record, problem: Problem, data: Data) -> tuple[State, int]:
    """The start of a specification, and the seed that it is drawn from."""
    network, net, begin = problem.network, spec["network"], spec.get("start", {})
    seed = begin.get("seed", 0)
    if "weights" in begin:
        start = State.from_weights(_arrays("start.weights", begin["weights"]), per=problem.per)
    else:
        start = initial_state(
            network, data, widths=net.get("widths"), scale=begin.get("scale", 1.0), seed=seed, per=problem.per
        )
    names_match(start, network)
    shapes_match(start, network, data)
    require_in_space(problem.geometry, start.weights())
    return start, seed


def _arrays(key: str, told: Record) -> dict[str, np.ndarray]:
    """Arrays of numbers by name."""
    found = {}
    for name, value in told.items():
        try:
            found[name] = np.asarray(value, dtype=np.float64)
        except (ValueError, TypeError):
            raise SpecError(
                f"`{key}.{name}` must be a number or lists of numbers of equal length, got {short(value)}; write for"
                " example [[0.0, 1.0], [1.0, 0.0]].",
                f"{key}.{name}",
            ) from None
    return found


def samples(told: Record, spec: Record, spec_path: Path) -> Data:
    """The samples that a table such as `[data]` names, arranged as the network takes them; or constants alone."""
    if "constants" in told:
        if "source" in told:
            raise SpecError("`data` must have `source` or `constants`, got both; leave one of them out.", "data")
        return Data(constants=_arrays("data.constants", told["constants"]), kind="none")
    source = told["source"]
    if beside_its_specification(source):
        source = str(spec_path.parent / source)
    data = read_as(told, source)
    for name, shape in spec["network"].get("inputs", {}).items():
        # A file has rows of features; the network says how they are to be arranged.
        data = data.as_input(name, tuple(shape))
    return data


def observables(spec: Record, spec_path: Path, problem: Problem) -> dict[str, Callable[[Blocks], float]]:
    """What is observed along the run: loss and error on the samples of every table `[observe.NAME]`."""
    found: dict[str, Callable[[Blocks], float]] = {}
    for name, told in spec.get("observe", {}).items():
        found |= held_out(problem, samples(told, spec, spec_path), name=name)
    return found


def beside_its_specification(source: str) -> bool:
    """Whether the data are a file whose path begins at the folder of the specification."""
    return source.lower().endswith(SUFFIXES) and not Path(source).is_absolute()


def read_as(told: Record, source: str) -> Data:
    """Data of a source, read as the table `[data]` of a specification says."""
    return load(source, **{key: told[key] for key in ("standardize", "seed", "label") if key in told})


def accuracy(spec: Record) -> Record:
    """Tolerances and the like of the integration of a specification."""
    return {"rtol": 1e-6, "atol": 1e-8} | {k: v for k, v in spec.get("integrate", {}).items() if k in SETTINGS}


def horizons(spec: Record) -> list[Condition]:
    """What ends the run of a specification."""
    told = spec.get("integrate", {}).get("until", {"log_time": 5.0})
    return [conditions[name].told(value) for name, value in told.items() if value is not False]


def wanted_words(spec: Record, problem: Problem) -> tuple[list[str], list[str]]:
    """Claims and figures of a specification, looked up before the long part begins, as are its rule, solver, clock and
    kinks.
    """
    follows = spec.get("integrate", {}).get("kinks") != "ignore" and any(slot.tracked for slot in problem.network.slots)
    load_figures()
    # Claims and figures that are drawn by default are about samples.
    usual = ([], []) if problem.loss.is_value else ([*CLAIMS, *([KINKED] if follows else [])], list(FIGURES))
    names = spec.get("verify", {}).get("claims", usual[0])
    pictures = spec.get("figures", {}).get("names", usual[1])
    for name in names:
        claims[name]
    for name in pictures:
        if not figures[name].takes_runs and figures[name].of != "trajectory":
            raise SpecError(
                f'the figure "{name}" is of a {figures[name].of}, not of a run; leave it out of `figures.names`.'
            )
    if "witness" in spec:
        rules[spec["witness"].get("rule", "gradient")]
    wanted = spec.get("integrate", {})
    named_solver(wanted.get("solver", "auto"))
    named_clock(wanted.get("clock", "auto"))
    named_kinks(wanted.get("kinks", "auto"))
    return names, pictures
