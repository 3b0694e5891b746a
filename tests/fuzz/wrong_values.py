"""What nobody meant as an argument: values of every sort, by name."""

import random
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import flowlab as fl

HUGE = 10**18


class Rude:
    """An object whose every use breaks."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("rude")

    def __repr__(self) -> str:
        raise RuntimeError("rude")


def odd(have: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """What is put in place of an argument, by name; made when it is needed, because generators are used up."""
    plain: dict[str, Any] = {
        "None": None,
        "True": True,
        "text": "a",
        "no text": "",
        "null": "a\0b",
        "long text": "W" * 10_000,
        "bytes": b"W1",
        "module": random,
        "class": fl.Data,
        "instance of type": type,
        "function": len,
        "nan": float("nan"),
        "inf": float("inf"),
        "-inf": float("-inf"),
        "-1": -1,
        "0": 0,
        "0.0": 0.0,
        "half": 0.5,
        "1": 1,
        "3": 3,
        "huge": HUGE,
        "no float": 10**400,
        "-huge": -HUGE,
        "5000 digits": -(10**5000),
        "tiny": 5e-324,
        "complex": 1j,
        "list": [],
        "nested": [[[1]]],
        "ragged": [[1], [1, 2]],
        "numbers": [1.0, 2.0, 3.0],
        "texts": ["a", "b"],
        "mixed": [1, None, "a"],
        "dict": {},
        "keys": {1: 2},
        "values": {"W1": None},
        "set": {1, 2},
        "empty array": np.zeros((0, 2)),
        "flat empty": np.array([]),
        "array": np.ones((4, 2)),
        "integers": np.arange(4),
        "objects": np.array([None, 1], dtype=object),
        "nans": np.full((4, 2), np.nan),
        "masked": np.ma.masked_array([1.0, 2.0], [True, False]),
        "texts array": np.array(["a", "b"]),
        "scalar": np.float64(2.0),
        "zero-d": np.array(1.0),
        "float32": np.float32(0.5),
        "dates": np.array(["2020-01-01"], "M8[D]"),
        "range": range(3),
        "slice": slice(1),
        "object": object(),
        "path": Path("nowhere.nc"),
        "folder": Path(),
        "namespace": SimpleNamespace(kind="flow", dataset=None),
        "ordered": OrderedDict(a=1),
        "ellipsis": ...,
        "not implemented": NotImplemented,
        "rude": Rude(),
        "exception": ValueError("a"),
        "state": fl.State.from_weights({"U": np.ones((1, 2))}),
        "wide state": fl.State.from_weights({"W1": np.ones((3, 9)), "W2": np.ones((1, 3))}),
        "other data": fl.Data(np.ones((3, 5)), [0, 1, 2]),
    }
    makers: dict[str, Callable[[], Any]] = {name: lambda value=value: value for name, value in (plain | have).items()}
    return makers | {
        "generator": lambda: (i for i in range(3)),
        "iterator": lambda: iter("ab"),
        "open file": lambda: SimpleNamespace(read=lambda: b""),
    }
