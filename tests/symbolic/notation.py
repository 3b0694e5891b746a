"""What printed equations mean: matrices, and the grammar that text and LaTeX share.

A value of at most two axes is a matrix: samples are columns, a number is 1 × 1. Others have samples as their last axis.
Nothing printed is run as code; what has no meaning raises `Unreadable`.
"""

import math
import re
from abc import ABC, abstractmethod

import numpy as np


class Unreadable(Exception):
    """A line that means nothing: an unknown symbol, sizes that do not fit, or broken grammar."""


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


def _gate(z):
    return np.tanh(np.log1p(np.exp(z)))


def _elu(z, a, scale):
    return scale * np.where(z > 0, z, a * (np.exp(z) - 1))


SELU = 1.6732632423543772, 1.0507009873554805
"""α and λ of Klambauer et al. 2017."""

_phi = np.vectorize(lambda z: 0.5 * math.erfc(-z / math.sqrt(2)))

FUNCTIONS = {
    "identity": (lambda z: z, np.ones_like),
    "relu": (lambda z: np.where(z > 0, z, 0.0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "leaky_relu": (lambda z, a=0.01: np.where(z > 0, z, a * z), lambda z, a=0.01: np.where(z > 0, 1.0, a)),
    "abs": (np.abs, lambda z: np.where(z > 0, 1.0, -1.0)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sigmoid": (_sigmoid, lambda z: _sigmoid(z) * (1 - _sigmoid(z))),
    "softplus": (lambda z: np.log1p(np.exp(z)), _sigmoid),
    "gelu": (lambda z: z * _phi(z), lambda z: _phi(z) + z * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)),
    "exp": (np.exp, np.exp),
    "sin": (np.sin, np.cos),
    "cos": (np.cos, lambda z: -np.sin(z)),
    "erf": (lambda z: 2 * _phi(z * math.sqrt(2)) - 1, lambda z: 2 / math.sqrt(math.pi) * np.exp(-z * z)),
    "silu": (lambda z: z * _sigmoid(z), lambda z: _sigmoid(z) * (1 + z * (1 - _sigmoid(z)))),
    "mish": (lambda z: z * _gate(z), lambda z: _gate(z) + z * (1 - _gate(z) ** 2) * _sigmoid(z)),
    "elu": (lambda z, a=1.0: _elu(z, a, 1.0), lambda z, a=1.0: np.where(z > 0, 1.0, a * np.exp(z))),
    "selu": (lambda z: _elu(z, *SELU), lambda z: SELU[1] * np.where(z > 0, 1.0, SELU[0] * np.exp(z))),
    "step": (lambda z: np.where(z > 0, 1.0, 0.0), np.zeros_like),
    "sign": (np.sign, np.zeros_like),
    "quantised_relu": (lambda z, bits=2, a=1: a * np.clip(np.ceil(z / a), 0, 2**bits - 1), lambda z, *_: 0 * z),
    "clipped_relu": (lambda z, c=1: np.clip(z, 0, c), lambda z, c=1: np.where((z > 0) & (z <= c), 1.0, 0.0)),
}
"""Activations and their slopes."""


def loss_gradient(name, f, y):
    """The gradient of the loss in the outputs (C, N) of every sample."""
    if name in ("cross_entropy", "multiclass_exponential"):
        own = np.arange(len(f))[:, None] == y
        gap = f - (f * own).sum(axis=0)
        if name == "cross_entropy":
            return np.exp(gap) / np.exp(gap).sum(axis=0) - own
        wrong = np.where(own, 0.0, np.exp(gap))
        return wrong - own * wrong.sum(axis=0)
    if f.shape != y.shape:
        raise Unreadable(f"{name} of {f.shape} and {y.shape}")
    table = {
        "exponential": lambda: -y * np.exp(-y * f),
        "logistic": lambda: -y * _sigmoid(-y * f),
        "square": lambda: f - y,
    }
    if name not in table:
        raise Unreadable(name)
    return table[name]()


class Identity:
    """A number times the identity matrix, whose size is that of what it is added to."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def __neg__(self):
        return Identity(-self.factor)


def with_identity(a, b, operation):
    """A number times the identity, or a square matrix and the identity."""
    one, other = (a, b) if isinstance(a, Identity) else (b, a)
    if isinstance(other, Identity):
        raise Unreadable("an identity of unknown size")
    if operation is np.multiply and other.shape == (1, 1):
        return Identity(one.factor * other[0, 0])
    if operation in (np.multiply, np.divide) or other.ndim != 2 or len(set(other.shape)) > 1:
        raise Unreadable(f"the identity and {other.shape}")
    square = one.factor * np.eye(len(other))
    return operation(square, b) if one is a else operation(a, square)


def entrywise(a, b, operation):
    """a ∘ b, where a single row or column of one of them is repeated to fit the other; never both."""
    if isinstance(a, Identity) or isinstance(b, Identity):
        return with_identity(a, b, operation)
    try:
        made = operation(a, b)
    except ValueError as error:
        raise Unreadable(str(error)) from None
    if a.ndim != b.ndim and (1, 1) not in (a.shape, b.shape):
        raise Unreadable(f"{a.shape} and {b.shape} have no entrywise product")
    if made.ndim > 2 and a.shape != b.shape and (1, 1) not in (a.shape, b.shape):
        raise Unreadable(f"tensors {a.shape} and {b.shape} have no entrywise product")
    if made.shape not in (a.shape, b.shape):
        raise Unreadable(f"a column {a.shape} and a row {b.shape} have no entrywise product")
    return made


def multiply(a, b):
    """The matrix product."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise Unreadable(f"{a.shape} @ {b.shape}")
    return a @ b


def inner(a, b):
    """The entrywise product of two matrices of one size."""
    if a.shape != b.shape:
        raise Unreadable(f"<{a.shape}, {b.shape}>")
    return a * b


def lengths(parts, rows):
    """The root of all squared entries, or of those of every row."""
    if rows:
        return np.sqrt((parts[0] ** 2).reshape(len(parts[0]), -1).sum(axis=1, keepdims=True))
    return np.sqrt(sum((p**2).sum() for p in parts)).reshape(1, 1)


def number(value):
    """A number as a matrix."""
    return np.full((1, 1), float(value))


class Parser(ABC):
    """Tokens, and what both notations share."""

    pattern = ""

    def __init__(self, text, known):
        self.tokens, self.known, self.at = [], known, 0
        place = 0
        for found in re.finditer(self.pattern, text):
            if text[place : found.start()].strip():
                raise Unreadable(text[place : found.start()])
            place = found.end()
            self.tokens.append(found.group())
        if text[place:].strip():
            raise Unreadable(text[place:])

    @property
    def samples(self):
        """Their number."""
        return int(self.known["N"][0, 0]) if "N" in self.known else 0

    def peek(self, ahead=0):
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ""

    def take(self, *wanted):
        token = self.peek()
        if (wanted and token not in wanted) or not token:
            raise Unreadable(f"{token!r} where {wanted} should be")
        self.at += 1
        return token

    def skip(self, token):
        found = self.peek() == token
        self.at += found
        return found

    def whole(self):
        value = self.sum()
        if self.peek():
            raise Unreadable(f"{self.peek()!r} is left over")
        return value

    def sum(self):
        start = self.at
        value = -self.term() if self.skip("-") else self.term()
        while self.peek() in ("+", "-"):
            plain = self.is_number(start)
            sign, start = self.take(), self.at
            right = self.term()
            self.plain = plain or self.is_number(start)
            value = self.add(value, right, 1 if sign == "+" else -1)
        return value

    def is_number(self, start):
        """Whether a number stands between a place and here."""
        return all(re.fullmatch(r"[\d.e/{}-]+|\\tfrac", token) for token in self.tokens[start : self.at])

    def add(self, a, b, sign):
        return entrywise(a, b, lambda p, q: p + sign * q)

    @abstractmethod
    def term(self):
        """A product, in the notation of the subclass."""

    def list(self, close):
        values = [self.sum()]
        while self.skip(","):
            values.append(self.sum())
        self.take(close)
        return values

    def lookup(self, name):
        if name not in self.known:
            raise Unreadable(f"the symbol {name!r} is not defined")
        return self.known[name]

    def call(self, name, slope, values):
        """A function of matrices, or of whole arrays."""
        from tensors import Whole

        if name in FUNCTIONS:
            return FUNCTIONS[name][slope](values[0], *(float(v[0, 0]) for v in values[1:]))
        whole = Whole(self.samples)
        if name in whole and not slope:
            try:
                return whole(name, *values)
            except (TypeError, ValueError, IndexError) as error:
                raise Unreadable(f"{name}: {error}") from None
        (a,) = values
        if isinstance(a, str) or a.ndim > 2:
            raise Unreadable(f"{name} of {a}")
        table = {
            "sum": lambda: a.sum(axis=0, keepdims=True),
            "mean": lambda: a.mean(axis=0, keepdims=True),
            "rows": lambda: number(a.shape[0]),
            "ones": lambda: np.ones((a.shape[0], 1)),
            "sum_n": lambda: a.sum(axis=1, keepdims=True),
            "diag": lambda: np.diagflat(a),
        }
        if slope or name not in table:
            raise Unreadable(f"the function {name!r} is not defined")
        return table[name]()
