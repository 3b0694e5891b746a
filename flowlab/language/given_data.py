"""The data of a problem that may need none."""

from flowlab.core.errors import DataError
from flowlab.language.data import Data
from flowlab.language.problem import Problem


def required(problem: Problem, data: Data | None) -> Data:
    """The data as given, or those that the problem brings; empty ones for an objective of weights alone.

    Raises:
        DataError: where there must be some.
    """
    if data is not None:
        return data
    if isinstance(problem.own_data, Data):
        return problem.own_data
    if not problem.loss.is_value or problem.network.constants:
        what = "the constants of the objective" if problem.loss.is_value else "samples and labels"
        raise DataError(f"`data` must have {what}, got nothing; pass `fl.Data(…)`.")
    return Data()
