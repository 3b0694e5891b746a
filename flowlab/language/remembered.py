"""The opaque networks of this process, for files that need one of them: no file can rebuild a function."""

from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

from flowlab.core.arguments import line
from flowlab.core.errors import OutputError
from flowlab.core.hashing import sha256_json

_made: WeakValueDictionary[str, Any] = WeakValueDictionary()
"""By the hash of their description; a network that nobody holds is forgotten."""


def remember(told: Mapping[str, Any], network: Any) -> None:
    """Keep a network in mind under its description, as long as somebody holds it."""
    _made[sha256_json(dict(told))] = network


def remembered(told: Mapping[str, Any]) -> Any:
    """The opaque network of a description, if this process has made it.

    Raises:
        OutputError: if it has not.
    """
    found = _made.get(sha256_json(dict(told)))
    if found is None:
        raise OutputError(
            f"the file needs the opaque network `{line(str(told['opaque']))}` ({str(told.get('sha256'))[:12]}), which "
            "no file can rebuild; make it with `fl.opaque(…)` and keep it, then load the file again."
        )
    return found
