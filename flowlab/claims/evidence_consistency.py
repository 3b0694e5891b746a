"""Whether all evidence passed to `check` belongs together; `tamper_check` tests whether a run is unchanged."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowlab.language.trajectory import Trajectory


def contradiction(found: Mapping[str, Any]) -> str | None:
    """One sentence on what does not agree, or None.

    Args:
        found: `flow`, `descent`, `equations`, `problem`, `data`, as far as they were passed.
    """
    return _problems(found) or _samples(found)


def _problems(found: Mapping[str, Any]) -> str | None:
    """All problems are one, up to the scheme and coordinates in which a descent or a flow is written."""
    problems = {_WORDS[name]: found[name].problem for name in ("flow", "descent", "equations") if name in found}
    if "problem" in found:
        problems[_WORDS["problem"]] = found["problem"]
    if not problems:
        return None
    (first, one), *others = problems.items()
    for name, other in others:
        for what, a, b in (
            ("network", one.network.text, other.network.text),
            ("loss", one.loss.name, other.loss.name),
            ("reduction", one.reduction, other.reduction),
            ("decay", dict(one.decay), dict(other.decay)),
        ):
            if a != b:
                both = f"the {first} has the {what} `{str(a)[:80]}` and the {name} `{str(b)[:80]}`"
                return f"{both}; give evidence of one problem."
    return None


def _samples(found: Mapping[str, Any]) -> str | None:
    """All data are one."""
    # A trajectory that was stored has the hash of its samples alone.
    hashes = {_WORDS[name]: _hash(found[name]) for name in ("flow", "descent") if name in found and _hash(found[name])}
    if "data" in found:
        hashes[_WORDS["data"]] = found["data"].sha256()
    if not hashes:
        return None
    (first, one), *others = hashes.items()
    for name, other in others:
        if one != other:
            return f"the samples of the {first} are not those of the {name}; give evidence of one data set."
    return None


def _hash(run: "Trajectory") -> str:
    return run.data.sha256() if run.data is not None else run.provenance.get("data", {}).get("sha256", "")


_WORDS = {name: f"given {name}" for name in ("flow", "descent", "equations", "problem", "data")}
