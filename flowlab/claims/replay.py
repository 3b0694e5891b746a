"""Claims from a user's own file, and verdicts that are checked again from what they tell."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from importlib.abc import SourceLoader
from importlib.util import spec_from_loader
from pathlib import Path

from flowlab.claims.case import case_from
from flowlab.claims.claim import checked, claims
from flowlab.claims.verdict import Verdict
from flowlab.core.arguments import guarded
from flowlab.core.errors import ClaimError
from flowlab.core.user_modules import execute

_LOADED: dict[str, tuple[str, ...]] = {}


class _Read(SourceLoader):
    """Runs exactly the bytes that were hashed, whatever has become of the file or of a compiled copy beside it."""

    def __init__(self, path: Path, source: bytes) -> None:
        self.path, self.source = path, source

    def get_filename(self, fullname: str) -> str:
        return str(self.path)

    def get_data(self, path: str | bytes) -> bytes:
        if str(path) != str(self.path):
            raise OSError(f"`{path}` is not the file that was read.")
        return self.source


def load_file(path: str | Path) -> tuple[str, ...]:
    """Run a Python file that defines claims; the ids it entered, in the order of their names.

    Args:
        path: of a file that the user named. Stored results never name one to be run.

    Raises:
        ClaimError: if it is missing, breaks, or enters no claim.
    """
    return _run(*_read(path))


def _run(path: Path, source: bytes) -> tuple[str, ...]:
    key = sha256(source).hexdigest()
    if key in _LOADED:
        return _LOADED[key]
    before = set(claims)
    name = f"flowlab_claims_{key[:12]}"
    execute(spec_from_loader(name, _Read(path, source)), f"`{path}`", ClaimError)
    entered = tuple(one for one in claims if one not in before)
    if not entered:
        raise ClaimError(f"`{path}` enters no claim; decorate one with `flowlab.claim(id, statement=..., source=...)`.")
    _LOADED[key] = entered
    origin = {"file": str(path.resolve()), "sha256": key}
    for one in entered:
        claims[one].origin = staticmethod(lambda: origin)  # pyright: ignore[reportAttributeAccessIssue]
    return entered


def _read(path: str | Path) -> tuple[Path, bytes]:
    """A Python file that the user named, and its bytes.

    Raises:
        ClaimError: if it is no Python file or cannot be read.
    """
    path = Path(path)
    if path.suffix != ".py":
        raise ClaimError(f"`{path}` must be a Python file that defines claims; name one that ends in .py.")
    try:
        return path, path.read_bytes()
    except (OSError, ValueError) as error:
        raise ClaimError(
            f"`{path}` cannot be read ({getattr(error, 'strerror', None) or error}); name a Python file "
            "that defines claims."
        ) from None


@guarded
def replay(verdict: Verdict | str | Path, *files: str | Path) -> Verdict:
    """Check the same claim on the same inputs and seed; equal versions on one machine give equal bytes.

    A verdict never runs a file. The claim of a user's file is checked again only if that file is named here, or has
    been run in this process before, and its hash is the recorded one.

    Args:
        verdict: a verdict, or where it is stored.
        files: Python files that define claims; one runs only if the verdict comes from exactly these bytes.

    Raises:
        OutputError: if the file holds no verdict; ClaimError: if its claim or inputs are not to be
            had, or an input is not the one that was checked.

    Examples:
        >>> data = fl.Data([[1.0, 0.5], [-1.0, 0.2], [0.8, -1.0], [-0.6, -0.4]], [1, -1, 1, -1])
        >>> problem = fl.Problem("W @ x")
        >>> start = fl.initial_state("W @ x", data, seed=0)
        >>> path = fl.integrate(fl.lower(fl.derive(problem)), start, data, until=fl.log_time(3.0))
        >>> (verdict,) = fl.check("P1", path)
        >>> fl.replay(verdict).answer == verdict.answer
        True
    """
    old = verdict if isinstance(verdict, Verdict) else Verdict.load(verdict)
    evidence = old.evidence
    if (origin := evidence.get("origin")) is not None:
        _restore(old, origin, files)
    elif old.id not in claims:
        raise ClaimError(
            f"the claim `{old.id}` must be entered before it is checked again, got none; run the code that enters it,"
            " which lies in no file that the verdict knows."
        )
    new = checked(old.id, case_from(evidence.get("inputs", {}), old.inputs, int(evidence.get("seed", 0))))
    # The same bytes may lie elsewhere by now.
    hashed = origin.get("sha256") if isinstance(origin, dict) else None
    moved = hashed is not None and (new.evidence.get("origin") or {}).get("sha256") == hashed
    return replace(new, evidence={**new.evidence, "origin": origin}) if moved else new


def _restore(old: Verdict, origin: object, files: Sequence[str | Path]) -> None:
    """Make the claim of a user's file available, if the user named the file and it is unchanged."""
    recorded, name = (
        (origin.get("sha256"), Path(str(origin.get("file"))).name) if isinstance(origin, dict) else (None, "")
    )
    entered = old.id in claims and (claims[old.id].origin() or {}).get("sha256") == recorded
    for path, source in map(_read, files):
        if sha256(source).hexdigest() == recorded:
            if not entered:
                _run(path, source)
            return
    if files:
        listed = ", ".join(f"`{file}`" for file in files)
        raise ClaimError(
            f"{listed} has changed since `{old.id}` was checked with `{name}`; name that version, or "
            "check the claim again."
        )
    if not entered:
        raise ClaimError(
            f"`{old.id}` comes from the file `{name}`, which a verdict never runs; name the file beside the verdict."
        )
