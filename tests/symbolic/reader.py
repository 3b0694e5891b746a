"""A reader of equations at matrix depth, text and LaTeX: it knows the notation they state, nothing of the printer."""

import re

import numpy as np
from notation import Identity, Parser, Unreadable, entrywise, inner, lengths, loss_gradient, multiply, number
from tensors import LATEX, TEXT, Places, Whole


def turned(value):
    """The transpose of a matrix."""
    if value.ndim != 2:
        raise Unreadable(f"the transpose of {value.shape}")
    return value.T


def rows(made):
    """The sum of every row, to a column; a row of a tensor is what has one first index."""
    return made.reshape(len(made), -1).sum(axis=1, keepdims=True)


class Text(Parser):
    """The plain notation: @, *, / from left to right; ^ and ** are powers."""

    pattern = r"\d+(?:\.\d+)?(?:e-?\d+)?|[A-Za-z]\w*|\*\*|\.T|_row|'[a-z]+'|\[[-\d:, ]+\]|[-+*/@^().,<>|']"

    def term(self):
        value = self.power()
        while self.peek() in ("*", "/", "@"):
            sign, right = self.take(), self.power()
            value = (
                multiply(value, right)
                if sign == "@"
                else entrywise(value, right, np.multiply if sign == "*" else np.divide)
            )
        return value

    def power(self):
        value = self.atom()
        while self.peek() in ("^", "**", ".T") or self.peek().startswith("["):
            if self.peek().startswith("["):
                value = Whole(self.samples).do_take(value, Places.read(self.take()[1:-1]))
            elif self.take() == ".T":
                value = turned(value)
            elif self.skip("("):
                value = value ** self.list(")")[0]
            else:
                sign = -1 if self.skip("-") else 1
                value = value ** (sign * float(self.take()))
        return value

    def atom(self):
        token = self.take()
        if token == "(":
            return self.list(")")[0]
        if token.startswith("["):
            return Places.read(token[1:-1])
        if token.startswith("'"):
            return token[1:-1]
        if token == "<":
            made = inner(*self.list(">"))
            return rows(made) if self.skip("_row") else number(made.sum())
        if token == "|":
            parts = self.list("|")
            return lengths(parts, self.skip("_row"))
        if token[0].isdigit():
            return number(token)
        if token == "eye":
            return Identity()
        if token == "grad_f":
            name = self.take()
            self.take("(")
            return loss_gradient(name, *self.list(")"))
        if self.peek() == "'" or self.peek() == "(":
            slope = self.skip("'")
            self.take("(")
            return self.call(token, slope, self.list(")"))
        return self.lookup(token)


class Ones:
    """A column of ones of fitting length, or a row of them."""

    def __init__(self, turned=False):
        self.turned = turned


class Repeated:
    """A column that stands for as many columns as fit."""

    def __init__(self, column):
        self.column = column

    def __neg__(self):
        return Repeated(-self.column)


_SPELLINGS = {"lrelu": "leaky_relu", "qrelu": "quantised_relu", "crelu": "clipped_relu", "id": "identity"}
"""What LaTeX calls otherwise than text does."""
_NAMED = ("\\tanh", "\\exp", "\\sin", "\\cos")
"""Functions that LaTeX has a command for."""


