"""Operation words; importing this package registers them all."""

from flowlab.language.operations import algebra as _algebra
from flowlab.language.operations import angles as _angles
from flowlab.language.operations import convolution as _convolution
from flowlab.language.operations import derived as _derived
from flowlab.language.operations import index_sums as _index_sums
from flowlab.language.operations import layers as _layers
from flowlab.language.operations import loss_pull as _loss_pull
from flowlab.language.operations import matrix as _matrix
from flowlab.language.operations import matrix_pulls as _matrix_pulls
from flowlab.language.operations import nonlinear as _nonlinear
from flowlab.language.operations import normalisation as _normalisation
from flowlab.language.operations import opaque as _opaque
from flowlab.language.operations import reductions as _reductions
from flowlab.language.operations import shaping as _shaping
from flowlab.language.operations import surrogates as _surrogates
from flowlab.language.operations import transpose as _transpose
from flowlab.language.operations.base import Operation as Operation
from flowlab.language.operations.base import Piece as Piece
from flowlab.language.operations.base import function_words as function_words
from flowlab.language.operations.base import is_function as is_function
from flowlab.language.operations.base import operations as operations

__all__ = ["Operation", "Piece", "function_words", "is_function", "operations"]
_REGISTERS = (
    _algebra,
    _angles,
    _convolution,
    _derived,
    _index_sums,
    _layers,
    _loss_pull,
    _matrix,
    _matrix_pulls,
    _nonlinear,
    _normalisation,
    _opaque,
    _reductions,
    _shaping,
    _surrogates,
    _transpose,
)
