"""Operation words; importing this package registers them all."""

from flowlab.language.operations import algebra as _algebra
from flowlab.language.operations import derived as _derived
from flowlab.language.operations import loss_pull as _loss_pull
from flowlab.language.operations import nonlinear as _nonlinear
from flowlab.language.operations.base import Operation as Operation
from flowlab.language.operations.base import Piece as Piece
from flowlab.language.operations.base import function_words as function_words
from flowlab.language.operations.base import is_function as is_function
from flowlab.language.operations.base import operations as operations

__all__ = ["Operation", "Piece", "function_words", "is_function", "operations"]
_REGISTERS = (_algebra, _derived, _loss_pull, _nonlinear)