class Latex(Parser):
    """LaTeX: juxtaposition is the matrix product, which binds tighter than ⊙, and ⊙ tighter than +."""

    pattern = r"\\[A-Za-z]+|\d+(?:\.\d+)?(?:e-?\d+)?|[A-Za-z]|\\_|[-+^_{}().,'/\[\]:]"
    closing = ("+", "-", ")", "}", ",", "\\odot", "\\right", "\\rVert", "")

    def __init__(self, text, known):
        super().__init__(
            text.replace(r"\,", " ").replace(r"\left\langle", r"\langle").replace(r"\right\rangle", r"\rangle"), known
        )
        self.closing = (*self.closing, r"\rangle")

    def add(self, a, b, sign):
        if isinstance(a, Identity) or isinstance(b, Identity):
            return entrywise(a, b, lambda p, q: p + sign * q)
        if isinstance(a, Ones) or isinstance(b, Ones):
            raise Unreadable("ones of unknown length")
        if isinstance(a, Repeated) == isinstance(b, Repeated):
            if isinstance(a, Repeated):
                raise Unreadable("ones of unknown length")
            if a.shape != b.shape and not self.plain:
                raise Unreadable(f"{a.shape} + {b.shape}")
        a, b = (v.column if isinstance(v, Repeated) else v for v in (a, b))
        return entrywise(a, b, lambda p, q: p + sign * q)

    def term(self):
        value = self.product()
        while self.skip("\\odot"):
            value = inner(value, self.product())
        return value

    def product(self):
        value = self.power()
        while self.peek() not in self.closing:
            value = self.times(value, self.power())
        return value

    def times(self, a, b):
        if isinstance(b, Identity):
            return entrywise(a, b, np.multiply)
        if isinstance(b, Ones):
            if isinstance(a, Repeated | Ones) or (b.turned and a.shape[1] != 1):
                raise Unreadable("ones of unknown length")
            return Repeated(a) if b.turned else a.sum(axis=1, keepdims=True)
        if isinstance(a, Ones):
            if not a.turned:
                raise Unreadable("ones of unknown length")
            return b.sum(axis=0, keepdims=True)
        if isinstance(a, Repeated):
            return multiply(a.column, b.sum(axis=0, keepdims=True))
        if (1, 1) in (a.shape, b.shape) and (max(a.ndim, b.ndim) > 2 or a.shape[1] != b.shape[0]):
            return a * b
        return multiply(a, b)

    def power(self):
        value = self.atom()
        while self.skip("^"):
            self.take("{")
            if self.skip("\\top"):
                value = Ones(not value.turned) if isinstance(value, Ones) else turned(value)
                self.take("}")
                continue
            entries = self.skip("\\odot")
            exponent, sign = self.fraction("}"), value.shape
            if not entries and sign[1] != 1:
                raise Unreadable("the power of a matrix")
            value = value**exponent
        return value

    def fraction(self, close):
        sign = -1 if self.skip("-") else 1
        text = ""
        while not self.skip(close):
            text += self.take()
        found = re.fullmatch(r"([\d.]+)(?:/(\d+))?", text)
        if not found:
            raise Unreadable(f"the exponent {text}")
        return sign * float(found[1]) / float(found[2] or 1)

    def group(self):
        self.take("{")
        value = self.sum()
        self.take("}")
        return value

    def raw(self):
        """What stands between braces, as it is."""
        self.take("{")
        depth, text = 1, ""
        while depth:
            token = self.take()
            depth += (token == "{") - (token == "}")
            text += token
        return text[:-1]

    def closed(self):
        """Where the group that begins here has ended."""
        depth, at = 0, self.at
        while at < len(self.tokens):
            depth += (self.tokens[at] == "{") - (self.tokens[at] == "}")
            at += 1
            if not depth:
                return at
        return 0

    def row(self):
        if not self.skip("_"):
            return False
        if self.raw() != "\\text{row}":
            raise Unreadable("an index of brackets")
        return True

    def places(self):
        """Positions between brackets."""
        self.take("[")
        text = ""
        while not self.skip("]"):
            text += self.take()
        return Places.read(text)

    def atom(self):
        token = self.peek()
        if token == "[":
            return self.places()
        if token == "\\text":
            self.at += 1
            return self.raw()
        if token == "{" and (end := self.closed()) and self.tokens[end : end + 3] == ["_", "{", "["]:
            value = self.group()
            self.take("_")
            self.take("{")
            value = Whole(self.samples).do_take(value, self.places())
            self.take("}")
            return value
        if token == "\\left":
            self.at += 1
            self.take("(")
            value = self.sum()
            self.take("\\right")
            self.take(")")
            return value
        if token in ("\\frac", "\\tfrac"):
            self.at += 1
            above, below = self.group(), self.group()
            return entrywise(above, below, np.divide)
        if token[:1].isdigit():
            return number(self.take())
        if token == "\\mathbf":
            self.at += 1
            return Identity() if self.take("1", "I") == "I" else Ones()
        if token == "\\langle":
            self.at += 1
            made = inner(*self.list("\\rangle"))
            return rows(made) if self.row() else number(made.sum())
        if token == "\\lVert":
            self.at += 1
            parts = self.list("\\rVert")
            return lengths(parts, self.row())
        if token == "\\nabla":
            return self.gradient()
        if token in ("\\operatorname", *_NAMED):
            self.at += 1
            name = token[1:] if token in _NAMED else self.raw()
            slope = self.skip("'")
            self.take("(")
            name = name.replace("\\_", "_")
            return self.call(_SPELLINGS.get(name, name), slope, self.list(")"))
        return self.lookup(self.name())

    def gradient(self):
        for token in ("\\nabla", "_", "f", "\\ell", "_", "{", "\\text", "{"):
            self.take(token)
        name = ""
        while not self.skip("}"):
            name += self.take()
        self.take("}")
        self.take("(")
        known = ("exponential", "logistic", "square", "cross_entropy", "multiclass_exponential")
        return loss_gradient(next((k for k in known if k.replace("_", "") == name), name), *self.list(")"))

    def name(self):
        """A symbol with its index."""
        token = self.peek()
        if token == "{":
            head = "{" + self.raw() + "}"
        elif token == "\\mathrm":
            head = self.take() + "{" + self.raw() + "}"
        elif re.fullmatch(r"[A-Za-z]|\\[A-Za-z]+", token):
            head = self.take()
        else:
            raise Unreadable(f"{token!r} is no symbol")
        return head + "_{" + self.raw() + "}" if self.skip("_") else head


