"""What printed equations mean: matrices, and the grammar that text and LaTeX share.

Every value is a matrix: samples are columns, a number is 1 × 1. Nothing printed is run as code; what has no meaning
raises `Unreadable`.
"""

import math
import re

import numpy as np


class Unreadable(Exception):
    """A line that means nothing: an unknown symbol, sizes that do not fit, or broken grammar."""


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


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


def entrywise(a, b, operation):
    """a ∘ b, where a single row or column of one of them is repeated to fit the other; never both."""
    try:
        made = operation(a, b)
    except ValueError as error:
        raise Unreadable(str(error)) from None
    if made.shape not in (a.shape, b.shape):
        raise Unreadable(f"a column {a.shape} and a row {b.shape} have no entrywise product")
    return made


def multiply(a, b):
    """The matrix product."""
    if a.shape[1] != b.shape[0]:
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
        return np.sqrt((parts[0] ** 2).sum(axis=1, keepdims=True))
    return np.sqrt(sum((p**2).sum() for p in parts)).reshape(1, 1)


def number(value):
    """A number as a matrix."""
    return np.full((1, 1), float(value))


class Parser:
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
        value = -self.term() if self.skip("-") else self.term()
        while self.peek() in ("+", "-"):
            sign = self.take()
            value = self.add(value, self.term(), 1 if sign == "+" else -1)
        return value

    def add(self, a, b, sign):
        return entrywise(a, b, lambda p, q: p + sign * q)

    def term(self):
        raise NotImplementedError

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
        """A function of matrices."""
        if name in FUNCTIONS:
            return FUNCTIONS[name][slope](values[0], *(float(v[0, 0]) for v in values[1:]))
        (a,) = values
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
