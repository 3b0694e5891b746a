"""`--words FILE.py`: words of a user's own, registered by a file that the command line names."""

from importlib.util import spec_from_file_location
from pathlib import Path

from flowlab.core.errors import LanguageError
from flowlab.core.user_modules import execute

_LOADED: dict[Path, str] = {}


def load_words(path: Path) -> None:
    """Import a Python file that registers words; a second time does nothing.

    Args:
        path: of a file that the user named.

    Raises:
        LanguageError: if it is no Python file, is missing, or breaks.

    Example:
        `load_words(Path("my_words.py"))` after which `"bump(W @ x)"` is read, if the file registers `bump`.
    """
    found = path.resolve()
    if found in _LOADED:
        return
    if path.suffix != ".py" or not path.is_file():
        raise LanguageError(f"`--words {path}` must be a Python file, and there is none; name one that ends in .py.")
    name = f"flowlab_words_{len(_LOADED)}_{path.stem}"
    execute(spec_from_file_location(name, found), f"`--words {path}`", LanguageError)
    _LOADED[found] = name


def loaded() -> tuple[Path, ...]:
    """The files so far, for processes that have to read them too."""
    return tuple(_LOADED)
