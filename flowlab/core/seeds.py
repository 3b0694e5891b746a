"""Seeds: checked where a user gives one, so that no random generator has to refuse it."""

from numbers import Integral

from flowlab.core.arguments import must_be


def checked_seed(seed: object) -> int:
    """A seed as a plain integer.

    Raises:
        LanguageError: if it is not a whole number from 0 on.
    """
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise must_be("seed", seed, "an integer from 0 on", "for example 0")
    return int(seed)