class Known(dict):
    """Symbols and their values; nothing is called twice."""

    def define(self, name, value):
        if name in self:
            raise Unreadable(f"the symbol {name!r} is defined twice")
        if not np.isfinite(value).all():
            raise Unreadable(f"{name} is not finite")
        self[name] = value


def read_text(text, given):
    """Every symbol's value after the printed lines; rates end with a prime."""
    known = Known(given)
    head, *rest = text.split("\n\n")
    told = ("belongs to the loss", "the learning rates are")
    lines = "\n".join(line for line in head.splitlines() if any(words in line for words in told))
    for symbol, value in re.findall(r"((?:omega|eta)_\w+) = ([\d.e-]+)", lines):
        known.define(symbol, number(value))
    for line in rest[0].splitlines():
        left, sign, right = line.strip().partition(" = ")
        name, axes = TEXT.left(left) or (left, [])
        if not sign or not re.fullmatch(r"\w+'?", name):
            raise Unreadable(line)
        entries = TEXT.left(left) or TEXT.are_meant(right)
        known.define(name, TEXT.value(axes, right, known) if entries else Text(right, known).whole())
    return known


def read_latex(text, given):
    """Every symbol's value after the printed lines; rates are called `\\dot` and their symbol."""
    known = Known(given)
    head, _, rest = text.partition(r"\begin{align}")
    for symbol, value in re.findall(r"\$(\\(?:omega|eta)_\{(?:[^{}]|\{[^{}]*\})*\}) = ([\d.e-]+)\$", head):
        known.define(symbol, number(value))
    body = rest.partition(r"\end{align}")[0]
    for line in body.split(" \\\\\n"):
        left, sign, right = line.strip().partition(" &= ")
        if not sign:
            raise Unreadable(line)
        entries = LATEX.left(left) or LATEX.are_meant(right)
        left, axes = LATEX.left(left) or (left, [])
        dotted = left.startswith(r"\dot ")
        # \dot {W}_{1} is the rate of W_{1}.
        symbol = re.sub(r"^\\dot \{(.*?)\}(?=_\{|$)", r"\1", left) if dotted else left
        made = LATEX.value(axes, right, known) if entries else Latex(right, known).whole()
        known.define((r"\dot " if dotted else "") + symbol, made)
    return known


def labels(print_, blocks, tex):
    """What the blocks are called in print: by their names, unless the print says otherwise."""
    called = {block: latex_name(block) if tex else block for block in blocks}
    if not tex:
        return called | {block: label for label, block in re.findall(r"(\w+) is the block (\w+)", print_)}
    return called | {
        block.replace("\\_", "_"): label
        for label, block in re.findall(r"\$([^$]*)\$ is the block \$\\mathrm\{([^$]*?)\}\$", print_)
    }


_GREEK = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "lambda",
    "mu",
    "sigma",
    "rho",
    "psi",
    "omega",
    "eta",
    "kappa",
    "nu",
    "Psi",
    "Gamma",
]


def latex_name(block):
    """What a block is called in LaTeX: its number is an index, Greek names are letters, other words stand upright."""
    found = re.fullmatch(r"(.*?)(\d*)", block)
    assert found
    head, tail = found.groups()
    if head.endswith("_"):
        head, tail = block, ""
    base = (
        "\\" + head
        if head in _GREEK
        else (
            head
            if len(head) == 1 and not (tail and head in "VvGZATp")
            else "\\mathrm{" + head.replace("_", "\\_") + "}"
        )
    )
    return base + (f"_{{{tail}}}" if tail else "")


def latex_index(block):
    """What stands below a symbol that belongs to a block."""
    return block[1:] if re.fullmatch(r"W\d+", block) else latex_name(block)
