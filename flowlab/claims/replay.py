"""Claims from a user's own file, and verdicts that are checked again from what they tell."""

import sys
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from flowlab.claims.case import case_from
from flowlab.claims.claim import checked, claims, load_library
from flowlab.claims.verdict import Verdict
from flowlab.core.errors import ClaimError, FlowlabError

_LOADED: dict[str, tuple[str, ...]] = {}


def load_file(path: str | Path) -> tuple[str, ...]:
    """Run a Python file that defines claims; the ids it entered, in the order of their names.

    Raises:
        ClaimError: if it is missing, breaks, or enters no claim.
    """
    path = Path(path)
    try:
        key = sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ClaimError(f"`{path}` cannot be read ({error.strerror}); name a Python file that defines claims.") from None
    if key in _LOADED:
        return _LOADED[key]
    before = set(claims)
    name = f"flowlab_claims_{key[:12]}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ClaimError(f"`{path}` is no Python file; name one that ends in .py.")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except FlowlabError:
        raise
    except (Exception, SystemExit) as error:
        raise ClaimError(f"`{path}` breaks while it is read ({type(error).__name__}: {error}); mend it and try again.") from error
    found = tuple(one for one in claims if one not in before)
    if not found:
        raise ClaimError(f"`{path}` enters no claim; decorate one with `flowlab.claim(id, statement=..., source=...)`.")
    _LOADED[key] = found
    told = {"file": str(path.resolve()), "sha256": key}
    for one in found:
        claims[one].origin = staticmethod(lambda: told)  # pyright: ignore[reportAttributeAccessIssue]
    return found


def replay(verdict: Verdict | str | Path) -> Verdict:
    """The same claim on the same inputs and seed, checked again; equal bytes are expected under equal versions on one machine.

    Raises:
        OutputError: if the file holds no verdict; ClaimError: if its claim or inputs are not to be had any more.
    """
    load_library()
    old = verdict if isinstance(verdict, Verdict) else Verdict.load(verdict)
    told = old.evidence
    if "origin" in told:
        file = Path(told["origin"]["file"])
        load_file(file)
        if sha256(file.read_bytes()).hexdigest() != told["origin"]["sha256"]:
            raise ClaimError(f"`{told['origin']['file']}` has changed since `{old.id}` was checked; check it anew.")
    return checked(old.id, case_from(told.get("inputs", {}), int(told.get("seed", 0))))
