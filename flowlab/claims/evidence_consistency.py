"""Whether what is given to `check` belongs together; see `genuine` for whether a run is as it came."""

from collections.abc import Mapping
from typing import Any


def contradiction(found: Mapping[str, Any]) -> str | None:
    """One sentence on what does not agree, or None.

    Args:
        found: `path`, `walk`, `flow`, `problem`, `data`, as far as they were given.
    """
    return _problems(found) or _samples(found)


def _problems(found: Mapping[str, Any]) -> str | None:
    """All problems are one, up to the scheme and coordinates in which a descent or a flow is written."""
    told = {_WORDS[name]: found[name].problem for name in ("path", "walk", "flow") if name in found}
    if "problem" in found:
        told[_WORDS["problem"]] = found["problem"]
    if not told:
        return None
    (first, one), *others = told.items()
    for name, other in others:
        for what, a, b in (
            ("network", one.network.text, other.network.text), ("loss", one.loss.name, other.loss.name), ("reduction", one.reduction, other.reduction),
            ("decay", dict(one.decay), dict(other.decay)),
        ):  # fmt: skip
            if a != b:
                return f"the {first} has the {what} `{str(a)[:80]}` and the {name} `{str(b)[:80]}`; give evidence of one problem."
    return None


def _samples(found: Mapping[str, Any]) -> str | None:
    """All data are one."""
    # A trajectory that was stored has the hash of its samples alone.
    told = {_WORDS[name]: _hash(found[name]) for name in ("path", "walk") if name in found and _hash(found[name])}
    if "data" in found:
        told[_WORDS["data"]] = found["data"].sha256()
    if not told:
        return None
    (first, one), *others = told.items()
    for name, other in others:
        if one != other:
            return f"the samples of the {first} are not those of the {name}; give evidence of one data set."
    return None


def _hash(run: Any) -> str:
    return run.data.sha256() if run.data is not None else run.provenance.get("data", {}).get("sha256", "")


_WORDS = {"path": "given flow", "walk": "given descent", "flow": "given equations", "problem": "given problem", "data": "given data"}
