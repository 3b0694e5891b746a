"""Surface five: valid calls of public functions, with one or two arguments replaced by what nobody meant."""

import random
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import flowlab as fl
from tests.figures import instances
from tests.fuzz.cases import Case
from tests.fuzz.valid_calls import table
from tests.fuzz.wrong_values import odd


def calls(rng: random.Random, count: int, deep: bool, folder: Path) -> Iterator[Case]:
    """Calls, most of them wrong in one or two arguments; what they were given must be as it was."""
    instances.trajectory().save(folder / "trajectory.nc")
    fl.Verdict("P3", "undecided", 1.0, 1.0, "made.", {"seed": 0}).save(folder / "verdict.json")
    have, made = table(deep)
    pool, names = odd(have), list(made)
    for function, valid, _ in made.values():
        # Once as they are meant: what is imported or compiled on the way does not count against a wrong one.
        with suppress(fl.FlowlabError):
            function(**valid)
    alike: dict[str, list[str]] = {}
    for label, make in pool.items():
        for sort in ("any", _sort(make())):
            alike.setdefault(sort, []).append(label)
    before = _hashes(have)
    for i in range(count):
        name = names[i % len(names)]
        function, valid, work = made[name]
        keys = rng.sample(list(valid), min(len(valid), 1 if rng.random() < 0.75 else 2))
        # Half of them of the same sort, which come further.
        replaced = {key: rng.choice(alike[_sort(valid[key])] if rng.random() < 0.5 else list(pool)) for key in keys}
        given = valid | {key: pool[which]() for key, which in replaced.items()}

        def answer(function: Any = function, given: Any = given) -> str:
            function(**given)
            return ""

        told = f"{name}({', '.join(f'{key}={which}' for key, which in replaced.items())})"
        yield Case("call", told, answer, writes=True, work=3 if work & replaced.keys() else 0)
        if (after := _hashes(have)) != before:
            yield Case("call", told, lambda told=told: f"{told} changed what it was given")
            before = after


def _sort(value: Any) -> str:
    """A rough sort of values, among which replacements are drawn."""
    sorts = {
        "number": (int, float, np.number),
        "text": (str, Path),
        "list": (list, tuple, np.ndarray, range),
        "mapping": Mapping,
    }
    return next((name for name, kinds in sorts.items() if isinstance(value, kinds)), "any")


def _hashes(have: dict[str, Any]) -> tuple[str, ...]:
    return (
        have["data"].sha256(),
        *(np.asarray(v).tobytes().hex() for v in have["start"].V.values()),
        have["flow"].signature,
    )
